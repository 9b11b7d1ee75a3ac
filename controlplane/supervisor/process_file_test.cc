#include "controlplane/supervisor/process_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace headgate::supervisor {
namespace {

TEST(ProcessFile, ReadsSectionsWordsAndDefaults) {
  const ProcessFile file = parse_process_file("f", R"(# comment
[dataplane]
command = /bin/dp --name "box a" --x='y z' a\ b ""
user = nobody
log = /tmp/dp.log
stop_timeout_ms = 100

[controlplane]
  command=/bin/cp
)");
  ASSERT_EQ(file.error, "");
  ASSERT_EQ(file.processes.size(), 2u);
  EXPECT_THAT(file.processes[0].command, testing::ElementsAre("/bin/dp", "--name", "box a", "--x=y z", "a b", ""));
  EXPECT_EQ(file.processes[0].user, "nobody");
  EXPECT_EQ(file.processes[0].stop_timeout.count(), 100);
  EXPECT_EQ(file.processes[1].name, "controlplane");
  EXPECT_EQ(file.processes[1].stop_timeout.count(), 5000);
}

TEST(ProcessFile, NamesTheLineThatIsWrong) {
  const struct {
    const char *text, *error;
  } cases[] = {
      {"", "f: no processes; add a section [NAME] with a command"},
      {"[a]\n", "f: [a] has no command; add command = PROGRAM ARGUMENT..."},
      {"command = x\n", "f:1: a value before the first section; begin with [NAME]"},
      {"[a]\ncommand = x\n[a]\n", "f:3: a second section [a]; choose another name"},
      {"[a]\ncmd = x\n", "f:2: unknown key cmd; possible are command, user, log, stop_timeout_ms, watchdog_ms"},
      {"[a]\ncommand = \"x\n", "f:2: the command is empty or a quote is not closed; write PROGRAM ARGUMENT..."},
      {"[a]\ncommand\n", "f:2: neither a [section] nor KEY = VALUE; correct the line"},
      {"[a]\nstop_timeout_ms = 5s\n", "f:2: stop_timeout_ms is 5s; use 1 to 60000"},
      {"[a b]\n", "f:1: no section; write [NAME], a name without spaces"},
  };
  for (const auto& c : cases) EXPECT_EQ(parse_process_file("f", c.text).error, c.error);
}

}  // namespace
}  // namespace headgate::supervisor
