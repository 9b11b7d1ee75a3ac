#include "controlplane/failover/link.h"

#include <google/protobuf/stubs/logging.h>

#include <random>
#include <thread>

#include "controlplane/failover/link_words.h"
#include "controlplane/failover/test_boxes.h"
#include "tests/seed.h"

namespace headgate::failover {
namespace {

using namespace std::chrono_literals;
using ha::v1::Envelope;

Word some_word() {
  return {.epoch = 7,
          .revision = 3,
          .version = "1.2.3",
          .witness_answers = true,
          .groups = {{.name = "main", .state = PeerState::active, .priority = 200, .health = HealthClass::degraded},
                     {.name = "other", .state = PeerState::backup, .paused = true, .take = 1, .taking = 2, .ask = 3}}};
}

TEST(Backoff, GrowsToAQuarterOfASecondAndIsLongAfterARefusalOnly) {
  Backoff backoff;
  EXPECT_EQ(backoff.next(), 100ms);
  EXPECT_EQ(backoff.next(), 200ms);
  for (int i = 0; i < 10; ++i) static_cast<void>(backoff.next());
  EXPECT_EQ(backoff.next(), 250ms);
  backoff.refused();
  EXPECT_EQ(backoff.next(), 2000ms);
  EXPECT_EQ(backoff.next(), 250ms);
  backoff.reset();
  EXPECT_EQ(backoff.next(), 100ms);
}

TEST(Hearing, ThreeIntervalsAreSilenceAndTenTheEnd) {
  Hearing hearing;
  const Time start{1000s};
  hearing.begin(start);
  hearing.heard(start, 200ms);
  EXPECT_FALSE(hearing.silent(start + 599ms));
  EXPECT_TRUE(hearing.silent(start + 600ms));
  EXPECT_FALSE(hearing.gone(start + 1999ms));
  EXPECT_TRUE(hearing.gone(start + 2000ms));
  hearing.heard(start, 20ms);
  EXPECT_FALSE(hearing.gone(start + 999ms)) << "a second at least";
  hearing.begin(start + 10s);
  EXPECT_TRUE(hearing.silent(start + 10s)) << "a connection alone is no word";
  EXPECT_FALSE(hearing.gone(start + 10s));
  hearing.heard(start, 3600s * 24);
  EXPECT_TRUE(hearing.silent(start + 30s)) << "a peer cannot stretch it beyond three times ten seconds";
}

TEST(PaceTest, AStandstillIsThreeHeartbeatsAndNeverWhatABusyMachineTakes) {
  Pace pace;
  const Time start{1000s};
  pace.kept(start, 20ms);
  EXPECT_FALSE(pace.stood_still(start + 500ms, 20ms));
  EXPECT_TRUE(pace.stood_still(start + 501ms, 20ms));
  EXPECT_FALSE(pace.stood_still(start + 3s, 1s));
  EXPECT_TRUE(pace.stood_still(start + 3001ms, 1s));
  EXPECT_TRUE(pace.may_be_old(start + 501ms, 20ms));
  pace.kept(start + 600ms, 20ms);
  EXPECT_TRUE(pace.may_be_old(start + 699ms, 20ms)) << "whichever is first, the timer or what waited";
  EXPECT_FALSE(pace.may_be_old(start + 700ms, 20ms));
}

TEST(Words, SurviveTheWay) {
  ha::v1::Heartbeat heartbeat;
  fill(some_word(), heartbeat);
  EXPECT_EQ(word_of(heartbeat), some_word());
}

TEST(Words, WhatCannotBeIsNotBelieved) {
  const auto spoiled = [](auto spoil) {
    ha::v1::Heartbeat heartbeat;
    fill(some_word(), heartbeat);
    spoil(heartbeat);
    return word_of(heartbeat).has_value();
  };
  EXPECT_TRUE(spoiled([](auto&) {}));
  EXPECT_FALSE(spoiled([](auto& h) { h.mutable_group(0)->set_state(static_cast<unsigned>(PeerState::dead)); }));
  EXPECT_FALSE(spoiled([](auto& h) { h.mutable_group(0)->set_health(3); }));
  EXPECT_FALSE(spoiled([](auto& h) { h.mutable_group(0)->set_priority(256); }));
  EXPECT_FALSE(spoiled([](auto& h) { h.mutable_group(0)->clear_name(); }));
  EXPECT_FALSE(spoiled([](auto& h) { h.mutable_group(0)->set_name(std::string(64, 'n')); }));
  EXPECT_FALSE(spoiled([](auto& h) {
    for (int i = 0; i <= kGroupsMax; ++i) h.add_group()->set_name("g");
  }));
}

TEST(Frames, ComeOutWholeWhateverThePieces) {
  const auto seed = static_cast<unsigned>(test_seed());
  SCOPED_TRACE("HEADGATE_SEED=" + std::to_string(seed));
  std::mt19937 random(seed);
  std::string bytes;
  for (unsigned i = 0; i < 200; ++i) {
    Envelope envelope;
    envelope.mutable_config_abort()->set_transaction(i);
    if (i % 10 == 0) envelope.mutable_config_head()->set_shared_text(std::string(random() % 20'000, 'x'));
    bytes += encode_frame(envelope);
  }
  FrameDecoder decoder;
  unsigned count = 0;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t size = std::min<std::size_t>(bytes.size() - at, 1 + random() % 3000);
    decoder.feed({reinterpret_cast<const std::uint8_t*>(bytes.data()) + at, size});
    at += size;
    while (const auto envelope = decoder.next()) {
      if (count % 10 != 0) {
        ASSERT_EQ(envelope->config_abort().transaction(), count);
      }
      ++count;
    }
  }
  EXPECT_EQ(count, 200u);
  EXPECT_EQ(decoder.fault(), "");
  EXPECT_EQ(decoder.buffered(), 0u);
}

TEST(Frames, ALengthOutOfBoundsTakesNoMemory) {
  FrameDecoder decoder(100);
  const std::uint8_t bytes[] = {0, 0, 0, 101, 1, 2, 3};
  decoder.feed(bytes);
  EXPECT_FALSE(decoder.next());
  EXPECT_NE(decoder.fault(), "");
  for (int i = 0; i < 100; ++i) decoder.feed(bytes);
  EXPECT_EQ(decoder.buffered(), 0u);
}

TEST(Frames, GarbageIsAFaultAndNothingElse) {
  const auto seed = static_cast<unsigned>(test_seed());
  SCOPED_TRACE("HEADGATE_SEED=" + std::to_string(seed));
  std::mt19937 random(seed);
  Envelope envelope;
  fill(some_word(), *envelope.mutable_heartbeat());
  const std::string good = encode_frame(envelope);
  unsigned faults = 0;
  const google::protobuf::LogSilencer quiet;
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = good + good;
    for (unsigned i = 0; i < 1 + random() % 4; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
    FrameDecoder decoder(4096);
    decoder.feed({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
    for (unsigned frames = 0; const auto read = decoder.next(); ++frames) {
      ASSERT_LT(frames, bytes.size());
      if (read->has_heartbeat()) static_cast<void>(word_of(read->heartbeat()));
    }
    faults += decoder.fault().empty() ? 0 : 1;
  }
  EXPECT_GT(faults, 1000u);
}

class LinkTest : public BoxesTest {
 protected:
  // Somebody who has side A's key, and says what he wants.
  struct Raw {
    std::shared_ptr<LinkStream> stream;
    bool ready = false, closed = false;
    std::string why;
    std::vector<Envelope> came;
  };
  std::unique_ptr<Raw> raw(const std::string& identity_directory, const char* from = kAddressA) {
    auto out = std::make_unique<Raw>();
    IdentityStore identity(disk, identity_directory);
    EXPECT_TRUE(identity.open());
    out->stream = std::make_shared<LinkStream>(
        io, *identity.current().context(),
        LinkStream::Handlers{.ready = [raw = out.get()] { raw->ready = true; },
                             .message = [raw = out.get()](Envelope e) { raw->came.push_back(std::move(e)); },
                             .closed =
                                 [raw = out.get()](const std::string& why) {
                                   raw->closed = true;
                                   raw->why = why;
                                 }});
    out->stream->start_client({asio::ip::make_address(from), 0}, {asio::ip::make_address(kAddressB), port},
                              LinkStream::Kind::link);
    return out;
  }
  // As side A, which does not run: nobody else speaks.
  std::unique_ptr<Raw> raw_a() {
    pin();
    a.reset();
    b->link.configure(pair_config(config::v1::B, port));
    auto out = raw(directory(config::v1::A));
    run_until([&] { return out->ready || out->closed; });
    return out;
  }
  Envelope hello() {
    IdentityStore identity(disk, directory(config::v1::A));
    EXPECT_TRUE(identity.open());
    Envelope envelope;
    auto& out = *envelope.mutable_hello();
    out.set_protocol_least(1);
    out.set_protocol_most(1);
    out.set_box_id(identity.current().box_id());
    out.set_side(config::v1::A);
    out.set_version("9.9");
    return envelope;
  }
};

TEST_F(LinkTest, WordsArriveAtOnceWhenTheyChange) {
  connect(2000);  // so rarely that only the change itself can bring it
  run_for(100ms);
  const auto start = std::chrono::steady_clock::now();
  a->link.tell(some_word());
  ASSERT_TRUE(run_until([&] { return b->link.view().word.groups.size() == 2; }));
  EXPECT_LT(std::chrono::steady_clock::now() - start, 500ms);
  Word expected = some_word();
  EXPECT_EQ(b->link.view().word, expected);
  EXPECT_EQ(b->link.view().state_of("main"), PeerState::active);
  EXPECT_EQ(b->link.view().state_of("absent"), PeerState::unknown);
  const int changes = b->changes;
  a->link.tell(some_word());
  run_for(100ms);
  EXPECT_EQ(b->changes, changes) << "nothing new is no change";
}

TEST_F(LinkTest, APeerThatEndsIsSilentAfterThreeHeartbeatsAndComesBack) {
  connect(50);
  b->link.tell(some_word());
  ASSERT_TRUE(run_until([&] { return a->link.view().state_of("main") == PeerState::active; }));
  const auto start = std::chrono::steady_clock::now();
  b.reset();
  ASSERT_TRUE(run_until([&] { return !a->link.view().link_up; }));
  EXPECT_GE(std::chrono::steady_clock::now() - start, 90ms);
  EXPECT_EQ(a->link.view().state_of("main"), PeerState::unknown);
  EXPECT_EQ(a->link.view().word, some_word()) << "its last word is kept";
  EXPECT_NE(a->link.view().problem, "");
  make(config::v1::B).link.configure(pair_config(config::v1::B, port));
  EXPECT_TRUE(run_until([&] { return a->link.view().link_up && b->link.view().link_up; }));
  EXPECT_EQ(a->link.view().problem, "");
}

TEST_F(LinkTest, AConnectionWithoutAWordIsGivenUp) {
  auto peer = raw_a();
  ASSERT_TRUE(peer->ready) << peer->why;
  peer->stream->send(hello());
  ASSERT_TRUE(run_until([&] { return b->link.up(); }));
  EXPECT_FALSE(b->link.view().link_up) << "a Hello is no heartbeat";
  ASSERT_TRUE(run_until([&] { return peer->closed; }, 5s));
  EXPECT_TRUE(b->logged("said nothing for"));
}

TEST_F(LinkTest, AHelloAfterThePairingEndedIsRefused) {
  auto peer = raw_a();
  ASSERT_TRUE(peer->ready) << peer->why;
  ASSERT_TRUE(b->link.unpair());
  peer->stream->send(hello());
  ASSERT_TRUE(run_until([&] { return peer->closed; }));
  EXPECT_FALSE(b->link.up());
}

TEST_F(LinkTest, AStandstillOfThisBoxIsNoSilenceOfThePeer) {
  connect(50);
  const int changes = a->changes;
  std::this_thread::sleep_for(400ms);  // far beyond three heartbeats, and what came meanwhile was not read
  run_for(300ms);
  EXPECT_TRUE(a->link.view().link_up);
  EXPECT_LE(a->changes - changes, 2);
}

TEST_F(LinkTest, AnotherKeyIsNamedOnBothSides) {
  pin();
  a.reset();
  std::filesystem::remove(directory(config::v1::A) + "/identity.pem");  // as installed anew
  make(config::v1::A);
  configure();
  ASSERT_TRUE(run_until([&] { return b->link.view().problem.find("another key") != std::string::npos; }))
      << b->link.view().problem;
  EXPECT_TRUE(run_until([&] {
    return a->link.view().problem.find("does not know this box's key") != std::string::npos;
  })) << a->link.view().problem;
  EXPECT_FALSE(a->link.up() || b->link.up());
}

TEST_F(LinkTest, AnotherProtocolIsNamed) {
  auto peer = raw_a();
  ASSERT_TRUE(peer->ready) << peer->why;
  Envelope envelope = hello();
  envelope.mutable_hello()->set_protocol_least(0);
  envelope.mutable_hello()->set_protocol_most(0);
  peer->stream->send(envelope);
  ASSERT_TRUE(run_until([&] { return !b->link.view().problem.empty(); }));
  EXPECT_EQ(b->link.view().problem, "the peer (version 9.9) speaks protocol 0, this box 1; update the peer");
  ASSERT_TRUE(run_until([&] { return peer->closed; }));
  ASSERT_EQ(peer->came.back().body_case(), Envelope::kRefusal);
  EXPECT_EQ(peer->came.back().refusal().cause(), ha::v1::Refusal::PROTOCOL);
  EXPECT_EQ(explain(peer->came.back().refusal()).substr(0, 30), "the peer speaks protocol 1, th");
}

TEST_F(LinkTest, ANewerPeerThatSpeaksOursToo) {
  auto peer = raw_a();
  Envelope envelope = hello();
  envelope.mutable_hello()->set_protocol_most(5);
  peer->stream->send(envelope);
  EXPECT_TRUE(run_until([&] { return b->link.up(); })) << b->link.view().problem;
  // and a message that only it knows
  Envelope unknown;
  unknown.GetReflection()->MutableUnknownFields(&unknown)->AddVarint(999, 1);
  peer->stream->send(unknown);
  run_for(50ms);
  EXPECT_TRUE(b->link.up());
}

TEST_F(LinkTest, TwoBoxesOfTheSameSideAreTold) {
  pin();
  a->link.configure(pair_config(config::v1::A, port));
  auto wrong = pair_config(config::v1::B, port);
  wrong.mutable_failover()->set_side(config::v1::A);
  b->link.configure(wrong);
  EXPECT_TRUE(run_until([&] { return a->link.view().problem.find("side") != std::string::npos; }));
  EXPECT_TRUE(run_until([&] { return b->link.view().problem.find("side") != std::string::npos; }));
}

TEST_F(LinkTest, AStrangersAddressIsClosedAtOnce) {
  pin();
  a.reset();
  b->link.configure(pair_config(config::v1::B, port));
  auto stranger = raw(directory(config::v1::A), "127.0.0.3");
  ASSERT_TRUE(run_until([&] { return stranger->closed; }, 2s));
  EXPECT_FALSE(stranger->ready);
}

TEST_F(LinkTest, GarbageEndsTheConnectionAndNothingElse) {
  auto peer = raw_a();
  peer->stream->send(hello());
  ASSERT_TRUE(run_until([&] { return b->link.up(); }));
  Envelope envelope;
  envelope.mutable_heartbeat()->add_group()->set_state(77);
  peer->stream->send(envelope);
  ASSERT_TRUE(run_until([&] { return peer->closed; }));
  EXPECT_TRUE(b->logged("cannot be right"));
  auto again = raw(directory(config::v1::A));
  ASSERT_TRUE(run_until([&] { return again->ready; }));
  again->stream->send(hello());
  EXPECT_TRUE(run_until([&] { return b->link.up(); }));
}

TEST_F(LinkTest, BeforeHelloOnlyALittleIsRead) {
  auto peer = raw_a();
  Envelope envelope = hello();
  envelope.mutable_hello()->set_name(std::string(100'000, 'n'));
  peer->stream->send(envelope);
  EXPECT_TRUE(run_until([&] { return peer->closed; }));
  EXPECT_FALSE(b->link.up());
}

// As a cut does: a listener whose queue is full drops what else comes.
TEST_F(LinkTest, AConnectionThatNobodyAnswersIsGivenUpSoon) {
  pin();
  asio::ip::tcp::acceptor silent(io, asio::ip::tcp::v4());
  silent.bind({asio::ip::make_address(kAddressB), port});
  silent.listen(0);
  std::vector<asio::ip::tcp::socket> queued;
  for (int i = 0; i < 3; ++i) {
    queued.emplace_back(io, asio::ip::tcp::v4());
    queued.back().async_connect({asio::ip::make_address(kAddressB), port}, [](const asio::error_code&) {});
    run_for(5ms);
  }
  const auto start = std::chrono::steady_clock::now();
  const auto stream = raw(directory(config::v1::A));
  ASSERT_TRUE(run_until([&] { return stream->closed; }));
  EXPECT_EQ(stream->why, "no answer");
  EXPECT_LT(std::chrono::steady_clock::now() - start, 800ms);
}

TEST_F(LinkTest, ConnectionsThatSayNothingAreFewAndEnd) {
  pin();
  a.reset();
  b->link.configure(pair_config(config::v1::B, port));
  std::vector<asio::ip::tcp::socket> idle;
  for (int i = 0; i < 20; ++i) {
    idle.emplace_back(io, asio::ip::tcp::v4());
    idle.back().bind({asio::ip::make_address(kAddressA), 0});
    asio::error_code ignored;
    idle.back().connect({asio::ip::make_address(kAddressB), port}, ignored);
    run_for(5ms);
  }
  int open = 0;
  for (auto& socket : idle) {
    asio::error_code error;
    socket.non_blocking(true);
    char byte = 0;
    socket.read_some(asio::buffer(&byte, 1), error);
    open += error == asio::error::would_block ? 1 : 0;
  }
  EXPECT_LE(open, 4);
  run_for(LinkStream::kHandshakeLimit + 200ms);
  auto peer = raw(directory(config::v1::A));
  EXPECT_TRUE(run_until([&] { return peer->ready; })) << "they are gone, the peer comes in";
}

TEST_F(LinkTest, AMessageLargerThanTheLimitIsNotSent) {
  connect();
  Envelope envelope;
  envelope.mutable_config_head()->set_shared_text(std::string(kFrameMax + 1, 'x'));
  EXPECT_FALSE(a->link.send(envelope));
}

TEST_F(LinkTest, ARotatedKeyTakesTheOldOnesPlaceWithoutAGap) {
  connect(100);
  const std::string before = a->link.view().detail.at(1);
  std::optional<config::Result<std::string>> rotated;
  bool gap = false;
  b->link.on_change([&] { gap |= !b->link.view().link_up; });
  a->link.rotate_key([&](config::Result<std::string> done) { rotated = std::move(done); });
  ASSERT_TRUE(run_until([&] { return rotated.has_value(); }));
  ASSERT_TRUE(*rotated) << rotated->error().message;
  ASSERT_TRUE(run_until([&] { return a->link.up() && b->link.up(); }));
  run_for(300ms);
  EXPECT_TRUE(a->link.view().link_up && b->link.view().link_up);
  EXPECT_FALSE(gap);
  EXPECT_NE(a->link.view().detail.at(1), before);
  PairingRecord record(disk, directory(config::v1::B));
  ASSERT_TRUE(record.open());
  EXPECT_EQ(record.peer()->next_fingerprint(), "") << "the old key is no longer accepted";
  make(config::v1::A);
  make(config::v1::B);
  configure();
  EXPECT_TRUE(run_until([&] { return a->link.view().link_up && b->link.view().link_up; }));
}

TEST_F(LinkTest, ARotationThatACrashEndedGoesOn) {
  pin();
  IdentityStore identity(disk, directory(config::v1::B));
  ASSERT_TRUE(identity.open());
  ASSERT_TRUE(identity.make_next());  // and then the power went
  const Fingerprint wanted = identity.next()->fingerprint();
  make(config::v1::B);
  configure();
  EXPECT_TRUE(run_until([&] {
    PairingRecord record(disk, directory(config::v1::A));
    return record.open() && record.peer()->fingerprint() == to_hex(wanted);
  }));
  EXPECT_TRUE(run_until([&] { return a->link.up() && b->link.up(); }));
}

TEST_F(LinkTest, RotationWithoutThePeerIsRefused) {
  pin();
  a->link.configure(pair_config(config::v1::A, port));
  b.reset();
  bool refused = false;
  a->link.rotate_key([&](const config::Result<std::string>& done) { refused = !done; });
  EXPECT_TRUE(refused);
  EXPECT_FALSE(std::filesystem::exists(directory(config::v1::A) + "/next.pem"));
}

TEST_F(LinkTest, UnpairedBoxesSayWhy) {
  connect();
  ASSERT_TRUE(a->link.unpair());
  EXPECT_FALSE(a->link.unpair());
  EXPECT_TRUE(run_until([&] { return !b->link.up(); }));
  EXPECT_TRUE(run_until([&] { return b->link.view().problem.find("not paired") != std::string::npos; }))
      << b->link.view().problem;
  EXPECT_TRUE(run_until([&] { return !b->link.view().link_up; }));
  EXPECT_FALSE(a->link.view().link_up);
}

TEST_F(LinkTest, ADamagedFileIsSaidAndKept) {
  pin();
  a.reset();
  const std::string path = directory(config::v1::A) + "/identity.pem";
  std::filesystem::resize_file(path, 100);
  a = std::make_unique<TestBox>(io, directory(config::v1::A), config::v1::A);
  EXPECT_FALSE(a->link.open());
  configure();
  run_for(100ms);
  EXPECT_NE(a->link.view().problem.find("identity.pem"), std::string::npos);
  EXPECT_EQ(std::filesystem::file_size(path), 100u);
  EXPECT_FALSE(a->link.pair());
}

}  // namespace
}  // namespace headgate::failover
