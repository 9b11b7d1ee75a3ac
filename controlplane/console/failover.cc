#include "controlplane/console/failover.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <map>

#include "controlplane/console/manage.h"
#include "controlplane/console/names.h"
#include "controlplane/console/table.h"

namespace headgate::console {
namespace {

namespace mg = management::v1;

const char* role_word(pb::GroupRole role) {
  return role == pb::ROLE_ACTIVE   ? "ACTIVE"
         : role == pb::ROLE_BACKUP ? "backup"
         : role == pb::ROLE_FAULT  ? "FAULT"
                                   : "starting";
}

const char* peer_word(pb::PeerState state) {
  return state == pb::PEER_BACKUP   ? "backup"
         : state == pb::PEER_ACTIVE ? "ACTIVE"
         : state == pb::PEER_FAULT  ? "FAULT"
         : state == pb::PEER_DEAD   ? "DEAD"
                                    : "unknown";
}

const char* class_word(pb::HealthClass health) {
  return health == pb::CLASS_OK ? "ok" : health == pb::CLASS_DEGRADED ? "degraded" : "fault";
}

std::string ms(std::int64_t us) {
  char text[32];
  std::snprintf(text, sizeof text, us < 100'000 ? "%.1fms" : "%.0fms", static_cast<double>(us) / 1000);
  return text;
}

// Words of `text` in lines of at most `width`, all behind `label`, the later ones indented like the first.
std::string wrapped(const std::string& label, const std::string& text, std::size_t width) {
  std::string out, line = label;
  bool empty = true;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    if (!empty && line.size() + 1 + end - at > width) {
      out += line + "\n";
      line = std::string(label.size(), ' ');
      empty = true;
    }
    line += (empty ? "" : " ") + text.substr(at, end - at);
    empty = false;
    at = end + 1;
  }
  return out + line + "\n";
}

std::string peer_phrase(const mg::FailoverReply& reply) {
  const mg::FailoverPeer& peer = reply.peer();
  if (!reply.pair()) return "no HA link: the peer is no Headgate";
  if (peer.dead()) return "the peer's dataplane is DEAD";
  if (!peer.link_up())
    return peer.heard() ? "peer SILENT for " + duration(peer.heard_ms_ago()) : "peer never heard so far";
  return "peer heard " + duration(peer.heard_ms_ago()) + " ago, configurations " + (peer.agreed() ? "agree" : "DIFFER");
}

std::string lease_phrase(const pb::GroupState& state) {
  const std::string interval = "adverts every " + ms(state.interval_us());
  if (state.role() == pb::ROLE_ACTIVE) {
    const std::string left =
        state.lease_us() >= 0 ? ms(state.lease_us()) + " left" : "OVER for " + ms(-state.lease_us());
    return left + "; " + interval + ", the peer waits " + ms(static_cast<std::int64_t>(state.down_interval_us()));
  }
  if (state.role() != pb::ROLE_BACKUP) return "none; " + interval;
  return "none; the peer counts as gone in " + ms(state.peer_margin_us()) + " unless heard, down interval " +
         ms(static_cast<std::int64_t>(state.down_interval_us()));
}

std::string preemption_phrase(const mg::FailoverGroup& group) {
  if (group.preemption() == "after")
    return "after " + std::to_string(group.preempt_delay_s()) + " s the box with the higher priority takes it back";
  return group.preemption() == "manual" ? "manual: as stay; it comes back by failover switch alone"
                                        : "stay: it stays where it is";
}

std::string routers(const pb::GroupState& state, std::size_t width) {
  Table table({"  ROUTER", "FAMILY", ">VRID", ">V", "LINK", ">SENT", ">ACCEPTED", "HEARD", "PEER"});
  for (const auto& router : state.router()) {
    table.row({"  " + router.interface(), router.ipv6() ? "IPv6" : "IPv4", std::to_string(router.vrid()),
               std::to_string(router.version()), router.link() ? "up" : "DOWN", count(router.sent()),
               count(router.accepted()), router.heard() ? duration(router.last_heard_ms_ago()) + " ago" : "never",
               router.peer().empty() ? "-" : router.peer() + " (" + std::to_string(router.peer_priority()) + ")"});
  }
  return state.router_size() == 0 ? "" : table.text({.width = width});
}

std::string group_text(const mg::FailoverReply& reply, const mg::FailoverGroup& group, std::size_t width) {
  const pb::GroupState& state = group.state();
  const std::string other = reply.side() == "A" ? "B" : "A";
  std::string title = "group " + group.name() + ": ";
  title += group.has_state() ? std::string(role_word(state.role())) + " here for " + duration(state.since_ms_ago())
                             : "not known here: the dataplane does not answer or has no such group yet";
  if (reply.pair()) title += ", " + std::string(peer_word(group.peer())) + " on box " + other;
  if (group.paused() || group.peer_paused())
    title += std::string(", PAUSED") + (group.paused() ? "" : " on box " + other);
  std::string out = wrapped("", title, width);
  if (!group.under_way().empty()) out += wrapped("  switch      ", group.under_way(), width);
  if (group.has_state()) out += wrapped("  cause       ", state.cause(), width);
  for (int i = 0; i < group.arithmetic_size(); ++i)
    out += wrapped(i == 0 ? "  health      " : "              ", group.arithmetic(i), width);
  if (group.has_state() && state.health() != group.health())
    out += wrapped("  in force    ", std::string(class_word(state.health())) + ": what the dataplane goes by", width);
  if (group.peer_known()) {
    out += wrapped(
        "  box " + other + "       ",
        std::string(class_word(group.peer_health())) + ", advertises " + std::to_string(group.peer_priority()), width);
  }
  out += wrapped("  preemption  ", preemption_phrase(group), width);
  if (!group.has_state()) return out;
  out += wrapped("  lease       ", lease_phrase(state), width);
  out += wrapped("  so far      ",
                 count(state.transitions()) + " transitions, " + count(state.promotions()) + " promotions, " +
                     count(state.lease_gaps()) + " lease gaps, " + count(state.withheld()) + " adverts withheld, " +
                     count(state.dropped_at_send()) + " frames stopped by the lease",
                 width);
  return out + routers(state, width);
}

const char* kNothing = "no group is configured: nothing fails over\n";

}  // namespace

std::string failover_text(const mg::FailoverReply& reply, std::size_t width) {
  if (reply.side().empty()) return kNothing;
  std::string out = wrapped(
      "", "box " + reply.side() + ", epoch " + std::to_string(reply.epoch()) + ", " + peer_phrase(reply), width);
  if (reply.pair() && !reply.peer().problem().empty()) out += wrapped("PROBLEM  ", reply.peer().problem(), width);
  if (reply.witness() != pb::WITNESS_NONE)
    out += reply.witness() == pb::WITNESS_ANSWERS ? "a witness answers\n" : "all witnesses are SILENT\n";
  if (reply.dataplane() && !reply.control_lease())
    out += wrapped("PROBLEM  ", "the dataplane hears nothing of the control plane and counts as degraded", width);
  for (const auto& group : reply.group()) out += "\n" + group_text(reply, group, width);
  return out;
}

std::string failover_counters_text(const mg::FailoverReply& reply, std::size_t width) {
  if (reply.side().empty()) return kNothing;
  std::string out;
  for (const auto& group : reply.group()) {
    for (const auto& router : group.state().router()) {
      out += wrapped("",
                     "group " + group.name() + " on " + router.interface() + ", " + (router.ipv6() ? "IPv6" : "IPv4") +
                         ", VRID " + std::to_string(router.vrid()) + ": " + count(router.sent()) + " sent, " +
                         count(router.accepted()) + " taken by the driver, " + count(router.received()) + " received",
                     width);
      bool any = false;
      for (const auto& oddity : router.oddity()) {
        if (oddity.adverts() == 0) continue;
        any = true;
        out +=
            "  " + oddity.reason() + ": " + count(oddity.adverts()) + (oddity.dropped() ? " dropped" : " odd") + "\n";
        out += wrapped("    ", oddity.meaning(), width);
      }
      if (!any) out += "  nothing odd was received\n";
    }
  }
  return out.empty() ? "the dataplane does not answer, or speaks for no group yet\n" : out;
}

std::string failover_peer_text(const mg::FailoverReply& reply, std::size_t width) {
  const mg::FailoverPeer& peer = reply.peer();
  if (!reply.pair()) return "there is no HA link (failover ha_link): this box knows no Headgate as its peer\n";
  std::string out = wrapped("link      ", peer_phrase(reply), width);
  if (!peer.problem().empty()) out += wrapped("PROBLEM   ", peer.problem(), width);
  if (peer.heard()) {
    out += "version   " + (peer.version().empty() ? "unknown" : peer.version()) + "\n";
    out += "revision  " + std::to_string(peer.revision()) + "\n";
    out += "epoch     " + std::to_string(peer.epoch()) + (peer.epoch() == reply.epoch() ? "" : ", here ") +
           (peer.epoch() == reply.epoch() ? "" : std::to_string(reply.epoch())) + "\n";
  }
  for (const auto& group : reply.group()) {
    out += wrapped("group     ",
                   group.name() + ": " + peer_word(group.peer()) +
                       (group.peer_known() ? std::string(", ") + class_word(group.peer_health()) + ", advertises " +
                                                 std::to_string(group.peer_priority())
                                           : ""),
                   width);
  }
  for (const std::string& line : peer.detail()) out += wrapped("          ", line, width);
  return out;
}

std::string failover_history_text(const mg::FailoverReply& reply, std::size_t width) {
  if (reply.side().empty()) return kNothing;
  std::multimap<std::uint64_t, std::string, std::greater<>> lines;  // by age, the oldest first; of equals in order
  for (const auto& group : reply.group()) {
    for (const auto& change : group.state().change()) {
      const std::string label = duration(change.ms_ago()) + " ago";
      lines.emplace(change.ms_ago(), wrapped(label + std::string(label.size() < 12 ? 12 - label.size() : 1, ' '),
                                             "group " + group.name() + ": " + role_word(change.from()) + " -> " +
                                                 role_word(change.to()) + ", epoch " + std::to_string(change.epoch()) +
                                                 ": " + change.cause(),
                                             width));
    }
  }
  std::string out;
  for (const auto& [age, line] : lines) out += line;
  return out.empty() ? "no role has changed since the dataplane started\n" : out;
}

int show_failover(Client& client, const std::string& form) {
  grpc::ClientContext context;
  Client::soon(context);
  mg::FailoverReply reply;
  if (const int code = client.check(client.stub().Failover(&context, {}, &reply))) return code;
  if (client.json()) return print_json(reply);
  const std::size_t width = client.look().width;
  const std::string text = form == "counters"  ? failover_counters_text(reply, width)
                           : form == "peer"    ? failover_peer_text(reply, width)
                           : form == "history" ? failover_history_text(reply, width)
                                               : failover_text(reply, width);
  std::fputs(text.c_str(), stdout);
  return 0;
}

int switch_group(Client& client, const std::string& group, bool dry_run) {
  grpc::ClientContext context;
  Client::soon(context, 10);
  mg::SwitchRequest request;
  request.set_group(group);
  request.set_dry_run(dry_run);
  mg::SwitchReply reply;
  if (const int code = client.check(client.stub().SwitchGroup(&context, request, &reply))) return code;
  if (client.json()) return print_json(reply);
  if (!reply.done()) return Client::say(reply.text());
  std::printf("%s\n", reply.text().c_str());
  return 0;
}

int pause_group(Client& client, const std::string& group, bool paused) {
  grpc::ClientContext context;
  Client::soon(context);
  mg::PauseRequest request;
  request.set_group(group);
  request.set_paused(paused);
  mg::Empty reply;
  return client.check(client.stub().PauseGroup(&context, request, &reply));
}

int what_if(Client& client, const std::string& kind, const std::string& name) {
  grpc::ClientContext context;
  Client::soon(context);
  mg::WhatIfRequest request;
  std::string upper = kind;
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  mg::WhatIfRequest::What what = mg::WhatIfRequest::UNSPECIFIED;
  mg::WhatIfRequest::What_Parse(upper, &what);
  request.set_what(what);
  request.set_name(name);
  mg::WhatIfReply reply;
  if (const int code = client.check(client.stub().WhatIf(&context, request, &reply))) return code;
  if (client.json()) return print_json(reply);
  for (const std::string& line : reply.line()) std::fputs(wrapped("", line, client.look().width).c_str(), stdout);
  return 0;
}

std::vector<std::string> group_names(Client& client) {
  std::vector<std::string> names;
  grpc::ClientContext context;
  Client::soon(context, 1);
  mg::FailoverReply reply;
  if (!client.stub().Failover(&context, {}, &reply).ok()) return names;
  for (const auto& group : reply.group()) names.push_back(group.name());
  return names;
}

std::vector<std::string> names_of_kind(Client& client, const std::string& kind) {
  if (kind == "box") return {"a", "b"};
  if (kind == "backend") return backend_names(client);
  std::vector<std::string> names;
  grpc::ClientContext context;
  Client::soon(context, 1);
  if (kind == "interface") {
    mg::InterfacesReply reply;
    if (!client.stub().Interfaces(&context, {}, &reply).ok()) return names;
    for (const auto& interface : reply.interface()) names.push_back(interface.name());
  } else if (kind == "pool") {
    mg::SystemReply reply;
    if (!client.stub().System(&context, {}, &reply).ok()) return names;
    for (const auto& pool : reply.pool()) {
      const std::string name = written_name(pool.name());
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
  } else if (kind == "gateway") {
    mg::RoutesReply reply;
    if (!client.stub().Routes(&context, {}, &reply).ok()) return names;
    for (const auto& route : reply.route()) {
      if (!route.gateway().empty() && std::find(names.begin(), names.end(), route.gateway()) == names.end())
        names.push_back(route.gateway());
    }
  }
  return names;
}

}  // namespace headgate::console
