#include "controlplane/failover/pairing.h"

#include <fstream>
#include <sstream>

#include "controlplane/failover/test_boxes.h"

namespace headgate::failover {
namespace {

using namespace std::chrono_literals;
using Verdict = PairingWindow::Verdict;

Connection some_connection() {
  Connection connection;
  fill_random(connection.client);
  fill_random(connection.server);
  fill_random(connection.exporter);
  return connection;
}

std::string proof_of(const std::string& code, const Connection& connection) {
  const Secret proof = pairing_proof(pairing_key(*read_code(code)), PairRole::client, connection);
  return {proof.begin(), proof.end()};
}

TEST(PairingCode, IsReadAsPeopleTypeIt) {
  for (int i = 0; i < 100; ++i) {
    const Code code = make_code();
    const std::string text = print_code(code);
    ASSERT_EQ(text.size(), 19u);
    EXPECT_EQ(read_code(text), code);
    std::string typed;
    for (const char c : text) {
      if (c == '-') continue;
      const char lower = static_cast<char>(std::tolower(c));
      typed += lower == 'o' ? '0' : lower == 'i' ? '1' : lower == 'b' ? '8' : lower;
      typed += ' ';
    }
    EXPECT_EQ(read_code(typed), code) << typed;
  }
}

TEST(PairingCode, RefusesWhatIsNone) {
  const std::string text = print_code(make_code());
  for (const std::string& wrong :
       {std::string(), text.substr(1), text + "A", "9" + text.substr(1), std::string(1000, 'A')})
    EXPECT_FALSE(read_code(wrong)) << wrong;
}

TEST(PairingWindowTest, TakesOneRightProofWithinItsTime) {
  PairingWindow window;
  const auto now = PairingWindow::Clock::now();
  const Connection connection = some_connection();
  EXPECT_EQ(window.judge(connection, std::string(32, 'x'), now), Verdict::closed) << "no code was made";
  const std::string code = window.open(now);
  EXPECT_EQ(window.judge(connection, proof_of(code, connection), now + kCodeLife - 1ns), Verdict::right);
  window.close();
  EXPECT_EQ(window.judge(connection, proof_of(code, connection), now), Verdict::closed) << "used up";
  const std::string later = window.open(now);
  EXPECT_EQ(window.judge(connection, proof_of(later, connection), now + kCodeLife), Verdict::closed) << "too old";
  EXPECT_EQ(window.judge(connection, proof_of(later, connection), now), Verdict::closed) << "and stays so";
}

TEST(PairingWindowTest, EndsAfterFiveWrongTries) {
  PairingWindow window;
  const auto now = PairingWindow::Clock::now();
  const Connection connection = some_connection();
  const std::string code = window.open(now);
  for (unsigned i = 0; i < kTriesMax; ++i)
    EXPECT_EQ(window.judge(connection, proof_of(print_code(make_code()), connection), now), Verdict::wrong);
  EXPECT_EQ(window.judge(connection, proof_of(code, connection), now), Verdict::closed);
}

TEST(PairingWindowTest, AProofIsOfOneConnectionAndOneRole) {
  PairingWindow window;
  const auto now = PairingWindow::Clock::now();
  const Connection connection = some_connection();
  const std::string code = window.open(now);
  // Somebody in between has other certificates and another exporter towards each end.
  Connection client = connection, server = connection, exporter = connection;
  client.client[0] ^= 1;
  server.server[31] ^= 1;
  exporter.exporter[7] ^= 1;
  for (const Connection& seen : {client, server, exporter})
    EXPECT_EQ(window.judge(connection, proof_of(code, seen), now), Verdict::wrong);
  const Secret own = window.answer(connection);
  EXPECT_EQ(window.judge(connection, {own.begin(), own.end()}, now), Verdict::wrong)
      << "the server's own proof, sent back";
  EXPECT_EQ(window.judge(connection, proof_of(code, connection), now), Verdict::right);
}

class PairingBoxes : public BoxesTest {
 protected:
  bool holds(config::v1::Side side, const std::string& text) const {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory(side))) {
      std::ostringstream content;
      content << std::ifstream(entry.path()).rdbuf();
      if (content.str().find(text) != std::string::npos) return true;
    }
    return false;
  }
};

TEST_F(PairingBoxes, ACodeMakesTwoStrangersAPair) {
  configure();
  run_for(50ms);
  EXPECT_FALSE(a->link.up());
  EXPECT_NE(a->link.view().problem.find("not paired"), std::string::npos) << a->link.view().problem;
  const auto code = b->link.pair();
  ASSERT_TRUE(code);
  const auto joined = join(*a, *code);
  ASSERT_TRUE(joined) << joined.error().message;
  EXPECT_EQ(*joined, "box-b");
  EXPECT_TRUE(run_until([&] { return a->link.view().link_up && b->link.view().link_up; })) << a->link.view().problem;
  EXPECT_TRUE(a->logged("paired with box-b"));
  EXPECT_TRUE(b->logged("paired with box-a"));
  for (const auto side : {config::v1::A, config::v1::B}) {
    EXPECT_FALSE(holds(side, *code));
    EXPECT_FALSE((side == config::v1::A ? *a : *b).logged(*code));
  }
  // Both control planes start again: they know each other.
  make(config::v1::A);
  make(config::v1::B);
  configure();
  EXPECT_TRUE(run_until([&] { return a->link.view().link_up && b->link.view().link_up; })) << a->link.view().problem;
  EXPECT_FALSE(join(*b, *code)) << "a code is good for once";
}

TEST_F(PairingBoxes, EitherBoxMayMakeTheCode) {
  configure();
  const auto code = a->link.pair();
  ASSERT_TRUE(code);
  const auto joined = join(*b, *code);
  ASSERT_TRUE(joined) << joined.error().message;
  EXPECT_TRUE(run_until([&] { return a->link.view().link_up && b->link.view().link_up; })) << a->link.view().problem;
}

TEST_F(PairingBoxes, AWrongCodePinsNothingAndIsCounted) {
  configure();
  const auto code = b->link.pair();
  ASSERT_TRUE(code);
  for (unsigned i = 0; i < kTriesMax; ++i) {
    const auto joined = join(*a, print_code(make_code()));
    ASSERT_FALSE(joined);
    EXPECT_NE(joined.error().message.find("not the one"), std::string::npos) << joined.error().message;
  }
  EXPECT_TRUE(b->logged("4 tries are left"));
  EXPECT_TRUE(b->logged("void"));
  const auto late = join(*a, *code);
  ASSERT_FALSE(late);
  EXPECT_NE(late.error().message.find("waits for no code"), std::string::npos) << late.error().message;
  EXPECT_FALSE(std::filesystem::exists(directory(config::v1::A) + "/peer.txtpb"));
  EXPECT_FALSE(std::filesystem::exists(directory(config::v1::B) + "/peer.txtpb"));
}

TEST_F(PairingBoxes, KeysAreForThisUserOnly) {
  for (const auto side : {config::v1::A, config::v1::B}) {
    const auto status = std::filesystem::status(directory(side) + "/identity.pem");
    EXPECT_EQ(status.permissions(), std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  }
}

TEST_F(PairingBoxes, WithoutAPeerThereIsACauseAndAnEnd) {
  a->link.configure(pair_config(config::v1::A, port));
  b.reset();
  const auto joined = join(*a, print_code(make_code()));
  ASSERT_FALSE(joined);
  EXPECT_NE(joined.error().message.find("cannot reach"), std::string::npos) << joined.error().message;
  EXPECT_FALSE(join(*a, "what is this"));
}

}  // namespace
}  // namespace headgate::failover
