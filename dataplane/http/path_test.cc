#include "dataplane/http/path.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "dataplane/base/rng.h"
#include "dataplane/http/testing.h"

namespace headgate::http {
namespace {

struct Row {
  std::string path, forward, match;
};

struct Normalized {
  std::vector<char> space;
  NormalPath path;
  Reason reason;

  explicit Normalized(std::string_view text, const PathOptions& options = {})
      : space(2 * text.size() + 2), reason(normalize_path(text, options, space, path)) {}
};

TEST(Path, HasOneNormalForm) {
  for (const Row& row : std::vector<Row>{
           {"", "/", "/"},
           {"/", "/", "/"},
           {"/a/b.c", "/a/b.c", "/a/b.c"},
           {"//", "/", "/"},
           {"/a//b", "/a/b", "/a/b"},
           {"//a///b//", "/a/b/", "/a/b/"},
           {"/.", "/", "/"},
           {"/./a", "/a", "/a"},
           {"/a/.", "/a/", "/a/"},
           {"/a/..", "/", "/"},
           {"/a/b/..", "/a/", "/a/"},
           {"/a/../b", "/b", "/b"},
           {"/a//../b", "/b", "/b"},
           {"/a/b/../../c", "/c", "/c"},
           {"/.a/..b/c.", "/.a/..b/c.", "/.a/..b/c."},
           {"/...", "/...", "/..."},
           {"/%61%2D%7e", "/a-~", "/a-~"},
           {"/a/%2e%2e/b", "/b", "/b"},
           {"/a/.%2E/b", "/b", "/b"},
           {"/%c3%a4", "/%C3%A4", "/\xc3\xa4"},
           {"/a%20b%3f", "/a%20b%3F", "/a b?"},
           {"/a%252e", "/a%252e", "/a%2e"},
           {"/a;x=1/b;y", "/a;x=1/b;y", "/a/b"},
           {"/a%3bx/b", "/a%3Bx/b", "/a;x/b"},
           {"/;x/a", "/;x/a", "//a"},
           {"/a+b", "/a+b", "/a+b"},
           {"/a%2bb", "/a%2Bb", "/a+b"},
       }) {
    const Normalized normal(row.path);
    ASSERT_EQ(normal.reason, Reason::none) << row.path;
    EXPECT_EQ(normal.path.forward, row.forward) << row.path;
    EXPECT_EQ(normal.path.match, row.match) << row.path;
  }
}

TEST(Path, IsRefusedWhereServersDiffer) {
  const std::vector<std::pair<const char*, Reason>> rows{
      {"/%", Reason::bad_percent},          {"/%1", Reason::bad_percent},        {"/%1/", Reason::bad_percent},
      {"/%zz", Reason::bad_percent},        {"/%u002f", Reason::bad_percent},    {"/%00", Reason::encoded_nul},
      {"/a%2fb", Reason::encoded_slash},    {"/a%5Cb", Reason::encoded_slash},   {"/a\\b", Reason::encoded_slash},
      {"/..", Reason::above_root},          {"/../", Reason::above_root},        {"/a/../..", Reason::above_root},
      {"/%2e%2e/a", Reason::above_root},    {"/a/..;/b", Reason::dot_parameter}, {"/a/.;x/b", Reason::dot_parameter},
      {"/a/%2e.;b", Reason::dot_parameter}, {"/./..//a", Reason::above_root},
  };
  for (const auto& [path, reason] : rows) {
    EXPECT_STREQ(to_string(Normalized(path).reason), to_string(reason)) << path;
  }
}

TEST(Path, FollowsItsOptions) {
  const Normalized slashes("/a//b/", {.merge_slashes = false});
  EXPECT_EQ(slashes.path.forward, "/a//b/");
  EXPECT_EQ(Normalized("/a//../b", {.merge_slashes = false}).path.forward, "/a/b");
  const Normalized encoded("/a%2fb/c", {.encoded_slashes = true});
  EXPECT_EQ(encoded.path.forward, "/a%2Fb/c");
  EXPECT_EQ(encoded.path.match, "/a%2Fb/c");
  EXPECT_EQ(Normalized("/a%2f../c", {.encoded_slashes = true}).path.forward, "/a%2F../c");
  EXPECT_EQ(Normalized("/a%5c", {.encoded_slashes = true}).reason, Reason::encoded_slash);
}

TEST(Path, IsNotCopiedWhenItIsNormal) {
  const std::string path = "/a/b.c";
  EXPECT_EQ(Normalized(path).path.forward.data(), path.data());
}

// The normal form is normal, has nothing in it that was to be removed, and is never longer.
TEST(Path, NormalFormsStayAsTheyAre) {
  Rng rng(testing::seed());
  constexpr std::string_view kPieces[] = {"/", "/", ".", "..", "a", "%2e", "%61", "%C3", ";x", "//", "b", "%25"};
  for (unsigned round = 0; round < testing::rounds(20'000); ++round) {
    std::string path = "/";
    for (unsigned pieces = rng.below(10); pieces > 0; --pieces) path += kPieces[rng.below(std::size(kPieces))];
    const PathOptions options{.merge_slashes = rng.chance(0.5), .encoded_slashes = rng.chance(0.5)};
    const Normalized once(path, options);
    if (once.reason != Reason::none) continue;
    const std::string forward(once.path.forward), match(once.path.match);
    ASSERT_LE(forward.size(), path.size());
    ASSERT_EQ((forward + "/").find("/../"), std::string::npos) << path;
    ASSERT_EQ((forward + "/").find("/./"), std::string::npos) << path;
    if (options.merge_slashes) {
      ASSERT_EQ(forward.find("//"), std::string::npos) << path;
    }
    const Normalized twice(forward, options);
    ASSERT_EQ(twice.reason, Reason::none) << path;
    ASSERT_EQ(twice.path.forward, forward) << path;
    ASSERT_EQ(twice.path.match, match) << path;
  }
}

}  // namespace
}  // namespace headgate::http
