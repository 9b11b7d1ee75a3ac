#include "controlplane/config/effects.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "controlplane/config/edit.h"

namespace headgate::config {
namespace {

using Lines = std::vector<std::string>;

class Effects : public ::testing::Test {
 protected:
  Effects() {
    for (const char* backend : {"web1", "web2"})
      change(before_, {"pool", "web", "backend", backend, "address", "10.10.0.21"});
    change(before_, {"pool", "spare", "backend", "s1", "address", "10.10.0.31"});
    change(before_, {"service", "www", "address", "192.0.2.100"});
    change(before_, {"service", "www", "pool", "web"});
    after_ = before_;
    flows_.known = true;
    flows_.services["www"] = 7;
    flows_.backends[{"web", "web1"}] = 4;
    flows_.backends[{"web", "web2"}] = 3;
  }
  static void change(v1::Config& config, const Words& words) { ASSERT_TRUE(set(config, words)) << join(words); }
  void change(const Words& words) { change(after_, words); }
  void remove(const Words& words) { ASSERT_TRUE(config::remove(after_, words)) << join(words); }
  // Without the lines that count what is changed.
  Lines fates() const {
    Lines lines;
    for (const std::string& line : effects(before_, after_, flows_)) {
      if (line.find(';') != std::string::npos) lines.push_back(line);
    }
    return lines;
  }

  v1::Config before_, after_;
  FlowsNow flows_;
};

TEST_F(Effects, ARemovedBackendsFlowsGoAsThePoolSays) {
  remove({"pool", "web", "backend", "web2"});
  EXPECT_EQ(fates(), (Lines{"pool web backend web2: removed; flows now: 3; they go on until they end"}));
  change({"pool", "web", "on_removal", "reset"});
  EXPECT_EQ(fates(), (Lines{"pool web backend web2: removed; flows now: 3; they are reset"}));
  flows_.backends.clear();
  EXPECT_EQ(fates(), (Lines{"pool web backend web2: removed; flows now: 0"}));
  flows_.known = false;
  EXPECT_EQ(fates(), (Lines{"pool web backend web2: removed; its flows are reset"}));
}

TEST_F(Effects, ADrainedOrMovedBackendKeepsItsFlows) {
  change({"pool", "web", "backend", "web1", "drain", "true"});
  change({"pool", "web", "backend", "web2", "port", "8080"});
  EXPECT_EQ(fates(),
            (Lines{"pool web backend web1: drained, it gets no new flows; flows now: 4; they go on",
                   "pool web backend web2: elsewhere for new flows; flows now: 3; they go on where they are"}));
}

TEST_F(Effects, ARemovedServiceGivesUpItsAddressUnlessAnotherHasIt) {
  remove({"service", "www"});
  EXPECT_EQ(
      fates(),
      (Lines{"service www: removed; flows now: 7; they end: this box gives up 192.0.2.100",
             "pool web backend web1: no service uses its pool any more; flows now: 4; they go on until they end",
             "pool web backend web2: no service uses its pool any more; flows now: 3; they go on until they end"}));
  change({"service", "other", "address", "192.0.2.100"});
  change({"service", "other", "pool", "web"});
  EXPECT_EQ(fates(), (Lines{"service www: removed; flows now: 7; they go on until they end"}));
}

TEST_F(Effects, ARemovedServiceIsOneLine) {
  remove({"service", "www"});
  const Lines lines = effects(before_, after_, flows_);
  EXPECT_EQ(std::count_if(lines.begin(), lines.end(), [](const auto& line) { return line.starts_with("service www"); }),
            1);
}

TEST_F(Effects, AServiceWithAnotherModeOrPoolKeepsItsFlowsAsThePoolSays) {
  change({"service", "www", "mode", "dsr"});
  EXPECT_EQ(fates(), (Lines{"service www: mode DSR for new flows; flows now: 7; they go on until they end"}));
  change({"service", "www", "pool", "spare"});
  change({"pool", "web", "on_removal", "reset"});
  EXPECT_EQ(fates()[0], "service www: mode DSR, pool spare for new flows; flows now: 7; they are reset");
}

TEST_F(Effects, AnAddressThatGoesTakesItsFlowsAlong) {
  change(before_, {"service", "www", "address", "2001:db8:1::100"});
  EXPECT_EQ(fates(),
            (Lines{"service www: other addresses for new flows; flows now: 7; they go on until they end, those "
                   "to 2001:db8:1::100 end"}));
}

TEST_F(Effects, AnotherNameIsAnotherEntryAndSaidSo) {
  ASSERT_TRUE(rename(after_, {"pool", "web", "backend", "web2"}, "www2"));
  ASSERT_TRUE(rename(after_, {"service", "www"}, "site"));
  const Lines lines = effects(before_, after_, flows_);
  const std::string anew = " under a new name, and new to the dataplane: its counters and its health begin anew";
  EXPECT_EQ(Lines(lines.end() - 2, lines.end()),
            (Lines{"pool web backend www2: is web2" + anew, "service site: is www" + anew}));
  change({"service", "site", "mode", "dsr"});
  EXPECT_EQ(effects(before_, after_, flows_).back(), "pool web backend www2: is web2" + anew);
}

TEST_F(Effects, RoutesAreNamedWithWhatBecomesOfTheirRequests) {
  const auto route = [](const std::string& name, const std::string& field, const std::string& value) {
    return Words{"service", "www", "http", "route", name, field, value};
  };
  change(before_, route("old", "path", "/old"));
  change(before_, route("api", "path_prefix", "/api"));
  change(before_, route("same", "path", "/same"));
  after_ = before_;
  remove({"service", "www", "http", "route", "old"});
  change(route("api", "pool", "spare"));
  change(route("same", "comment", "told to nobody"));
  change(route("no", "status", "403"));
  change({"service", "www", "http", "route", "tls", "redirect", "scheme", "https"});
  EXPECT_EQ(fates(), (Lines{"service www route api: changed; new requests that it takes go to pool spare",
                            "service www route no: added; new requests that it takes are answered with status 403",
                            "service www route tls: added; new requests that it takes are redirected",
                            "service www route old: removed; new requests take other routes, or go to pool web"}));
  before_ = after_;
  for (int i = 0; i < 23; ++i) change(route("r" + std::to_string(i), "path", "/" + std::to_string(i)));
  const Lines lines = fates();
  ASSERT_EQ(lines.size(), 20u);
  EXPECT_EQ(lines[0], "service www route r0: added; new requests that it takes go to pool web");
  EXPECT_EQ(effects(before_, after_, flows_).back(), "service www: 3 more routes changed");
}

TEST_F(Effects, APoolOfARouteIsInUse) {
  change(before_, {"service", "www", "http", "route", "r", "pool", "spare"});
  after_ = before_;
  remove({"service", "www", "http", "route", "r"});
  const Lines lines = fates();
  ASSERT_FALSE(lines.empty());
  EXPECT_EQ(lines.back(), "pool spare backend s1: no service uses its pool any more; flows now: 0");
}

TEST_F(Effects, WhatTouchesNoFlowSaysNothingOfFlows) {
  change({"pool", "web", "backend", "web3", "address", "10.10.0.23"});
  change({"pool", "web", "algorithm", "maglev"});
  EXPECT_EQ(fates(), Lines{});
  EXPECT_EQ(effects(before_, before_, flows_), Lines{});
}

}  // namespace
}  // namespace headgate::config
