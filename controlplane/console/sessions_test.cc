#include "controlplane/console/sessions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace headgate::console {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

pb::ConnectionsReply reply() {
  pb::ConnectionsReply reply;
  auto* session = reply.add_connection();
  session->set_protocol(pb::HTTP);
  session->set_stage("relaying");
  session->set_address("192.168.100.100:40000");
  session->set_requests(7);
  session->set_request("GET /a/long/way/to/something?with=a&query=behind");
  session->mutable_client()->set_own("192.168.100.200:8080");
  session->mutable_client()->set_peer("192.168.100.100:40000");
  session->mutable_client()->set_state("ESTABLISHED");
  session->mutable_client()->set_rtt_us(1234);
  session->mutable_client()->set_retransmitted(3);
  session->mutable_backend()->set_peer("10.10.100.100:80");
  session->mutable_backend()->set_state("ESTABLISHED");
  auto* kept = reply.add_connection();
  kept->set_protocol(pb::HTTP);
  kept->set_stage("kept");
  kept->mutable_backend()->set_peer("10.10.0.99:80");
  return reply;
}

std::size_t widest(const std::string& text) {
  std::istringstream lines(text);
  std::size_t most = 0;
  for (std::string line; std::getline(lines, line);) most = std::max(most, line.size());
  return most;
}

TEST(Sessions, ARowSaysWhoIsServedByWhomAndFitsATerminal) {
  const std::string narrow = sessions_table(reply()).text({.width = 80});
  EXPECT_LE(widest(narrow), 80u) << narrow;
  EXPECT_THAT(narrow, HasSubstr("192.168.100.100:40000  192.168.100.200:8080  10.10.100.100:80  relaying"));
  const std::string wide = sessions_table(reply()).text({});
  EXPECT_THAT(wide, HasSubstr("GET /a/long/way/to/something?with=a&query=behind"));
  EXPECT_THAT(wide, Not(HasSubstr("10.10.0.99"))) << "a connection that no session uses is none";
}

TEST(Sessions, EachConnectionOfASessionIsARowAndSoIsOneThatIsKept) {
  const std::string text = connections_table(reply()).text({.width = 80});
  EXPECT_LE(widest(text), 80u) << text;
  EXPECT_THAT(text, HasSubstr("client   192.168.100.100:40000  ESTABLISHED"));
  EXPECT_THAT(text, HasSubstr("backend  10.10.100.100:80"));
  EXPECT_THAT(text, HasSubstr("1.23ms"));
  EXPECT_THAT(connections_table(reply()).text({}), ContainsRegex("backend +10.10.0.99:80 +- +kept"));
}

}  // namespace
}  // namespace headgate::console
