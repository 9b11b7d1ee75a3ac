#include "dataplane/http/explain.h"

#include "dataplane/http/host.h"
#include "dataplane/http/limits.h"

namespace headgate::http {
namespace {

using To = Direction::To;

std::string conditions_of(const RouteSpec& route) {
  std::string out;
  const auto add = [&out](const std::string& what, const std::string& value) {
    if (!value.empty()) out += (out.empty() ? "" : ", ") + what + " " + value;
  };
  add("host", route.host);
  add(route.path_kind == RouteSpec::Path::exact ? "path" : "path prefix", route.path);
  add("method", route.method);
  for (const HeaderCondition& header : route.headers)
    add("header", header.name + (header.value.empty() ? "" : ": " + header.value));
  return out.empty() ? "any request" : out;
}

std::string name_of(const RouteSpec& route) {
  return route.name.empty() ? "number " + std::to_string(route.id) : route.name;
}

std::string in_quotes(std::string_view text) {
  return "\"" + std::string(text) + "\"";
}

class Explainer {
 public:
  Explainer(const Site& site, const CookieSigner& signer, const RequestContext& context, std::string_view text)
      : site_(site), signer_(signer), context_(context), text_(text) {}

  ExplainedRequest run() {
    const Progress progress = parse();
    if (progress == Progress::need_more) {
      say("request", "the head has no end");
      return std::move(out_);
    }
    if (progress == Progress::refused) {
      refuse(parser_.reason());
      return std::move(out_);
    }
    const RequestHead& head = parser_.head();
    const Direction direction = direct(site_, head, text_, {path_, host_});
    if (direction.to == To::refused) {
      refuse(direction.reason);
      return std::move(out_);
    }
    out_.to = direction.to;
    say_place(head, direction);
    say_action(head, direction);
    return std::move(out_);
  }

 private:
  void say(std::string stage, std::string text) { out_.steps.push_back({std::move(stage), std::move(text)}); }

  Progress parse() {
    parser_.reset(site_.requests);
    return parser_.parse(text_);
  }

  void refuse(Reason reason) {
    out_.to = To::refused;
    say("request", std::string("refused, ") + to_string(reason) + ": " + describe(reason));
    say("answer", std::to_string(request_status(reason)) + ", and the connection is closed");
  }

  void say_place(const RequestHead& head, const Direction& direction) {
    const std::string path(direction.path.match);
    std::string text = std::string(head.method_text.of(text_)) + ", host " + in_quotes(direction.normal_host) +
                       ", path " + in_quotes(path);
    if (direction.path.forward != head.path.of(text_)) text += ", written anew from " + in_quotes(head.path.of(text_));
    say("request", text);
    if (direction.to == To::here) return;
    if (direction.route == nullptr) {
      say("route", site_.routes.size() == 0 ? "none is configured"
                                            : "none of " + std::to_string(site_.routes.size()) + " matches");
    } else {
      say("route", name_of(*direction.route) + " takes it: " + conditions_of(*direction.route));
    }
  }

  void say_action(const RequestHead& head, const Direction& direction) {
    switch (direction.to) {
      case To::refused:
        break;
      case To::here:
        say("answer", "200: Max-Forwards is 0");
        break;
      case To::nowhere:
        say("answer", "404: no route takes it, and the service has no pool");
        break;
      case To::answer:
        say("answer", std::to_string(direction.route->status) + ", of the route");
        break;
      case To::redirect: {
        std::string location(kLocationMax, '\0');
        location.resize(write_location_of(direction, head, text_, location));
        if (location.empty()) return refuse(Reason::missing_host);
        say("answer", std::to_string(direction.route->redirect.status) + " to " + location);
        break;
      }
      case To::pool:
        out_.pool = direction.pool;
        out_.client = effective_client(site_.forwarded, text_, head, context_.client);
        if (out_.client != context_.client) say("client", to_string(out_.client) + ", as a trusted proxy says");
        say_cookie(head, direction);
        say_forwarded_head(head, direction);
        break;
    }
  }

  void say_cookie(const RequestHead& head, const Direction& direction) {
    if (site_.cookie.empty()) return;
    const auto content = read_cookie(site_, signer_, direction.pool, head, text_);
    if (content) out_.preferred = {content->backend_id};
    say("cookie", content ? "keeps the client on a backend" : "none of ours for this pool; the response sets one");
  }

  // Line by line, as the backend would see it.
  void say_forwarded_head(const RequestHead& head, const Direction& direction) {
    RequestContext context = context_;
    context.host = head.authority.of(text_);
    context.method = head.method_text.of(text_);
    context.path = head.path.of(text_);
    std::string space(kWrittenMax, '\0');
    HeadWriter writer(text_, space);
    write_request(rewrite_of(site_, direction.route, direction.path.forward), context, text_, head, writer);
    if (writer.reason() != Reason::none) return refuse(writer.reason());
    std::string whole;
    for (const std::string_view piece : writer.pieces()) whole += piece;
    for (std::size_t at = 0, end; (end = whole.find("\r\n", at)) != std::string::npos && end != at; at = end + 2)
      say("sent", whole.substr(at, end - at));
  }

  static constexpr std::size_t kLocationMax = 64 * 1024, kWrittenMax = 128 * 1024;

  const Site& site_;
  const CookieSigner& signer_;
  const RequestContext context_;
  const std::string_view text_;
  RequestParser parser_{site_.requests};
  std::string path_ = std::string(2 * Limits{}.head_bytes, '\0');
  std::string host_ = std::string(kHostMax, '\0');
  ExplainedRequest out_;
};

}  // namespace

ExplainedRequest explain_request(const Site& site, const CookieSigner& signer, const RequestContext& context,
                                 std::string_view text) {
  return Explainer(site, signer, context, text).run();
}

}  // namespace headgate::http
