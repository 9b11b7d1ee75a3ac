#include "controlplane/health/http_prober.h"

#include "controlplane/health/http_reply.h"
#include "controlplane/health/testing.h"

namespace headgate::health {
namespace {

using namespace std::chrono_literals;
using testing::probe;
using testing::Server;
using testing::target_at;

// "" for a success; "..." when more bytes are needed.
std::string judge(const HttpCheck& check, const std::string& answer, std::size_t step, bool closed = true) {
  HttpReply reply(check);
  std::optional<Outcome> outcome;
  for (std::size_t at = 0; at < answer.size() && !outcome; at += step) {
    outcome = reply.receive({answer.data() + at, std::min(step, answer.size() - at)});
  }
  if (!outcome && closed) outcome = reply.receive({});
  if (!outcome) return "...";
  return outcome->cause;
}

TEST(HttpReply, SaysWhatAnAnswerMeansHoweverItIsCut) {
  const HttpCheck plain;
  HttpCheck with_body;
  with_body.body = "all well";
  HttpCheck moved;
  moved.status = {{200, 200}, {301, 302}};
  struct Case {
    const char* name;
    const HttpCheck& check;
    std::string answer, cause;
  };
  const Case cases[] = {
      {"good", plain, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", ""},
      {"old", plain, "HTTP/1.0 204 No Content\r\n\r\n", ""},
      {"bad", plain, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "status 503"},
      {"redirect", plain, "HTTP/1.1 301 Moved\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", "status 301"},
      {"wanted redirect", moved, "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", ""},
      {"interim", plain, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ""},
      {"interim, then bad", plain, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 500 No\r\n\r\n", "status 500"},
      {"upgrade", plain, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "status 101"},
      {"body", with_body, "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n_all well___", ""},
      {"body in chunks", with_body,
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nall w\r\n3\r\nell\r\n0\r\n\r\n", ""},
      {"body until close", with_body, "HTTP/1.1 200 OK\r\n\r\nall well", ""},
      {"other body", with_body, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad",
       "the body is not as expected: \"bad\""},
      {"other body until close", with_body, "HTTP/1.1 200 OK\r\n\r\nbad", "the body is not as expected: \"bad\""},
      {"cut", with_body, "HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\nall", "closed within the answer"},
      {"nothing", plain, "", "closed without an answer"},
      {"cut header", plain, "HTTP/1.1 200 OK\r\nContent", "closed within the answer"},
  };
  for (const Case& c : cases) {
    for (const std::size_t step : {std::size_t{1}, std::size_t{7}, std::size_t{4096}}) {
      EXPECT_EQ(judge(c.check, c.answer, step), c.cause) << c.name << " in steps of " << step;
    }
  }
}

TEST(HttpReply, RefusesWhatIsNotHttp) {
  const HttpCheck check;
  EXPECT_EQ(judge(check, "SSH-2.0-OpenSSH_9.2\r\n", 4096), "no HTTP answer: \"SSH-2.0-OpenSSH_9.2\"");
  EXPECT_EQ(judge(check, std::string("\x16\x03\x01\x02", 4), 4096), "no HTTP answer: \"????\"");
}

TEST(HttpReply, GivesUpAfterItsBytes) {
  HttpCheck check;
  check.body = "never";
  EXPECT_EQ(judge(check, "HTTP/1.1 200 OK\r\n\r\n" + std::string(1'000'000, 'x'), 4096),
            "the first 65536 bytes of the body are not as expected");
  std::string endless = "HTTP/1.1 200 OK\r\n";
  for (int i = 0; i < 100'000; ++i) endless += "X: y\r\n";
  EXPECT_NE(judge(check, endless, 4096, false), "...");
}

TEST(HttpReply, TakesAnyBytesWithoutHarm) {
  Random random(7);
  HttpCheck check;
  check.body = "z";
  for (int round = 0; round < 2000; ++round) {
    std::string answer = random.next() % 2 == 0 ? "HTTP/1.1 200 OK\r\n" : "";
    for (std::uint64_t n = random.next() % 200; n > 0; --n) answer += static_cast<char>(random.next());
    judge(check, answer, 1 + random.next() % 64);
  }
}

TEST(HttpProber, AsksAsConfigured) {
  asio::io_context io;
  Server server(io, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false);
  HttpCheck check;
  check.method = "HEAD";
  check.path = "/health?deep=1";
  check.host = "www.example.com";
  check.headers = {"X-Probe: yes"};
  EXPECT_EQ(probe(io, target_at(server.port(), check)).cause, "");
  EXPECT_EQ(server.received,
            "HEAD /health?deep=1 HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: headgate-probe\r\nAccept: */*\r\n"
            "Connection: close\r\nX-Probe: yes\r\n\r\n");
}

TEST(HttpProber, NamesTheBackendWhenThereIsNoHost) {
  asio::io_context io;
  Server server(io, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false);
  Target target = target_at(server.port(), HttpCheck{});
  target.address = asio::ip::make_address("10.10.0.21");  // the probe goes elsewhere: along the path
  EXPECT_EQ(probe(io, target).result, Result::success);
  EXPECT_NE(server.received.find("Host: 10.10.0.21:" + std::to_string(server.port()) + "\r\n"), std::string::npos);
}

TEST(HttpProber, IsBoundedInTimeAndBytes) {
  asio::io_context io;
  HttpCheck wants_body;
  wants_body.body = "never";
  Server silent(io, "", false);
  EXPECT_EQ(probe(io, target_at(silent.port(), HttpCheck{})).cause, "no answer in time");
  Server dripping(io, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nd", false);
  EXPECT_EQ(probe(io, target_at(dripping.port(), wants_body)).cause, "no answer in time");
  Server gigabytes(io, "HTTP/1.1 200 OK\r\n\r\n" + std::string(64 << 20, 'x'), false);
  EXPECT_EQ(probe(io, target_at(gigabytes.port(), wants_body)).cause,
            "the first 65536 bytes of the body are not as expected");
  Server garbage(io, std::string(1 << 20, '\0'), false, true);
  EXPECT_EQ(probe(io, target_at(garbage.port(), wants_body)).result, Result::failure);
}

TEST(HttpProber, ServesNoTlsToAPlainServer) {
  asio::io_context io;
  Server plain(io, "HTTP/1.1 400 Bad Request\r\n\r\n");
  HttpCheck check;
  check.tls.emplace().verify = false;
  const Outcome outcome = probe(io, target_at(plain.port(), check));
  EXPECT_EQ(outcome.result, Result::failure);
  EXPECT_EQ(outcome.cause.substr(0, 15), "TLS handshake: ");
}

TEST(HttpProber, AMissingFileOfAuthoritiesSaysNothingAboutTheBackend) {
  asio::io_context io;
  HttpCheck check;
  check.tls.emplace().ca_file = "/nonexistent/ca.pem";
  const Outcome outcome = probe(io, target_at(1, check));
  EXPECT_EQ(outcome.result, Result::unknown);
  EXPECT_EQ(outcome.cause, "cannot read ca_file /nonexistent/ca.pem: No such file or directory");
}

TEST(HttpProber, AFileOfAuthoritiesThatIsNoFileIsNotOpened) {
  asio::io_context io;
  HttpCheck check;
  check.tls.emplace().ca_file = "/dev/zero";
  const Outcome outcome = probe(io, target_at(1, check));
  EXPECT_EQ(outcome.result, Result::unknown);
  EXPECT_EQ(outcome.cause, "ca_file /dev/zero is no regular file of at most 4 MiB");
}

}  // namespace
}  // namespace headgate::health
