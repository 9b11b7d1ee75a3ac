// The PROXY protocol (haproxy.org/download/2.8/doc/proxy-protocol.txt, versions 1 and 2): who a connection really comes
// from, as its first bytes. Pure functions over bytes.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "dataplane/base/tuple.h"
#include "dataplane/snapshot/http_spec.h"

namespace headgate::proxy {

inline constexpr std::size_t kHeaderV1Max = 107;  // section 2.1, with its CRLF
inline constexpr std::size_t kHeaderV2Max = 536;  // section 2.2: what a sender may count on; longer ones are refused

using HeaderBytes = std::array<std::uint8_t, kHeaderV1Max>;

// Returns the length. `from` is as segments arrive: src is the client. Requires: version is v1 or v2.
std::size_t write_header(HeaderBytes& out, snapshot::ProxyHeader version, const Tuple& from);

enum class HeaderVerdict : std::uint8_t { need_more, complete, refused };

struct ParsedHeader {
  HeaderVerdict verdict = HeaderVerdict::need_more;
  std::size_t length = 0;  // complete: bytes of the header, which are not the connection's
  std::optional<Tuple>
      from{};  // complete: whom it names (src is the client); none: LOCAL, UNKNOWN, or no TCP: the peer
};

// What a connection begins with. Strict: what is no header of version 1 or 2 to the letter is refused, as soon as that
// is certain. Looks at no more than kHeaderV2Max bytes; with so many it needs no more.
ParsedHeader parse_header(std::span<const std::uint8_t> bytes);

}  // namespace headgate::proxy
