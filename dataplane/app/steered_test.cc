#include "dataplane/app/steered.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dataplane/snapshot/testing.h"

namespace headgate::app {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> gateway_of(const snapshot::Snapshot& snapshot, std::uint16_t port) {
  std::vector<std::string> texts;
  for (const IpPrefix& prefix : steered_to(snapshot, port).gateway) texts.push_back(to_string(prefix));
  return texts;
}

std::string site(const std::string& egress) {
  return R"(interface { id: 1 name: "front" port: "p0" prefix: "192.0.2.0/24" }
            interface { id: 2 name: "servers" port: "p1" prefix: "10.10.0.0/24" address: "10.10.0.1" gateway: true
                        egress: )" +
         egress + R"( }
            pool { id: 1 name: "web" algorithm: ROUND_ROBIN backend { id: 1 name: "w" address: "10.10.0.21" weight: 1 } }
            service { id: 1 name: "web" address: "192.0.2.100" port: 80 protocol: TCP mode: NAT pool_id: 1 })";
}

TEST(Steered, AddressesOfOursAndTheGatewaysPrefixes) {
  snapshot::testing::Source source;
  const auto snapshot = source.accept(site("EGRESS_DROP"));
  EXPECT_THAT(steered_to(*snapshot, 0).addresses, ElementsAre(*parse_ip("10.10.0.1"), *parse_ip("192.0.2.100")));
  EXPECT_THAT(gateway_of(*snapshot, 0), IsEmpty());
  EXPECT_THAT(gateway_of(*snapshot, 1), ElementsAre("10.10.0.0/24"));
}

TEST(Steered, RepliesToRoutedServersComeFromAnywhereAndToAnyServer) {
  snapshot::testing::Source source;
  const auto snapshot = source.accept(site("EGRESS_ROUTE"));
  EXPECT_THAT(gateway_of(*snapshot, 0), ElementsAre("0.0.0.0/0"));
  EXPECT_THAT(gateway_of(*snapshot, 1), ElementsAre("10.10.0.0/24")) << "the servers' own side stays as it was";
}

}  // namespace
}  // namespace headgate::app
