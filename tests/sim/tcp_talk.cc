#include "tests/sim/tcp_talk.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace headgate::sim {
namespace {

std::uint8_t byte_at(std::uint64_t seed, std::uint64_t at) {
  std::uint64_t z = (seed + at / 8) * 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 32)) * 0xd6e8feb86659fd93ull;
  return static_cast<std::uint8_t>(z >> (at % 8 * 8));
}

std::uint64_t word_at(std::uint64_t seed, std::uint64_t index) {
  std::uint64_t z = (seed + index) * 0x9e3779b97f4a7c15ull;
  return (z ^ (z >> 32)) * 0xd6e8feb86659fd93ull;
}

}  // namespace

void speak(std::uint64_t seed, std::uint64_t at, std::span<std::uint8_t> out) {
  std::size_t i = 0;
  while (i < out.size() && (at + i) % 8 != 0) out[i] = byte_at(seed, at + i), ++i;
  for (; i + 8 <= out.size(); i += 8) {
    const std::uint64_t word = word_at(seed, (at + i) / 8);
    std::memcpy(&out[i], &word, 8);
  }
  for (; i < out.size(); ++i) out[i] = byte_at(seed, at + i);
}

bool as_spoken(std::uint64_t seed, std::uint64_t at, std::span<const std::uint8_t> bytes) {
  std::array<std::uint8_t, 1024> expected;
  while (!bytes.empty()) {
    const std::size_t length = std::min(bytes.size(), expected.size());
    speak(seed, at, {expected.data(), length});
    if (!std::equal(expected.data(), expected.data() + length, bytes.data())) return false;
    bytes = bytes.subspan(length);
    at += length;
  }
  return true;
}

TcpTalker::TcpTalker(Role role, std::vector<Conversation>& conversations, TcpNet& net)
    : role_(role), conversations_(conversations), net_(net) {}

void TcpTalker::attach(TcpHost& host, IpAddress peer, std::uint16_t peer_port, std::uint8_t profile) {
  host_ = &host;
  peer_ = peer;
  peer_port_ = peer_port;
  profile_ = profile;
}

const Speech& TcpTalker::own(const Stream& s) const {
  return conversations_[s.conversation].speech[role_ == Role::connects ? 0 : 1];
}

const Speech& TcpTalker::other(const Stream& s) const {
  return conversations_[s.conversation].speech[role_ == Role::connects ? 1 : 0];
}

TcpTalker::Stream* TcpTalker::find(tcp::ConnectionId id) {
  const std::uint64_t user = host_->engine().user(id);
  if (user == 0 || user > streams_.size()) return nullptr;
  Stream& s = streams_[user - 1];
  return s.id == id ? &s : nullptr;
}

void TcpTalker::begin(std::uint32_t conversation, Nanos) {
  streams_.emplace_back();
  Stream& s = streams_.back();
  s.conversation = conversation;
  const std::uint16_t port = conversations_[conversation].port;
  const auto id =
      host_->engine().connect(host_->address(), peer_, peer_port_, tcp::PortSet::range(port, port), profile_);
  if (!id) {
    s.closed = true;  // refused for want of room, or the port is in TIME-WAIT: nobody has to hear of it
    s.was_reset = true;
    return;
  }
  s.id = *id;
  host_->engine().set_user(*id, streams_.size());
}

void TcpTalker::act(Nanos now) {
  if (role_ == Role::connects) {
    while (begun_ < conversations_.size() && conversations_[begun_].begin <= now) begin(begun_++, now);
  }
  for (Stream& s : streams_) {
    if (s.closed) continue;
    if (role_ == Role::connects && conversations_[s.conversation].abort_at <= now) {
      host_->engine().abort(s.id);
      s.closed = s.was_reset = true;
      continue;
    }
    if (s.next_read <= now) {
      s.next_read = kNever;
      read(s);
    }
    if (s.open && s.next_write <= now) write(s);
  }
}

Nanos TcpTalker::next_action() const {
  Nanos next = kNever;
  if (role_ == Role::connects && begun_ < conversations_.size()) next = conversations_[begun_].begin;
  for (const Stream& s : streams_) {
    if (s.closed) continue;
    next = std::min(next, s.next_read);
    if (s.open && !s.shut) next = std::min(next, s.next_write);
    if (role_ == Role::connects) next = std::min(next, conversations_[s.conversation].abort_at);
  }
  return next;
}

void TcpTalker::accepted(tcp::ConnectionId id, std::uint16_t) {
  const auto info = host_->engine().info(id);
  std::uint32_t number = 0;
  while (number < conversations_.size() && conversations_[number].port != info->tuple.src_port) ++number;
  if (number == conversations_.size()) return wrong("a connection from an unknown port was accepted");
  // Twice is possible only when the first attempt was given up by the one who connects.
  streams_.emplace_back();
  Stream& s = streams_.back();
  s.conversation = number;
  s.id = id;
  host_->engine().set_user(id, streams_.size());
  connected(id);
}

void TcpTalker::connected(tcp::ConnectionId id) {
  Stream* s = find(id);
  if (s == nullptr) return wrong("connected() for an unknown connection");
  s->open = true;
  write(*s);
}

