#include "tests/sim/site.h"

#include <sstream>
#include <vector>

namespace headgate::sim {
namespace {

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::stringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) parts.push_back(part);
  return parts;
}

// Pool `id`; backends id * 100 + 1, 2, 3 on `prefix`21, 22, 23.
std::string pool(const Site& site, unsigned id, const std::string& prefix) {
  std::ostringstream out;
  const auto weights = split(site.weights);
  out << "pool { id: " << id << " name: \"pool" << id << "\" " << site.pool;
  if (site.pool.find("algorithm") == std::string::npos) out << " algorithm: ROUND_ROBIN";
  for (unsigned i = 0; i < site.backends; ++i) {
    out << "\n  backend { id: " << id * 100 + i + 1 << " name: \"b" << id << "-" << i + 1 << "\" address: \"" << prefix
        << 21 + i << "\" weight: " << weights[i % weights.size()] << " " << site.backend << " }";
  }
  out << " }\n";
  return out.str();
}

struct ModeText {
  unsigned number;
  const char* text;
  bool across;  // backends of the other family
};
constexpr ModeText kModes[] = {
    {100, "mode: FULL_NAT", false},
    {101, "mode: NAT", false},
    {102, "mode: DSR", false},
    {103, "mode: TUNNEL encapsulation: IPIP", false},
    {104, "mode: TUNNEL encapsulation: GUE", false},
    {105, "mode: TUNNEL encapsulation: IPIP", true},
    {106, "mode: TUNNEL encapsulation: GUE", true},
};

// Own pools per (mode, family), so that one test's round robin does not depend on another's.
std::string services(const Site& site, const ModeText& mode) {
  std::ostringstream out;
  for (const bool v4 : {true, false}) {
    const unsigned pool_id = mode.number * 2 + (v4 ? 0 : 1);
    out << pool(site, pool_id, v4 != mode.across ? "10.10.0." : "2001:db8:2::");
    for (const bool tcp : {true, false}) {
      const unsigned id = pool_id * 2 + (tcp ? 0 : 1);
      out << "service { id: " << id << " name: \"s" << id << "\" address: \"" << (v4 ? "192.0.2." : "2001:db8:1::")
          << mode.number << "\" port: " << (tcp ? 80 : 53) << " protocol: " << (tcp ? "TCP" : "UDP")
          << " pool_id: " << pool_id << " " << mode.text << " " << site.service << " }\n";
    }
  }
  return out.str();
}

}  // namespace

std::string text_of(const Site& site) {
  std::ostringstream out;
  out << "digest: \"d\"\n"
      << "interface { id: 1 name: \"outside\" port: \"outside\" prefix: \"192.0.2.0/24\" prefix: \"2001:db8:1::/64\" "
         "address: \"192.0.2.11\" address: \"2001:db8:1::11\" "
      << site.outside << " }\n"
      << "interface { id: 2 name: \"inside\" port: \"inside\" prefix: \"10.10.0.0/24\" prefix: \"2001:db8:2::/64\" "
         "address: \"10.10.0.1\" address: \"2001:db8:2::1\" gateway: true "
      << site.inside << " }\n"
      << "route { prefix: \"0.0.0.0/0\" next_hop { gateway: \"192.0.2.1\" interface: \"outside\" } }\n"
      << "route { prefix: \"::/0\" next_hop { gateway: \"2001:db8:1::1\" interface: \"outside\" } }\n"
      << "local_address { id: 1 address: \"10.10.0.64\" interface_id: 2 }\n"
      << "local_address { id: 2 address: \"10.10.0.65\" interface_id: 2 }\n"
      << "local_address { id: 3 address: \"2001:db8:2::a:0\" interface_id: 2 }\n"
      << "probe { port: \"probe\" prefix_v4: \"198.18.0.0/15\" prefix_v6: \"fd00:6867::/96\" }\n";
  for (const ModeText& mode : kModes) {
    if (site.all_services || mode.number == 100) out << services(site, mode);
  }
  out << "timeouts { " << site.timeouts << " }\n" << site.extra;
  return out.str();
}

}  // namespace headgate::sim
