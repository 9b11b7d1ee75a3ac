#include "controlplane/failover/notice.h"

#include <signal.h>
#include <sys/wait.h>

#include <fstream>
#include <sstream>
#include <thread>

#include "controlplane/failover/test_boxes.h"

namespace headgate::failover {
namespace {

using namespace std::chrono_literals;
using Verdict = NoticeGuard::Verdict;

Secret counting_key() {
  Secret key;
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::uint8_t>(i);
  return key;
}

// The vector that supervisor/death_notice_test.cc has, too, computed with Python's hmac.
TEST(Notice, HasTheLayoutThatTheSupervisorWrites) {
  EXPECT_EQ(to_hex(make_notice(counting_key(), {0x0123456789abcdef, 5, 42})),
            "4847444e010000000123456789abcdef0000000000000005000000000000002a"
            "0fd660e1dcf489e6b45339f7d7f1e82aa12285378bb47ebcdecf7d7f72ee6554");
}

TEST(NoticeGuardTest, BelievesEachCounterOnce) {
  NoticeGuard guard;
  const Secret key = counting_key();
  guard.add(1, key);
  EXPECT_EQ(guard.judge(make_notice(key, {1, 0, 11})), Verdict::dead);
  EXPECT_EQ(guard.judge(make_notice(key, {1, 0, 11})), Verdict::copy);
  EXPECT_EQ(guard.judge(make_notice(key, {1, 0, 13})), Verdict::dead);
  EXPECT_EQ(guard.judge(make_notice(key, {1, 0, 11})), Verdict::replayed);
  EXPECT_EQ(guard.judge(make_notice(key, {1, 0, 12})), Verdict::replayed);
  EXPECT_EQ(guard.seen(Verdict::dead), 2u);
  EXPECT_EQ(guard.seen(Verdict::replayed), 2u);
}

TEST(NoticeGuardTest, BelievesNoChangedBit) {
  NoticeGuard guard;
  const Secret key = counting_key();
  guard.add(1, key);
  const auto good = make_notice(key, {1, 3, 1});
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    auto bytes = good;
    bytes[bit / 8] = static_cast<std::uint8_t>(bytes[bit / 8] ^ 1U << bit % 8);
    const Verdict verdict = guard.judge(bytes);
    EXPECT_NE(verdict, Verdict::dead) << bit;
    EXPECT_NE(verdict, Verdict::copy) << bit;
  }
  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_EQ(guard.judge(std::span(good).first(size)), Verdict::malformed);
  Secret other = key;
  other[0] ^= 1;
  EXPECT_EQ(guard.judge(make_notice(other, {1, 3, 1})), Verdict::forged);
  EXPECT_EQ(guard.judge(make_notice(key, {2, 3, 1})), Verdict::stranger);
  EXPECT_EQ(guard.judge(good), Verdict::dead) << "nothing of that used its counter up";
}

TEST(NoticeGuardTest, AnEarlierEpochIsOutdated) {
  NoticeGuard guard;
  const Secret key = counting_key();
  guard.add(1, key);
  guard.in_use(1, 5);
  guard.in_use(1, 4);
  EXPECT_EQ(guard.judge(make_notice(key, {1, 4, 1})), Verdict::outdated);
  EXPECT_EQ(guard.judge(make_notice(key, {1, 6, 1})), Verdict::dead) << "the supervisor may know it before we do";
}

TEST(NoticeGuardTest, TheKeyBeforeHoldsUntilTheNewOneIsInUse) {
  NoticeGuard guard;
  Secret first = counting_key(), second = counting_key();
  second[5] = 99;
  guard.add(1, first);
  guard.add(2, second);
  EXPECT_EQ(guard.judge(make_notice(first, {1, 0, 1})), Verdict::dead);
  EXPECT_EQ(guard.judge(make_notice(second, {2, 0, 1})), Verdict::dead);
  guard.in_use(2, 0);
  EXPECT_EQ(guard.judge(make_notice(first, {1, 0, 2})), Verdict::stranger);
  guard.clear();
  EXPECT_EQ(guard.judge(make_notice(second, {2, 0, 2})), Verdict::stranger);
}

// Box A's dataplane is a process of the real supervisor; box B hears.
class NoticeBoxes : public BoxesTest {
 protected:
  ~NoticeBoxes() override {
    if (pid > 0) {
      ::kill(pid, SIGKILL);
      ::waitpid(pid, nullptr, 0);
    }
  }
  std::string socket() const { return dir + "/run/supervisor.sock"; }
  void start_supervisor() {
    std::ofstream(dir + "/processes") << "[dataplane]\ncommand = sleep 1000\n";
    pid = ::fork();
    if (pid == 0) {
      static_cast<void>(::freopen((dir + "/log").c_str(), "a", stderr));
      ::execl(SUPERVISOR, SUPERVISOR, "--config", (dir + "/processes").c_str(), "--run-dir", (dir + "/run").c_str(),
              nullptr);
      ::_exit(127);
    }
    ASSERT_TRUE(run_until([&] { return dataplane() != 0; }));
  }
  pid_t dataplane() const {
    std::ifstream lines(dir + "/run/supervisor.status");
    for (std::string line; std::getline(lines, line);) {
      std::istringstream words(line);
      std::string name;
      pid_t found = 0;
      if (words >> name >> found && name == "dataplane") return found;
    }
    return 0;
  }
  void connect_with_supervisor() {
    start_supervisor();
    pin();
    make(config::v1::A, socket());
    configure(50);
    a->link.set_dataplane(true);
    Word word;
    word.epoch = 7;
    word.groups.push_back({.name = "main", .state = PeerState::active});
    a->link.tell(word);
    ASSERT_TRUE(run_until([&] { return detail(*a, "death notice to the peer: ready, epoch 7"); }));
    ASSERT_TRUE(run_until([&] { return b->link.view().state_of("main") == PeerState::active; }));
    run_for(100ms);
  }
  static bool detail(const TestBox& box, const std::string& wanted) {
    for (const std::string& line : box.link.view().detail) {
      if (line == wanted) return true;
    }
    return false;
  }
  pid_t pid = 0;
};

TEST_F(NoticeBoxes, TheDeathOfTheDataplaneIsKnownWithinMilliseconds) {
  connect_with_supervisor();
  std::vector<double> took_ms;
  for (int round = 0; round < 5; ++round) {
    std::optional<std::chrono::steady_clock::time_point> known;
    b->link.on_change([&] {
      if (b->link.view().dead && !known) known = std::chrono::steady_clock::now();
    });
    const pid_t before = dataplane();
    const auto killed = std::chrono::steady_clock::now();
    ::kill(before, SIGKILL);
    ASSERT_TRUE(run_until([&] { return known.has_value(); }));
    took_ms.push_back(std::chrono::duration<double, std::milli>(*known - killed).count());
    EXPECT_EQ(b->link.view().state_of("main"), PeerState::dead);
    // Heartbeats go on and still say that it runs: this control plane has not seen it yet.
    run_for(150ms);
    EXPECT_TRUE(b->link.view().dead);
    a->link.set_dataplane(false);
    ASSERT_TRUE(run_until([&] { return dataplane() != before && dataplane() != 0; }));
    EXPECT_TRUE(b->link.view().dead);
    a->link.set_dataplane(true);
    ASSERT_TRUE(run_until([&] { return !b->link.view().dead; }));
    EXPECT_EQ(b->link.view().state_of("main"), PeerState::active);
  }
  std::sort(took_ms.begin(), took_ms.end());
  std::printf("kill -9 to the director: %.2f ms median, %.2f ms at most\n", took_ms[2], took_ms[4]);
  EXPECT_LT(took_ms[2], 100) << "about 1 ms when the machine is idle; no timed test";
  EXPECT_EQ(b->notices.guard().seen(Verdict::replayed), 0u);
}

TEST_F(NoticeBoxes, ItNeedsNoControlPlaneOfTheDyingBox) {
  connect_with_supervisor();
  a.reset();
  ASSERT_TRUE(run_until([&] { return !b->link.view().link_up; }));
  EXPECT_FALSE(b->link.view().dead);
  ::kill(dataplane(), SIGKILL);
  EXPECT_TRUE(run_until([&] { return b->link.view().dead; }));
  // A control plane that starts meets the dataplane that was started again.
  make(config::v1::A, socket());
  a->link.configure(pair_config(config::v1::A, port));
  a->link.set_dataplane(true);
  EXPECT_TRUE(run_until([&] { return !b->link.view().dead && b->link.view().link_up; }));
}

TEST_F(NoticeBoxes, ForgedAndForeignOnesAreCountedAndChangeNothing) {
  connect_with_supervisor();
  for (const char* from : {kAddressA, "127.0.0.3"}) {
    asio::ip::udp::socket socket(io, {asio::ip::make_address(from), 0});
    socket.send_to(asio::buffer(make_notice(counting_key(), {1, 7, 1})), {asio::ip::make_address(kAddressB), port});
    socket.send_to(asio::buffer(std::string("HGDN, really")), {asio::ip::make_address(kAddressB), port});
  }
  ASSERT_TRUE(run_until([&] { return b->notices.guard().seen(Verdict::malformed) == 1; }));
  run_for(50ms);
  EXPECT_FALSE(b->link.view().dead);
  EXPECT_EQ(b->notices.guard().seen(Verdict::stranger), 1u);
  EXPECT_TRUE(b->logged("of an unknown key"));
  b->link.changed();
  EXPECT_TRUE(detail(*b, "death notices refused: 1 malformed, 1 of an unknown key, 2 from other addresses"));
}

TEST_F(NoticeBoxes, WithoutASupervisorItIsSaid) {
  connect();
  EXPECT_TRUE(detail(*a, "death notice to the peer: none, this control plane has no supervisor"));
  make(config::v1::A, dir + "/nobody.sock");
  a->link.configure(pair_config(config::v1::A, port));
  EXPECT_TRUE(run_until([&] { return a->logged("no death notice to the peer"); }));
}

}  // namespace
}  // namespace headgate::failover
