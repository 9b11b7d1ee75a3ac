#include "controlplane/config/durable_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

namespace headgate::config {
namespace {

TEST(DurableFile, ReplacesTheOldContentWhole) {
  const std::string path = testing::TempDir() + "durable." + std::to_string(getpid());
  ASSERT_TRUE(write_file_durably(path, "a long first content"));
  ASSERT_TRUE(write_file_durably(path, "second"));
  EXPECT_EQ(read_file(path).value(), "second");
  EXPECT_FALSE(std::filesystem::exists(path + ".new"));
  std::filesystem::remove(path);
}

TEST(DurableFile, SaysWhatFailed) {
  EXPECT_EQ(read_file("/nonexistent/x").error().message, "cannot open /nonexistent/x: No such file or directory");
  EXPECT_FALSE(write_file_durably("/nonexistent/x", ""));
}

}  // namespace
}  // namespace headgate::config
