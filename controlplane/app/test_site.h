// For tests only: a directory, a configuration in it, a dataplane on a socket in it.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "controlplane/push/test_dataplane.h"

namespace headgate::app {

// Link-local without a zone: connect(2) refuses it on every machine (EINVAL). Any routable address may be answered by
// a proxy of the network the tests run in.
inline constexpr const char* kDeadAddress = "fe80::1";

class SiteTest : public testing::Test {
 protected:
  SiteTest() {
    static int count = 0;
    dir = testing::TempDir() + "site." + std::to_string(getpid()) + "." + std::to_string(++count);
    std::filesystem::create_directories(dir);
    socket = "unix:" + dir + "/dataplane.sock";
  }
  ~SiteTest() override { std::filesystem::remove_all(dir); }

  std::string config_path() const { return dir + "/config.txtpb"; }
  void write_config(const std::string& text) const { std::ofstream(config_path()) << text; }
  // One service with one backend, probed from the kernel.
  void write_site(unsigned weight = 1) const {
    write_config(
        "interface { name: \"front\" port: \"front\" prefix: \"2001:db8:1::/64\" }\n"
        "local_address { address: \"2001:db8:1::50\" interface: \"front\" }\n"
        "pool { name: \"web\" backend { name: \"web1\" address: \"" +
        std::string(kDeadAddress) + "\" port: 80 weight: " + std::to_string(weight) +
        " }\n"
        "  health_check { tcp {} via: KERNEL interval_ms: 100 timeout_ms: 100 rise: 2 fall: 2 } }\n"
        "service { name: \"web\" address: \"2001:db8:1::100\" port: 80 protocol: TCP pool: \"web\" }\n");
  }

  template <class T>
  T locked(T (*read)(const push::TestDataplane&)) {
    const std::lock_guard lock(dataplane.mutex);
    return read(dataplane);
  }
  int applies() {
    return locked<int>([](const auto& d) { return d.applies; });
  }
  std::uint64_t generation() {
    return locked<std::uint64_t>([](const auto& d) { return d.running.generation(); });
  }
  // Of the one backend; -1 while nothing runs.
  int weight() {
    return locked<int>([](const auto& d) {
      return d.running.pool_size() == 0 ? -1 : static_cast<int>(d.running.pool(0).backend(0).weight());
    });
  }
  bool down() {
    return locked<bool>([](const auto& d) {
      return d.running.pool_size() > 0 && d.running.pool(0).backend(0).health() == dataplane::v1::DOWN;
    });
  }

  std::string dir, socket;
  push::TestDataplane dataplane;
};

}  // namespace headgate::app
