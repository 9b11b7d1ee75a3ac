// Two control planes on loopback, each with its own directory, files and box-local values.
#include "controlplane/app/pair.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "controlplane/app/daemon.h"
#include "controlplane/app/test_site.h"
#include "controlplane/config/print.h"
#include "controlplane/config/shared.h"

namespace headgate::app {
namespace {

using namespace std::chrono_literals;
using Kind = Verdict::Kind;

std::uint16_t free_port() {
  asio::io_context io;
  for (;;) {
    asio::ip::tcp::acceptor one(io, {asio::ip::make_address("127.0.0.1"), 0});
    asio::ip::tcp::acceptor other(io, asio::ip::tcp::v4());
    asio::error_code error;
    other.bind({asio::ip::make_address("127.0.0.2"), one.local_endpoint().port()}, error);
    if (!error) return one.local_endpoint().port();
  }
}

struct Box {
  Box(asio::io_context& loop, const std::string& directory, const std::string& which, std::uint16_t link_port)
      : dir(directory), side(which), port(link_port), io(loop) {
    std::filesystem::create_directories(dir);
  }
  // What differs between the boxes differs here: port, address, side and the ends of the link.
  std::string text(unsigned weight = 1, const std::string& more = "") const {
    const bool a = side == "A";
    return "interface { name: \"front\" port: \"" + std::string(a ? "eth1" : "ens4") +
           "\" prefix: \"192.0.2.0/24\" address: \"192.0.2." + (a ? "11" : "12") +
           "\" }\n"
           "pool { name: \"web\" backend { name: \"web1\" address: \"192.0.2.21\" port: 80 weight: " +
           std::to_string(weight) + " } }\n" + more + "failover { side: " + side + " ha_link { address: \"127.0.0." +
           (a ? "1" : "2") + "\" peer_address: \"127.0.0." + (a ? "2" : "1") + "\" port: " + std::to_string(port) +
           " heartbeat_ms: 50 } }\n";
  }
  void start(unsigned weight = 1) {
    std::ofstream(dir + "/config.txtpb") << text(weight);
    daemon.reset();
    daemon = std::make_unique<Daemon>(
        io, Options{.config = dir + "/config.txtpb", .dataplane = "unix:" + dir + "/dataplane.sock", .state_dir = dir},
        disk);
    const auto started = daemon->start();
    ASSERT_TRUE(started) << started.error().message;
  }
  unsigned weight() const { return daemon->configuration().config().pool(0).backend(0).weight(); }
  const failover::PeerView& view() const { return daemon->pair().link().view(); }
  bool said(const std::string& part) const {
    for (const Event& event : daemon->events().last(1000)) {
      if (event.text.find(part) != std::string::npos) return true;
    }
    return false;
  }
  bool shows(const std::string& part) const {
    for (const std::string& line : view().detail) {
      if (line.find(part) != std::string::npos) return true;
    }
    return false;
  }
  const std::string dir, side;
  const std::uint16_t port;
  asio::io_context& io;
  config::KernelDisk disk;
  std::unique_ptr<Daemon> daemon;
};

class PairTest : public testing::Test {
 protected:
  PairTest() {
    static int count = 0;
    dir = testing::TempDir() + "pair." + std::to_string(getpid()) + "." + std::to_string(++count);
    const std::uint16_t port = free_port();
    a = std::make_unique<Box>(io, dir + "/a", "A", port);
    b = std::make_unique<Box>(io, dir + "/b", "B", port);
  }
  ~PairTest() override {
    a->daemon.reset();
    b->daemon.reset();
    std::filesystem::remove_all(dir);
  }
  template <class Condition>
  bool run_until(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + 15s;
    while (!condition() && std::chrono::steady_clock::now() < end) run_for(2ms);
    return condition();
  }
  void run_for(std::chrono::milliseconds time) {
    io.restart();
    io.run_for(time);
  }
  template <class T, class Begin>
  T wait(Begin begin) {
    std::optional<T> result;
    begin([&](T done) { result = std::move(done); });
    EXPECT_TRUE(run_until([&] { return result.has_value(); }));
    return result ? *result : T{};
  }
  Verdict commit(Box& box, const std::string& text, bool local = false, std::uint32_t confirm_s = 0) {
    Proposal proposal;
    proposal.text = text;
    proposal.user = "anna";
    proposal.local = local;
    proposal.confirm_s = confirm_s;
    return wait<Verdict>([&](auto done) { box.daemon->pair().commit(proposal, done); });
  }
  config::Result<std::string> adopt(Box& box, bool peer) {
    return wait<config::Result<std::string>>(
        [&](auto done) { box.daemon->pair().adopt_configuration(peer, "anna", done); });
  }
  bool agreed() {
    return run_until([&] { return a->view().agreed && b->view().agreed; });
  }
  void pair() {
    a->start();
    b->start();
    const auto code = a->daemon->pair().make_code("anna");
    ASSERT_TRUE(code) << code.error().message;
    const auto paired =
        wait<config::Result<std::string>>([&](auto done) { b->daemon->pair().pair_with(*code, "berta", done); });
    ASSERT_TRUE(paired) << paired.error().message;
    ASSERT_TRUE(agreed()) << a->view().problem;
  }
  // The peer's control plane is gone, as far as the other box can see.
  void cut() {
    b->daemon.reset();
    ASSERT_TRUE(run_until([&] { return !a->daemon->pair().link().view().link_up; }));
  }
  std::string dir;
  asio::io_context io;
  std::unique_ptr<Box> a, b;
};

TEST_F(PairTest, ACommitAppearsOnBothAndEachKeepsWhatIsItsOwn) {
  pair();
  const Verdict verdict = commit(*a, a->text(7));
  ASSERT_EQ(verdict.kind, Kind::committed) << verdict.cause;
  EXPECT_EQ(a->weight(), 7u);
  EXPECT_EQ(b->weight(), 7u);
  const auto& config = b->daemon->configuration().config();
  EXPECT_EQ(config.interface(0).port(), "ens4");
  EXPECT_EQ(config.interface(0).address(0), "192.0.2.12");
  EXPECT_EQ(config.failover().side(), config::v1::B);
  EXPECT_EQ(config.failover().ha_link().address(), "127.0.0.2");
  EXPECT_EQ(b->daemon->configuration().revision().user, "anna");
  EXPECT_EQ(a->daemon->configuration().line(), b->daemon->configuration().line());
  ASSERT_TRUE(agreed());
  ASSERT_EQ(commit(*b, b->text(8)).kind, Kind::committed);
  EXPECT_EQ(a->weight(), 8u);
  EXPECT_EQ(a->daemon->configuration().config().interface(0).port(), "eth1");
  EXPECT_EQ(config::print(config::shared_part(a->daemon->configuration().config())),
            config::print(config::shared_part(b->daemon->configuration().config())));
  EXPECT_EQ(a->daemon->configuration().ids(), b->daemon->configuration().ids());
}

TEST_F(PairTest, WhatIsABoxsOwnConcernsNobodyElse) {
  pair();
  const std::uint64_t before = b->daemon->configuration().revision().number;
  std::string text = a->text();
  text.replace(text.find("eth1"), 4, "eth7");
  ASSERT_EQ(commit(*a, text).kind, Kind::committed);
  EXPECT_EQ(a->daemon->configuration().config().interface(0).port(), "eth7");
  run_for(200ms);
  EXPECT_EQ(b->daemon->configuration().revision().number, before);
  EXPECT_TRUE(a->view().agreed && b->view().agreed);
}

TEST_F(PairTest, ANewInterfaceBeginsWithTheOtherBoxesPort) {
  pair();
  const Verdict verdict =
      commit(*a, a->text(1, "interface { name: \"back\" port: \"eth2\" prefix: \"10.10.0.0/24\" }\n"));
  ASSERT_EQ(verdict.kind, Kind::committed) << verdict.cause;
  EXPECT_EQ(b->daemon->configuration().config().interface(1).port(), "eth2");
}

TEST_F(PairTest, WhatThePeerCannotDoIsRefusedOnBothWithTheCause) {
  pair();
  // A third machine, as this box sees it; the other box's own address, as that one does.
  std::string text = a->text(7);
  text.replace(text.rfind("} }"), 3, "} witness: \"192.0.2.12\" }");
  const Verdict verdict = commit(*a, text);
  EXPECT_EQ(verdict.kind, Kind::peer) << verdict.cause;
  EXPECT_EQ(verdict.cause, "the peer refuses it: 192.0.2.12 is an address of the pair; a witness is a third machine");
  EXPECT_EQ(a->weight(), 1u);
  EXPECT_EQ(b->weight(), 1u);
}

TEST_F(PairTest, AnAddressDoesNotGoBetweenGroupsThatAreActiveOnDifferentBoxesInOneCommit) {
  push::TestDataplane dataplanes[2];
  const auto listen = [](push::TestDataplane& dataplane, const Box& box) {
    std::filesystem::create_directories(box.dir);
    dataplane.listen("unix:" + box.dir + "/dataplane.sock");
  };
  listen(dataplanes[0], *a);
  listen(dataplanes[1], *b);
  pair();
  const auto text = [&](const std::string& group) {
    return a->text(1,
                   "group { name: \"one\" router { interface: \"front\" vrid: 51 } }\n"
                   "group { name: \"two\" router { interface: \"front\" vrid: 52 } priority_a: 150 priority_b: 200 }\n"
                   "service { name: \"s1\" address: \"192.0.2.100\" port: 80 protocol: TCP mode: NAT pool: \"web\" }\n"
                   "service { name: \"s2\" address: \"192.0.2.101\" port: 80 protocol: TCP mode: NAT pool: \"web\" "
                   "group: \"two\" }\n"
                   "service { name: \"s3\" address: \"192.0.2.102\" port: 80 protocol: TCP mode: NAT pool: \"web\" "
                   "group: \"" +
                       group + "\" }\n");
  };
  const auto roles = [&](push::TestDataplane& dataplane, bool one, bool two) {
    dataplane::v1::FailoverState state;
    state.set_control_lease(true);
    for (const bool active : {one, two}) {
      auto& group = *state.add_group();
      group.set_name(state.group_size() == 1 ? "one" : "two");
      group.set_role(active ? dataplane::v1::ROLE_ACTIVE : dataplane::v1::ROLE_BACKUP);
    }
    dataplane.set_failover(state);
  };
  ASSERT_EQ(commit(*a, text("one")).kind, Kind::committed);
  roles(dataplanes[0], true, false);
  roles(dataplanes[1], false, true);
  const auto active = [](const Box& box, const char* group) {
    return box.view().state_of(group) == failover::PeerState::active;
  };
  ASSERT_TRUE(run_until([&] { return active(*b, "one") && active(*a, "two") && agreed(); }));
  for (Box* box : {a.get(), b.get()}) {
    std::string wanted = text("two");
    if (box == b.get())
      wanted = config::print(config::merge(config::parse("x", wanted).config, b->daemon->configuration().config()));
    const Verdict verdict = commit(*box, wanted);
    EXPECT_EQ(verdict.kind, Kind::peer);
    EXPECT_EQ(verdict.cause.substr(0, 54), "192.0.2.102 goes from group one to group two, which ar") << verdict.cause;
  }
  roles(dataplanes[0], true, true);
  roles(dataplanes[1], false, false);
  // Each box hears it of the other at its own time, and a's view is what counts for a commit there.
  ASSERT_TRUE(run_until([&] { return active(*b, "one") && active(*b, "two") && !active(*a, "two"); }));
  const Verdict verdict = commit(*a, text("two"));
  EXPECT_EQ(verdict.kind, Kind::committed) << verdict.cause;
}

TEST_F(PairTest, TheLinkIsNotMovedFromUnderItself) {
  pair();
  std::string text = a->text(7);
  text.replace(text.find("port: " + std::to_string(a->port)), 6 + std::to_string(a->port).size(), "port: 9");
  const Verdict moved = commit(*a, text);
  EXPECT_EQ(moved.kind, Kind::peer);
  EXPECT_NE(moved.cause.find("unpair"), std::string::npos) << moved.cause;
  EXPECT_EQ(a->weight(), 1u);
  EXPECT_EQ(b->weight(), 1u);
}

TEST_F(PairTest, ACommitDuringACutIsRefusedAndLocalMarksThePair) {
  pair();
  cut();
  const Verdict refused = commit(*a, a->text(7));
  EXPECT_EQ(refused.kind, Kind::peer);
  EXPECT_NE(refused.cause.find("not reachable"), std::string::npos) << refused.cause;
  EXPECT_EQ(a->weight(), 1u);
  ASSERT_EQ(commit(*a, a->text(7), true).kind, Kind::committed);
  EXPECT_EQ(a->weight(), 7u);
  EXPECT_TRUE(a->said("on this box alone"));
  EXPECT_TRUE(a->shows("was committed on this box alone"));
  // Only one side has changed: the other follows.
  b->start();
  ASSERT_TRUE(agreed());
  EXPECT_EQ(b->weight(), 7u);
  EXPECT_EQ(commit(*a, a->text(8), true).kind, Kind::peer) << "not while the peer is there";
}

TEST_F(PairTest, DivergenceIsShownAsADifferenceAndAPersonChooses) {
  pair();
  cut();
  ASSERT_EQ(commit(*a, a->text(7), true).kind, Kind::committed);
  a->daemon.reset();
  b->start();
  ASSERT_EQ(commit(*b, b->text(9), true).kind, Kind::committed);
  a->start();
  ASSERT_TRUE(run_until([&] { return a->shows("+ pool web backend web1 weight 9"); }));
  EXPECT_TRUE(a->shows("- pool web backend web1 weight 7"));
  ASSERT_TRUE(run_until([&] { return b->shows("+ pool web backend web1 weight 7"); }));
  EXPECT_FALSE(a->shows("eth1") || a->shows("ens4")) << "what is a box's own is no difference";
  EXPECT_TRUE(a->said("gone different ways"));
  run_for(300ms);
  EXPECT_EQ(a->weight(), 7u);
  EXPECT_EQ(b->weight(), 9u);
  EXPECT_EQ(commit(*a, a->text(5)).kind, Kind::peer);
  const auto adopted = adopt(*a, true);
  ASSERT_TRUE(adopted) << adopted.error().message;
  ASSERT_TRUE(agreed());
  EXPECT_EQ(a->weight(), 9u);
  EXPECT_EQ(a->daemon->configuration().config().interface(0).port(), "eth1");
  ASSERT_EQ(commit(*a, a->text(5)).kind, Kind::committed);
  EXPECT_EQ(b->weight(), 5u);
}

TEST_F(PairTest, ANewBoxTakesWhatThePairHasWhenAPersonSaysSo) {
  a->start(3);
  ASSERT_EQ(commit(*a, a->text(4)).kind, Kind::committed) << "unpaired it needs nobody";
  b->start(1);
  const auto code = b->daemon->pair().make_code("anna");
  ASSERT_TRUE(code);
  ASSERT_TRUE(wait<config::Result<std::string>>([&](auto done) { a->daemon->pair().pair_with(*code, "anna", done); }));
  ASSERT_TRUE(run_until([&] { return b->shows("+ pool web backend web1 weight 4"); }));
  EXPECT_EQ(b->weight(), 1u);
  ASSERT_TRUE(adopt(*a, false)) << "said on the other box";
  ASSERT_TRUE(agreed());
  EXPECT_EQ(b->weight(), 4u);
  EXPECT_EQ(b->daemon->configuration().config().failover().side(), config::v1::B);
}

TEST_F(PairTest, WhatIsNotConfirmedGoesBackOnBoth) {
  pair();
  ASSERT_EQ(commit(*a, a->text(7), false, 2).kind, Kind::committed);
  EXPECT_FALSE(b->daemon->configuration().revision().stands());
  ASSERT_TRUE(run_until([&] { return a->weight() == 1 && b->weight() == 1; }));
  EXPECT_TRUE(agreed());
  EXPECT_EQ(a->daemon->configuration().line(), b->daemon->configuration().line());
  ASSERT_EQ(commit(*a, a->text(8), false, 60).kind, Kind::committed);
  ASSERT_TRUE(agreed());
  ASSERT_TRUE(wait<config::Result<std::string>>([&](auto done) { b->daemon->pair().confirm("anna", done); }));
  EXPECT_TRUE(a->daemon->configuration().revision().stands());
  EXPECT_TRUE(b->daemon->configuration().revision().stands());
}

TEST_F(PairTest, WhatADataplaneRefusesGoesBackOnBoth) {
  pair();
  push::TestDataplane dataplane;
  dataplane.port = "eth1";
  dataplane.listen("unix:" + a->dir + "/dataplane.sock");
  ASSERT_TRUE(run_until([&] {
    return a->daemon->trial(a->daemon->configuration().revision().number).state == Daemon::Trial::State::runs;
  }));
  std::string text = a->text(7);
  text.replace(text.find("eth1"), 4, "eth9");
  ASSERT_EQ(commit(*a, text).kind, Kind::committed);
  ASSERT_TRUE(run_until([&] { return a->weight() == 1; })) << "the dataplane has no port eth9";
  EXPECT_TRUE(run_until([&] { return b->weight() == 1; }));
  EXPECT_TRUE(agreed());
}

}  // namespace
}  // namespace headgate::app
