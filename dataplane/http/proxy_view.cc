// What sessions and connections there are, for operators. Changes nothing.
#include "dataplane/http/proxy_core.h"
#include "dataplane/http/session_view.h"

namespace headgate::http {
namespace {

const char* name_of(Phase phase) {
  switch (phase) {
    case Phase::idle:
      return "idle";
    case Phase::head:
      return "reading head";
    case Phase::queued:
      return "queued";
    case Phase::asking:
      return "asking";
    case Phase::dialing:
      return "connecting";
    case Phase::relay:
      return "relaying";
    case Phase::tunnel:
      return "tunnel";
    case Phase::closing:
      return "closing";
  }
  return "?";
}

void describe_request(Core& k, const Transaction& t, SessionView& view) {
  view.tried = t.tried_count;
  view.backend_id = t.backend;
  if (t.link != kNone) view.backend = k.links[t.link].id;
  if (t.request_head != kNone && t.parsed) {
    view.method = t.request.head().method_text.of(k.request_text(t));
    view.target = t.request.head().target.of(k.request_text(t));
  } else {
    view.method = t.text.of(LogText::method);
    view.target = t.text.of(LogText::target);
  }
}

}  // namespace

ExplainedRequest Proxy::explain(const Site& site, const RequestContext& context, std::string_view text) const {
  return explain_request(site, core_->signer, context, text);
}

std::uint32_t Proxy::sessions_touched() const {
  return core_->sessions.touched();
}

std::optional<SessionView> Proxy::session_at(std::uint32_t position) const {
  Core& k = *core_;
  const Session& s = k.sessions[position];
  if (s.client.generation == 0) return std::nullopt;  // free: the list of free ones lies over the rest of it
  SessionView view;
  view.stage = name_of(s.phase);
  view.client = s.client;
  view.service = k.sites.current(s.service).service;
  view.slot = k.sites.slot(s.service);
  view.client_address = s.who.address;
  view.client_port = s.who.port;
  view.idle = k.now - s.since;
  const Nanos timeout = timeout_of(k, s);
  view.expires_in = timeout > view.idle ? timeout - view.idle : 0;
  view.requests = s.requests;
  if (s.transaction != kNone) describe_request(k, k.transaction_of(s), view);
  return view;
}

std::uint32_t Proxy::links_touched() const {
  return core_->links.touched();
}

std::optional<SessionView> Proxy::unused_link_at(std::uint32_t position) const {
  const Core& k = *core_;
  const Link& link = k.links[position];
  if (link.id.generation == 0 || link.session != kNone) return std::nullopt;
  const bool idle = link.state == Link::State::idle;
  const Nanos timeout = idle ? k.config.idle_link_timeout : kLinkCloseTime;
  SessionView view;
  view.stage = idle ? "kept" : "closing";
  view.backend = link.id;
  view.service = link.service;
  view.slot = link.slot;
  view.backend_id = link.backend;
  view.idle = k.now - link.since;
  view.expires_in = timeout > view.idle ? timeout - view.idle : 0;
  return view;
}

}  // namespace headgate::http
