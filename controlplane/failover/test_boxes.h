// For tests only: two boxes of a pair on loopback, each with a directory of its own.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "controlplane/failover/link.h"
#include "controlplane/failover/notice_desk.h"

namespace headgate::failover {

inline constexpr const char* kAddressA = "127.0.0.1";
inline constexpr const char* kAddressB = "127.0.0.2";

// A TCP port that is free on both addresses.
inline std::uint16_t free_port() {
  asio::io_context io;
  for (;;) {
    asio::ip::tcp::acceptor a(io, {asio::ip::make_address(kAddressA), 0});
    asio::ip::tcp::acceptor b(io, asio::ip::tcp::v4());
    asio::error_code error;
    b.bind({asio::ip::make_address(kAddressB), a.local_endpoint().port()}, error);
    if (!error) return a.local_endpoint().port();
  }
}

inline config::v1::Config pair_config(config::v1::Side side, std::uint16_t port, unsigned heartbeat_ms = 50) {
  config::v1::Config config;
  auto& failover = *config.mutable_failover();
  failover.set_side(side);
  auto& link = *failover.mutable_ha_link();
  link.set_address(side == config::v1::A ? kAddressA : kAddressB);
  link.set_peer_address(side == config::v1::A ? kAddressB : kAddressA);
  link.set_port(port);
  link.set_heartbeat_ms(heartbeat_ms);
  return config;
}

struct TestBox {
  TestBox(asio::io_context& io, const std::string& directory, config::v1::Side side, const std::string& supervisor = "")
      : link(io, disk, {.directory = directory, .version = "1.2.3", .name = side == config::v1::A ? "box-a" : "box-b"},
             [this](HaLink::Weight, const std::string& text) { log.push_back(text); }),
        notices(io, supervisor, [this](HaLink::Weight, const std::string& text) { log.push_back(text); }) {
    link.add(notices);
    link.on_change([this] { ++changes; });
  }
  bool logged(const std::string& part) const {
    for (const std::string& line : log) {
      if (line.find(part) != std::string::npos) return true;
    }
    return false;
  }
  config::KernelDisk disk;
  std::vector<std::string> log;
  int changes = 0;
  HaLink link;
  NoticeDesk notices;
};

class BoxesTest : public testing::Test {
 protected:
  BoxesTest() {
    static int count = 0;
    dir = testing::TempDir() + "boxes." + std::to_string(getpid()) + "." + std::to_string(++count);
    std::filesystem::create_directories(dir + "/a");
    std::filesystem::create_directories(dir + "/b");
    for (const auto side : {config::v1::A, config::v1::B}) make(side);
  }
  ~BoxesTest() override {
    a.reset();
    b.reset();
    std::filesystem::remove_all(dir);
  }
  std::string directory(config::v1::Side side) const { return dir + (side == config::v1::A ? "/a/ha" : "/b/ha"); }
  // A control plane that starts; the one before is gone.
  TestBox& make(config::v1::Side side, const std::string& supervisor = "") {
    auto& box = side == config::v1::A ? a : b;
    box.reset();
    io.restart();
    io.poll();  // what the one before had under way
    box = std::make_unique<TestBox>(io, directory(side), side, supervisor);
    const auto opened = box->link.open();
    EXPECT_TRUE(opened) << opened.error().message;
    return *box;
  }
  void configure(unsigned heartbeat_ms = 50) {
    a->link.configure(pair_config(config::v1::A, port, heartbeat_ms));
    b->link.configure(pair_config(config::v1::B, port, heartbeat_ms));
  }
  template <class Condition>
  bool run_until(Condition condition, std::chrono::milliseconds limit = std::chrono::seconds(10)) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!condition() && std::chrono::steady_clock::now() < end) run_for(std::chrono::milliseconds(1));
    return condition();
  }
  void run_for(std::chrono::milliseconds time) {
    io.restart();
    io.run_for(time);
  }
  // Pins each other's key as pairing does.
  void pin() {
    for (auto [own, other] : {std::pair(config::v1::A, config::v1::B), std::pair(config::v1::B, config::v1::A)}) {
      IdentityStore theirs(disk, directory(other));
      ASSERT_TRUE(theirs.open());
      PairingRecord record(disk, directory(own));
      ASSERT_TRUE(record.open());
      ASSERT_TRUE(record.pin(theirs.current().fingerprint(), theirs.current().box_id(),
                             other == config::v1::A ? "box-a" : "box-b", 0));
    }
    make(config::v1::A);
    make(config::v1::B);
  }
  void connect(unsigned heartbeat_ms = 50) {
    pin();
    configure(heartbeat_ms);
    ASSERT_TRUE(run_until([&] { return a->link.view().link_up && b->link.view().link_up; }));
  }
  config::Result<std::string> join(TestBox& box, const std::string& code) {
    std::optional<config::Result<std::string>> result;
    box.link.pair_with(code, [&](config::Result<std::string> done) { result = std::move(done); });
    run_until([&] { return result.has_value(); });
    return result ? *result : config::fail("nothing came of it");
  }

  std::string dir;
  config::KernelDisk disk;
  asio::io_context io;
  const std::uint16_t port = free_port();
  std::unique_ptr<TestBox> a, b;
};

}  // namespace headgate::failover
