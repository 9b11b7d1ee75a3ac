#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <asio/read.hpp>
#include <asio/read_until.hpp>

#include "controlplane/monitor/syslog_sender.h"

namespace headgate::monitor {
namespace {

using asio::ip::tcp;
using namespace std::chrono_literals;
using ::testing::HasSubstr;

SyslogMessage message(std::uint64_t number = 7, const std::string& text = "web1 down") {
  return {.severity = 4,
          .time_ms = 1'795'256'123'045,
          .host = "box-a",
          .process_id = "42",
          .kind = "health",
          .user = {},
          .number = number,
          .text = text};
}

TEST(SyslogFormat, IsThatOfRfc5424) {
  EXPECT_EQ(format(message()),
            "<132>1 2026-11-21T10:15:23.045Z box-a headgate 42 health [headgate@32473 kind=\"health\" number=\"7\"] "
            "web1 down");
  SyslogMessage commit = message();
  commit.user = "an\"na]\\";
  commit.severity = 5;
  EXPECT_THAT(format(commit), HasSubstr("<133>1 "));
  EXPECT_THAT(format(commit), HasSubstr(R"( user="an\"na\]\\"])"));
}

TEST(SyslogFormat, HostileTextStaysInItsPlace) {
  SyslogMessage bad = message(7, "a\n<0>1 - evil\x01");
  bad.host = "box a\n";
  bad.kind = "";
  const std::string text = format(bad);
  EXPECT_EQ(text.find_first_of("\n\x01"), std::string::npos);
  EXPECT_THAT(text, HasSubstr(" box?a? headgate 42 - ["));
  bad.text = std::string(100'000, 'x');
  EXPECT_LT(format(bad).size(), kSyslogTextMax + 300);
}

TEST(SyslogFormat, OctetsAreCounted) {
  EXPECT_EQ(framed("abc"), "3 abc");
  EXPECT_EQ(framed("gr\xc3\xbc\xc3\x9f"), "6 gr\xc3\xbc\xc3\x9f");
}

class Collector : public testing::Test {
 protected:
  void listen(unsigned short port = 0) {
    acceptor_.open(tcp::v4());
    acceptor_.set_option(tcp::acceptor::reuse_address(true));
    acceptor_.bind({asio::ip::address_v4::loopback(), port});
    acceptor_.listen();
    acceptor_.async_accept(peer_, [this](const asio::error_code& error) {
      if (!error) read();
    });
  }
  void read() {
    peer_.async_read_some(asio::buffer(buffer_), [this](const asio::error_code& error, std::size_t size) {
      if (error) return;
      got_.append(buffer_, size);
      read();
    });
  }
  template <class Condition>
  bool eventually(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + 10s;
    while (!condition() && std::chrono::steady_clock::now() < end) io_.run_for(5ms);
    return condition();
  }
  bool has(const std::string& text) const { return got_.find(text) != std::string::npos; }

  asio::io_context io_;
  tcp::acceptor acceptor_{io_};
  tcp::socket peer_{io_};
  char buffer_[4096];
  std::string got_;
};

TEST_F(Collector, GetsWhatIsSent) {
  listen();
  SyslogSender sender(io_);
  sender.set_collector(acceptor_.local_endpoint());
  sender.send(message(1));
  sender.send(message(2));
  EXPECT_TRUE(eventually([&] { return has("number=\"2\""); }));
  EXPECT_EQ(got_, framed(format(message(1))) + framed(format(message(2))));
}

TEST_F(Collector, ThatWasAwayGetsWhatWaitedAndHowManyWereDropped) {
  listen();
  const tcp::endpoint where = acceptor_.local_endpoint();
  acceptor_.close();
  SyslogSender sender(io_);
  sender.set_collector(where);
  const std::size_t extra = 500;
  for (std::uint64_t n = 1; n <= SyslogSender::kQueueMax + extra; ++n) sender.send(message(n));
  EXPECT_EQ(sender.waiting(), SyslogSender::kQueueMax);
  EXPECT_EQ(sender.dropped(), extra);
  io_.run_for(50ms);
  listen(where.port());
  ASSERT_TRUE(eventually([&] { return has("number=\"10500\""); }));
  EXPECT_THAT(got_.substr(0, 400), HasSubstr("500 messages were dropped before this one"));
  EXPECT_FALSE(has("number=\"500\""));
  EXPECT_TRUE(has("number=\"501\""));
  EXPECT_TRUE(eventually([&] { return sender.waiting() == 0; }));
}

TEST_F(Collector, ThatClosesIsConnectedToAgain) {
  listen();
  const tcp::endpoint where = acceptor_.local_endpoint();
  SyslogSender sender(io_);
  sender.set_collector(where);
  sender.send(message(1));
  ASSERT_TRUE(eventually([&] { return has("number=\"1\""); }));
  peer_.close();
  acceptor_.close();
  ASSERT_TRUE(eventually([&] { return !sender.connected(); }));
  sender.send(message(2));
  listen(where.port());
  EXPECT_TRUE(eventually([&] { return has("number=\"2\""); }));
}

TEST_F(Collector, ThatAcceptsAndClosesIsAskedLessAndLess) {
  acceptor_.open(tcp::v4());
  acceptor_.bind({asio::ip::address_v4::loopback(), 0});
  acceptor_.listen();
  unsigned accepted = 0;
  const std::function<void()> accept = [&] {
    acceptor_.async_accept([&](const asio::error_code& error, const tcp::socket&) {
      if (error) return;
      ++accepted;
      accept();
    });
  };
  accept();
  SyslogSender sender(io_);
  sender.set_collector(acceptor_.local_endpoint());
  io_.run_for(1500ms);
  EXPECT_GE(accepted, 2u);
  EXPECT_LE(accepted, 4u);  // at 0, 200, 600 and 1400 ms
}

TEST_F(Collector, ThatIsTakenAwayGetsNoMore) {
  listen();
  SyslogSender sender(io_);
  sender.set_collector(acceptor_.local_endpoint());
  ASSERT_TRUE(eventually([&] { return sender.connected(); }));
  sender.set_collector(std::nullopt);
  sender.send(message(1));
  io_.run_for(50ms);
  EXPECT_EQ(got_, "");
  EXPECT_EQ(sender.waiting(), 0u);
}

}  // namespace
}  // namespace headgate::monitor
