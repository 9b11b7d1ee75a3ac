// What a worker decides when it makes an engine: sizes, secrets, and profiles for listeners and connects. Memory is
// reserved at construction and touched as it is first used.
#pragma once

#include <cstdint>
#include <vector>

#include "dataplane/base/siphash.h"
#include "dataplane/base/time.h"

namespace headgate::tcp {

// Features are negotiable one by one: off here means neither offered nor accepted.
struct Profile {
  std::uint32_t receive_buffer = 256 * 1024;  // bytes not consumed; at most 1 GiB (RFC 7323 2.3)
  std::uint32_t send_buffer = 256 * 1024;     // bytes that send() takes before it asks to wait for writable
  bool window_scaling = true, timestamps = true, sack = true;
  bool nodelay = true;        // false: Nagle (RFC 9293 3.7.4)
  bool spurious_undo = true;  // F-RTO (RFC 5682) and Eifel detection (RFC 3522)
  bool cubic = false;         // RFC 9438 instead of Reno
  bool rack = false;          // RACK-TLP (RFC 8985) instead of duplicate thresholds alone
  bool prr = false;           // RFC 6937
  bool ecn = false;           // RFC 3168
  bool real_entries = false;  // no cookies: for servers that speak first, whose client may wait for ever (RFC 4987 3.6)
  Nanos keepalive_idle = 0;   // 0 = off (RFC 9293 MUST-25)
  Nanos keepalive_interval = 75 * kSecond;
  unsigned keepalive_probes = 9;
  Nanos give_up = 15 * 60 * kSecond;  // R2: no progress for so long ends the connection (RFC 9293 3.8.3)
  Nanos half_closed = 0;              // in FIN-WAIT-2 without a word from the peer; 0 = for ever
};

struct Config {
  std::uint32_t connections = 1024;
  std::uint32_t half_open = 1024;
  std::uint32_t time_waits = 1024;
  std::uint32_t pieces = 16 * 1024;    // descriptors of queued payload
  std::uint32_t troubled = 256;        // connections that suspect loss at once; others recover by timeout alone
  std::uint32_t reassemblies = 256;    // connections that hold data out of order at once
  std::uint64_t memory = 64ull << 20;  // true size of all buffers held; watermarks in memory.h
  std::uint32_t mtu = 1500;
  unsigned cookies_above_percent = 75;  // of half_open
  unsigned timers_at_once = 64;         // in one advance(), about; next_deadline() says when some are left
  Nanos time_wait = 60 * kSecond;
  SipKey secret{};                           // random per boot
  std::vector<Profile> profiles{Profile{}};  // at most 255; listeners and connects name one by index
};

}  // namespace headgate::tcp
