#include "dataplane/tcp/congestion.h"

#include <algorithm>

#include "dataplane/tcp/acknowledge.h"

namespace headgate::tcp {
namespace {

constexpr std::uint32_t kWindowMax = 1u << 30;  // RFC 7323 2.3: more can never be in flight

// RFC 9438 4.1: beta 0.7, C 0.4 segments per second cubed.
constexpr std::uint32_t kBetaTenths = 7;

std::uint32_t slow_start(const Connection& c, std::uint32_t acked, bool after_timeout) {
  return std::min(acked, (after_timeout ? 1u : 2u) * c.mss);  // RFC 3465 2.2, 2.3: L = 2, 1 after a timeout
}

void start_epoch(Connection& c, Tick now) {
  Cubic& q = c.cubic;
  q.epoch = now == 0 ? 1 : now;
  q.w_est = c.cwnd;
  q.credit = 0;
  if (c.cwnd < q.w_max) {
    // K = cbrt((W_max - cwnd) / C), windows in segments, K in milliseconds (RFC 9438 equation 2).
    q.k = cube_root(static_cast<std::uint64_t>(q.w_max - c.cwnd) * 2'500'000'000ull / c.mss);
    q.origin = q.w_max;
  } else {
    q.k = 0;
    q.origin = c.cwnd;
  }
}

// W_cubic at `t` milliseconds of the epoch (RFC 9438 equation 1).
std::uint32_t cubic_window(const Connection& c, std::uint32_t t) {
  const Cubic& q = c.cubic;
  const bool below = t < q.k;
  const std::uint64_t distance = std::min<std::uint64_t>(below ? q.k - t : t - q.k, 50'000);  // fits 64 bits below
  const std::uint64_t delta = distance * distance * distance / 1'000'000 * c.mss * 4 / 10 / 1'000;
  if (below) return q.origin > delta ? q.origin - static_cast<std::uint32_t>(delta) : 0;
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(q.origin + delta, kWindowMax));
}

void grow_cubic(Core& k, Connection& c, std::uint32_t acked) {
  Cubic& q = c.cubic;
  const Tick now = tick_of(k.now);
  if (q.epoch == 0) start_epoch(c, now);
  // Reno's estimate: 3 (1 - beta) / (1 + beta) = 9/17 of a segment per window until it is back at W_max (4.3).
  const std::uint64_t share = static_cast<std::uint64_t>(acked) * c.mss;
  const bool recovered = q.w_est >= q.w_max;
  q.w_est += static_cast<std::uint32_t>(recovered ? share / c.cwnd : share * 9 / 17 / c.cwnd);
  const std::uint32_t t = now - q.epoch + c.srtt8 / 8000;  // one round trip ahead (4.2)
  const std::uint32_t target = std::clamp(cubic_window(c, t), c.cwnd, c.cwnd + c.cwnd / 2);
  // target - cwnd over one window of acknowledgments, in whole bytes: what is left over counts next time.
  const std::uint64_t due = static_cast<std::uint64_t>(target - c.cwnd) * acked + q.credit;
  c.cwnd = std::min<std::uint32_t>(kWindowMax, c.cwnd + static_cast<std::uint32_t>(due / c.cwnd));
  q.credit = static_cast<std::uint32_t>(due % c.cwnd);
  c.cwnd = std::max(c.cwnd, std::min(q.w_est, kWindowMax));
}

void grow_reno(Connection& c, std::uint32_t acked) {
  c.cubic.credit += acked;  // RFC 5681 3.1: a segment per window, by bytes
  if (c.cubic.credit < c.cwnd) return;
  c.cubic.credit -= c.cwnd;
  c.cwnd = std::min(kWindowMax, c.cwnd + c.mss);
}

}  // namespace

std::uint32_t initial_window(const Connection& c) {
  return std::min<std::uint32_t>(10u * c.mss, std::max<std::uint32_t>(2u * c.mss, 14600));  // RFC 6928 2
}

void restart_after_idle(Core& k, Connection& c) {
  if (c.srtt8 == 0 || tick_of(k.now) - c.last_sent < timeout_of(c) / kTick) return;
  c.cwnd = std::min(c.cwnd, initial_window(c));
  c.cubic.epoch = 0;
  c.cwnd_limited = false;
}

void grow_window(Core& k, Connection& c, const AckSummary& summary) {
  if (summary.acked == 0 || !c.cwnd_limited) return;
  const Recovery* r = k.recovery(c);
  if (r != nullptr && (r->mode == Recovery::Mode::fast || r->frto != 0)) return;
  if (c.cwnd < c.ssthresh) {
    const bool after_timeout = r != nullptr && r->mode == Recovery::Mode::timeout;
    c.cwnd = std::min(kWindowMax, c.cwnd + slow_start(c, summary.acked, after_timeout));
  } else if (k.profile(c).cubic) {
    grow_cubic(k, c, summary.acked);
  } else {
    grow_reno(c, summary.acked);
  }
}

std::uint32_t reduced_window(Core& k, Connection& c) {
  const std::uint32_t floor = 2u * c.mss, in_flight = std::min(c.cwnd, c.unacknowledged());
  c.cubic.credit = 0;
  if (!k.profile(c).cubic) return std::max(in_flight / 2, floor);
  Cubic& q = c.cubic;
  q.epoch = 0;
  // Fast convergence (RFC 9438 4.7): whose windows shrink leaves room for others.
  q.w_max = c.cwnd < q.w_max ? c.cwnd / 20 * 17 : c.cwnd;
  return std::max(in_flight / 10 * kBetaTenths, floor);
}

void on_ecn_echo(Core& k, Connection& c, const Segment& s) {
  if (!c.ecn || !s.has(kEce) || s.has(kSyn)) return;
  const Recovery* r = k.recovery(c);
  if (c.cwr || (r != nullptr && r->mode != Recovery::Mode::disorder)) return;
  // Once per window (RFC 3168 6.1.2): until what was sent before the reduction is acknowledged.
  if (c.ecn_reduced && c.snd_una < c.ecn_point) return;
  c.ssthresh = reduced_window(k, c);
  c.cwnd = std::min(c.cwnd, c.ssthresh);
  c.cwr = true;
  c.ecn_point = c.snd_nxt;
  c.ecn_reduced = true;
}

std::uint32_t cube_root(std::uint64_t value) {
  std::uint64_t root = 0;
  for (int shift = 63; shift >= 0; shift -= 3) {
    root <<= 1;
    const std::uint64_t next = 3 * root * (root + 1) + 1;
    if (value >> shift >= next) {
      value -= next << shift;
      ++root;
    }
  }
  return static_cast<std::uint32_t>(root);
}

}  // namespace headgate::tcp
