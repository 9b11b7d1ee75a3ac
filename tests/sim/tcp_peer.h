// A client or a server beside a simulated box: a TCP engine of its own, on frames. What it is told is kept, what it
// receives is read at once.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "dataplane/tcp/engine.h"
#include "dataplane/tcp/testing.h"
#include "tests/sim/box.h"

namespace headgate::sim {

class TcpPeer : private tcp::Events {
 public:
  struct Options {
    std::uint32_t receive_buffer = 256 * 1024;
    bool reads = true;  // false: what arrives stays where it is, and the window closes
  };
  // `port`: of the box, that it is behind.
  TcpPeer(std::string_view address, std::uint16_t port, Nanos now, const Options& options);
  TcpPeer(std::string_view address, std::uint16_t port, Nanos now) : TcpPeer(address, port, now, Options{}) {}

  // What became of one connection.
  struct Story {
    tcp::ConnectionId id;
    std::string received{};
    bool open = false, fin = false, reset = false, closed = false;
  };

  void listen(std::uint16_t port) { engine_.listen(address_, port); }
  // Position in stories().
  std::size_t connect(std::string_view to, std::uint16_t port, std::uint16_t from = 0);
  void send(std::size_t story, std::string_view bytes);
  void shutdown(std::size_t story) { engine_.shutdown(stories_[story].id); }
  void abort(std::size_t story) { engine_.abort(stories_[story].id); }
  void read(std::size_t story);  // where it does not by itself
  const std::vector<Story>& stories() const { return stories_; }
  const Story& story(std::size_t i = 0) const { return stories_.at(i); }

  const IpAddress& address() const { return address_; }
  std::uint16_t port() const { return port_; }
  tcp::Engine& engine() { return engine_; }
  void set_silent(bool silent) { silent_ = silent; }  // hears and says nothing

  void hear(const Frame& frame, Nanos now);
  // Its turn; the frames that it sends.
  std::vector<Frame> turn(Nanos now);

 private:
  Story* find(tcp::ConnectionId id);
  void accepted(tcp::ConnectionId id, std::uint16_t listener) override;
  void connected(tcp::ConnectionId id) override;
  void data(tcp::ConnectionId id) override;
  void writable(tcp::ConnectionId) override {}
  void fin(tcp::ConnectionId id) override;
  void reset(tcp::ConnectionId id, tcp::CloseReason reason) override;
  void closed(tcp::ConnectionId id, tcp::CloseReason reason) override;

  IpAddress address_;
  std::uint16_t port_;
  Options options_;
  bool silent_ = false;
  std::uint16_t next_port_ = 40000;
  tcp::testing::MemoryPool pool_;
  tcp::Engine engine_;
  std::vector<Story> stories_;
};

// Frames to and fro, and time, for `time`. Frames for nobody here are lost.
void talk(Box& box, const std::vector<TcpPeer*>& peers, Nanos time);

}  // namespace headgate::sim
