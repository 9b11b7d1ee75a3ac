#include "controlplane/system/service_manager.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <thread>

namespace headgate::system {
namespace {

using namespace std::chrono_literals;

// A manager's end of NOTIFY_SOCKET, under an abstract name of its own.
class Manager {
 public:
  Manager() : socket_(::socket(AF_UNIX, SOCK_DGRAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    EXPECT_EQ(::bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address.sun_family), 0);
    socklen_t size = sizeof address;
    ::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size);
    const std::string name(address.sun_path + 1, size - sizeof address.sun_family - 1);
    ::setenv("NOTIFY_SOCKET", ("@" + name).c_str(), 1);
  }
  ~Manager() {
    ::unsetenv("NOTIFY_SOCKET");
    ::unsetenv("WATCHDOG_USEC");
    ::close(socket_);
  }
  // Empty when nothing waits.
  std::string heard() const {
    char text[256];
    const ssize_t size = ::recv(socket_, text, sizeof text, MSG_DONTWAIT);
    return size < 0 ? "" : std::string(text, static_cast<std::size_t>(size));
  }

 private:
  int socket_;
};

TEST(ServiceManager, PingsOnlyWhileTheLoopTurns) {
  const Manager manager;
  ::setenv("WATCHDOG_USEC", "60000", 1);
  asio::io_context io;
  ServiceManager service(io);
  ASSERT_TRUE(service.watched());
  EXPECT_EQ(manager.heard(), "");
  service.ready();
  EXPECT_EQ(manager.heard(), "READY=1");
  EXPECT_EQ(manager.heard(), "WATCHDOG=1");
  std::this_thread::sleep_for(100ms);  // nobody turns the loop
  EXPECT_EQ(manager.heard(), "");
  unsigned pings = 0;
  const auto end = std::chrono::steady_clock::now() + 10s;
  while (pings < 3 && std::chrono::steady_clock::now() < end) {
    io.run_for(20ms);
    while (manager.heard() == "WATCHDOG=1") ++pings;
  }
  EXPECT_GE(pings, 3u);
  service.stopping();
  io.run_for(50ms);
  std::string last;
  for (std::string text; !(text = manager.heard()).empty();) last = text;
  EXPECT_EQ(last, "STOPPING=1");
}

TEST(ServiceManager, PingsEndWhenAnotherLoopHangs) {
  const Manager manager;
  ::setenv("WATCHDOG_USEC", "60000", 1);
  asio::io_context io, other;
  ServiceManager service(io);
  service.watch(other);
  service.ready();
  EXPECT_EQ(manager.heard(), "READY=1");
  io.run_for(100ms);  // nobody turns the other one
  EXPECT_EQ(manager.heard(), "");
  other.run_for(1ms);
  io.restart();
  io.run_for(1ms);
  EXPECT_EQ(manager.heard(), "WATCHDOG=1");
}

TEST(ServiceManager, WithoutAWatchdogItIsReadyAndSilent) {
  const Manager manager;
  asio::io_context io;
  ServiceManager service(io);
  EXPECT_FALSE(service.watched());
  service.ready();
  EXPECT_EQ(manager.heard(), "READY=1");
  io.run_for(20ms);
  EXPECT_EQ(manager.heard(), "");
}

TEST(ServiceManager, WithoutAManagerNothingHappens) {
  asio::io_context io;
  ServiceManager service(io);
  service.ready();
  service.stopping();
  EXPECT_FALSE(stderr_is_journal());
}

}  // namespace
}  // namespace headgate::system
