#include "controlplane/app/service_view.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

namespace headgate::app {
namespace {

dataplane::v1::Snapshot wanted() {
  dataplane::v1::Snapshot snapshot;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(R"(
    pool { id: 1 name: "web" } pool { id: 2 name: "api" }
    service { id: 7 name: "web" address: "192.0.2.100" port: 80 protocol: TCP mode: DSR pool_id: 1 }
    service { id: 8 name: "shop/v6" address: "2001:db8::1" port: 8080 protocol: HTTP mode: FULL_NAT pool_id: 2
              http { route { id: 1 name: "r" pool_id: 1 } route { id: 2 name: "s" status: 403 } } }
  )",
                                                            &snapshot));
  return snapshot;
}

TEST(ServiceView, SaysWhatAServiceIsBesideWhatItCounts) {
  dataplane::v1::StatsReply stats;
  auto* counted = stats.add_service();
  counted->set_id(8);
  counted->mutable_traffic()->set_flows_now(5);
  management::v1::ServicesReply reply;
  describe_services(wanted(), &stats, reply);
  ASSERT_EQ(reply.service_size(), 2);
  EXPECT_EQ(reply.service(0).address(), "192.0.2.100:80");
  EXPECT_EQ(reply.service(0).protocol(), "tcp");
  EXPECT_EQ(reply.service(0).mode(), "dsr");
  EXPECT_EQ(reply.service(0).pool(), "web");
  EXPECT_FALSE(reply.service(0).has_stats());
  EXPECT_EQ(reply.service(1).name(), "shop/v6");
  EXPECT_EQ(reply.service(1).address(), "[2001:db8::1]:8080");
  EXPECT_EQ(reply.service(1).protocol(), "http");
  EXPECT_EQ(reply.service(1).mode(), "proxy") << "its packets are not translated: its connections end here";
  EXPECT_EQ(reply.service(1).routes(), 2u);
  EXPECT_EQ(reply.service(1).stats().traffic().flows_now(), 5u);
}

TEST(ServiceView, IsThereWithoutTheDataplane) {
  management::v1::ServicesReply reply;
  describe_services(wanted(), nullptr, reply);
  EXPECT_EQ(reply.service_size(), 2);
  EXPECT_FALSE(reply.service(1).has_stats());
}

}  // namespace
}  // namespace headgate::app
