#include "controlplane/health/agent_reply.h"
#include "controlplane/health/testing.h"

namespace headgate::health {
namespace {

using testing::probe;
using testing::Server;
using testing::target_at;
using State = AgentReply::State;
using Admin = AgentReply::Admin;

TEST(AgentReply, IsReadAsHaproxyDoes) {
  struct Case {
    const char* text;
    std::optional<AgentReply> reply;
  };
  const Case cases[] = {
      {"75%\n", AgentReply{.weight_percent = 75}},
      {"0%", AgentReply{.weight_percent = 0}},
      {"250%\n", AgentReply{.weight_percent = 100}},
      {"99999999999999999999%\n", AgentReply{.weight_percent = 100}},
      {"up\n", AgentReply{.state = State::up}},
      {"UP\r\nmore", AgentReply{.state = State::up}},
      {"ready 50% up", AgentReply{.weight_percent = 50, .state = State::up, .admin = Admin::ready}},
      {"ready,50%,up", AgentReply{.weight_percent = 50, .state = State::up, .admin = Admin::ready}},
      {"drain", AgentReply{.admin = Admin::drain}},
      {"maint\t", AgentReply{.admin = Admin::maint}},
      {"down #disk full, sorry\n", AgentReply{.state = State::down, .description = "disk full, sorry"}},
      {"failed", AgentReply{.state = State::down}},
      {"stopped", AgentReply{.state = State::down}},
      {"up maxconn:30", AgentReply{.state = State::up, .ignored = "maxconn:30"}},
      {"up 75 -3% 1.5%", AgentReply{.state = State::up, .ignored = "75 -3% 1.5%"}},
      {"", std::nullopt},
      {"\n75%", std::nullopt},
      {" ,\t ", std::nullopt},
      {"#only words", std::nullopt},
      {"hello", std::nullopt},
      {"%", std::nullopt},
  };
  for (const Case& c : cases) EXPECT_EQ(parse_agent_reply(c.text), c.reply) << c.text;
}

TEST(AgentReply, TakesAnyBytesWithoutHarm) {
  Random random(11);
  const std::string words[] = {"75%", "up", "down", "drain", "#", ",", " ", "maint", "\n", "maxconn:"};
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    for (std::uint64_t n = random.next() % 20; n > 0; --n) {
      text += random.next() % 2 == 0 ? words[random.next() % std::size(words)]
                                     : std::string(1, static_cast<char>(random.next()));
    }
    if (const auto reply = parse_agent_reply(text)) {
      EXPECT_LE(reply->weight_percent.value_or(0), 100u);
      EXPECT_LE(reply->description.size(), 131u);
      EXPECT_LE(reply->ignored.size(), 262u);
    }
  }
}

TEST(AgentProber, HandsOnTheLine) {
  asio::io_context io;
  Server talks(io, "75% #half asleep\r\nup\n", false, true);
  const Outcome outcome = probe(io, target_at(talks.port(), AgentCheck{}));
  EXPECT_EQ(outcome.result, Result::success);
  EXPECT_EQ(outcome.answer, "75% #half asleep");
  Server asked(io, "drain", true);  // without a line end
  EXPECT_EQ(probe(io, target_at(asked.port(), AgentCheck{.send = "state?\n"})).answer, "drain");
  EXPECT_EQ(asked.received, "state?\n");
}

TEST(AgentProber, IsBoundedInTimeAndBytes) {
  asio::io_context io;
  Server silent(io, "", false);
  EXPECT_EQ(probe(io, target_at(silent.port(), AgentCheck{})).cause, "no answer in time");
  Server dripping(io, "75", false, true);
  EXPECT_EQ(probe(io, target_at(dripping.port(), AgentCheck{})).cause, "no answer in time");
  Server closing(io, "", true, true);
  EXPECT_EQ(probe(io, target_at(closing.port(), AgentCheck{})).cause, "closed without an answer");
  Server endless(io, std::string(8 << 20, 'x'), false, true);
  EXPECT_EQ(probe(io, target_at(endless.port(), AgentCheck{})).cause,
            "no agent's answer: \"" + std::string(80, 'x') + "...\"");
}

}  // namespace
}  // namespace headgate::health
