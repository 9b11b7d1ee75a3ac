// Why a message is refused: the one list of this folder. Every entry has a name for logs and metrics, the status that
// answers it when it is about a request, and a sentence. A response that a backend sent is answered by 502 whatever was
// wrong with it.
#pragma once

#include <cstdint>

namespace headgate::http {

// clang-format off
#define HEADGATE_HTTP_REASONS(X) \
  X(none,                        0, "nothing was wrong") \
  X(empty_lines,               400, "more than one empty line comes before the request") \
  X(bad_method,                400, "the method is missing or has a byte that no method may have") \
  X(method_unknown,            501, "the method is not in capital letters, or longer than any that is known") \
  X(method_refused,            501, "CONNECT and TRACE are not served here") \
  X(bad_target,                400, "the request target is missing or has a byte that must be percent-encoded") \
  X(bad_target_form,           400, "the request target is neither a path, nor an http URI, nor the * of OPTIONS") \
  X(target_too_long,           414, "the request target is longer than its limit") \
  X(misdirected,               421, "the request is for another scheme than the connection's") \
  X(missing_version,           400, "the request line ends without a version") \
  X(bad_version,               400, "the version is not written as HTTP/1.1 is") \
  X(version_unsupported,       505, "a major version other than 1") \
  X(bad_line_end,              400, "a CR or LF that is not part of CRLF") \
  X(leading_space,             400, "white space before the first header field") \
  X(obs_fold,                  400, "a header field is continued on the next line") \
  X(empty_name,                400, "a header field has no name") \
  X(space_in_name,             400, "white space before the colon of a header field") \
  X(missing_colon,             400, "a header line has no colon") \
  X(bad_name,                  400, "the name of a header field has a byte that no name may have") \
  X(bad_value,                 400, "the value of a header field has a control byte") \
  X(underscore_in_name,        400, "the name of a header field has an underscore, which servers read as a hyphen") \
  X(field_too_large,           431, "one header field is larger than its limit") \
  X(too_many_fields,           431, "more header fields than the limit") \
  X(head_too_large,            431, "all header fields together are larger than their limit") \
  X(missing_host,              400, "an HTTP/1.1 request without Host") \
  X(repeated_host,             400, "more than one Host") \
  X(bad_host,                  400, "Host, or the host of the target, is not a name or address with an optional port") \
  X(host_mismatch,             400, "Host differs from the host of the target") \
  X(repeated_content_length,   400, "more than one Content-Length") \
  X(bad_content_length,        400, "Content-Length is not a number, or larger than 2^63 - 1") \
  X(body_too_large,            413, "the body is larger than its limit") \
  X(length_and_encoding,       400, "Content-Length together with Transfer-Encoding") \
  X(encoding_in_http10,        400, "Transfer-Encoding in HTTP/1.0") \
  X(repeated_encoding,         400, "more than one Transfer-Encoding, or chunked more than once") \
  X(bad_encoding,              400, "Transfer-Encoding is not a list of codings") \
  X(chunked_not_last,          400, "chunked is not the last transfer coding") \
  X(encoding_unsupported,      501, "a transfer coding other than chunked") \
  X(bad_connection,            400, "Connection is not a short list of options") \
  X(connection_names_framing,  400, "Connection names a field without which the message means something else") \
  X(bad_expectation,           417, "Expect asks for something other than 100-continue") \
  X(bad_max_forwards,          400, "Max-Forwards is repeated or not a number") \
  X(bad_chunk_size,            400, "a chunk size is not a plain hexadecimal number") \
  X(chunk_too_large,           400, "a chunk size is larger than 2^63 - 1 or longer than 16 digits") \
  X(bad_chunk_extension,       400, "a chunk extension is malformed") \
  X(chunk_extension_too_large, 400, "the extensions of a chunk, or of all chunks, are larger than their limit") \
  X(bad_chunk_end,             400, "a chunk is longer or shorter than its size") \
  X(trailers_too_large,        431, "the trailer section is larger than its limit") \
  X(bad_percent,               400, "a % in the path without two hexadecimal digits") \
  X(encoded_nul,               400, "an encoded zero byte in the path") \
  X(encoded_slash,             400, "an encoded slash or backslash, or a plain backslash, in the path") \
  X(above_root,                400, "dot segments lead above the root") \
  X(dot_parameter,             400, "a dot segment with a parameter, which servers read differently") \
  X(head_not_writable,         431, "the head with what is added to it has no place in its buffer") \
  X(unsafe_value,              400, "a value to be written into a head has a byte that could end it") \
  X(bad_status_line,           502, "the status line of a response is malformed") \
  X(bad_status,                502, "the status of a response is not in 100 to 599") \
  X(response_version,          502, "the version of a response is not HTTP/1") \
  X(unexpected_upgrade,        502, "101 to a request that did not ask for this protocol") \
  X(too_many_interim,          502, "too many 1xx responses before the final one") \
  X(truncated,                 400, "the connection ended in the middle of a message")
// clang-format on

enum class Reason : std::uint8_t {
#define X(name, status, text) name,
  HEADGATE_HTTP_REASONS(X)
#undef X
      count
};
inline constexpr unsigned kReasons = static_cast<unsigned>(Reason::count);

const char* to_string(Reason reason);    // "bad_host"
const char* describe(Reason reason);     // the sentence
unsigned request_status(Reason reason);  // 400 to 505 for the client whose request it is about; 0 for none
inline constexpr unsigned kResponseStatus = 502;

}  // namespace headgate::http
