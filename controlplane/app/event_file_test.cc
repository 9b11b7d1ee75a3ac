#include "controlplane/app/event_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "controlplane/app/events.h"

namespace headgate::app {
namespace {

class EventFileTest : public testing::Test {
 protected:
  EventFileTest() : path(testing::TempDir() + "events." + std::to_string(getpid())) { clear(); }
  ~EventFileTest() override { clear(); }
  void clear() const {
    std::filesystem::remove(path);
    std::filesystem::remove(path + ".1");
  }
  const std::string path;
};

Event event(const std::string& text) {
  return {.time_ms = 1234567890123, .kind = "health", .text = text, .severity = Severity::warning, .user = "anna"};
}

TEST_F(EventFileTest, IsReadAsItWasWritten) {
  {
    EventFile file(path);
    EXPECT_TRUE(file.load(10).empty());
    file.append(event("web1 down"));
    file.append(event("two\nlines\tand a tab"));
  }
  const auto events = EventFile(path).load(10);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].time_ms, 1234567890123);
  EXPECT_EQ(events[0].kind, "health");
  EXPECT_EQ(events[0].text, "web1 down");
  EXPECT_EQ(events[0].severity, Severity::warning);
  EXPECT_EQ(events[0].user, "anna");
  EXPECT_EQ(events[1].text, "two lines and a tab");
  EXPECT_EQ(EventFile(path).load(1).front().text, "two lines and a tab") << "the last ones";
  struct stat found{};
  ASSERT_EQ(::stat(path.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0600u);
}

TEST_F(EventFileTest, WhatIsTornOrGarbageIsLeftOut) {
  EventFile(path).append(event("first"));
  std::ofstream(path, std::ios::app) << "nonsense\n12\t99\thealth\t\tx\n\n\t\t\t\t\n"
                                     << std::string(100, '\0') << "\n1234\t4\thealth\t\ttorn";
  EventFile(path).append(event("second"));
  const auto events = EventFile(path).load(10);
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[0].text, "first");
  EXPECT_EQ(events[1].text, "torn");
  EXPECT_EQ(events[2].text, "second");
}

TEST_F(EventFileTest, KeepsTwoFilesAtMost) {
  EventFile file(path);
  for (int i = 0; i < 5; ++i) {
    for (int j = 0; j < 30; ++j) file.append(event(std::to_string(i) + std::string(100'000, 'x')));
  }
  EXPECT_LE(std::filesystem::file_size(path) + std::filesystem::file_size(path + ".1"),
            2 * (EventFile::kBytesMax + 200'000));
  EXPECT_EQ(file.load(1).front().text[0], '4');
}

TEST_F(EventFileTest, EventsGoOnAfterAnotherStart) {
  {
    Events events;
    events.keep_in(path);
    events.add("commit", "revision 1 by anna", Severity::notice, "anna");
  }
  Events events;
  events.keep_in(path);
  events.add("commit", "revision 2 by bert");
  const auto all = events.last(10);
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].text, "revision 1 by anna");
  EXPECT_EQ(all[0].number, 1u);
  EXPECT_EQ(all[1].number, 2u);
}

TEST_F(EventFileTest, AnUnusablePlaceLosesNothingButTheFile) {
  Events events;
  events.keep_in("/nonexistent/events");
  events.add("commit", "revision 1");
  EXPECT_EQ(events.last(10).size(), 1u);
}

}  // namespace
}  // namespace headgate::app
