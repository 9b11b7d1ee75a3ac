// Text into memory of fixed size, without allocation: what does not fit is left out and remembered.
#pragma once

#include <arpa/inet.h>

#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "dataplane/base/ip.h"

namespace headgate::http {

class TextWriter {
 public:
  explicit TextWriter(std::span<char> space) : space_(space) {}

  TextWriter& text(std::string_view text) {
    if (text.size() > space_.size() - used_) {
      fits_ = false;
    } else if (!text.empty()) {
      std::memcpy(space_.data() + used_, text.data(), text.size());
      used_ += text.size();
    }
    return *this;
  }
  TextWriter& number(std::uint64_t number) {
    std::array<char, 20> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
    return text({digits.data(), static_cast<std::size_t>(end - digits.data())});
  }
  // At least two digits.
  TextWriter& two_digits(unsigned number) {
    if (number < 10) text("0");
    return this->number(number);
  }
  // As in RFC 5952, without brackets.
  TextWriter& address(const IpAddress& address) {
    std::array<char, INET6_ADDRSTRLEN> digits;
    if (!address.is_v4()) return text(inet_ntop(AF_INET6, address.bytes.data(), digits.data(), digits.size()));
    const std::uint8_t* bytes = address.v4_bytes();
    for (int i = 0; i < 4; ++i) (i == 0 ? *this : text(".")).number(bytes[i]);
    return *this;
  }

  bool fits() const { return fits_; }
  std::string_view written() const { return {space_.data(), used_}; }

 private:
  std::span<char> space_;
  std::size_t used_ = 0;
  bool fits_ = true;
};

}  // namespace headgate::http
