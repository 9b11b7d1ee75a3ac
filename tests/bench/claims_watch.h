// Listens at ports of a bridge for claims of one address, and asks each port's box for it by ARP every few
// milliseconds, so that a box says what it believes also while the bridge sends it no traffic. Thread rule: one thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/base/result.h"
#include "tests/bench/claims.h"

namespace headgate::bench {

class ClaimsWatch {
 public:
  // The question's sender is `bridge`'s own MAC and `asker`. Addresses: host byte order.
  static Result<ClaimsWatch> open(const std::vector<std::string>& ports, const std::string& bridge,
                                  std::uint32_t address, std::uint32_t asker);
  const std::vector<int>& sockets() const { return sockets_; }
  void receive(std::size_t port);
  void ask();
  void mark(Nanos now) { claims_.mark(now); }
  // "" or what is wrong with the name.
  std::string ignore(const std::string& port, bool ignored);
  // {"overlap_ms", "ports": {NAME: {"claims", "first_ms", "last_ms"}}}
  std::string report() const;

 private:
  explicit ClaimsWatch(std::vector<std::string> ports) : ports_(std::move(ports)), claims_(ports_.size()) {}
  std::vector<std::string> ports_;
  std::vector<int> sockets_;
  std::uint32_t address_ = 0;
  std::array<std::uint8_t, 42> question_{};
  Claims claims_;
};

}  // namespace headgate::bench