void TcpTalker::write(Stream& s) {
  const Speech& speech = own(s);
  std::array<std::uint8_t, 16384> bytes;
  s.next_write = kNever;
  while (!s.shut && s.said < speech.bytes) {
    const std::uint32_t room = host_->engine().room(s.id);
    if (room == 0) return;
    const auto length = static_cast<std::size_t>(std::min(
        {speech.bytes - s.said, std::uint64_t{speech.chunk}, std::uint64_t{room}, std::uint64_t{bytes.size()}}));
    speak(speech.seed, s.said, {bytes.data(), length});
    if (!host_->engine().send_copy(s.id, {bytes.data(), length})) {
      s.next_write = net_.now() + 10 * kMillisecond;  // no buffer: later
      return;
    }
    s.said += length;
    if (speech.pause != 0 && s.said < speech.bytes) {
      s.next_write = net_.now() + speech.pause;
      return;
    }
  }
  maybe_shut(s);
}

void TcpTalker::maybe_shut(Stream& s) {
  if (s.shut || s.said < own(s).bytes || (!own(s).close_when_said && !s.fin)) return;
  s.shut = true;
  host_->engine().shutdown(s.id);
}

void TcpTalker::read(Stream& s) {
  const Speech& speech = other(s);
  tcp::Chain chain = host_->engine().receive(s.id, speech.read_at_once);
  chain.each([&](std::span<const std::uint8_t> part) {
    if (!as_spoken(speech.seed, s.heard, part)) wrong("bytes differ from what was said at " + std::to_string(s.heard));
    s.heard += part.size();
  });
  if (s.heard > speech.bytes) wrong("more was heard than said");
  host_->engine().consume(s.id, chain.bytes());
  const auto info = host_->engine().info(s.id);
  if (info && info->received != 0 && speech.read_pause != 0) s.next_read = net_.now() + speech.read_pause;
}

void TcpTalker::data(tcp::ConnectionId id) {
  Stream* s = find(id);
  if (s == nullptr) return wrong("data() for an unknown connection");
  if (!s->open) wrong("data() before the connection was reported");
  if (s->fin) wrong("data() after fin()");
  if (other(*s).read_pause == 0) return read(*s);
  if (s->next_read == kNever) s->next_read = net_.now() + other(*s).read_pause;
}

void TcpTalker::writable(tcp::ConnectionId id) {
  if (Stream* s = find(id)) write(*s);
}

void TcpTalker::fin(tcp::ConnectionId id) {
  Stream* s = find(id);
  if (s == nullptr) return wrong("fin() for an unknown connection");
  if (s->fin) wrong("fin() twice");
  s->fin = true;
  if (s->heard != other(*s).bytes) {
    wrong("fin() after " + std::to_string(s->heard) + " of " + std::to_string(other(*s).bytes) + " bytes");
  }
  maybe_shut(*s);
}

void TcpTalker::reset(tcp::ConnectionId id, tcp::CloseReason reason) {
  Stream* s = find(id);
  if (s == nullptr) return wrong("reset() for an unknown connection");
  s->was_reset = true;
  s->reason = reason;
}

void TcpTalker::closed(tcp::ConnectionId id, tcp::CloseReason reason) {
  Stream* s = find(id);
  if (s == nullptr) return wrong("closed() for an unknown connection");
  if (s->closed) wrong("closed() twice");
  s->closed = true;
  s->reason = reason;
  if (!s->was_reset && (!s->fin || !s->shut)) wrong("closed() in order before both sides were done");
}

// RFC 5681 3.1: after new data was sent, what is in flight is within the congestion window. A single segment always may
// go, and a tail loss probe asks no window (RFC 8985 7.3).
void TcpTalker::settled() {
  const std::uint64_t probes = host_->engine().counters().tail_probes;
  const bool probed = probes != probes_;
  probes_ = probes;
  for (Stream& s : streams_) {
    if (!s.open || s.closed) continue;
    const auto info = host_->engine().info(s.id);
    if (!info) continue;
    const std::uint64_t sent = info->bytes_acked + info->unacknowledged;
    const std::uint32_t allowed = std::max(info->cwnd, std::uint32_t{info->mss});
    if (sent > s.sent && info->flight > allowed && !probed) {
      wrong("new data was sent with " + std::to_string(info->flight) + " in flight and a window of " +
            std::to_string(info->cwnd));
    }
    s.sent = sent;
  }
}

bool TcpTalker::finished() const {
  if (role_ == Role::connects && begun_ < conversations_.size()) return false;
  return std::all_of(streams_.begin(), streams_.end(), [](const Stream& s) { return s.closed; });
}

std::string TcpTalker::report() const {
  std::string text;
  for (const Stream& s : streams_) {
    text += (role_ == Role::connects ? "connects " : "accepts ") + std::to_string(conversations_[s.conversation].port) +
            ": said " + std::to_string(s.said) + " of " + std::to_string(own(s).bytes) + ", heard " +
            std::to_string(s.heard) + " of " + std::to_string(other(s).bytes) + (s.open ? " open" : "") +
            (s.shut ? " shut" : "") + (s.fin ? " fin" : "") + (s.closed ? " closed" : "") +
            (s.was_reset ? " reset" : "") + " " + tcp::name_of(s.reason);
    if (const auto info = host_->engine().info(s.id)) {
      text += std::string(", ") + tcp::name_of(info->state) + " " + info->recovery + " unacked " +
              std::to_string(info->unacknowledged) + " unsent " + std::to_string(info->unsent) + " snd_wnd " +
              std::to_string(info->snd_wnd) + " rcv_wnd " + std::to_string(info->rcv_wnd) + " cwnd " +
              std::to_string(info->cwnd) + " flight " + std::to_string(info->flight) + " mss " +
              std::to_string(info->mss) + " received " + std::to_string(info->received) + " timeout " +
              std::to_string(info->timeout_ms);
    }
    text += '\n';
  }
  return text;
}

}  // namespace headgate::sim
