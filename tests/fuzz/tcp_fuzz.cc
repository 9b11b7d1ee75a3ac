// Two TCP engines whose wire, clock, applications and enemies are the input: frames are delivered in any order, lost,
// doubled and changed; time advances; applications write, read, close, abort and splice; and segments are forged from
// the live state of a connection with small differences, as an attacker who knows everything would.
//
// Whatever happens: no engine's invariants break, bytes are delivered as they were sent (a byte's value follows from
// its sequence number, forged ones included), nothing leaks. Without forgery every connection also comes to an end.
#include <array>
#include <cstdint>
#include <cstring>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "dataplane/base/check.h"
#include "dataplane/tcp/engine.h"
#include "dataplane/tcp/testing.h"

namespace {

using namespace headgate;       // NOLINT: a program, not a header
using namespace headgate::tcp;  // NOLINT

constexpr std::size_t kFramesMax = 64;
constexpr std::uint16_t kPort = 80;

class Feed {
 public:
  explicit Feed(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}
  bool empty() const { return bytes_.empty(); }
  std::uint8_t byte() {
    if (bytes_.empty()) return 0;
    const std::uint8_t value = bytes_.front();
    bytes_ = bytes_.subspan(1);
    return value;
  }
  std::uint16_t word() { return static_cast<std::uint16_t>(byte() << 8 | byte()); }

 private:
  std::span<const std::uint8_t> bytes_;
};

std::uint8_t content(Seq seq) {
  return static_cast<std::uint8_t>(seq.value * 2654435761u >> 24);
}

struct Frame {
  Tuple tuple;
  std::uint8_t ecn = 0;
  std::vector<std::uint8_t> bytes;
};

// One host: its engine and an application that remembers where it is.
class Host : public Events {
 public:
  Host(const Config& config, IpAddress address, Nanos now) : address_(address), engine_(config, *this, pool_, now) {}
  ~Host() override = default;

  struct Known {
    ConnectionId id;
    Seq next_read;
    bool open = false;
  };

  Engine& engine() { return engine_; }
  testing::MemoryPool& pool() { return pool_; }
  const IpAddress& address() const { return address_; }
  std::vector<Known>& known() { return known_; }
  bool read_at_once = true;

  void add(ConnectionId id) { known_.push_back({id, {}, false}); }
  Known* find(ConnectionId id) {
    for (Known& k : known_) {
      if (k.id == id) return &k;
    }
    return nullptr;
  }
  void forget(ConnectionId id) {
    std::erase_if(known_, [&](const Known& k) { return k.id == id; });
  }

  void accepted(ConnectionId id, std::uint16_t) override {
    HEADGATE_CHECK(find(id) == nullptr);
    add(id);
    connected(id);
  }
  void connected(ConnectionId id) override {
    Known* k = find(id);
    HEADGATE_CHECK(k != nullptr && !k->open);
    const Info info = engine_.info(id).value();
    k->open = true;
    k->next_read = info.rcv_nxt - info.received - (info.fin_received ? 1u : 0u);
  }
  void data(ConnectionId id) override {
    HEADGATE_CHECK(find(id) != nullptr && find(id)->open);
    if (read_at_once) read(id, 0xffffffff);
  }
  void writable(ConnectionId id) override { HEADGATE_CHECK(find(id) != nullptr); }
  void fin(ConnectionId id) override { HEADGATE_CHECK(find(id) != nullptr && engine_.info(id)->received == 0); }
  void reset(ConnectionId id, CloseReason) override { HEADGATE_CHECK(find(id) != nullptr); }
  void closed(ConnectionId id, CloseReason) override {
    HEADGATE_CHECK(find(id) != nullptr);
    forget(id);
  }

