#include "dataplane/http/access_log.h"

#include <array>
#include <chrono>

#include "dataplane/base/check.h"
#include "dataplane/http/text_writer.h"

namespace headgate::http {
namespace {

struct Entry {
  const char *name, *text;
};
constexpr std::array<Entry, kTerminations> kEntries{{
#define X(name, text) {#name, text},
    HEADGATE_HTTP_TERMINATIONS(X)
#undef X
}};

constexpr std::array kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
constexpr std::array kDays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};

struct Moment {
  std::chrono::year_month_day date;
  std::chrono::hh_mm_ss<std::chrono::seconds> time;
  unsigned weekday;

  explicit Moment(std::chrono::sys_seconds at)
      : date(std::chrono::floor<std::chrono::days>(at)),
        time(at - std::chrono::floor<std::chrono::days>(at)),
        weekday(std::chrono::weekday(std::chrono::floor<std::chrono::days>(at)).c_encoding()) {}

  const char* month() const { return kMonths[static_cast<unsigned>(date.month()) - 1]; }
  unsigned day() const { return static_cast<unsigned>(date.day()); }
  std::uint64_t year() const { return static_cast<std::uint64_t>(static_cast<int>(date.year())); }
  void write_time(TextWriter& writer) const {
    writer.two_digits(static_cast<unsigned>(time.hours().count())).text(":");
    writer.two_digits(static_cast<unsigned>(time.minutes().count())).text(":");
    writer.two_digits(static_cast<unsigned>(time.seconds().count()));
  }
};

// Years of four digits: the clock of a box may be wrong, but not that wrong.
Moment moment(std::int64_t unix_s) {
  constexpr std::int64_t kLast = 253'402'300'799;
  return Moment(std::chrono::sys_seconds(std::chrono::seconds(unix_s < 0 ? 0 : unix_s > kLast ? kLast : unix_s)));
}

void write_escaped(std::string_view text, TextWriter& writer) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::size_t written = 0;
  std::size_t plain = 0;  // where the run that needs no escape begins
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool odd = byte < 0x20 || byte >= 0x7f || byte == '"' || byte == '\\';
    if (written + (odd ? 4 : 1) > kLoggedTextMax) {
      text = text.substr(0, i);
      break;
    }
    written += odd ? 4 : 1;
    if (!odd) continue;
    writer.text(text.substr(plain, i - plain)).text("\\x");
    writer.text(kDigits.substr(byte >> 4, 1)).text(kDigits.substr(byte & 15, 1));
    plain = i + 1;
  }
  writer.text(text.substr(plain));
}

// A word by itself: "-" for nothing, and white space would make two of it.
void write_word(std::string_view text, TextWriter& writer) {
  if (text.empty()) writer.text("-");
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t end = std::min(text.find(' ', i), text.size());
    write_escaped(text.substr(i, end - i), writer);
    if (end < text.size()) writer.text("_");
    i = end + 1;
  }
}

void write_quoted(std::string_view text, TextWriter& writer) {
  writer.text("\"");
  if (text.empty()) writer.text("-");
  write_escaped(text, writer);
  writer.text("\"");
}

void write_milliseconds(Nanos span, TextWriter& writer) {
  if (span == kNever) {
    writer.text("-");
  } else {
    writer.number(span / kMillisecond);
  }
}

void write_combined(const AccessRecord& record, TextWriter& writer) {
  const Moment at = moment(record.unix_s);
  writer.address(record.client).text(" - - [").two_digits(at.day()).text("/").text(at.month()).text("/");
  writer.number(at.year()).text(":");
  at.write_time(writer);
  writer.text(" +0000] \"");
  if (record.method.empty()) {
    writer.text("-");
  } else {
    write_escaped(record.method, writer);
    writer.text(" ");
    write_escaped(record.target, writer);
    writer.text(" HTTP/1.").number(record.minor_version);
  }
  writer.text("\" ").number(record.status).text(" ").number(record.bytes_sent).text(" ");
  write_quoted(record.referer, writer);
  writer.text(" ");
  write_quoted(record.user_agent, writer);
}

}  // namespace

const char* to_string(Termination termination) {
  return kEntries[static_cast<std::size_t>(termination)].name;
}
const char* describe(Termination termination) {
  return kEntries[static_cast<std::size_t>(termination)].text;
}

std::size_t write_access_line(const AccessRecord& record, std::span<char> out) {
  HEADGATE_CHECK(out.size() >= kAccessLineMax);
  TextWriter writer(out.first(kAccessLineMax - 1));
  write_combined(record, writer);
  writer.text(" ");
  write_word(record.service, writer);
  writer.text("/");
  write_word(record.pool, writer);
  writer.text("/");
  write_word(record.backend, writer);
  char before = ' ';
  for (const Nanos span : {record.queued, record.connect, record.first_byte, record.total}) {
    writer.text({&before, 1});
    write_milliseconds(span, writer);
    before = '/';
  }
  writer.text(" ").text(to_string(record.termination));
  if (record.reason != nullptr) writer.text(":").text(record.reason);
  writer.text(" ").number(record.retries).text(" ");
  write_word(record.host, writer);
  writer.text(" ");
  write_word(record.request_id, writer);
  const std::size_t length = writer.written().size();
  out[length] = '\n';
  return length + 1;
}

std::size_t write_http_date(std::int64_t unix_s, std::span<char> out) {
  const Moment at = moment(unix_s);
  TextWriter writer(out);
  writer.text(kDays[at.weekday]).text(", ").two_digits(at.day()).text(" ").text(at.month()).text(" ");
  writer.number(at.year()).text(" ");
  at.write_time(writer);
  writer.text(" GMT");
  return writer.fits() ? writer.written().size() : 0;
}

}  // namespace headgate::http
