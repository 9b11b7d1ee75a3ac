// Once its pools have grown, the proxy allocates nothing for a request: operators of this program count while a call of
// the proxy has not returned.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "tests/sim/http_net.h"

namespace {
const int* inside = nullptr;
std::uint64_t allocations = 0;  // this program has one thread
}  // namespace

[[gnu::noinline]] void* operator new(std::size_t size) {
  if (inside != nullptr && *inside != 0) ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace headgate::http {
namespace {

TEST(Proxy, AllocatesNothingForARequestOnceItsPoolsHaveGrown) {
  sim::HttpBedOptions options;
  options.spec.http.access_log = false;
  options.spec.http.cookie = {.name = "SRV"};
  options.spec.http.response_headers = {{snapshot::HttpHeaderRule::Action::set, "X", "${host}"}};
  sim::HttpBed bed(options);
  for (auto& server : bed.servers) {
    server.reply = [](const sim::ServedRequest& r) {
      if (r.method == "GET") return sim::ServerReply(sim::response(std::string(20'000, 'x')));
      return sim::ServerReply("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    };
  }
  constexpr std::string_view kRequests =
      "GET /a/../b HTTP/1.1\r\nHost: A.test\r\nCookie: SRV=x; a=b\r\n\r\n"
      "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
      "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
  std::vector<sim::HttpEnd*> ends;
  for (int i = 0; i < 10; ++i) ends.push_back(&bed.open());
  const auto round = [&] {
    for (sim::HttpEnd* end : ends) {
      end->heard.clear();
      bed.clients.say(*end, kRequests);
    }
    bed.run(kSecond);
  };
  for (int i = 0; i < 5; ++i) round();
  const std::uint64_t requests = bed.counters().requests, dials = bed.counters().dials;
  inside = &bed.app->inside;
  for (int i = 0; i < 20; ++i) round();
  inside = nullptr;
  EXPECT_EQ(bed.counters().requests - requests, 600u);
  EXPECT_EQ(bed.counters().responses[2], bed.counters().requests);
  EXPECT_EQ(bed.counters().dials, dials);
  EXPECT_EQ(allocations, 0u);
}

}  // namespace
}  // namespace headgate::http