  void read(ConnectionId id, std::uint32_t most) {
    Known* k = find(id);
    Chain chain = engine_.receive(id, most);
    chain.each([&](std::span<const std::uint8_t> part) {
      for (const std::uint8_t byte : part) {
        HEADGATE_CHECK(byte == content(k->next_read) || spliced_);
        k->next_read += 1;
      }
    });
    engine_.consume(id, chain.bytes());
  }
  void write(ConnectionId id, std::uint32_t bytes, bool more) {
    const auto info = engine_.info(id);
    if (!info || engine_.room(id) == 0) return;
    std::vector<std::uint8_t> text(bytes);
    Seq at = info->snd_nxt + info->unsent;
    for (std::uint8_t& byte : text) {
      byte = content(at);
      at += 1;
    }
    engine_.send_copy(id, text, more);
  }
  void splice(ConnectionId from, ConnectionId to) {
    // Spliced bytes keep the values of the sequence numbers that they had before.
    spliced_ |= engine_.splice(from, to);
  }
  bool spliced() const { return spliced_; }
  void taint() { spliced_ = true; }

 private:
  IpAddress address_;
  testing::MemoryPool pool_;
  Engine engine_;
  std::vector<Known> known_;
  bool spliced_ = false;
};

Config config_from(Feed& input) {
  const std::uint8_t a = input.byte(), b = input.byte(), c = input.byte();
  Profile p;
  p.window_scaling = (a & 1) != 0;
  p.timestamps = (a & 2) != 0;
  p.sack = (a & 4) != 0;
  p.nodelay = (a & 8) != 0;
  p.spurious_undo = (a & 16) != 0;
  p.cubic = (a & 32) != 0;
  p.rack = (a & 64) != 0;
  p.prr = (a & 128) != 0;
  p.ecn = (b & 1) != 0;
  p.keepalive_idle = (b & 2) != 0 ? kSecond : 0;
  p.half_closed = (b & 4) != 0 ? kSecond : 0;
  p.receive_buffer = 1u << (8 + (b >> 4));
  p.send_buffer = 1u << (8 + (c & 15));
  Config config;
  config.connections = 8;
  config.half_open = 4;
  config.time_waits = 4;
  config.pieces = (c & 16) != 0 ? 24 : 2048;
  config.troubled = (c & 32) != 0 ? 1 : 8;
  config.reassemblies = (c & 32) != 0 ? 1 : 8;
  config.memory = (c & 64) != 0 ? 60'000 : 64u << 20;
  config.cookies_above_percent = (b & 8) != 0 ? 0 : 75;
  config.mtu = (c & 128) != 0 ? 600 : 1500;
  config.secret = {a, b};
  config.profiles = {p};
  return config;
}

class World {
 public:
  explicit World(Feed& input)
      : input_(input),
        a_(config_from(input), IpAddress::from_v4(0xc0000201), now_),
        b_(config_from(input), IpAddress::from_v4(0xc0000202), now_) {
    b_.engine().listen(b_.address(), kPort);
  }

  void run() {
    connect();
    for (unsigned steps = 0; !input_.empty() && steps < 2000; ++steps) step();
    end();
  }

 private:
  void connect() {
    const auto id = a_.engine().connect(a_.address(), b_.address(), kPort, PortSet::range(1000, 1007));
    if (id) a_.add(*id);
    turn();
  }

  void step() {
    const std::uint8_t op = input_.byte();
    Host& host = (op & 1) != 0 ? b_ : a_;
    switch (op >> 1 & 15) {
      case 0:
      case 1:
      case 2:
        deliver(host, input_.byte());
        break;
      case 3:
        wire(host, input_.byte());
        break;
      case 4:
        advance(input_.byte());
        break;
      case 5:
      case 6:
        write(host);
        break;
      case 7:
        application(host);
        break;
      case 8:
      case 9:
      case 10:
      case 11:
        forge(host);
        break;
      case 12:
        connect();
        break;
      case 13:
        icmp(host);
        break;
      case 14:
        host.read_at_once = !host.read_at_once;
        break;
      default:
        deliver_all();
        break;
    }
    turn();
  }

  std::deque<Frame>& towards(Host& host) { return &host == &a_ ? to_a_ : to_b_; }

  void arrive(Host& host, const Frame& frame) {
    Segment s;
    if (!testing::checksum_ok(frame.tuple, frame.bytes) || !parse_header(frame.bytes, s.header)) return;
    s.tuple = frame.tuple;
    s.congestion_experienced = frame.ecn == 3;
    const auto payload = std::span(frame.bytes).subspan(s.header.length);
    s.payload_length = static_cast<std::uint32_t>(payload.size());
    Slice slice;
    if (!payload.empty()) {
      slice = {host.pool().with(payload), 0, static_cast<std::uint16_t>(payload.size())};
      s.payload = {&slice, 1};
    }
    host.engine().input(s, now_);
    if (slice.buffer != nullptr) drop_reference(slice.buffer);
  }

