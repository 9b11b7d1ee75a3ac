// Answers that the proxy gives itself: plain text, one line, nothing of the request in it.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace headgate::http {

// "Bad Request"; null when there is no page for the status: 200 (to OPTIONS that goes no further), the redirects, 400,
// 403, 404, 405, 408, 413, 414, 417, 421, 429, 431, 500 to 505.
const char* error_phrase(unsigned status);

struct ErrorAnswer {
  unsigned status = 500;
  bool head_only = false;  // to HEAD: the same fields and no body
  bool keep = false;       // the connection goes on: only behind a request that was read to its end
  bool client_http10 = false;
  std::uint32_t retry_after_s = 0;  // of 503 and 429; 0: none
  std::string_view location{};      // of a redirect, from write_location()
  std::string_view date{};          // IMF-fixdate; empty: none
  std::string_view body{};          // the operator's own page, text/html; empty: the plain one
};

// The whole response; its length, 0 when it does not fit (512 bytes suffice, and what location and body need) or there
// is no page for the status.
std::size_t write_error(const ErrorAnswer& answer, std::span<char> out);

// "HTTP/1.1 100 Continue\r\n\r\n": from the proxy itself, at most once a request.
std::string_view continue_response();

}  // namespace headgate::http
