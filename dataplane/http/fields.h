// Header and trailer fields: where they are in the buffer that holds the head, and the incremental parser of a field
// section (RFC 9112 5, RFC 9110 5). Nothing is copied or allocated; a Field is 16 bytes of offsets.
//
// The buffer is one contiguous piece of memory that begins with the message and only grows at its end. It may be moved
// between calls: offsets are kept, not pointers.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "dataplane/http/limits.h"
#include "dataplane/http/reason.h"
#include "dataplane/http/scan.h"

namespace headgate::http {

enum class Progress : std::uint8_t { need_more, complete, refused };

// A part of the buffer.
struct Slice {
  std::uint32_t at = 0, length = 0;

  bool empty() const { return length == 0; }
  // Requires: the buffer that was parsed, or a longer one.
  std::string_view of(std::string_view buffer) const { return {buffer.data() + at, length}; }
};

// Fields that the proxy acts upon, sorted by length of the name and then by name.
// clang-format off
#define HEADGATE_HTTP_FIELDS(X) \
  X(te, "te") \
  X(via, "via") \
  X(date, "date") X(host, "host") \
  X(cookie, "cookie") X(expect, "expect") X(server, "server") \
  X(referer, "referer") X(trailer, "trailer") X(upgrade, "upgrade") \
  X(location, "location") \
  X(forwarded, "forwarded") X(x_real_ip, "x-real-ip") \
  X(connection, "connection") X(keep_alive, "keep-alive") X(set_cookie, "set-cookie") X(user_agent, "user-agent") \
  X(content_type, "content-type") X(max_forwards, "max-forwards") \
  X(authorization, "authorization") X(cache_control, "cache-control") X(content_range, "content-range") \
  X(content_length, "content-length") X(http2_settings, "http2-settings") \
  X(x_forwarded_for, "x-forwarded-for") \
  X(content_encoding, "content-encoding") X(proxy_connection, "proxy-connection") \
  X(x_forwarded_host, "x-forwarded-host") X(x_forwarded_port, "x-forwarded-port") \
  X(transfer_encoding, "transfer-encoding") X(x_forwarded_proto, "x-forwarded-proto") \
  X(proxy_authenticate, "proxy-authenticate") \
  X(proxy_authorization, "proxy-authorization")
// clang-format on

enum class FieldName : std::uint8_t {
#define X(name, text) name,
  HEADGATE_HTTP_FIELDS(X)
#undef X
      other
};
static_assert(static_cast<unsigned>(FieldName::other) < 64);

// Requires: every byte of `name` is of kToken. Case does not matter.
FieldName classify(std::string_view name);
std::string_view to_string(FieldName name);  // in lower case; "" for other

struct Field {
  std::uint32_t name_at = 0;
  std::uint32_t value_at = 0;
  std::uint32_t value_length = 0;  // without white space around it
  std::uint16_t name_length = 0;
  FieldName name = FieldName::other;
  bool hop = false;  // not to be forwarded: hop by hop, or written anew

  std::string_view name_in(std::string_view buffer) const { return {buffer.data() + name_at, name_length}; }
  std::string_view value_in(std::string_view buffer) const { return {buffer.data() + value_at, value_length}; }
};
static_assert(sizeof(Field) == 16);

template <std::size_t kCapacity>
struct FieldTable {
  std::uint64_t present = 0;  // one bit for each FieldName but `other`
  std::uint16_t count = 0;
  std::array<Field, kCapacity> fields;  // the first `count` are valid

  void clear() { present = count = 0; }
  bool has(FieldName name) const { return (present >> static_cast<unsigned>(name) & 1) != 0; }
  // The first field of this name. Requires: has(name).
  const Field& first(FieldName name) const {
    std::size_t i = 0;
    while (fields[i].name != name) ++i;
    return fields[i];
  }
  Field* begin() { return fields.data(); }
  Field* end() { return fields.data() + count; }
  const Field* begin() const { return fields.data(); }
  const Field* end() const { return fields.data() + count; }
};
using Fields = FieldTable<kFieldsMax>;
using Trailers = FieldTable<kTrailerFieldsMax>;

// The field lines of one section and the empty line behind them. Every byte is looked at once, however the input is
// cut, and the verdict does not depend on the cuts.
class FieldParser {
 public:
  // at: where the first field line begins in the buffer.
  void start(std::size_t at, std::size_t line_bytes, std::size_t fields);

  // Goes on in `buffer`, which is what it was in the last call and possibly more. complete: position() is behind the
  // empty line.
  template <std::size_t kCapacity>
  Progress advance(std::string_view buffer, const Scanner& scanner, FieldTable<kCapacity>& table);

  std::size_t position() const { return at_; }  // of the next byte to look at; after refused: of the one refused
  Reason reason() const { return reason_; }     // after refused

 private:
  enum class State : std::uint8_t { line, name, blank, value, line_feed, last_line_feed };
  enum class Step : std::uint8_t { next, field_done, need_more, complete, refused };

  Step read_line(std::string_view buffer, const Scanner& scanner, std::size_t count);
  Step begin_line(char c, std::size_t count);
  Step read_name(std::string_view buffer, const Scanner& scanner);
  Step skip_blanks(std::string_view buffer);
  Step read_value(std::string_view buffer, const Scanner& scanner);
  Step end_line(char c);
  Step refuse(Reason reason);
  Step refuse_line();

  std::size_t at_ = 0, line_at_ = 0;
  std::size_t line_bytes_ = 0, fields_max_ = 0;
  Field field_;
  State state_ = State::line;
  Reason reason_ = Reason::none;
};

}  // namespace headgate::http
