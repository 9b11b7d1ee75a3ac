#include "dataplane/tcp/segment.h"

#include "dataplane/base/byte_order.h"

namespace headgate::tcp {

bool parse_header(std::span<const std::uint8_t> bytes, Header& header) {
  if (bytes.size() < 20) return false;
  const std::size_t length = (bytes[12] >> 4) * std::size_t{4};
  if (length < 20 || length > bytes.size()) return false;
  header.src_port = load_be16(&bytes[0]);
  header.dst_port = load_be16(&bytes[2]);
  header.seq = {load_be32(&bytes[4])};
  header.ack = {load_be32(&bytes[8])};
  header.flags = bytes[13];
  header.window = load_be16(&bytes[14]);
  header.length = static_cast<std::uint8_t>(length);
  header.options = {};
  return length == 20 || parse_options(bytes.subspan(20, length - 20), header.options);
}

std::size_t write_header(std::uint8_t* out, const Header& header) {
  const std::size_t length = 20 + write_options(out + 20, header.options);
  store_be16(out, header.src_port);
  store_be16(out + 2, header.dst_port);
  store_be32(out + 4, header.seq.value);
  store_be32(out + 8, header.ack.value);
  out[12] = static_cast<std::uint8_t>(length / 4 << 4);
  out[13] = header.flags;
  store_be16(out + 14, header.window);
  store_be32(out + 16, 0);  // checksum, urgent pointer
  return length;
}

}  // namespace headgate::tcp
