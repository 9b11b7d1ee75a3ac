// What heads cost: `http_bench` prints TSC cycles of each case, the median of many rounds; `http_bench CASE COUNT` only
// does one case so often, for callgrind:
//
//   valgrind --tool=callgrind --callgrind-out-file=/dev/null http_bench small 20000    # twice, with another count:
//                                                       # the difference of both instruction counts, divided by theirs
//
// Not a test: a machine that is busy shows in cycles.
#include <x86intrin.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/http/access_log.h"
#include "dataplane/http/chunked.h"
#include "dataplane/http/host.h"
#include "dataplane/http/path.h"
#include "dataplane/http/request_parser.h"
#include "dataplane/http/response_parser.h"
#include "dataplane/http/rewrite.h"
#include "dataplane/http/route.h"

namespace headgate::http {
namespace {

const std::string kSmall = "GET /1k HTTP/1.1\r\nHost: 192.0.2.100:8080\r\nUser-Agent: wrk\r\nAccept: */*\r\n\r\n";
const std::string kBrowser =
    "GET /shop/items/4711?sort=price&page=2&session=8f14e45fceea167a5a36dedd4bea2543 HTTP/1.1\r\n"
    "Host: www.shop.example.test\r\nConnection: keep-alive\r\n"
    "sec-ch-ua: \"Chromium\";v=\"130\", \"Not?A_Brand\";v=\"99\"\r\nsec-ch-ua-mobile: ?0\r\n"
    "sec-ch-ua-platform: \"Linux\"\r\nUpgrade-Insecure-Requests: 1\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 "
    "Safari/537.36\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
    "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n"
    "Referer: https://www.shop.example.test/shop/items?sort=price\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"
    "Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\nCookie: id=8f14e45fceea167a; theme=dark; consent=all; "
    "basket=3\r\n\r\n";
const std::string kResponse =
    "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sun, 29 Nov 2026 13:05:09 GMT\r\nContent-Type: text/plain\r\n"
    "Content-Length: 1024\r\nConnection: keep-alive\r\nX-Backend: web1\r\n\r\n";

std::uint64_t g_sink = 0;  // so that nothing is optimised away

struct Case {
  std::string name;
  std::function<void(unsigned)> run;  // so many times
};

Case parse_case(std::string name, const std::string& text, const Scanner& scanner) {
  return {std::move(name), [&text, &scanner](unsigned count) {
            RequestOptions options;
            options.scanner = &scanner;
            RequestParser parser(options);
            for (; count > 0; --count) {
              parser.reset();
              g_sink += static_cast<std::uint64_t>(parser.parse(text)) + parser.head().fields.count;
            }
          }};
}

// All that happens to the head of a request: parsed, normal forms, route, written for the backend.
Case whole_case(std::string name, const std::string& text) {
  return {std::move(name), [&text](unsigned count) {
            RequestOptions options;
            options.scanner = &best_scanner();
            RequestParser parser(options);
            const auto table = RouteTable::compile(std::vector<RouteSpec>(1));
            const ForwardedOptions forwarded;
            std::array<char, 4096> space, generated;
            for (; count > 0; --count) {
              parser.reset();
              g_sink += static_cast<std::uint64_t>(parser.parse(text));
              const RequestHead& head = parser.head();
              NormalPath path;
              g_sink += static_cast<std::uint64_t>(normalize_path(head.path.of(text), {}, space, path));
              const auto authority = parse_authority(head.authority.of(text));
              const std::string_view host = normal_host(authority->host, std::span(space).subspan(2048));
              g_sink += table->find(host, path.match, text, head)->id;
              HeadWriter writer(text, generated);
              write_request({.forwarded = &forwarded, .path = path.forward, .via = "1.1 headgate"},
                            {.client = IpAddress::from_v4(0xc6336407),
                             .service = IpAddress::from_v4(0xc0000264),
                             .service_port = 80,
                             .host = head.authority.of(text)},
                            text, head, writer);
              g_sink += writer.bytes();
            }
          }};
}

Case response_case() {
  return {"response", [](unsigned count) {
            ResponseParser parser({}, best_scanner());
            std::array<char, 4096> generated;
            for (; count > 0; --count) {
              parser.start(Method::get, "");
              g_sink += static_cast<std::uint64_t>(parser.parse(kResponse));
              const ResponsePlan plan = plan_response(parser.head(), {});
              HeadWriter writer(kResponse, generated);
              write_response({.plan = plan}, {}, kResponse, parser.head(), writer);
              g_sink += writer.bytes();
            }
          }};
}

Case chunked_case() {
  return {"chunked-4x1k", [](unsigned count) {
            std::string body;
            for (int i = 0; i < 4; ++i) body.append("400\r\n").append(1024, 'x').append("\r\n");
            body.append("0\r\n\r\n");
            ChunkedDecoder decoder;
            std::array<char, 512> trailers;
            for (; count > 0; --count) {
              decoder.start(trailers, ~0ull, best_scanner());
              std::string_view rest = body;
              for (Piece piece; (piece = decoder.next(rest)).kind == Piece::Kind::data;) {
                rest.remove_prefix(piece.used);
                g_sink += piece.data.size();
              }
            }
          }};
}

struct RouteSite {
  Result<RouteTable> table;
  std::vector<std::string> hosts, paths;

