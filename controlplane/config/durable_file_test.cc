#include "controlplane/config/durable_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

namespace headgate::config {
namespace {

TEST(DurableFile, ReplacesTheOldContentWhole) {
  const std::string path = testing::TempDir() + "durable." + std::to_string(getpid());
  ASSERT_TRUE(write_file_durably(path, "a long first content"));
  ASSERT_TRUE(write_file_durably(path, "second"));
  EXPECT_EQ(read_file(path).value(), "second");
  EXPECT_EQ(std::filesystem::status(path).permissions(), std::filesystem::perms(0600));  // it may hold secrets
  EXPECT_FALSE(std::filesystem::exists(path + ".new"));
  std::filesystem::remove(path);
}

TEST(DurableFile, SaysWhatFailed) {
  EXPECT_EQ(read_file("/nonexistent/x").error().message, "cannot open /nonexistent/x: No such file or directory");
  EXPECT_FALSE(write_file_durably("/nonexistent/x", ""));
}

TEST(DurableFile, ReadsOfAForeignPathOnlyARegularFileOfBoundedSize) {
  const std::string path = testing::TempDir() + "foreign." + std::to_string(getpid());
  ASSERT_TRUE(write_file_durably(path, "12345678"));
  EXPECT_EQ(read_regular_file(path, 8).value(), "12345678");
  EXPECT_EQ(read_regular_file(path, 7).error().message, path + " is larger than 7 bytes");
  std::filesystem::remove(path);
  EXPECT_EQ(read_regular_file("/dev/zero", 8).error().message, "/dev/zero is no regular file");
  EXPECT_FALSE(read_regular_file(testing::TempDir(), 8));
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(read_regular_file(path, 8).error().message,
            path + " is no regular file");  // and does not wait for a writer
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace headgate::config
