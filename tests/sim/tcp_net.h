// Hosts with a TCP engine each, joined by links that drop, duplicate, reorder, delay, corrupt, mark and are too small,
// in virtual time and from a seed. What applications on them do is tcp_talk.h.
//
// While it runs the net checks on the wire what no engine can check about itself: nobody sends beyond the window that
// reached it, no window edge moves back (beyond the rounding that its scale forces, RFC 7323 2.4); and after each turn
// of a host its engine's own audit.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "dataplane/base/rng.h"
#include "dataplane/tcp/engine.h"
#include "dataplane/tcp/testing.h"

namespace headgate::sim {

struct TcpWeather {
  double loss = 0, duplicate = 0, corrupt = 0, reorder = 0;
  Nanos delay = kMillisecond;          // one way
  Nanos jitter = 0;                    // keeps the order
  Nanos reorder_by = 0;                // at most; a frame that is reordered waits for so long
  std::uint32_t mtu = 1500;            // of IP packets
  bool icmp = true;                    // says when a packet was too big
  std::uint64_t bytes_per_second = 0;  // 0 = without limit
  Nanos queue = 0;                     // a frame that would wait longer is dropped, or marked half way when `marks`
  bool marks = false;                  // ECN
};

class TcpNet;

// An application: the engine's events, and a chance to act.
class TcpApp : public tcp::Events {
 public:
  virtual void act(Nanos now) = 0;          // each time the host has a turn
  virtual void settled() = 0;               // after the host's turn
  virtual Nanos next_action() const = 0;    // when it wants one
  virtual std::string trouble() const = 0;  // what it saw that must not be
};

class TcpHost {
 public:
  TcpHost(IpAddress address, const tcp::Config& config, TcpApp& app, Nanos now, std::uint32_t buffers);

  const IpAddress& address() const { return address_; }
  tcp::Engine& engine() { return engine_; }
  tcp::testing::MemoryPool& pool() { return pool_; }
  TcpWeather weather;  // of what this host sends

 private:
  friend class TcpNet;
  IpAddress address_;
  TcpApp& app_;
  tcp::testing::MemoryPool pool_;
  tcp::Engine engine_;
  Nanos line_free_at_ = 0, last_arrival_ = 0;
};

class TcpNet {
 public:
  TcpNet(std::uint64_t seed, Nanos start) : rng_(seed), now_(start) {}

  // `buffers`: of the host's pool.
  TcpHost& add(IpAddress address, const tcp::Config& config, TcpApp& app, std::uint32_t buffers = 1u << 20);
  // All hosts are gone, before the applications that hear of it.
  void take_down() { hosts_.clear(); }
  // Until `end`, or until something is wrong.
  void run_until(Nanos end);
  // One event. False when nothing is left to happen before `end`, which is then the time.
  bool step(Nanos end);

  Nanos now() const { return now_; }
  Rng& rng() { return rng_; }
  const std::string& trouble() const { return trouble_; }
  void fail(const std::string& what);
  std::uint64_t frames() const { return frames_; }
  std::size_t under_way() const { return heap_.size(); }
  std::uint64_t digest() const { return digest_; }  // of all bytes sent, to compare runs
  // Keeps a log of segments that a failure can print.
  bool verbose = false;
  std::string log;

 private:
  struct Frame {
    Tuple tuple;
    std::uint8_t ecn = 0;
    bool too_big = false;  // an ICMP error about `bytes`, for the host of tuple.src
    std::uint32_t mtu = 0;
    std::vector<std::uint8_t> bytes;
  };
  struct Arrival {
    Nanos at;
    std::uint64_t order;
    std::uint32_t frame;
    bool operator<(const Arrival& b) const { return at != b.at ? at > b.at : order > b.order; }
  };
  // What was seen of one direction of a connection.
  struct Seen {
    bool syn = false, scaling = false, edge_known = false, edge_delivered_known = false;
    std::uint8_t scale = 0;
    tcp::Seq iss;
    tcp::Seq edge;            // highest right edge sent
    tcp::Seq edge_delivered;  // highest right edge that reached the other side
  };

  TcpHost* host_of(const IpAddress& address);
  void turn(TcpHost& host);
  void transmit(TcpHost& host, const tcp::OutSegment& segment);
  void launch(std::uint32_t frame, Nanos at);
  std::uint32_t take_frame();
  void deliver(std::uint32_t index);
  void arrive(TcpHost& host, const Frame& frame);
  void watch_sent(const Tuple& tuple, std::span<const std::uint8_t> bytes);
  void watch_delivered(const Tuple& tuple, const tcp::Header& header);
  void note(const char* what, const Tuple& tuple, std::span<const std::uint8_t> bytes);

  Rng rng_;
  Nanos now_;
  std::vector<std::unique_ptr<TcpHost>> hosts_;
  std::vector<Frame> frames_storage_;
  std::vector<std::uint32_t> free_frames_;
  std::vector<Arrival> heap_;
  std::vector<std::pair<Tuple, Seen>> seen_;
  std::uint64_t order_ = 0, frames_ = 0, digest_ = 0xcbf29ce484222325ull;
  std::string trouble_;

  Seen& seen(const Tuple& tuple);
};

}  // namespace headgate::sim