  void deliver(Host& host, std::uint8_t which) {
    std::deque<Frame>& frames = towards(host);
    if (frames.empty()) return;
    const auto at = frames.begin() + which % static_cast<std::ptrdiff_t>(frames.size());
    const Frame frame = *at;
    frames.erase(at);
    arrive(host, frame);
  }
  void deliver_all() {
    for (Host* host : {&a_, &b_}) {
      while (!towards(*host).empty()) deliver(*host, 0);
    }
  }
  void wire(Host& host, std::uint8_t what) {
    std::deque<Frame>& frames = towards(host);
    if (frames.empty()) return;
    Frame& frame = frames[(what >> 3) % frames.size()];
    switch (what & 7) {
      case 0:
        frames.pop_front();
        break;
      case 1:
        if (frames.size() < kFramesMax) frames.push_back(frame);
        break;
      case 2:
        frame.bytes[input_.byte() % frame.bytes.size()] ^= static_cast<std::uint8_t>(input_.byte() | 1);
        break;
      case 3:
        frame.ecn = frame.ecn != 0 ? 3 : 0;
        break;
      default:
        frames.clear();
        break;
    }
  }

  void advance(std::uint8_t how) {
    // By magnitudes: from a millisecond to an hour, or to the next deadline.
    Nanos next = kNever;
    for (Host* host : {&a_, &b_}) next = std::min(next, host->engine().next_deadline(now_));
    if ((how & 1) != 0 && next != kNever) {
      now_ = std::max(now_, next);
    } else {
      now_ += (Nanos{1} << (how >> 1) % 23) * kMillisecond;
    }
    for (Host* host : {&a_, &b_}) host->engine().advance(now_);
  }

  std::optional<ConnectionId> pick(Host& host) {
    if (host.known().empty()) return std::nullopt;
    return host.known()[input_.byte() % host.known().size()].id;
  }
  void write(Host& host) {
    const auto id = pick(host);
    if (!id) return;
    const std::uint16_t how = input_.word();
    host.write(*id, (how & 0x3fff) % 5000 + 1, (how & 0x8000) != 0);
  }
  void application(Host& host) {
    const auto id = pick(host);
    if (!id) return;
    const std::uint8_t what = input_.byte();
    switch (what & 7) {
      case 0:
      case 1:
        host.engine().shutdown(*id);
        break;
      case 2:
        host.engine().abort(*id);
        host.forget(*id);
        break;
      case 3:
        if (const auto other = pick(host)) {
          host.splice(*id, *other);
          (&host == &a_ ? b_ : a_).taint();
        }
        break;
      default:
        if (host.find(*id)->open) host.read(*id, 1u << (what >> 3) % 17);
        break;
    }
  }

  // Differences that matter: none, one, a segment, the edges of windows, far away.
  std::uint32_t difference(const Info& info) {
    const std::uint8_t which = input_.byte();
    const std::uint32_t table[] = {0,
                                   1,
                                   2,
                                   100,
                                   info.mss,
                                   info.rcv_wnd,
                                   info.rcv_wnd - 1,
                                   info.rcv_wnd + 1,
                                   info.snd_wnd,
                                   info.unacknowledged,
                                   info.unacknowledged + 1,
                                   info.unacknowledged - 1,
                                   0x7fffffff,
                                   0x80000000,
                                   0x40000000,
                                   static_cast<std::uint32_t>(input_.word())};
    const std::uint32_t value = table[which & 15];
    return (which & 16) != 0 ? 0 - value : value;
  }

