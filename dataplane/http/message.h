// What a parsed head means. Slices are offsets into the buffer that was parsed; see fields.h.
#pragma once

#include <cstdint>
#include <optional>

#include "dataplane/http/fields.h"

namespace headgate::http {

enum class Method : std::uint8_t { get, head, post, put, delete_, options, patch, trace, connect, other };

// How the end of a body is found (RFC 9112 6.3).
enum class BodyKind : std::uint8_t {
  none,
  length,  // content_length bytes
  chunked,
  until_close  // responses only
};

// What Connection said.
struct ConnectionOptions {
  bool close = false, keep_alive = false, upgrade = false, te = false;
};

struct Head {
  std::uint32_t bytes = 0;         // of the head with its empty line: the body begins here
  std::uint8_t minor_version = 1;  // 0 or 1; 1.2 and above count as 1.1 (RFC 9110 2.5)
  BodyKind body = BodyKind::none;
  ConnectionOptions connection;
  bool keep_alive = false;           // the sender is willing (RFC 9112 9.3)
  std::uint64_t content_length = 0;  // as given, also where there is no body (HEAD, 304)
  Slice upgrade;                     // the one protocol that is asked for or switched to; empty: none
  Fields fields;

  // As before the first byte; the array of fields is left as it is.
  void clear() {
    bytes = 0;
    minor_version = 1;
    body = BodyKind::none;
    connection = {};
    keep_alive = false;
    content_length = 0;
    upgrade = {};
    fields.clear();
  }
};

enum class TargetForm : std::uint8_t { origin, absolute, asterisk };

struct RequestHead : Head {
  Method method = Method::other;
  TargetForm form = TargetForm::origin;
  Slice line;  // the request line with its CRLF
  Slice method_text;
  Slice target;
  Slice path;       // begins with "/"; empty: "/" of an absolute form, or "*"
  Slice query;      // with its "?"; empty: none
  Slice authority;  // of the target when it has one, of Host else; empty: HTTP/1.0 without Host. Valid otherwise.
  bool expect_continue = false;               // wants 100 before it sends the body, and may have it
  bool trailers_welcome = false;              // TE: trailers
  std::optional<std::uint32_t> max_forwards;  // of OPTIONS and TRACE
};

struct ResponseHead : Head {
  std::uint16_t status = 0;
  Slice line;    // the status line with its CRLF
  Slice reason;  // may be empty

  bool interim() const { return status < 200 && status != 101; }
};

}  // namespace headgate::http
