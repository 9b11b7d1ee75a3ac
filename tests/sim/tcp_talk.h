// What two applications say to each other over a connection, and the check that each hears exactly that: bytes follow
// from a seed and their position, so a stream of any length needs no memory.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "tests/sim/tcp_net.h"

namespace headgate::sim {

// One direction of a conversation.
struct Speech {
  std::uint64_t seed = 0;
  std::uint64_t bytes = 0;
  std::uint32_t chunk = 1000;   // written at once, at most
  Nanos pause = 0;              // between writes
  bool close_when_said = true;  // else only after the other side closed
  // The listener of this speech:
  std::uint32_t read_at_once = 1u << 20;
  Nanos read_pause = 0;  // 0 = reads in the callback
};

struct Conversation {
  Speech speech[2];  // of the one who connects, of the one who accepts
  Nanos begin = 0;
  Nanos abort_at = kNever;  // the connecting side aborts
  std::uint16_t port = 0;   // of the connecting side: how both find each other
};

// A side of many conversations.
class TcpTalker : public TcpApp {
 public:
  enum class Role : std::uint8_t { connects, accepts };
  struct Stream {
    tcp::ConnectionId id;
    std::uint32_t conversation = 0;
    std::uint64_t said = 0, heard = 0;
    std::uint64_t sent = 0;  // sequence numbers used
    Nanos next_write = 0, next_read = kNever;
    bool open = false, shut = false, fin = false, closed = false, was_reset = false;
    tcp::CloseReason reason = tcp::CloseReason::normal;
  };

  TcpTalker(Role role, std::vector<Conversation>& conversations, TcpNet& net);
  void attach(TcpHost& host, IpAddress peer, std::uint16_t peer_port, std::uint8_t profile);

  void act(Nanos now) override;
  void settled() override;
  Nanos next_action() const override;
  std::string trouble() const override { return trouble_; }

  void accepted(tcp::ConnectionId id, std::uint16_t listener) override;
  void connected(tcp::ConnectionId id) override;
  void data(tcp::ConnectionId id) override;
  void writable(tcp::ConnectionId id) override;
  void fin(tcp::ConnectionId id) override;
  void reset(tcp::ConnectionId id, tcp::CloseReason reason) override;
  void closed(tcp::ConnectionId id, tcp::CloseReason reason) override;

  std::deque<Stream>& streams() { return streams_; }
  bool began(std::uint32_t conversation) const {
    return std::any_of(streams_.begin(), streams_.end(),
                       [=](const Stream& s) { return s.conversation == conversation && s.open; });
  }
  // Every conversation of this side was begun, and all of its streams ended.
  bool finished() const;
  std::string report() const;

 private:
  const Speech& own(const Stream& s) const;
  const Speech& other(const Stream& s) const;
  Stream* find(tcp::ConnectionId id);
  void begin(std::uint32_t conversation, Nanos now);
  void write(Stream& s);
  void read(Stream& s);
  void maybe_shut(Stream& s);
  void wrong(const std::string& what) {
    if (trouble_.empty()) trouble_ = what;
  }

  Role role_;
  std::vector<Conversation>& conversations_;
  TcpNet& net_;
  TcpHost* host_ = nullptr;
  IpAddress peer_;
  std::uint16_t peer_port_ = 0;
  std::uint8_t profile_ = 0;
  std::deque<Stream> streams_;  // addresses stay
  std::uint32_t begun_ = 0;
  std::uint64_t probes_ = 0;  // tail loss probes so far
  std::string trouble_;
};

// The bytes of a speech from `at` on.
void speak(std::uint64_t seed, std::uint64_t at, std::span<std::uint8_t> out);
bool as_spoken(std::uint64_t seed, std::uint64_t at, std::span<const std::uint8_t> bytes);

}  // namespace headgate::sim
