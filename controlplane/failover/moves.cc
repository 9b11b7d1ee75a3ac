#include "controlplane/failover/moves.h"

#include "controlplane/config/address.h"
#include "controlplane/config/groups.h"

namespace headgate::failover {
namespace {

struct Held {
  config::Prefix addresses;
  std::string group;
};

// What floats, each with its group.
std::vector<Held> held(const config::v1::Config& config) {
  std::vector<Held> all;
  const auto add = [&](const std::optional<config::Prefix>& addresses, const std::string& group) {
    const config::v1::Group* known = config::group_of(config, group);
    if (addresses && known != nullptr) all.push_back({*addresses, known->name()});
  };
  const auto add_address = [&](const std::string& text, const std::string& group) {
    if (const auto address = config::parse_address(text))
      add(config::Prefix{*address, address->is_v4() ? 32u : 128u}, group);
  };
  for (const auto& service : config.service()) {
    for (const std::string& text : service.address()) add_address(text, service.group());
  }
  for (const auto& interface : config.interface()) {
    for (const auto& floating : interface.floating()) add_address(floating.address(), floating.group());
  }
  for (const auto& local : config.local_address()) {
    if (!config::floats(config, local)) continue;
    for (const std::string& text : local.address()) add_address(text, local.group());
    for (const std::string& text : local.prefix()) add(config::parse_prefix(text), local.group());
  }
  return all;
}

}  // namespace

std::vector<Move> moves(const config::v1::Config& before, const config::v1::Config& after) {
  std::vector<Move> all;
  const std::vector<Held> then = held(after);
  for (const Held& old : held(before)) {
    for (const Held& now : then) {
      if (old.group == now.group || !old.addresses.overlaps(now.addresses)) continue;
      const config::Prefix& what = old.addresses.length > now.addresses.length ? old.addresses : now.addresses;
      all.push_back({what.length == what.bits() ? what.address.to_string() : what.to_string(), old.group, now.group});
    }
  }
  return all;
}

std::string dual_active_move(const std::vector<Move>& moves, const Word& own, const PeerView& peer) {
  const auto here = [&](const std::string& group) {
    const GroupWord* word = own.find(group);
    return word != nullptr && word->state == PeerState::active;
  };
  const auto there = [&](const std::string& group) { return peer.state_of(group) == PeerState::active; };
  for (const Move& move : moves) {
    if (!(here(move.from) && there(move.to)) && !(there(move.from) && here(move.to))) continue;
    return move.what + " goes from group " + move.from + " to group " + move.to +
           ", which are active on different boxes: for a moment both would answer for it; commit without it first, and "
           "with it in group " +
           move.to + " then, or switch one of the groups";
  }
  return "";
}

}  // namespace headgate::failover
