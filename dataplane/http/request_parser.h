// The strict, incremental parser of request heads (RFC 9112 2 to 6, RFC 9110 7). Pure: no allocation, no clock, one
// thread at a time.
//
//   RequestParser parser(options);            // options: of the service, shared by its connections
//   switch (parser.parse(buffer)) ...         // again with a longer buffer while need_more
//   const RequestHead& head = parser.head();  // after complete; body and next request begin at head.bytes
//   parser.reset();                           // for the next request, in a buffer that begins with it
//
// However the input is cut, each byte is looked at once and the verdict is the same, as soon as the bytes that decide
// it are there. What is refused is answered with request_status(reason()) and `Connection: close`; nothing of it goes
// to a backend.
#pragma once

#include "dataplane/http/message.h"

namespace headgate::http {

// Names with "_" (RFC 9110 allows them): servers that hand fields to programs as variables take X_Forwarded_For for
// X-Forwarded-For.
enum class Underscores : std::uint8_t { drop, refuse, keep };
// Protocols that a client may ask to switch to. "h2c" never: it would carry requests that nobody looked at.
enum class Upgrades : std::uint8_t { none, websocket, any };

struct RequestOptions {
  Limits limits;
  Underscores underscores = Underscores::drop;
  Upgrades upgrades = Upgrades::websocket;
  bool trace = false;   // TRACE is forwarded
  bool secure = false;  // the connection is TLS: its scheme is https
  const Scanner* scanner = &kSse42Scanner;
};

class RequestParser {
 public:
  // options: borrowed. Requires: limits within those of limits.h.
  explicit RequestParser(const RequestOptions& options);

  // buffer: all that was received of this request and possibly more. Requires: need_more so far.
  Progress parse(std::string_view buffer);

  const RequestHead& head() const { return head_; }  // Requires: complete
  Reason reason() const { return reason_; }          // Requires: refused
  std::size_t position() const { return at_; }       // of the byte that was refused, or the next one to look at
  // Whether any byte of a request came, but for empty lines: a client that leaves before that broke nothing off.
  bool begun() const { return state_ != State::empty_line && state_ != State::empty_line_feed; }
  void reset();
  void reset(const RequestOptions& options);  // from here with other options, likewise borrowed

 private:
  enum class State : std::uint8_t { empty_line, empty_line_feed, method, target, version, fields };

  bool refuse(Reason reason);
  bool refuse_beyond(std::size_t limit, Reason reason);
  // Each goes on to the next state, or returns false: refused (reason_ says why) or out of input.
  bool skip_empty_line(std::string_view input);
  bool read_method(std::string_view input);
  bool read_target(std::string_view input);
  bool read_version(std::string_view input);
  bool read_version_slowly(std::string_view input);
  bool end_version();

  Progress finish(std::string_view buffer);
  Reason judge(std::string_view buffer);
  Reason judge_target(std::string_view buffer);
  Reason split_absolute(std::string_view buffer);
  void split_path(std::string_view buffer, std::size_t at);
  Reason judge_host(std::string_view buffer);
  Reason judge_fields(std::string_view buffer);
  void choose_upgrade(std::string_view buffer);

  const RequestOptions* options_;
  RequestHead head_;
  FieldParser fields_;
  std::size_t at_ = 0, token_at_ = 0;
  State state_ = State::empty_line;
  Reason reason_ = Reason::none;
};

}  // namespace headgate::http
