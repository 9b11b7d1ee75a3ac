// The keys that sign the persistence cookies of HTTP services: made on the box at its first start, kept over restarts,
// and the same on both boxes of a pair, so that a client finds its backend again after a restart and after a failover.
//
// On disk, readable by this process only: DIRECTORY/cookie.keys, a key a line in hexadecimal. The first one signs, all
// are believed. They leave the box by the snapshot, whose copy is readable by the dataplane alone, and by the HA link,
// which is encrypted; nothing here puts them anywhere else, a log or an error included.
//
// Two boxes that meet say what they have and both make the same list of it (merged()): side A's first key signs on
// both, side B's own is believed on, so that cookies from before the pairing stay good.
//
// Thread rule: that of the io_context.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "controlplane/config/disk.h"
#include "controlplane/failover/link.h"

namespace headgate::failover {

using CookieKey = std::array<std::uint8_t, 16>;
inline constexpr std::size_t kCookieKeysMax = 3;

// Of the keys of both sides, each in order: the first of either side, then the others; at most kCookieKeysMax.
std::vector<CookieKey> merged(const std::vector<CookieKey>& side_a, const std::vector<CookieKey>& side_b);

class CookieKeys final : public LinkPart {
 public:
  CookieKeys(config::Disk& disk, std::string directory, HaLink::Log log)
      : disk_(disk), directory_(std::move(directory)), log_(std::move(log)) {}

  // Makes a key at first, and in place of a file that cannot be read. After an error there are none.
  config::Result<void> open();
  const std::vector<CookieKey>& keys() const { return keys_; }
  // Other keys are in force from now on.
  void on_change(std::function<void()> listener) { listener_ = std::move(listener); }

  void configured(Wire& wire, const std::optional<LinkSettings>& settings) override;
  void began(Wire& wire, const ha::v1::Hello& peer) override;
  bool message(const ha::v1::Envelope& envelope) override;

 private:
  std::string path() const { return directory_ + "/cookie.keys"; }
  config::Result<void> keep(std::vector<CookieKey> keys);

  config::Disk& disk_;
  const std::string directory_;
  const HaLink::Log log_;
  bool side_a_ = true;
  std::vector<CookieKey> keys_;
  std::function<void()> listener_;
};

}  // namespace headgate::failover
