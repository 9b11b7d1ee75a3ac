#include "controlplane/health/tcp_prober.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <asio/post.hpp>
#include <thread>

#include "controlplane/health/checker.h"

namespace headgate::health {
namespace {

using asio::ip::tcp;
using namespace std::chrono_literals;

const asio::ip::address kLoopback = asio::ip::address_v4::loopback();

Outcome probe(asio::io_context& io, const tcp::endpoint& endpoint) {
  Outcome result{Result::failure, "no answer"};
  TcpProber prober(io, [&](std::uint64_t, const Outcome& outcome) {
    result = outcome;
    io.stop();
  });
  Target target;
  target.endpoint = endpoint;
  target.timeout = 200ms;
  prober.start(1, target);
  io.restart();
  io.run_for(5s);
  return result;
}

TEST(TcpProber, SucceedsWhenAConnectionIsAcceptedAndResetsIt) {
  asio::io_context io;
  tcp::acceptor acceptor(io, {kLoopback, 0});
  EXPECT_EQ(probe(io, acceptor.local_endpoint()).result, Result::success);
  tcp::socket accepted = acceptor.accept();
  char byte;
  asio::error_code error;
  accepted.read_some(asio::buffer(&byte, 1), error);
  EXPECT_EQ(error, asio::error::connection_reset);
}

TEST(TcpProber, NamesARefusedConnection) {
  asio::io_context io;
  tcp::acceptor acceptor(io, {kLoopback, 0});
  const tcp::endpoint closed = acceptor.local_endpoint();
  acceptor.close();
  const Outcome outcome = probe(io, closed);
  EXPECT_EQ(outcome.result, Result::failure);
  EXPECT_EQ(outcome.cause, "connection refused");
}

TEST(TcpProber, GivesUpAtItsTimeout) {
  asio::io_context io;
  // A full accept queue drops further SYNs: a server that hangs.
  tcp::acceptor acceptor(io);
  acceptor.open(tcp::v4());
  acceptor.bind({kLoopback, 0});
  acceptor.listen(0);
  tcp::socket first(io);
  first.connect(acceptor.local_endpoint());
  const Outcome outcome = probe(io, acceptor.local_endpoint());
  EXPECT_EQ(outcome.result, Result::failure);
  EXPECT_EQ(outcome.cause, "connection timed out");
}

TEST(TcpProber, ALackOfDescriptorsSaysNothingAboutTheBackend) {
  asio::io_context io;
  tcp::acceptor acceptor(io, {kLoopback, 0});
  std::vector<int> taken;
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  rlimit few = before;
  few.rlim_cur = 64;
  setrlimit(RLIMIT_NOFILE, &few);
  for (int fd = dup(0); fd >= 0; fd = dup(0)) taken.push_back(fd);
  const Outcome outcome = probe(io, acceptor.local_endpoint());
  for (const int fd : taken) close(fd);
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_EQ(outcome.result, Result::unknown);
  EXPECT_EQ(outcome.cause, "too many open files");
}

TEST(TcpProber, WhatTheKernelRefusesHereSaysNothingAboutTheBackend) {
  asio::io_context io;
  // To broadcast by TCP: no packet leaves this box.
  EXPECT_EQ(probe(io, {asio::ip::address_v4::broadcast(), 80}).result, Result::unknown);
}

TEST(Checker, FollowsARealServerDownAndUp) {
  asio::io_context io;
  auto acceptor = std::make_unique<tcp::acceptor>(io, tcp::endpoint(kLoopback, 0));
  const tcp::endpoint endpoint = acceptor->local_endpoint();
  int changes = 0;
  Checker checker(io, io, 1, [&](const Change&) {
    ++changes;
    io.stop();
  });
  Target target;
  target.backend_id = 7;
  target.name = "web7";
  target.endpoint = endpoint;
  target.via_path = false;
  target.interval = 50ms;
  target.timeout = 500ms;
  target.rise = 2;
  target.fall = 2;
  checker.set_targets({target}, {{7, {.health = Health::up}}});
  io.run_for(400ms);
  EXPECT_EQ(changes, 0);
  acceptor.reset();
  io.restart();
  io.run_for(5s);
  EXPECT_EQ(changes, 1);
  EXPECT_EQ(checker.health(7), Health::down);
  acceptor = std::make_unique<tcp::acceptor>(io, endpoint);
  io.restart();
  io.run_for(5s);
  EXPECT_EQ(changes, 2);
  EXPECT_EQ(checker.health(7), Health::up);
}

TEST(Checker, ProbesGoOnWhileTheCallerIsBusyAndWhatTheyFoundWaitsForIt) {
  asio::io_context probing{1}, caller;
  auto acceptor = std::make_unique<tcp::acceptor>(probing, tcp::endpoint(kLoopback, 0));
  std::vector<std::thread::id> told_in;
  Checker checker(probing, caller, 1, [&](const Change& change) {
    EXPECT_LE(change.at, Checker::now());
    told_in.push_back(std::this_thread::get_id());
  });
  Target target;
  target.backend_id = 7;
  target.endpoint = acceptor->local_endpoint();
  target.via_path = false;
  target.interval = 20ms;
  target.timeout = 500ms;
  const LoopThread thread(probing);
  checker.set_targets({target}, {{7, {.health = Health::up}}});
  const auto until = [](auto done) {  // the caller's loop does not turn meanwhile
    for (const Time end = Checker::now() + 10s; !done() && Checker::now() < end;) std::this_thread::sleep_for(1ms);
    return done();
  };
  EXPECT_TRUE(until([&] { return checker.counters().succeeded >= 5; }));
  EXPECT_EQ(checker.health(7), Health::up);
  asio::post(probing, [&] { acceptor.reset(); });
  EXPECT_TRUE(until([&] { return checker.health(7) == Health::down; }));
  EXPECT_TRUE(told_in.empty());
  caller.run_for(10ms);
  EXPECT_EQ(told_in, std::vector{std::this_thread::get_id()});
}

}  // namespace
}  // namespace headgate::health
