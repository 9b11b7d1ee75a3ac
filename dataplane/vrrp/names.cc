// What people read: names for metrics, and a sentence each for consoles and logs.
#include <array>

#include "dataplane/vrrp/group.h"
#include "dataplane/vrrp/wire.h"

namespace headgate::vrrp {
namespace {

struct Words {
  const char *name, *meaning;
};

constexpr std::array<Words, static_cast<std::size_t>(Oddity::count)> kWords{{
    {"none", "nothing was odd"},
    {"truncated", "shorter than its header or the addresses it announces; look for a broken sender or a cut capture"},
    {"fragmented",
     "a part of a packet that was cut up, which no router does to an advert; look for a forger, or a link of the peer "
     "with a tiny MTU"},
    {"bad_hop_limit",
     "TTL or hop limit is not 255, so it may come from another network; look for a forger, or a unicast peer behind a "
     "router"},
    {"bad_version", "another VRRP version than the group uses; set the same version on both routers"},
    {"bad_type", "not an advertisement, the only type of message that VRRP has; look for a broken sender"},
    {"bad_checksum", "its checksum is right by no rule in use; look for a damaged link or a broken sender"},
    {"bad_count", "lists no address; look for a broken sender or a router without addresses"},
    {"bad_interval", "announces an interval of zero; look for a broken sender"},
    {"bad_source", "its source is no address of a neighbor; IPv6 adverts must come from a link-local address"},
    {"bad_authentication",
     "version 2 with a password or IPsec, which RFC 3768 abolished; switch authentication off on the peer"},
    {"unknown_vrid",
     "a router number that no group has on this interface; somebody else runs VRRP here, or the numbers differ"},
    {"unknown_peer", "peers are listed for this router, and it is from somebody else; check the list of peers"},
    {"own_source", "it came from our own address: a loop in the network, or another box has our address"},
    {"first_not_link_local",
     "IPv6: the first address it lists is not link-local, as RFC 9568 wants it; check the peer's addresses"},
    {"interval_differs",
     "announces another interval than ours, which we follow; set the same interval on both routers"},
    {"addresses_differ",
     "lists other addresses than ours; both routers must serve the same ones, check both configurations"},
    {"trailing_bytes", "bytes follow the message, an extension that we do not know; nothing to do"},
    {"owner_priority",
     "priority 255: the sender says that it owns the addresses, and no load balancer does; check the peer's priority"},
    {"version2_interval",
     "version 2 with another interval than ours, which RFC 3768 drops; set the same interval on both routers"},
}};

}  // namespace

const char* name(Oddity oddity) {
  return kWords[static_cast<std::size_t>(oddity)].name;
}

const char* meaning(Oddity oddity) {
  return kWords[static_cast<std::size_t>(oddity)].meaning;
}

const char* name(Role role) {
  switch (role) {
    case Role::starting:
      return "starting";
    case Role::backup:
      return "backup";
    case Role::active:
      return "active";
    case Role::fault:
      return "fault";
  }
  return "?";
}

}  // namespace headgate::vrrp
