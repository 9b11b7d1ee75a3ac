#include "dataplane/snapshot/publisher.h"

#include <gtest/gtest.h>

#include <thread>

#include "dataplane/base/rng.h"

namespace headgate::snapshot {
namespace {

using namespace std::chrono_literals;

std::shared_ptr<const Snapshot> numbered(std::uint64_t generation) {
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->generation = generation;
  snapshot->digest = std::to_string(generation);  // on the heap when long: a freed one is caught
  snapshot->digest.resize(64, '.');
  return snapshot;
}

TEST(Publisher, AnOldSnapshotLivesUntilEveryReaderPassed) {
  Publisher publisher(2);
  auto& a = publisher.reader(0);
  auto& b = publisher.reader(1);
  EXPECT_EQ(a.online(), nullptr);
  EXPECT_EQ(b.online(), nullptr);
  EXPECT_EQ(publisher.running_generation(0), 0u);
  publisher.publish(numbered(5));
  const std::weak_ptr<const Snapshot> first = publisher.current();
  EXPECT_EQ(publisher.running_generation(0), 0u);
  EXPECT_EQ(a.quiescent()->generation, 5u);
  EXPECT_FALSE(publisher.wait_until_running(5, 1ms)) << "b has not passed";
  EXPECT_EQ(b.quiescent()->generation, 5u);
  EXPECT_TRUE(publisher.wait_until_running(5, 1ms));

  publisher.publish(numbered(6));
  a.quiescent();
  EXPECT_FALSE(publisher.reclaim());
  EXPECT_FALSE(first.expired());
  EXPECT_EQ(publisher.running_generation(0), 6u);
  EXPECT_EQ(publisher.running_generation(1), 5u);
  b.offline();
  EXPECT_EQ(publisher.running_generation(1), 6u);
  EXPECT_TRUE(publisher.reclaim());
  EXPECT_TRUE(first.expired());
  EXPECT_EQ(b.online()->generation, 6u);
  EXPECT_FALSE(publisher.wait_until_running(7, 1ms)) << "not the current one";
}

TEST(Publisher, GenerationsMayGoBackwardsAfterARestartOfTheControlPlane) {
  Publisher publisher(1);
  publisher.publish(numbered(9));
  EXPECT_EQ(publisher.reader(0).online()->generation, 9u);
  publisher.publish(numbered(2));
  EXPECT_FALSE(publisher.wait_until_running(2, 1ms));
  EXPECT_EQ(publisher.reader(0).quiescent()->generation, 2u);
  EXPECT_TRUE(publisher.wait_until_running(2, 1ms));
}

// The test that ThreadSanitizer and AddressSanitizer judge.
TEST(Publisher, TenThousandSwapsUnderReadersThatRunSleepAndWake) {
  constexpr unsigned kReaders = 4;
  constexpr std::uint64_t kSwaps = 10'000;
  Publisher publisher(kReaders);
  publisher.publish(numbered(1));
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> switches{0};
  std::atomic<unsigned> started{0};
  std::vector<std::thread> threads;
  for (unsigned r = 0; r < kReaders; ++r) {
    threads.emplace_back([&, r] {
      Rng rng(r + 1);
      auto& reader = publisher.reader(r);
      const Snapshot* snapshot = reader.online();
      std::uint64_t last = 0;
      ++started;
      while (!stop.load(std::memory_order_relaxed)) {
        ASSERT_GE(snapshot->generation, last);
        if (snapshot->generation != last) switches.fetch_add(1, std::memory_order_relaxed);
        last = snapshot->generation;
        ASSERT_EQ(snapshot->digest.size(), 64u);
        ASSERT_EQ(snapshot->digest.substr(0, snapshot->digest.find('.')), std::to_string(last));
        if (rng.chance(0.02)) {
          reader.offline();
          if (rng.chance(0.002)) std::this_thread::sleep_for(100us);
          snapshot = reader.online();
        } else {
          snapshot = reader.quiescent();
        }
      }
      reader.offline();
    });
  }
  while (started < kReaders) std::this_thread::yield();
  Rng rng(99);
  std::uint64_t generation = 1;
  while (generation < kSwaps || switches < kSwaps) {  // on a busy machine more, until the readers had their share
    publisher.publish(numbered(++generation));
    if (rng.chance(0.5)) publisher.reclaim();
    if (rng.chance(0.2)) {
      ASSERT_TRUE(publisher.wait_until_running(generation, 10s));
    }
  }
  EXPECT_TRUE(publisher.wait_until_running(generation, 10s));
  EXPECT_TRUE(publisher.reclaim());
  EXPECT_EQ(publisher.current().use_count(), 1);
  stop = true;
  for (auto& thread : threads) thread.join();
}

}  // namespace
}  // namespace headgate::snapshot
