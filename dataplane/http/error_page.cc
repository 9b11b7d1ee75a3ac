#include "dataplane/http/error_page.h"

#include <algorithm>
#include <array>

#include "dataplane/http/text_writer.h"

namespace headgate::http {
namespace {

struct Page {
  unsigned status;
  const char *phrase, *body;
};

constexpr std::array kPages{
    Page{200, "OK", ""},
    Page{301, "Moved Permanently", "The page has moved.\n"},
    Page{302, "Found", "The page is elsewhere.\n"},
    Page{303, "See Other", "The answer is elsewhere.\n"},
    Page{307, "Temporary Redirect", "The page is elsewhere.\n"},
    Page{308, "Permanent Redirect", "The page has moved.\n"},
    Page{400, "Bad Request", "The request is malformed.\n"},
    Page{403, "Forbidden", "This is not allowed.\n"},
    Page{404, "Not Found", "There is nothing here.\n"},
    Page{405, "Method Not Allowed", "This method is not allowed here.\n"},
    Page{408, "Request Timeout", "The request took too long to arrive.\n"},
    Page{413, "Content Too Large", "The body of the request is too large.\n"},
    Page{414, "URI Too Long", "The address in the request is too long.\n"},
    Page{417, "Expectation Failed", "The expectation can not be met.\n"},
    Page{421, "Misdirected Request", "This connection does not serve that address.\n"},
    Page{429, "Too Many Requests", "Too many requests. Try again later.\n"},
    Page{431, "Request Header Fields Too Large", "The header fields of the request are too large.\n"},
    Page{500, "Internal Server Error", "Something went wrong here.\n"},
    Page{501, "Not Implemented", "This is not supported.\n"},
    Page{502, "Bad Gateway", "The server behind this one gave no valid answer.\n"},
    Page{503, "Service Unavailable", "No server is available. Try again later.\n"},
    Page{504, "Gateway Timeout", "The server behind this one took too long to answer.\n"},
    Page{505, "HTTP Version Not Supported", "This version of HTTP is not supported.\n"},
};

const Page* find(unsigned status) {
  const auto* const found = std::ranges::find(kPages, status, &Page::status);
  return found != kPages.end() ? found : nullptr;
}

}  // namespace

const char* error_phrase(unsigned status) {
  const Page* page = find(status);
  return page != nullptr ? page->phrase : nullptr;
}

std::size_t write_error(const ErrorAnswer& answer, std::span<char> out) {
  const Page* page = find(answer.status);
  if (page == nullptr) return 0;
  const std::string_view body = answer.body.empty() ? page->body : answer.body;
  TextWriter writer(out);
  writer.text("HTTP/1.1 ").number(answer.status).text(" ").text(page->phrase).text("\r\n");
  if (!answer.date.empty()) writer.text("Date: ").text(answer.date).text("\r\n");
  if (!answer.location.empty()) writer.text("Location: ").text(answer.location).text("\r\n");
  if (answer.retry_after_s != 0) writer.text("Retry-After: ").number(answer.retry_after_s).text("\r\n");
  if (!body.empty()) {
    writer.text(answer.body.empty() ? "Content-Type: text/plain\r\n" : "Content-Type: text/html; charset=utf-8\r\n");
  }
  // Not to be kept by caches on the way: what it says is true for a moment.
  writer.text("Cache-Control: no-store\r\nContent-Length: ").number(body.size()).text("\r\n");
  if (!answer.keep) {
    writer.text("Connection: close\r\n");
  } else if (answer.client_http10) {
    writer.text("Connection: keep-alive\r\n");
  }
  writer.text("\r\n");
  if (!answer.head_only) writer.text(body);
  return writer.fits() ? writer.written().size() : 0;
}

std::string_view continue_response() {
  return "HTTP/1.1 100 Continue\r\n\r\n";
}

}  // namespace headgate::http
