#include "controlplane/compile/id_table.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "controlplane/config/durable_file.h"

namespace headgate::compile {
namespace {

TEST(IdTable, SurvivesARestart) {
  const std::string path = testing::TempDir() + "ids." + std::to_string(getpid());
  std::filesystem::remove(path);
  IdTable table = load_ids(path).value();
  EXPECT_EQ(table.assign(Kind::backend, "a"), 1u);
  EXPECT_EQ(table.assign(Kind::backend, "b"), 2u);
  EXPECT_EQ(table.assign(Kind::pool, "a"), 1u) << "kinds count on their own";
  EXPECT_EQ(table.assign(Kind::backend, "a"), 1u);
  ASSERT_TRUE(save_ids(path, table));
  IdTable again = load_ids(path).value();
  EXPECT_EQ(again, table);
  EXPECT_EQ(again.assign(Kind::backend, "c"), 3u);
  std::filesystem::remove(path);
}

TEST(IdTable, ADamagedFileIsRefusedAndNotReplaced) {
  const std::string path = testing::TempDir() + "bad_ids." + std::to_string(getpid());
  for (const char* text :
       {"entry {", "entry { kind: \"backend\" key: \"a\" }", "entry { kind: \"x\" key: \"a\" id: 1 }",
        "entry { kind: \"pool\" key: \"a\" id: 1 } entry { kind: \"pool\" key: \"b\" id: 1 }"}) {
    ASSERT_TRUE(config::write_file_durably(path, text));
    EXPECT_FALSE(load_ids(path)) << text;
  }
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace headgate::compile
