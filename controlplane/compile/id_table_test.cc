#include "controlplane/compile/id_table.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "controlplane/config/durable_file.h"

namespace headgate::compile {
namespace {

TEST(IdTable, SurvivesARestart) {
  config::KernelDisk disk;
  const std::string path = testing::TempDir() + "ids." + std::to_string(getpid());
  std::filesystem::remove(path);
  IdTable table = load_ids(disk, path).value();
  EXPECT_EQ(table.assign(Kind::backend, "a"), 1u);
  EXPECT_EQ(table.assign(Kind::backend, "b"), 2u);
  EXPECT_EQ(table.assign(Kind::pool, "a"), 1u) << "kinds count on their own";
  EXPECT_EQ(table.assign(Kind::backend, "a"), 1u);
  ASSERT_TRUE(save_ids(disk, path, table));
  IdTable again = load_ids(disk, path).value();
  EXPECT_EQ(again, table);
  EXPECT_EQ(again.assign(Kind::backend, "c"), 3u);
  std::filesystem::remove(path);
}

TEST(IdTable, ADamagedFileIsRefusedAndNotReplaced) {
  config::KernelDisk disk;
  const std::string path = testing::TempDir() + "bad_ids." + std::to_string(getpid());
  for (const char* text :
       {"entry {", "entry { kind: \"backend\" key: \"a\" }", "entry { kind: \"x\" key: \"a\" id: 1 }",
        "entry { kind: \"pool\" key: \"a\" id: 1 } entry { kind: \"pool\" key: \"b\" id: 1 }"}) {
    ASSERT_TRUE(config::write_file_durably(path, text));
    EXPECT_FALSE(load_ids(disk, path)) << text;
  }
  std::filesystem::remove(path);
}

TEST(IdTable, TakesThePeersIdsUnlessOneOfThemMeansSomethingElseHere) {
  IdTable ours, theirs;
  for (const char* key : {"a", "b"}) ours.assign(Kind::pool, key);
  for (const char* key : {"a", "c", "d"}) theirs.assign(Kind::pool, key);
  theirs.assign(Kind::backend, "x");
  EXPECT_EQ(ours.take(theirs), 1u) << "id 2 is b here and c there";
  EXPECT_EQ(ours.find(Kind::pool, "c"), 0u);
  EXPECT_EQ(ours.find(Kind::pool, "d"), 3u);
  EXPECT_EQ(ours.find(Kind::backend, "x"), 1u);
  EXPECT_EQ(ours.assign(Kind::pool, "e"), 4u) << "above all that is known";
  IdTable fresh;
  EXPECT_EQ(fresh.take(theirs), 0u);
  EXPECT_EQ(fresh, theirs);
}

}  // namespace
}  // namespace headgate::compile