  // A segment to `host` as if from its peer.
  void forge(Host& host) {
    const auto id = pick(host);
    if (!id) return;
    const Info info = host.engine().info(*id).value();
    forged_ = true;
    Header h;
    h.seq = {info.rcv_nxt.value + difference(info)};
    h.ack = {info.snd_una.value + difference(info)};
    h.flags = input_.byte();
    if ((h.flags & 0x20) != 0) h.flags |= kAck;  // most segments have one
    h.window = (input_.byte() & 3) == 0 ? 0 : input_.word();
    const std::uint8_t options = input_.byte();
    if ((options & 1) != 0 || info.timestamps) {
      h.options.has_timestamps = (options & 2) == 0;
      h.options.ts_value = static_cast<std::uint32_t>(now_ / kMillisecond) + difference(info);
      h.options.ts_echo = static_cast<std::uint32_t>(now_ / kMillisecond) - input_.byte();
    }
    if ((h.flags & kSyn) != 0 && (options & 4) != 0) {
      h.options.has_mss = h.options.has_scale = h.options.sack_permitted = true;
      h.options.mss = input_.word();
      h.options.scale = input_.byte();
    }
    for (unsigned blocks = options >> 6; blocks > 0; --blocks) {
      const Seq start{info.snd_una.value + difference(info)};
      h.options.sacks[h.options.sack_count++] = {start, {start.value + difference(info)}};
    }
    std::vector<std::uint8_t> payload((options & 8) != 0 ? input_.word() % 2000u : 0u);
    Seq at = h.seq + ((h.flags & kSyn) != 0 ? 1u : 0u);
    for (std::uint8_t& byte : payload) {
      byte = content(at);
      at += 1;
    }
    arrive(host, {info.tuple, (options & 16) != 0 ? std::uint8_t{3} : std::uint8_t{0},
                  testing::serialize(info.tuple, h, payload)});
  }

  void icmp(Host& host) {
    const auto id = pick(host);
    if (!id) return;
    const Info info = host.engine().info(*id).value();
    const std::uint32_t seq = info.snd_una.value + difference(info);
    if ((input_.byte() & 1) != 0) {
      host.engine().unreachable(info.tuple.reversed(), seq, now_);
    } else {
      host.engine().packet_too_big(info.tuple.reversed(), seq, input_.word(), now_);
    }
  }

  void turn() {
    for (Host* host : {&a_, &b_}) {
      host->engine().flush(now_);
      std::deque<Frame>& frames = towards(host == &a_ ? b_ : a_);
      for (const OutSegment& out : host->engine().output()) {
        if (frames.size() >= kFramesMax) break;
        Frame frame{out.tuple, out.ecn, {}};
        testing::serialize(out, frame.bytes);
        frames.push_back(std::move(frame));
      }
      host->engine().clear_output();
      const std::string broken = host->engine().audit();
      if (!broken.empty()) std::fprintf(stderr, "%s\n", broken.c_str());
      HEADGATE_CHECK(broken.empty());
    }
  }

  void end() {
    for (Host* host : {&a_, &b_}) {
      host->read_at_once = true;
      for (const Host::Known& k : std::vector<Host::Known>(host->known())) {
        if (forged_ || host->spliced()) {
          host->engine().abort(k.id);
          host->forget(k.id);
        } else {
          host->engine().shutdown(k.id);
          if (k.open) host->read(k.id, 0xffffffff);
        }
      }
    }
    // A clean wire: everything ends within the longest timers.
    for (unsigned rounds = 0; rounds < 4000 && !over(); ++rounds) {
      turn();
      deliver_all();
      turn();
      if (to_a_.empty() && to_b_.empty()) advance(1);
      shut_new_ones();
    }
    HEADGATE_CHECK(over());
    HEADGATE_CHECK(a_.pool().in_use() == 0 && b_.pool().in_use() == 0);
  }
  // Connections that were accepted after everybody was told to close.
  void shut_new_ones() {
    for (Host* host : {&a_, &b_}) {
      for (const Host::Known& k : std::vector<Host::Known>(host->known())) {
        host->engine().shutdown(k.id);
      }
    }
  }
  bool over() {
    const auto idle = [](Host& host) {
      Engine& e = host.engine();
      return e.connections() == 0 && e.half_open() == 0 && e.time_waits() == 0 && e.pieces() == 0 && e.memory() == 0;
    };
    return idle(a_) && idle(b_) && to_a_.empty() && to_b_.empty();
  }

  Feed& input_;
  Nanos now_ = 1000 * kSecond;
  Host a_, b_;
  std::deque<Frame> to_a_, to_b_;
  bool forged_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Feed input({data, size});
  World(input).run();
  return 0;
}
