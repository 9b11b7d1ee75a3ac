// Judges a parsed configuration and reports everything that is wrong at once, sorted by place.
//
// Two layers: what single fields say about themselves in options.proto (schema_check.cc), then what fields mean
// together (validate_*.cc). The dataplane checks again; a snapshot
// compiled from a configuration that passed here and still is refused there is a defect of this folder.
#pragma once

#include <cstddef>

#include "controlplane/config/document.h"

namespace headgate::config {

// The dataplane's limits (dataplane/snapshot/model.h), counted after expansion: per family, block and address.
inline constexpr std::size_t kInterfacesMax = 256;
inline constexpr std::size_t kRoutesMax = 4096;
inline constexpr std::size_t kNextHopsMax = 16;
inline constexpr std::size_t kLocalAddressesMax = 1024;
inline constexpr std::size_t kPoolsMax = 4096;
inline constexpr std::size_t kBackendsMax = 16384;
inline constexpr std::size_t kServicesMax = 4096;
inline constexpr std::size_t kInterfaceEntriesMax = 64;  // prefixes, addresses or snat addresses of one interface
inline constexpr std::size_t kMaglevPoolsMax = 1024;
inline constexpr std::size_t kNatEndpointsMax = 262144;  // backends of services in mode NAT, each service counted

inline constexpr std::size_t kGroupsMax = 63;           // dataplane/vrrp/group.h
inline constexpr std::size_t kGroupRoutersMax = 16;     // of one group, each family counted
inline constexpr std::size_t kRouterPeersMax = 8;       // unicast, of one family
inline constexpr std::size_t kAdvertAddressesMax = 64;  // that one advert lists; what is more is served, but not listed
inline constexpr std::size_t kWitnessesMax = 8;         // of the box; gateways that groups track are counted apart

// Defaults of probe: blocks that exist in no network (RFC 2544 benchmarking, a unique local prefix of our own).
inline constexpr const char* kProbePrefixV4 = "198.18.0.0/15";
inline constexpr const char* kProbePrefixV6 = "fd00:6867::/96";

// Adds to document.diagnostics. Does nothing when the text could not be read to its end.
void validate(Document& document);

// parse() and validate().
Document load_text(std::string file, const std::string& text);
Document load_file(const std::string& path);

}  // namespace headgate::config
