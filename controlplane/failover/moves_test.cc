#include "controlplane/failover/moves.h"

#include <gtest/gtest.h>

#include "controlplane/config/document.h"

namespace headgate::failover {
namespace {

config::v1::Config site(const std::string& more) {
  const config::Document document = config::parse("x",
                                                  "interface { name: \"front\" prefix: \"192.0.2.0/24\" }\n"
                                                  "group { name: \"one\" } group { name: \"two\" }\n" +
                                                      more);
  EXPECT_TRUE(document.ok());
  return document.config;
}

TEST(Moves, AreFoundWhateverHasTheAddress) {
  struct Case {
    const char* name;
    std::string before, after, expected;
  };
  const auto service = [](const std::string& address, const std::string& group) {
    return "service { name: \"web\" address: \"" + address + "\" group: \"" + group + "\" }\n";
  };
  const auto local = [](const std::string& prefix, const std::string& more) {
    return "local_address { prefix: \"" + prefix + "\" interface: \"front\" " + more + " }\n";
  };
  for (const Case& c : {
           Case{"nothing", service("192.0.2.100", "one"), service("192.0.2.100", "one"), ""},
           Case{"the first group is meant by none", service("192.0.2.100", ""), service("192.0.2.100", "one"), ""},
           Case{"a service", service("192.0.2.100", "one"), service("192.0.2.100", "two"), "192.0.2.100 one two\n"},
           Case{"another form of it", service("2001:db8::1", ""), service("2001:db8:0::1", "two"),
                "2001:db8::1 one two\n"},
           Case{"another address", service("192.0.2.100", "one"), service("192.0.2.101", "two"), ""},
           Case{"a part of a block", local("192.0.2.64/28", ""), local("192.0.2.72/29", "group: \"two\""),
                "192.0.2.72/29 one two\n"},
           Case{"what does not float", local("192.0.2.64/28", "floats: false"),
                local("192.0.2.64/28", "floats: false group: \"two\""), ""},
           Case{"a floating address becomes a service's",
                "interface { name: \"back\" floating { address: \"192.0.2.1\" group: \"two\" } }\n",
                service("192.0.2.1", "one"), "192.0.2.1 two one\n"},
       }) {
    SCOPED_TRACE(c.name);
    std::string found;
    for (const Move& move : moves(site(c.before), site(c.after)))
      found += move.what + " " + move.from + " " + move.to + "\n";
    EXPECT_EQ(found, c.expected);
  }
}

TEST(Moves, BetweenBoxesTakeTwoCommits) {
  const std::vector<Move> all = {{"192.0.2.100", "one", "two"}};
  struct Case {
    const char* name;
    PeerState one_here, two_here, one_there, two_there;
    bool refused;
  };
  using enum PeerState;
  for (const Case& c : {Case{"from here to there", active, backup, backup, active, true},
                        Case{"from there to here", backup, active, active, backup, true},
                        Case{"both here", active, active, backup, backup, false},
                        Case{"both there", backup, backup, active, active, false},
                        Case{"the new group is active nowhere", active, backup, backup, backup, false},
                        Case{"nobody knows", unknown, unknown, unknown, unknown, false}}) {
    SCOPED_TRACE(c.name);
    Word own;
    own.groups = {{.name = "one", .state = c.one_here}, {.name = "two", .state = c.two_here}};
    PeerView peer;
    peer.link_up = true;
    peer.word.groups = {{.name = "one", .state = c.one_there}, {.name = "two", .state = c.two_there}};
    const std::string why = dual_active_move(all, own, peer);
    EXPECT_EQ(!why.empty(), c.refused);
    if (!c.refused) continue;
    EXPECT_EQ(why.substr(0, 84),
              "192.0.2.100 goes from group one to group two, which are active on different boxes: f");
    EXPECT_EQ(dual_active_move({}, own, peer), "");
  }
}

}  // namespace
}  // namespace headgate::failover
