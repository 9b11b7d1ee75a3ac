#include "controlplane/app/logins.h"

#include <algorithm>

namespace headgate::app {
namespace {

// "fd:4097": the socket (door.h). "ipv4:192.0.2.10:40000": from there; the port says nothing to people.
std::string origin(const std::string& peer) {
  const std::size_t begin = peer.find(':'), end = peer.rfind(':');
  if (peer.starts_with("fd:") || begin == std::string::npos || end <= begin) return " on the socket";
  std::string address = peer.substr(begin + 1, end - begin - 1);  // a URI: brackets are escaped
  for (const auto& [escaped, plain] : {std::pair{"%5B", "["}, std::pair{"%5D", "]"}}) {
    if (const std::size_t at = address.find(escaped); at != std::string::npos) address.replace(at, 3, plain);
  }
  return " from " + address;
}

}  // namespace

std::string Logins::note(const std::string& user, const std::string& peer, Clock::time_point now) {
  const std::scoped_lock lock(mutex_);
  if (connections_.size() >= kConnections) connections_.clear();  // at worst a line too many
  if (!connections_.emplace(user, peer).second) return {};
  if (identities_.size() >= kIdentities && !identities_.contains(user)) identities_.clear();
  const auto [found, fresh] = identities_.try_emplace(user);
  Identity& identity = found->second;
  if (fresh) identity.refilled = now;
  const auto earned = static_cast<unsigned>(std::min<Clock::rep>((now - identity.refilled) / kRefill, kBurst));
  identity.lines_left = std::min(kBurst, identity.lines_left + earned);
  if (earned > 0) identity.refilled = now;
  if (identity.lines_left == 0) {
    ++identity.unsaid;
    return {};
  }
  --identity.lines_left;
  std::string text = user + origin(peer);
  if (identity.unsaid > 0) text += ", and " + std::to_string(identity.unsaid) + " times since the last line";
  identity.unsaid = 0;
  return text;
}

}  // namespace headgate::app
