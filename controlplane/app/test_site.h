// For tests only: a directory, a configuration in it, a dataplane on a socket in it.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <filesystem>
#include <fstream>

#include "controlplane/config/fragile_disk.h"
#include "controlplane/push/test_dataplane.h"

namespace headgate::app {

// Backend id 1's stand-in: the probe prefix is put on loopback, so nothing outside this machine is asked. A routable
// address may be answered by a proxy of the network the tests run in.
inline constexpr const char* kStandIn = "127.64.0.1";

class SiteTest : public testing::Test {
 protected:
  SiteTest() {
    static int count = 0;
    dir = testing::TempDir() + "site." + std::to_string(getpid()) + "." + std::to_string(++count);
    std::filesystem::create_directories(dir);
    socket = "unix:" + dir + "/dataplane.sock";
    backend.open(asio::ip::tcp::v4());
    backend.bind({asio::ip::make_address(kStandIn), 0});
    port = backend.local_endpoint().port();
  }
  ~SiteTest() override { std::filesystem::remove_all(dir); }

  std::string config_path() const { return dir + "/config.txtpb"; }
  void write_config(const std::string& text) const { std::ofstream(config_path()) << text; }
  // One service with one backend, probed "along the path" on a port of kStandIn where nobody listens until listen().
  void write_site(unsigned weight = 1, const std::string& front = "front") const {
    write_config("interface { name: \"front\" port: \"" + front +
                 "\" prefix: \"192.0.2.0/24\" }\n"
                 "local_address { address: \"192.0.2.50\" interface: \"front\" }\n"
                 "probe { port: \"probe\" prefix_v4: \"127.64.0.0/16\" }\n"
                 "pool { name: \"web\" backend { name: \"web1\" address: \"192.0.2.21\" port: " +
                 std::to_string(port) + " weight: " + std::to_string(weight) +
                 " }\n"
                 "  health_check { tcp {} interval_ms: 100 timeout_ms: 100 rise: 2 fall: 2 } }\n"
                 "service { name: \"web\" address: \"192.0.2.100\" port: 80 protocol: TCP pool: \"web\" }\n");
  }
  template <class T>
  T locked(T (*read)(const push::TestDataplane&)) {
    const std::lock_guard lock(dataplane.mutex);
    return read(dataplane);
  }
  // Snapshots and updates that came.
  int applies() {
    return locked<int>([](const auto& d) { return d.applies + static_cast<int>(d.updates.size()); });
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
  config::FragileDisk disk;  // of ids and history
  asio::io_context backend_io;
  asio::ip::tcp::acceptor backend{backend_io};  // bound, so that the port is ours; listens after backend.listen()
  unsigned port = 0;
  push::TestDataplane dataplane;
};

}  // namespace headgate::app
