// The strict, incremental parser of response heads that backends send (RFC 9112 4 to 6, RFC 9110 15). As
// request_parser.h, on the other side: what is refused is answered with 502 to the client, and the backend connection
// is closed.
//
//   ResponseParser parser(limits, scanner);
//   parser.start(Method::get, "");             // of the request that is answered
//   parser.parse(buffer) ...                   // complete: head(); when head().interim(), next_after_interim() and
//   again
//                                              // with a buffer that begins behind it
//
// Stricter than RFC 9112 5.1, by which white space before a colon is to be removed from a response: a backend whose
// fields two readers see differently is broken, and guessing for it is how responses get split.
#pragma once

#include "dataplane/http/message.h"

namespace headgate::http {

class ResponseParser {
 public:
  explicit ResponseParser(const Limits& limits, const Scanner& scanner = kSse42Scanner);

  // upgrade: the protocol that the forwarded request asked for, empty for none. Borrowed until the next start().
  void start(Method request_method, std::string_view upgrade);
  void next_after_interim();  // Requires: complete, head().interim()

  // buffer: all that was received of this response and possibly more. Requires: need_more so far.
  Progress parse(std::string_view buffer);

  const ResponseHead& head() const { return head_; }  // Requires: complete
  Reason reason() const { return reason_; }           // Requires: refused
  std::size_t position() const { return at_; }
  bool begun() const { return at_ != 0; }  // any byte of it came: a request is not tried again after that

 private:
  enum class State : std::uint8_t { version, status, phrase, line_feed, fields };

  bool refuse(Reason reason);
  bool read_version(std::string_view input);
  bool read_status(std::string_view input);
  bool read_phrase(std::string_view input);
  bool end_line(std::string_view input);
  void clear();

  Progress finish(std::string_view buffer);
  Reason judge(std::string_view buffer);
  Reason judge_upgrade(std::string_view buffer);

  Limits limits_;
  const Scanner* scanner_;
  ResponseHead head_;
  FieldParser fields_;
  std::string_view upgrade_;
  std::size_t at_ = 0, token_at_ = 0;
  unsigned interim_ = 0;
  State state_ = State::version;
  Method request_method_ = Method::get;
  Reason reason_ = Reason::none;
};

}  // namespace headgate::http
