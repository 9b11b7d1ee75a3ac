// RFC 9293 appendix B, every MUST: the test that shows it, or why there is none here. A test that is renamed or lost
// fails.
#include <gtest/gtest.h>

#include <set>
#include <string>

namespace headgate::tcp {
namespace {

struct Requirement {
  unsigned must;
  const char* test;   // "Suite.Name", or empty
  const char* where;  // who else sees to it, when there is no test
};

constexpr const char* kAdapter = "the worker's adapter, which knows IP and checksums";
constexpr const char* kUrgent = "urgent data is data in band: a proxy carries bytes (RFC 6093)";

constexpr Requirement kRequirements[] = {
    {1, "PassiveOpen.NeverScalesTheWindowOfASynAndClampsTheShift", ""},
    {2, "", kAdapter},
    {3, "", kAdapter},
    {4, "Options.AreReadAsWritten", ""},
    {5, "Options.MalformedOnesAreRefused", ""},
    {6, "Options.MalformedOnesAreRefused", ""},
    {7, "Options.MalformedOnesAreRefused", ""},
    {8, "InitialSequenceNumber.IsKeyedAndMovesWithTime", ""},
    {9, "InitialSequenceNumber.IsKeyedAndMovesWithTime", ""},
    {10, "SimultaneousOpen.BothSynsCrossAndBothConnect", ""},
    {11, "PassiveOpen.OnlyAResetOfTheExactNumberEndsAHalfOpenConnection", ""},
    {12, "Reset.OnlyTheExactNumberIsBelieved", ""},
    {13, "Close.WeCloseFirst", ""},
    {14, "PassiveOpen.OffersOnlyWhatThePeerOffered", ""},
    {15, "PassiveOpen.BelievesAnMssWithinReasonAndTakesOptionsOffIt", ""},
    {16, "PassiveOpen.BelievesAnMssWithinReasonAndTakesOptionsOffIt", ""},
    {17, "Segmentation.SmallWritesOfOneTurnShareASegment", ""},
    {18, "RoundTrip.OfARepeatedSegmentIsNotMeasured", ""},
    {19, "Timeout.GoesBackToOneSegmentAndHalvesTheThreshold", ""},
    {20, "Timeout.RepeatsWithBackoffAndGivesUp", ""},
    {21, "Timeout.RepeatsWithBackoffAndGivesUp", ""},
    {22, "ActiveOpen.RepeatsTheSynWithBackoffAndGivesUp", ""},
    {23, "ActiveOpen.RepeatsTheSynWithBackoffAndGivesUp", ""},
    {24, "Keepalive.ProbesAnIdlePeerAndGivesUp", ""},
    {25, "Keepalive.IsOffByDefault", ""},
    {26, "Keepalive.ProbesAnIdlePeerAndGivesUp", ""},
    {27, "Keepalive.ProbesAnIdlePeerAndGivesUp", ""},
    {28, "", "there is no default interval: a profile that turns it on says how long"},
    {29, "Keepalive.ProbesAnIdlePeerAndGivesUp", ""},
    {30, "Urgent.DataIsDataInBand", ""},
    {31, "", kUrgent},
    {32, "", kUrgent},
    {33, "", kUrgent},
    {34, "PeerWindow.SurvivesThatAPeerTakesItBack", ""},
    {35, "PeerWindow.ThatWasTakenBackToNothingIsProbed", ""},
    {36, "Persist.ProbesAClosedWindowWithBackoff", ""},
    {37, "Persist.LastsAsLongAsThePeerAnswers", ""},
    {38, "PeerWindow.IsNeverOverrun", ""},
    {39, "Window.OpensByItselfWhenTheApplicationReads", ""},
    {40, "DelayedAck.ComesAfterItsTime", ""},
    {41, "", "listeners and connections are independent (engine.h)"},
    {42, "", "listeners of one port and several addresses are independent (engine.h)"},
    {44, "", "the caller of connect() names the local address"},
    {45, "PassiveOpen.AnswersASynAndAcceptsWithTheAck", ""},
    {46, "", "addresses of pools are validated with the configuration"},
    {47, "ActiveOpen.UnreachableEndsItOnlyWhenItQuotesOurSyn", ""},
    {48, "", kAdapter},
    {49, "", kAdapter},
    {50, "", kAdapter},
    {51, "", kAdapter},
    {52, "", kAdapter},
    {53, "", kAdapter},
    {54, "PathMtu.IsLoweredByAnErrorAboutWhatIsInFlight", ""},
    {55, "", "source quench never reaches the engine"},
    {56, "ActiveOpen.UnreachableEndsItOnlyWhenItQuotesOurSyn", ""},
    {57, "", "packet::parse() refuses such sources, the worker such destinations"},
    {58, "DelayedAck.RidesOnData", ""},
    {59, "DelayedAck.ABurstGetsOneForEveryTwoSegments", ""},
    {60, "Cork.HoldsAPartialSegmentUntilMoreComes", ""},
    {61, "Segmentation.TheLastSegmentIsPushed", ""},
    {62, "", kUrgent},
    {63, "", "packet::parse() refuses such sources"},
    {64, "Options.MalformedOnesAreRefused", ""},
    {65, "Segmentation.CutsAtTheSegmentSize", ""},
    {66, "Reset.IsTakenWithAClosedWindow", ""},
    {67, "PassiveOpen.OffersOnlyWhatThePeerOffered", ""},
    {68, "Options.MalformedOnesAreRefused", ""},
    {69, "Options.AreReadAsWritten", ""},
};

TEST(Requirements, EveryMustHasATestOrAReason) {
  std::set<std::string> names;
  const auto* all = ::testing::UnitTest::GetInstance();
  for (int i = 0; i < all->total_test_suite_count(); ++i) {
    const auto* suite = all->GetTestSuite(i);
    for (int j = 0; j < suite->total_test_count(); ++j) {
      names.insert(std::string(suite->name()) + "." + suite->GetTestInfo(j)->name());
    }
  }
  std::set<unsigned> musts;
  for (const Requirement& r : kRequirements) {
    musts.insert(r.must);
    if (*r.test == '\0') {
      EXPECT_NE(*r.where, '\0') << "MUST-" << r.must;
    } else {
      EXPECT_TRUE(names.contains(r.test)) << "MUST-" << r.must << ": no test " << r.test;
    }
  }
  // 43 is not a number of the RFC.
  EXPECT_EQ(musts.size(), 68u);
}

}  // namespace
}  // namespace headgate::tcp
