// The load generator against a server of a few lines, on loopback: it must count right before it may count others.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "tests/bench/http_load.h"
#include "tests/bench/http_reply.h"

namespace headgate::bench {
namespace {

using State = ReplyReader::State;
constexpr std::string_view kReply = "HTTP/1.1 200 OK\r\nServer: x\r\ncontent-length: 5\r\n\r\nhello";

TEST(ReplyReader, FindsTheEndWhereverTheBytesAreCut) {
  for (std::size_t cut = 1; cut < kReply.size(); ++cut) {
    ReplyReader reader;
    EXPECT_NE(reader.feed(kReply.substr(0, cut)), State::complete) << cut;
    EXPECT_EQ(reader.feed(kReply.substr(cut)), State::complete) << cut;
    EXPECT_EQ(reader.status(), 200);
  }
}

TEST(ReplyReader, BytesMayBeSkippedUnread) {
  ReplyReader reader;
  EXPECT_EQ(reader.feed(kReply.substr(0, kReply.size() - 4)), State::body);
  EXPECT_EQ(reader.missing(), 4u);
  EXPECT_EQ(reader.skip(3), State::body);
  EXPECT_EQ(reader.skip(1), State::complete);
}

TEST(ReplyReader, RefusesWhatItCannotMeasure) {
  for (const std::string_view text :
       {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", "SSH-2.0-x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab"}) {
    EXPECT_EQ(ReplyReader{}.feed(text), State::broken) << text;
  }
  EXPECT_EQ(ReplyReader{}.feed(std::string(5000, 'x')), State::broken);
}

// Answers each read of a connection with kReply, after `delay`; all connections by turns on one thread.
class Server {
 public:
  explicit Server(bool closes, std::chrono::milliseconds delay = {}) : closes_(closes), delay_(delay) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(listen(listener_, 128), 0);
    socklen_t length = sizeof address;
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
    target = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    thread_ = std::thread([this] { serve(); });
  }
  ~Server() {
    stop_ = true;
    thread_.join();
    ::close(listener_);
  }
  std::string target;
  std::atomic<std::uint64_t> accepted{0}, answered{0};

 private:
  void serve() {
    std::vector<pollfd> all{{listener_, POLLIN, 0}};
    while (!stop_) {
      poll(all.data(), all.size(), 10);
      for (std::size_t i = 1; i < all.size(); ++i) {
        if (all[i].revents != 0 && !answer(all[i].fd)) {
          ::close(all[i].fd);
          all[i].fd = -1;
        }
      }
      std::erase_if(all, [](const pollfd& entry) { return entry.fd < 0; });
      if (all[0].revents != 0) {
        all.push_back({accept(listener_, nullptr, nullptr), POLLIN, 0});
        ++accepted;
      }
    }
    for (std::size_t i = 1; i < all.size(); ++i) ::close(all[i].fd);
  }
  bool answer(int fd) {
    char bytes[4096];
    if (recv(fd, bytes, sizeof bytes, 0) <= 0) return false;
    std::this_thread::sleep_for(delay_);
    ++answered;
    return send(fd, kReply.data(), kReply.size(), MSG_NOSIGNAL) > 0 && !closes_;
  }
  bool closes_;
  std::chrono::milliseconds delay_;
  int listener_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

LoadOptions options_for(const Server& server) {
  LoadOptions options;
  options.target = parse_http_target(server.target).value();
  options.connections = 4;
  options.warm_up = 0;
  options.duration = 300 * kMillisecond;
  return options;
}

TEST(HttpLoad, KeepsItsConnectionsAndCountsWhatWasAnswered) {
  Server server(false);
  LoadOptions options = options_for(server);
  options.rate = 1000;
  unsigned marks = 0;
  const LoadResult result = HttpLoad(options, [&marks](bool) { ++marks; }).run();
  EXPECT_EQ(result.failed, 0u) << result.failure;
  EXPECT_EQ(result.latencies.size(), server.answered);  // all that were due
  EXPECT_NEAR(static_cast<double>(result.latencies.size()), 300, 100);
  EXPECT_LE(server.accepted, 4u);
  EXPECT_EQ(marks, 2u);
}

TEST(HttpLoad, OpensAConnectionForEachRequestWhenToldTo) {
  Server server(true);
  LoadOptions options = options_for(server);
  options.close = true;
  const LoadResult result = HttpLoad(options, [](bool) {}).run();
  EXPECT_EQ(result.failed, 0u) << result.failure;
  EXPECT_GT(result.requests, 10u);
  EXPECT_EQ(server.accepted, server.answered);
}

// An open load does not wait for a slow server: what was due meanwhile is late by all that it waited.
TEST(HttpLoad, LatencyIncludesWaitingForAConnection) {
  Server server(false, std::chrono::milliseconds(20));
  LoadOptions options = options_for(server);
  options.connections = 1;
  options.rate = 100;  // twice what it can
  const LoadResult result = HttpLoad(options, [](bool) {}).run();
  EXPECT_GT(result.percentile(1), 100 * kMillisecond);
  EXPECT_EQ(result.failed, 0u) << result.failure;
}

TEST(HttpLoad, SaysWhyRequestsFailed) {
  LoadOptions options;
  {
    Server gone(false);
    options = options_for(gone);
  }
  options.rate = 100;
  const LoadResult result = HttpLoad(options, [](bool) {}).run();
  EXPECT_EQ(result.requests, 0u);
  EXPECT_GT(result.failed, 5u);
  EXPECT_EQ(result.failure, "refused");
}

TEST(HttpLoad, TargetsAreAddressesWithAPort) {
  EXPECT_TRUE(parse_http_target("192.0.2.1:80"));
  EXPECT_TRUE(parse_http_target("[2001:db8::1]:80"));
  for (const char* text : {"192.0.2.1", "name:80", "192.0.2.1:x", ""}) EXPECT_FALSE(parse_http_target(text)) << text;
}

}  // namespace
}  // namespace headgate::bench
