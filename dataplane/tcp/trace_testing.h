// Segment traces: a test plays the peer of one engine, and reads and writes only what differs from the usual. Sequence
// numbers count from each side's initial one, so the first byte of data is 1. Unless told otherwise the peer listens or
// connects with MSS 1460, window 64000, without scaling, timestamps and SACK, and acknowledges nothing by itself.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/tcp/engine.h"
#include "dataplane/tcp/testing.h"

namespace headgate::tcp::testing {

// A segment of the peer. seq: by default the peer's next, which data, SYN and FIN of earlier ones have moved.
struct Says {
  std::optional<std::uint32_t> seq{},
      ack{};  // ack: by default all that arrived; has the flag unless it is a bare SYN or RST
  std::uint8_t flags = kAck;
  std::uint32_t length = 0;  // of data, bytes 'a' to 'z' by position
  std::optional<std::uint16_t> window{};
  std::vector<SackBlock> sacks{};
  std::optional<std::uint32_t> ts{}, echo{};  // echo: by default the last timestamp that arrived
  bool no_timestamp = false;
  bool marked = false;  // congestion experienced
};

struct PeerOptions {
  std::uint16_t mss = 1460;  // 0 = none
  int scale = -1;            // -1 = none
  bool timestamps = false, sack = false, ecn = false, v6 = false;
  std::uint16_t window = 64000;
  std::uint32_t iss = 7'000'000;
};

class TraceBench : public Events {
 public:
  explicit TraceBench(const Profile& profile = {}, const PeerOptions& peer = {}, const Config& config = {});
  ~TraceBench() override;

  // -- handshakes, to the point where both sides are ESTABLISHED; nothing of it is left in sent() or told()
  void accept();   // the peer connects
  void connect();  // the peer listens
  void start_connect();

  // -- the peer
  void peer(const Says& says);
  void peer_syn(std::uint8_t extra_flags = 0);
  // Without flush(): segments of one burst.
  void burst(const std::vector<Says>& all);
  // -- the application
  void write(std::uint32_t bytes, bool more = false);
  std::string read(std::uint32_t most = 0xffffffff, bool consume = true);
  void consume(std::uint32_t bytes);
  void shutdown();
  void abort();
  // -- time
  void wait(Nanos span);

  // What the engine sent since the last call, as "A seq=1 ack=1 len=3": flags of SFRAEW (E = ECE, W = CWR), then what
  // is not 0; options of SYNs, SACK blocks; with show_window "win=", with show_timestamps "ts=".
  std::vector<std::string> sent();
  // What the application was told: "accepted", "data 3", "fin", ...
  std::vector<std::string> told();
  Info info() const { return engine.info(id).value(); }
  bool alive() const { return engine.info(id).has_value(); }
  Tuple arriving() const { return tuple_; }                  // src is the peer
  std::uint32_t last_timestamp() const { return last_ts_; }  // of ours that arrived
  std::uint32_t absolute(std::uint32_t ours) const { return our_iss_ + ours; }

  void accepted(ConnectionId id, std::uint16_t listener) override;
  void connected(ConnectionId id) override;
  void data(ConnectionId id) override;
  void writable(ConnectionId id) override;
  void fin(ConnectionId id) override;
  void reset(ConnectionId id, CloseReason reason) override;
  void closed(ConnectionId id, CloseReason reason) override;

  Nanos now = 1000 * kSecond;
  MemoryPool pool;
  Engine engine;
  ConnectionId id;
  bool show_window = false, show_timestamps = false;
  bool read_at_once = false;        // data is read and consumed in the callback
  std::uint32_t peer_clock = 5000;  // its timestamp

 private:
  void inject(const Says& says);
  void run();
  std::string describe(const OutSegment& out);

  PeerOptions peer_;
  Tuple tuple_;
  std::uint32_t our_iss_ = 0, peer_next_ = 0, our_next_ = 0, last_ts_ = 0;
  std::vector<std::string> sent_, told_;
};

}  // namespace headgate::tcp::testing
