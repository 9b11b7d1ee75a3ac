// What the tests of probers share: one probe, run to its outcome, against servers on the same event loop.
#pragma once

#include <gtest/gtest.h>

#include <asio/ip/tcp.hpp>
#include <asio/write.hpp>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "controlplane/health/prober_set.h"

namespace headgate::health::testing {

inline const asio::ip::address kLoopback = asio::ip::address_v4::loopback();

inline Target target_at(std::uint16_t port, Check check, const asio::ip::address& address = kLoopback) {
  Target target;
  target.backend_id = 1;
  target.name = "web1";
  target.backend = "web1";
  target.address = address;
  target.endpoint = {address, port};
  target.timeout = std::chrono::milliseconds(500);
  target.check = std::move(check);
  return target;
}

// The outcome of one probe; fails the test when there is none, or more than one.
inline Outcome probe(asio::io_context& io, const Target& target) {
  std::vector<Outcome> outcomes;
  ProberSet probers(io, 1, [&](std::uint64_t, const Outcome& outcome) {
    outcomes.push_back(outcome);
    io.stop();
  });
  probers.start(1, target);
  EXPECT_TRUE(outcomes.empty()) << "never from inside start()";
  io.restart();
  io.run_for(std::chrono::seconds(20));
  io.restart();
  io.poll();
  EXPECT_EQ(outcomes.size(), 1u);
  return outcomes.empty() ? failure("no outcome") : outcomes.front();
}

// Accepts one connection after the other, keeps what each sent, and says `answer` once something came (or at once).
class Server {
 public:
  Server(asio::io_context& io, std::string answer, bool close_after = true, bool at_once = false)
      : acceptor_(io, {kLoopback, 0}), answer_(std::move(answer)), close_after_(close_after), at_once_(at_once) {
    accept();
  }
  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }

  std::string received;

 private:
  struct Session {
    explicit Session(asio::ip::tcp::socket s) : socket(std::move(s)) {}
    asio::ip::tcp::socket socket;
    std::string buffer = std::string(65536, '\0');
  };
  void accept() {
    acceptor_.async_accept([this](const asio::error_code& error, asio::ip::tcp::socket socket) {
      if (error) return;
      const auto session = std::make_shared<Session>(std::move(socket));
      sessions_.push_back(session);
      if (at_once_) {
        say(session);
      } else {
        read(session);
      }
      accept();
    });
  }
  void read(const std::shared_ptr<Session>& session) {
    session->socket.async_read_some(asio::buffer(session->buffer),
                                    [this, session](const asio::error_code& error, std::size_t n) {
                                      if (error) return;
                                      received.append(session->buffer.data(), n);
                                      say(session);
                                    });
  }
  void say(const std::shared_ptr<Session>& session) {
    asio::async_write(session->socket, asio::buffer(answer_), [this, session](const asio::error_code&, std::size_t) {
      asio::error_code ignored;
      if (close_after_) session->socket.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
    });
  }

  asio::ip::tcp::acceptor acceptor_;
  std::string answer_;
  bool close_after_, at_once_;
  std::vector<std::shared_ptr<Session>> sessions_;
};

}  // namespace headgate::health::testing
