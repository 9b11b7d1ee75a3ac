#include <gtest/gtest.h>

#include "controlplane/console/table.h"

namespace headgate::console {
namespace {

TEST(Table, AlignsTextLeftAndNumbersRightAndCutsToTheWidth) {
  Table table({"NAME", ">FLOWS"});
  table.row({"web", "7"});
  table.row({"longer", "12345"});
  EXPECT_EQ(table.text(80), "NAME    FLOWS\nweb         7\nlonger  12345\n");
  for (const std::string& line : {table.text(6)}) EXPECT_LE(line.find('\n'), 6u);
}

TEST(Count, IsExactWhenSmallAndShortWhenLarge) {
  EXPECT_EQ(count(0), "0");
  EXPECT_EQ(count(9999), "9999");
  EXPECT_EQ(count(12'345), "12.3k");
  EXPECT_EQ(count(1'234'567), "1.23M");
}

TEST(Duration, NamesTheUnit) {
  EXPECT_EQ(duration(12), "12ms");
  EXPECT_EQ(duration(93'000), "1m33s");
  EXPECT_EQ(duration(7'440'000), "2h4m");
}

}  // namespace
}  // namespace headgate::console