  explicit RouteSite(std::uint32_t routes) {
    std::vector<RouteSpec> specs(routes);
    for (std::uint32_t i = 0; i < routes; ++i) {
      const std::string host = "h" + std::to_string(i / 10) + ".example.test";
      specs[i].id = i + 1;
      specs[i].host = (i % 4 == 3 ? "*." : "") + host;
      specs[i].path_kind = i % 3 == 0 ? RouteSpec::Path::exact : RouteSpec::Path::prefix;
      specs[i].path = "/shop/" + std::to_string(i);
      hosts.push_back(i % 4 == 3 ? "x." + host : host);
      paths.push_back(specs[i].path + (i % 3 == 0 ? "" : "/item"));
    }
    table = RouteTable::compile(specs);
  }
};

Case route_case(std::uint32_t routes) {
  const auto site = std::make_shared<RouteSite>(routes);
  return {"route-of-" + std::to_string(routes), [site](unsigned count) {
            const RequestHead head;
            for (std::size_t i = 0; count > 0; --count) {
              i = (i + 7919) % site->hosts.size();
              const RouteSpec* found = site->table->find(site->hosts[i], site->paths[i], "", head);
              if (found == nullptr || found->id != i + 1) std::abort();
              g_sink += found->id;
            }
          }};
}

Case log_case() {
  return {"access-line", [](unsigned count) {
            std::array<char, kAccessLineMax> line;
            AccessRecord record;
            record.unix_s = 1'764'421'509;
            record.method = "GET";
            record.target = "/shop/items/4711?sort=price&page=2";
            record.user_agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)";
            record.service = "web", record.pool = "shop", record.backend = "web1";
            for (; count > 0; --count) g_sink += write_access_line(record, line);
          }};
}

std::vector<Case> cases() {
  return {parse_case("small-scalar", kSmall, kScalarScanner),
          parse_case("small-sse4.2", kSmall, kSse42Scanner),
          parse_case("small", kSmall, best_scanner()),
          parse_case("browser-scalar", kBrowser, kScalarScanner),
          parse_case("browser-sse4.2", kBrowser, kSse42Scanner),
          parse_case("browser", kBrowser, best_scanner()),
          whole_case("small-forwarded", kSmall),
          whole_case("browser-forwarded", kBrowser),
          response_case(),
          chunked_case(),
          route_case(10),
          route_case(10'000),
          log_case()};
}

void measure(const Case& one) {
  constexpr unsigned kRounds = 101, kEach = 2000;
  std::vector<double> cycles;
  one.run(kEach);
  for (unsigned round = 0; round < kRounds; ++round) {
    const std::uint64_t start = __rdtsc();
    one.run(kEach);
    cycles.push_back(static_cast<double>(__rdtsc() - start) / kEach);
  }
  std::ranges::sort(cycles);
  std::printf("%-20s %8.0f cycles, fastest %.0f\n", one.name.c_str(), cycles[kRounds / 2], cycles[0]);
}

}  // namespace
}  // namespace headgate::http

int main(int argc, char** argv) {
  using namespace headgate::http;
  std::printf("small request %zu bytes, browser's %zu, response %zu\n", kSmall.size(), kBrowser.size(),
              kResponse.size());
  for (const Case& one : cases()) {
    if (argc < 3) {
      measure(one);
    } else if (one.name == argv[1]) {
      one.run(static_cast<unsigned>(std::strtoul(argv[2], nullptr, 10)));
    }
  }
  return g_sink == 1 ? 1 : 0;
}
