#include "dataplane/app/keeper.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <optional>

#include "dataplane/snapshot/store.h"
#include "dataplane/snapshot/testing.h"

namespace headgate::app {
namespace {

namespace pb = dataplane::v1;
using namespace std::chrono_literals;

class KeeperTest : public testing::Test {
 protected:
  KeeperTest() {
    auto whole = std::make_shared<pb::Snapshot>();
    whole->set_generation(1);
    for (const std::uint32_t id : {10u, 20u}) {
      auto& pool = *whole->add_pool();
      pool.set_id(id);
      pool.set_name("pool" + std::to_string(id));
      pool.set_algorithm(pb::ROUND_ROBIN);
      for (std::uint32_t i = 1; i <= 2; ++i) {
        auto& backend = *pool.add_backend();
        backend.set_id(id + i);
        backend.set_address("10.0.0." + std::to_string(id + i));
        backend.set_weight(1);
      }
    }
    kept = {whole, source.accept(whole->DebugString())};
  }
  ~KeeperTest() override { std::filesystem::remove(path); }
  std::optional<pb::Snapshot> stored() const {
    const auto bytes = snapshot::load(path);
    pb::Snapshot message;
    if (!bytes || !message.ParseFromString(*bytes)) return std::nullopt;
    return message;
  }
  bool stored_within(std::uint64_t generation, std::chrono::milliseconds time) const {
    const auto end = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < end) {
      if (const auto message = stored(); message && message->generation() == generation) return true;
      std::this_thread::sleep_for(2ms);
    }
    return false;
  }

  const std::string path = testing::TempDir() + "keeper." + std::to_string(getpid());
  snapshot::testing::Source source;
  Kept kept;
};

TEST_F(KeeperTest, AWholeSnapshotIsThereAtOnceAndStatesFollow) {
  Keeper keeper(path);
  keeper.keep(kept);
  ASSERT_TRUE(stored());
  EXPECT_EQ(stored()->SerializeAsString(), kept.message->SerializeAsString());

  kept.snapshot = source.update(
      "backend { backend_id: 12 health: DOWN weight: 1 } backend { backend_id: 21 weight: 7 drain: true }");
  keeper.keep_soon(kept);
  ASSERT_TRUE(stored_within(2, 5s));
  const pb::Snapshot message = *stored();
  EXPECT_EQ(message.pool(0).backend(0).health(), pb::UP);
  EXPECT_EQ(message.pool(0).backend(1).health(), pb::DOWN);
  EXPECT_EQ(message.pool(1).backend(0).weight(), 7u);
  EXPECT_TRUE(message.pool(1).backend(0).drain());
}

TEST_F(KeeperTest, ManyChangesAreFewWritesAndTheLastOneCounts) {
  Keeper keeper(path);
  for (int i = 0; i < 1000; ++i) {
    kept.snapshot = source.update("backend { backend_id: 12 weight: " + std::to_string(i) + " }");
    keeper.keep_soon(kept);
  }
  ASSERT_TRUE(stored_within(1001, 5s));
  EXPECT_EQ(stored()->pool(0).backend(1).weight(), 999u);
}

TEST_F(KeeperTest, AnEndWritesWhatIsDue) {
  {
    Keeper keeper(path);
    for (int i = 0; i < 3; ++i) {
      kept.snapshot = source.update("");
      keeper.keep_soon(kept);
    }
  }
  ASSERT_TRUE(stored());
  EXPECT_EQ(stored()->generation(), 4u);
}

TEST_F(KeeperTest, StatesOfAnEarlierSnapshotNeverComeAfterANewOne) {
  Keeper keeper(path);
  for (int i = 0; i < 50; ++i) {
    kept.snapshot = source.update("");
    keeper.keep_soon(kept);
    auto whole = std::make_shared<pb::Snapshot>(*kept.message);
    whole->set_generation(kept.snapshot->generation + 1);
    kept = {whole, source.accept(whole->DebugString())};
    source.update("");  // the source counts on
    keeper.keep(kept);
    EXPECT_EQ(stored()->generation(), whole->generation());
    kept.snapshot = source.last();
  }
}

}  // namespace
}  // namespace headgate::app
