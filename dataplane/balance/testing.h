// For the tests of this folder: pools in one line, and a printed seed.
#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/balance/balancer.h"
#include "dataplane/snapshot/testing.h"
#include "tests/seed.h"

namespace headgate::balance::testing {

// HEADGATE_SEED replays a failure.
inline std::uint64_t printed_seed() {
  const std::uint64_t seed = test_seed();
  std::printf("HEADGATE_SEED=%llu\n", static_cast<unsigned long long>(seed));
  return seed;
}

struct Member {
  std::uint32_t id = 0, weight = 1;
  std::string more = {};  // text: "drain: true"
};

// One service and one pool; the backend with id i is 10.1.(i/256).(i%256).
inline std::string pool_text(std::string_view algorithm, const std::vector<Member>& members,
                             std::string_view more = {}) {
  std::string text = R"text(interface { id: 1 name: "in" port: "p0" prefix: "10.0.0.0/8" }
                            local_address { id: 1 address: "10.2.0.1" }
                            service { id: 1 address: "192.0.2.1" port: 80 protocol: TCP mode: FULL_NAT pool_id: 1 }
                            pool { id: 1 algorithm: )text";
  text.append(algorithm).append(" ").append(more);
  for (const Member& m : members) {
    text += " backend { id: " + std::to_string(m.id) + " address: \"" +
            to_string(IpAddress::from_v4(0x0a010000 + m.id)) + "\" weight: " + std::to_string(m.weight) + " " + m.more +
            " }";
  }
  return text + " }";
}

inline std::vector<Member> members(std::uint32_t n, std::uint32_t weight = 1) {
  std::vector<Member> all;
  for (std::uint32_t i = 1; i <= n; ++i) all.push_back({i, weight});
  return all;
}

inline ClientKey client(std::uint32_t number, std::uint16_t port = 1024) {
  return {IpAddress::from_v4(0x0b000000 + number), port, kProtocolTcp};
}

inline const Exclusions kNobody;

}  // namespace headgate::balance::testing
