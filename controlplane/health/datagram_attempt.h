// A probe by one datagram: sent from a socket of its own, which is connected, so that the kernel hands it answers of
// that server only, and ICMP errors as errors. Its own port or echo identifier makes it a flow of its own in the
// dataplane, under the configuration of this moment.
#pragma once

#include <array>
#include <asio/posix/stream_descriptor.hpp>
#include <optional>
#include <span>
#include <string>

#include "controlplane/health/attempt.h"

namespace headgate::health {

inline constexpr unsigned kStrangersMax = 16;           // answers to something else that a probe reads over
inline constexpr std::size_t kDatagramBytesMax = 4096;  // of an answer; the rest is cut off

class DatagramAttempt : public Attempt {
 public:
  DatagramAttempt(asio::io_context& io, const Done& done, std::uint64_t probe, const Target& target)
      : Attempt(io, done, probe), socket_(io), endpoint_(target.endpoint) {}

 protected:
  void begin() override;
  void close() override;
  // A socket of the right kind for the family; -1 with errno set when there is none.
  virtual int open(int family);
  // What to send, once the socket is there.
  virtual std::string request() = 0;
  // The outcome; none when the datagram answers something else.
  virtual std::optional<Outcome> judge(std::span<const std::uint8_t> answer) = 0;
  const asio::ip::tcp::endpoint& endpoint() const { return endpoint_; }

 private:
  void wait();
  void receive();

  asio::posix::stream_descriptor socket_;
  asio::ip::tcp::endpoint endpoint_;
  unsigned strangers_ = 0;
};

}  // namespace headgate::health
