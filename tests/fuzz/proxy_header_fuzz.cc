// What a connection of a trusted proxy begins with: no cut of the bytes changes the verdict, and what was understood
// can be written and read again.
#include "dataplane/base/check.h"
#include "dataplane/proxy/header.h"

namespace headgate::proxy {
namespace {

void check_prefixes(std::span<const std::uint8_t> bytes, const ParsedHeader& whole) {
  for (std::size_t cut = 0; cut < bytes.size() && cut < kHeaderV2Max; ++cut) {
    const ParsedHeader part = parse_header(bytes.first(cut));
    if (part.verdict == HeaderVerdict::need_more) continue;
    HEADGATE_CHECK(part.verdict == whole.verdict);
    HEADGATE_CHECK(part.length == whole.length && part.from == whole.from);
  }
}

void check_again(const ParsedHeader& header) {
  for (const auto version : {snapshot::ProxyHeader::v1, snapshot::ProxyHeader::v2}) {
    HeaderBytes bytes;
    const std::size_t length = write_header(bytes, version, *header.from);
    const ParsedHeader again = parse_header(std::span(bytes).first(length));
    HEADGATE_CHECK(again.verdict == HeaderVerdict::complete && again.length == length && again.from == header.from);
  }
}

}  // namespace
}  // namespace headgate::proxy

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace headgate::proxy;
  const std::span<const std::uint8_t> bytes(data, size);
  const ParsedHeader whole = parse_header(bytes);
  if (whole.verdict == HeaderVerdict::need_more) HEADGATE_CHECK(size < kHeaderV2Max);
  if (whole.verdict == HeaderVerdict::complete) HEADGATE_CHECK(whole.length <= size && whole.length <= kHeaderV2Max);
  check_prefixes(bytes, whole);
  if (whole.from) check_again(whole);
  return 0;
}
