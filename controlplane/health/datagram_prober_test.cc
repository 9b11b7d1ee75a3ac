// Probes by one datagram: udp, dns and icmp.
#include <arpa/nameser.h>

#include <asio/ip/udp.hpp>

#include "controlplane/health/dns_message.h"
#include "controlplane/health/testing.h"

namespace headgate::health {
namespace {

using asio::ip::udp;
using testing::kLoopback;
using testing::probe;
using testing::target_at;

// Answers every datagram with what `reply` makes of it, each of them in a datagram of its own.
class UdpServer {
 public:
  using Reply = std::function<std::vector<std::string>(const std::string&)>;
  UdpServer(asio::io_context& io, Reply reply) : socket_(io, udp::endpoint(kLoopback, 0)), reply_(std::move(reply)) {
    receive();
  }
  std::uint16_t port() const { return socket_.local_endpoint().port(); }

 private:
  void receive() {
    socket_.async_receive_from(asio::buffer(buffer_), from_, [this](const asio::error_code& error, std::size_t n) {
      if (error) return;
      for (const std::string& answer : reply_(buffer_.substr(0, n))) socket_.send_to(asio::buffer(answer), from_);
      receive();
    });
  }
  udp::socket socket_;
  udp::endpoint from_;
  std::string buffer_ = std::string(65536, '\0');
  Reply reply_;
};

TEST(UdpProber, WantsTheAnswer) {
  asio::io_context io;
  UdpServer echo(io, [](const std::string& question) { return std::vector{"you said " + question}; });
  const auto cause = [&](const UdpCheck& check) { return probe(io, target_at(echo.port(), check)).cause; };
  EXPECT_EQ(cause({.payload = "ping"}), "");
  EXPECT_EQ(cause({.payload = "ping", .expect = "said ping"}), "");
  EXPECT_EQ(cause({.payload = "ping", .expect = "pong"}), "the answer is not as expected: \"you said ping\"");
}

TEST(UdpProber, TellsAClosedPortFromASilentOne) {
  asio::io_context io;
  UdpServer silent(io, [](const std::string&) { return std::vector<std::string>{}; });
  EXPECT_EQ(probe(io, target_at(silent.port(), UdpCheck{.payload = "x"})).cause, "no answer in time");
  std::uint16_t closed = 0;
  {
    closed = udp::socket(io, udp::endpoint(kLoopback, 0)).local_endpoint().port();
  }
  EXPECT_EQ(probe(io, target_at(closed, UdpCheck{.payload = "x"})).cause, "connection refused");
}

// What a server makes of a question: the flags and answers set, the question kept.
std::string dns_answer(std::string question, int rcode, const std::vector<std::string>& records) {
  question[2] = static_cast<char>(question[2] | '\x80');
  question[3] = static_cast<char>(rcode);
  question[7] = static_cast<char>(records.size());
  for (const std::string& record : records) question += record;
  return question;
}

std::string record(std::uint16_t type, const std::string& data) {
  std::string bytes("\xc0\x0c", 2);  // the name of the question
  for (const unsigned value : {unsigned{type}, 1u, 0u, 60u, static_cast<unsigned>(data.size())}) {
    bytes += static_cast<char>(value >> 8);
    bytes += static_cast<char>(value);
  }
  return bytes + data;
}

const std::string kA = record(1, std::string("\x0a\x0a\x00\x15", 4));

std::string meaning(const DnsCheck& check, const std::string& answer, std::uint16_t id = 7) {
  const auto outcome =
      judge_dns_answer(check, id, {reinterpret_cast<const std::uint8_t*>(answer.data()), answer.size()});
  return outcome ? outcome->cause : "none of ours";
}

TEST(DnsMessage, AnswersAreJudged) {
  const DnsCheck a{.name = "www.example.com", .type = 1};
  const DnsCheck wanted{.name = "www.example.com.", .type = 1, .expect = asio::ip::make_address("10.10.0.21")};
  const DnsCheck other{.name = "www.example.com", .type = 1, .expect = asio::ip::make_address("10.10.0.22")};
  const DnsCheck root{.name = ".", .type = 2};
  const std::string question = make_dns_query(a, 7);
  const std::string cname = record(5, std::string("\x01x\x00", 3));
  EXPECT_EQ(meaning(a, dns_answer(question, 0, {kA})), "");
  EXPECT_EQ(meaning(a, dns_answer(question, 0, {cname, kA})), "");
  EXPECT_EQ(meaning(wanted, dns_answer(make_dns_query(wanted, 7), 0, {kA})), "");
  EXPECT_EQ(meaning(other, dns_answer(question, 0, {kA})), "the answer is without 10.10.0.22");
  EXPECT_EQ(meaning(a, dns_answer(question, 0, {cname})), "an answer without a record of the type");
  EXPECT_EQ(meaning(a, dns_answer(question, 0, {})), "an answer without a record of the type");
  EXPECT_EQ(meaning(a, dns_answer(question, 3, {})), "answered NXDOMAIN");
  EXPECT_EQ(meaning(a, dns_answer(question, 2, {})), "answered SERVFAIL");
  EXPECT_EQ(meaning(root, dns_answer(make_dns_query(root, 7), 0, {record(2, std::string(1, '\0'))})), "");
}

TEST(DnsMessage, OnlyAnAnswerToOurQuestionCounts) {
  const DnsCheck check{.name = "www.example.com", .type = 1};
  const std::string question = make_dns_query(check, 7);
  EXPECT_EQ(meaning(check, question), "none of ours") << "a question";
  EXPECT_EQ(meaning(check, dns_answer(question, 0, {kA}), 8), "none of ours") << "another id";
  EXPECT_EQ(meaning(check, dns_answer(make_dns_query({.name = "x.example.com", .type = 1}, 7), 0, {kA})),
            "none of ours");
  EXPECT_EQ(meaning(check, dns_answer(make_dns_query({.name = check.name, .type = 28}, 7), 0, {kA})), "none of ours");
  EXPECT_EQ(meaning(check, dns_answer(make_dns_query({.name = "WWW.Example.COM", .type = 1}, 7), 0, {kA})), "");
}

TEST(DnsMessage, TakesAnyBytesWithoutHarm) {
  const DnsCheck check{.name = "www.example.com", .type = 1, .expect = asio::ip::make_address("10.0.0.1")};
  const std::string answer = dns_answer(make_dns_query(check, 7), 0, {kA});
  Random random(3);
  for (int round = 0; round < 20'000; ++round) {
    std::string damaged = answer.substr(0, random.next() % (answer.size() + 1));
    for (std::uint64_t n = random.next() % 4; n > 0 && damaged.size() > 2; --n) {
      damaged[2 + random.next() % (damaged.size() - 2)] = static_cast<char>(random.next());
    }
    meaning(check, damaged);
  }
}

TEST(DnsProber, ReadsOverAnswersThatAreNotItsOwn) {
  asio::io_context io;
  const DnsCheck check{.name = "www.example.com", .type = 1};
  UdpServer server(io, [](const std::string& question) {
    std::string foreign = question;
    foreign[0] = static_cast<char>(foreign[0] + 1);
    return std::vector{dns_answer(foreign, 3, {}), std::string("x"), dns_answer(question, 0, {kA})};
  });
  EXPECT_EQ(probe(io, target_at(server.port(), check)).cause, "");
  UdpServer flood(io, [](const std::string&) { return std::vector(100, std::string("garbage")); });
  EXPECT_EQ(probe(io, target_at(flood.port(), check)).cause, "answers that are none to this probe");
}

TEST(IcmpProber, PingsBothFamilies) {
  asio::io_context io;
  EXPECT_EQ(probe(io, target_at(0, IcmpCheck{})).cause, "");
  EXPECT_EQ(probe(io, target_at(0, IcmpCheck{}, asio::ip::address_v6::loopback())).cause, "");
}

TEST(IcmpProber, WhatTheKernelRefusesHereSaysNothingAboutTheBackend) {
  asio::io_context io;
  EXPECT_EQ(probe(io, target_at(0, IcmpCheck{}, asio::ip::address_v4::broadcast())).result, Result::unknown);
}

}  // namespace
}  // namespace headgate::health
