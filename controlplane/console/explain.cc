#include "controlplane/console/explain.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <optional>

namespace headgate::console {
namespace {

// "192.0.2.10:80", "[2001:db8::1]:80", or an address alone (port 0).
std::optional<std::pair<std::string, std::uint32_t>> parse_endpoint(const std::string& text) {
  std::string address = text, port;
  if (text.starts_with('[')) {
    const std::size_t close = text.find(']');
    if (close == std::string::npos) return std::nullopt;
    address = text.substr(1, close - 1);
    if (close + 1 < text.size()) {
      if (text[close + 1] != ':') return std::nullopt;
      port = text.substr(close + 2);
    }
  } else if (std::count(text.begin(), text.end(), ':') == 1) {
    address = text.substr(0, text.find(':'));
    port = text.substr(text.find(':') + 1);
  }
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (!port.empty() && (error != std::errc{} || end != port.data() + port.size() || number > 65535))
    return std::nullopt;
  return std::pair{address, number};
}

}  // namespace

int explain(Client& client, const Question& question) {
  const auto from = parse_endpoint(question.source), to = parse_endpoint(question.destination);
  if (!from || !to) return Client::say("'" + (from ? question.destination : question.source) + "' is no ADDRESS:PORT");
  if (question.protocol != "icmp" && (from->second == 0 || to->second == 0)) {
    const bool v4 = from->first.find(':') == std::string::npos;
    return Client::say(question.protocol + " needs two ports and '" +
                       (from->second == 0 ? question.source : question.destination) + "' has none: write it like " +
                       (v4 ? "192.0.2.10:40000" : "[2001:db8::1]:40000"));
  }
  pb::ExplainRequest request;
  const bool http = question.protocol == "http";
  if (!http && !(question.method + question.host + question.path).empty())
    return Client::say("--method, --host and --path are of a request: explain http ...");
  request.set_protocol(http ? "tcp" : question.protocol);
  if (http) {
    request.mutable_http()->set_method(question.method);
    request.mutable_http()->set_host(question.host);
    request.mutable_http()->set_target(question.path);
    for (const std::string& header : question.headers) request.mutable_http()->add_header(header);
  }
  request.set_source(from->first);
  request.set_source_port(from->second);
  request.set_destination(to->first);
  request.set_destination_port(to->second);
  request.set_port(question.port);
  request.set_vlan(question.vlan);
  request.set_established(question.established);
  grpc::ClientContext context;
  Client::soon(context);
  pb::ExplainReply reply;
  if (const int code = client.check(client.stub().Explain(&context, request, &reply))) return code;
  if (client.json()) return print_json(reply);
  std::size_t width = 0;
  for (const auto& step : reply.step()) width = std::max(width, step.stage().size());
  for (const auto& step : reply.step())
    std::printf("%-*s  %s\n", static_cast<int>(width), step.stage().c_str(), step.text().c_str());
  return 0;
}

}  // namespace headgate::console
