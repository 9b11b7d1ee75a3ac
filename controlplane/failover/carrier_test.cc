#include "controlplane/failover/carrier.h"

#include <algorithm>

#include "controlplane/failover/test_boxes.h"

namespace headgate::failover {
namespace {

using namespace std::chrono_literals;
using Carrier = CarrierWatch::Carrier;

class CarrierTest : public BoxesTest {
 protected:
  // Heartbeats are rare enough that silence alone would take 3 s.
  void connect_watched() {
    pin();
    a->link.add(watch);
    configure(1000);
    ASSERT_TRUE(run_until([&] { return a->link.view().link_up && b->link.view().link_up; }));
  }
  bool logged(const std::string& part) const {
    return std::ranges::any_of(log, [&](const std::string& line) { return line.find(part) != std::string::npos; });
  }
  bool has_detail(const std::string& line) const {
    return std::ranges::find(a->link.view().detail, line) != a->link.view().detail.end();
  }

  Carrier carrier{"ha0", true};
  std::vector<std::string> log;
  CarrierWatch watch{io, [this](HaLink::Weight, const std::string& text) { log.push_back(text); },
                     [this](const asio::ip::address&) { return carrier; }};
};

TEST_F(CarrierTest, ALostCarrierIsASilentPeerAtOnceWithItsCause) {
  connect_watched();
  EXPECT_TRUE(has_detail("carrier: interface ha0 has one"));
  EXPECT_TRUE(log.empty()) << "nothing happened";
  carrier.up = false;
  const int before = a->changes;
  watch.look();
  EXPECT_GT(a->changes, before) << "somebody decides by it";
  EXPECT_FALSE(a->link.view().link_up);
  EXPECT_EQ(a->link.view().problem, "its interface ha0 has no carrier; look at the cable and at the peer's power");
  EXPECT_TRUE(has_detail("carrier: interface ha0 has NONE"));
  EXPECT_TRUE(logged("interface ha0 has no carrier"));
  EXPECT_TRUE(b->link.view().link_up) << "it has a carrier of its own to look at";
  carrier.up = true;
  watch.look();
  EXPECT_TRUE(a->link.view().link_up) << "its word is not old yet";
  EXPECT_EQ(a->link.view().problem, "");
  EXPECT_TRUE(logged("interface ha0 has its carrier again"));
  const std::size_t lines = log.size();
  watch.look();
  EXPECT_EQ(log.size(), lines) << "said once";
}

TEST_F(CarrierTest, AnInterfaceThatGoesHasNoCarrierAndAnAddressOfNobodyIsNoNews) {
  connect_watched();
  carrier = {};
  watch.look();
  EXPECT_FALSE(a->link.view().link_up);
  EXPECT_TRUE(logged("interface ha0 is gone"));
  a->link.configure({});
  configure(1000);  // from the beginning: nothing is known
  EXPECT_TRUE(run_until([this] { return a->link.view().link_up; })) << "a local address need not be on an interface";
}

TEST_F(CarrierTest, TheKernelIsAskedByAddress) {
  EXPECT_EQ(CarrierWatch::look_at_kernel(asio::ip::make_address("127.0.0.1")), (Carrier{"lo", true}));
  EXPECT_EQ(CarrierWatch::look_at_kernel(asio::ip::make_address("192.0.2.1")), Carrier{});
}

}  // namespace
}  // namespace headgate::failover
