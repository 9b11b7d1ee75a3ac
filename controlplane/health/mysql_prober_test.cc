// Against servers that are none, and one that only greets; the real one is in tests/system.
#include "controlplane/health/testing.h"

namespace headgate::health {
namespace {

using namespace std::chrono_literals;
using testing::probe;
using testing::Server;
using testing::target_at;

const MysqlCheck kCheck{.user = "probe", .password = "s3cret"};

std::string packet(unsigned sequence, const std::string& body) {
  std::string bytes;
  for (int shift : {0, 8, 16}) bytes += static_cast<char>(body.size() >> shift);
  return bytes + static_cast<char>(sequence) + body;
}

// Protocol 10, mysql_native_password.
const std::string kGreeting =
    packet(0, std::string("\x0a") + "10.11.0-test" + std::string(1, '\0') + std::string("\x01\0\0\0", 4) + "12345678" +
                  std::string(1, '\0') + std::string("\x00\xa2\x2d\x02\x00\x08\x00\x15", 8) + std::string(10, '\0') +
                  "123456789012" + std::string(1, '\0') + "mysql_native_password" + std::string(1, '\0'));

TEST(MysqlProber, SaysWhyItCouldNotLogIn) {
  asio::io_context io;
  asio::ip::tcp::acceptor acceptor(io, {testing::kLoopback, 0});
  const std::uint16_t closed = acceptor.local_endpoint().port();
  acceptor.close();
  EXPECT_EQ(probe(io, target_at(closed, kCheck)).cause, "connection refused");

  const std::string denied = "Access denied for user 'probe'";
  Server refuses(io, packet(0, "\xff\x15\x04#28000" + denied), true, true);
  EXPECT_NE(probe(io, target_at(refuses.port(), kCheck)).cause.find(denied), std::string::npos);
}

TEST(MysqlProber, IsBoundedInTimeAndBytes) {
  asio::io_context io;
  for (const std::string& beginning : {std::string(), std::string("\x4a"), kGreeting}) {
    Server hangs(io, beginning, false, true);
    const Outcome outcome = probe(io, target_at(hangs.port(), kCheck));
    EXPECT_EQ(outcome.result, Result::failure);
    EXPECT_EQ(outcome.cause, "no answer in time");
  }
  Server closes(io, "", true, true);
  EXPECT_EQ(probe(io, target_at(closes.port(), kCheck)).result, Result::failure);
  for (const std::string& stream :
       {std::string(16 << 20, '\0'), std::string(16 << 20, '\xff'), std::string("HTTP/1.1 400 Bad Request\r\n\r\n"),
        kGreeting + std::string(16 << 20, '\1')}) {
    Server garbage(io, stream, true, true);
    EXPECT_EQ(probe(io, target_at(garbage.port(), kCheck)).result, Result::failure);
  }
}

TEST(MysqlProber, TakesAnyAnswerWithoutHarm) {
  Random random(5);
  for (int round = 0; round < 60; ++round) {
    asio::io_context io;
    std::string greeting = kGreeting;
    for (std::uint64_t n = random.next() % 6; n > 0; --n) {
      greeting[random.next() % greeting.size()] = static_cast<char>(random.next());
    }
    for (std::uint64_t n = random.next() % 60; n > 0; --n) greeting += static_cast<char>(random.next());
    Server server(io, greeting, true, true);
    Target target = target_at(server.port(), kCheck);
    target.timeout = 100ms;
    EXPECT_EQ(probe(io, target).result, Result::failure);
  }
}

}  // namespace
}  // namespace headgate::health
