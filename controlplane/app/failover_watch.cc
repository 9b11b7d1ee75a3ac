#include "controlplane/app/failover_watch.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <asio/post.hpp>
#include <random>
#include <sstream>

#include "controlplane/config/durable_file.h"
#include "controlplane/failover/epoch_file.h"

namespace headgate::app {
namespace {

namespace dp = dataplane::v1;
using failover::Clock;
using failover::Reach;

std::uint64_t seed() {
  std::random_device device;
  return (std::uint64_t{device()} << 32) | device();
}

Severity severity_of(dp::GroupRole to) {
  return to == dp::ROLE_FAULT ? Severity::error : to == dp::ROLE_ACTIVE ? Severity::warning : Severity::notice;
}

}  // namespace

FailoverWatch::FailoverWatch(asio::io_context& io, const std::string& dataplane, std::string state_dir, Events& events,
                             Pools pools)
    : state_dir_(std::move(state_dir)),
      events_(events),
      director_(seed()),
      news_(Clock::now()),
      pools_(std::move(pools)),
      reach_(io, io, seed(),
             [this](const health::Change& change) {
               events_.add("failover", change.text, change.up ? Severity::notice : Severity::warning);
               read_reach();
               decide();
             }),
      tick_timer_(io),
      deadline_timer_(io),
      channel_(io, dataplane,
               failover::Channel::Events{.state = [this](const dp::FailoverState& state) { on_state(state); },
                                         .delivered =
                                             [this](std::uint64_t version) {
                                               director_.delivered(version);
                                               decide();
                                             },
                                         .lost =
                                             [this] {
                                               director_.set_state(std::nullopt, Clock::now());
                                               decide();
                                             }}) {}

FailoverWatch::~FailoverWatch() {
  writer_.join();
}

void FailoverWatch::load() {
  if (const auto epoch = failover::load_epoch(epoch_path())) {
    saved_epoch_ = *epoch;
    director_.set_epoch(*epoch);
  } else {
    spdlog::error("failover: {}; the epoch is what the peer and the dataplane say", epoch.error().message);
  }
  if (::access(paused_path().c_str(), F_OK) != 0) return;
  const auto text = config::read_file(paused_path());
  if (!text) {
    spdlog::error("failover: {}; no group is paused", text.error().message);
    return;
  }
  std::istringstream lines(*text);
  std::set<std::string> groups;
  for (std::string line; std::getline(lines, line);) groups.insert(line);
  director_.set_paused(groups);
}

void FailoverWatch::set_link(failover::PeerLink* link) {
  link_ = link == nullptr ? &no_link_ : link;
  link_->on_change([this] { decide(); });
  decide();
}

void FailoverWatch::set_config(const config::v1::Config& config, const compile::IdTable& ids, std::uint64_t revision) {
  director_.set_rules(failover::rules_of(config, ids));
  director_.set_revision(revision);
  const auto ports = std::exchange(ports_, {});
  for (const auto& interface : config.interface()) ports_[interface.name()] = interface.port();
  // What was seen of a link holds as long as it is the same one: a commit must not lift a fault until the next look.
  std::erase_if(observed_.links, [&](const auto& link) {
    const auto before = ports.find(link.first);
    const auto after = ports_.find(link.first);
    const bool same = before != ports.end() && after != ports_.end() && before->second == after->second;
    return !same || !director_.rules().links.contains(link.first);
  });
  std::erase_if(untracked_, [&](const auto& link) {
    return !ports_.contains(link.first) || director_.rules().links.contains(link.first);
  });
  backends_.clear();
  for (const auto& pool : config.pool()) {
    for (const auto& backend : pool.backend()) {
      auto& own = backends_[{pool.name(), backend.name()}];
      for (const char* family : {"/v4/", "/v6/", "/mixed/"}) {  // controlplane/compile/expand.h
        const std::uint32_t id = ids.find(compile::Kind::backend, pool.name() + family + backend.name());
        if (id != 0) own.push_back(id);
      }
    }
  }
  set_reach_targets();
  running_ = !director_.rules().groups.empty();
  channel_.want(running_);
  if (running_) return tick();
  tick_timer_.cancel();
  deadline_timer_.cancel();
  director_.set_state(std::nullopt, Clock::now());
  link_->tell({});
}

void FailoverWatch::set_reach_targets() {
  reach_.set_targets(reach_targets_.of(director_.rules()), {});
  read_reach();
}

void FailoverWatch::read_reach() {
  failover::ReachSeen seen;
  reach_.each_detail([&](const auto& target, auto health, const auto& detail) { seen(target, health, detail); });
  seen.put(director_.rules(), observed_);
  director_.set_observed(observed_);
}

void FailoverWatch::observe_links(const dp::StatsReply& stats) {
  std::map<std::string, Reach> ports;
  for (const auto& port : stats.port()) ports[port.name()] = port.link_up() ? Reach::yes : Reach::no;
  bool news = false;
  for (const std::string& interface : director_.rules().links) {
    const Reach now = ports[ports_[interface]];
    news |= std::exchange(observed_.links[interface], now) != now;
  }
  note_untracked(ports);
  if (!news) return;
  director_.set_observed(observed_);
  decide();
}

void FailoverWatch::note_untracked(const std::map<std::string, Reach>& ports) {
  for (const auto& [interface, port] : ports_) {
    if (director_.rules().links.contains(interface)) continue;
    const auto found = ports.find(port);
    const Reach now = found == ports.end() ? Reach::unknown : found->second;
    const Reach before = std::exchange(untracked_[interface], now);
    const std::string label = "port " + port + " (interface " + interface + ") ";
    if (now == Reach::no && before != Reach::no)
      events_.add("failover", label + "has no carrier, and no group tracks it: nothing moves", Severity::warning);
    if (now == Reach::yes && before == Reach::no)
      events_.add("failover", label + "has its carrier again", Severity::notice);
  }
}

void FailoverWatch::observe_pools() {
  if (!running_ || director_.rules().pools.empty()) return;
  read_pools();
  decide();
}

void FailoverWatch::read_pools() {
  observed_.pools.clear();
  for (const health::Standings::Pool& pool : pools_()) {
    const std::string name = pool.rules.name.substr(0, pool.rules.name.find('/'));  // "web/v4" of "web"
    if (!director_.rules().pools.contains(name)) continue;
    const failover::PoolCount count{pool.state.healthy, pool.rules.minimum_healthy};
    const auto [found, fresh] = observed_.pools.emplace(name, count);
    if (!fresh && count.healthy < found->second.healthy) found->second = count;
  }
  director_.set_observed(observed_);
}

void FailoverWatch::on_state(const dp::FailoverState& state) {
  const failover::Time now = Clock::now();
  for (const failover::RoleNews& news : news_.take(state, now))
    events_.add("failover", news.text, severity_of(news.to));
  director_.set_state(state, now);
  save_epoch();
  decide();
}

void FailoverWatch::save_epoch() {
  if (director_.epoch() <= saved_epoch_) return;
  saved_epoch_ = director_.epoch();
  asio::post(writer_, [path = epoch_path(), epoch = saved_epoch_] {
    if (const auto saved = failover::save_epoch(path, epoch); !saved)
      spdlog::error("failover: {}; after a restart the epoch is what the peer and the dataplane say",
                    saved.error().message);
  });
}

void FailoverWatch::decide() {
  if (!running_ || std::exchange(deciding_, true)) return;
  const failover::Time now = Clock::now();
  const failover::Decision decision = director_.decide(link_->view(), now);
  for (const failover::Note& note : decision.notes)
    events_.add("failover", note.text, note.worse ? Severity::warning : Severity::notice);
  if (decision.to_dataplane) channel_.set(decision.input, decision.version);
  link_->tell(decision.word);
  save_epoch();
  arm(director_.next_deadline());
  deciding_ = false;
}

void FailoverWatch::tick() {
  read_reach();
  read_pools();
  decide();
  tick_timer_.expires_after(kReadEvery);
  tick_timer_.async_wait([this](const asio::error_code& cancelled) {
    if (!cancelled && running_) tick();
  });
}

void FailoverWatch::arm(failover::Time deadline) {
  deadline_timer_.cancel();
  if (deadline == failover::Time::max()) return;
  deadline_timer_.expires_at(deadline);
  deadline_timer_.async_wait([this](const asio::error_code& cancelled) {
    if (!cancelled) decide();
  });
}

config::Result<void> FailoverWatch::can_switch(const std::string& group) const {
  if (director_.rules().groups.empty()) return config::fail("no group is configured: nothing fails over");
  if (!director_.has_state()) return config::fail("the dataplane does not answer: nobody knows who is active");
  return director_.can_switch(group, link_->view());
}

config::Result<void> FailoverWatch::switch_group(const std::string& group, const std::string& user) {
  if (auto can = can_switch(group); !can) return can;
  events_.add("failover", "switch of group " + group + " by " + user, Severity::notice, user);
  director_.begin_switch(group, Clock::now());
  decide();
  return {};
}

config::Result<void> FailoverWatch::save_paused(const std::set<std::string>& groups) const {
  std::string text;
  for (const std::string& group : groups) text += group + "\n";
  return config::write_file_durably(paused_path(), text);
}

config::Result<void> FailoverWatch::pause(const std::string& group, bool paused, const std::string& user) {
  if (director_.rules().find(group) == nullptr) return config::fail("there is no group " + group);
  std::set<std::string> groups = director_.paused();
  if (groups.contains(group) == paused)
    return config::fail("group " + group + (paused ? " is paused already" : " is not paused"));
  paused ? static_cast<void>(groups.insert(group)) : static_cast<void>(groups.erase(group));
  if (auto saved = save_paused(groups); !saved) return config::fail(saved.error().message + "; nothing has changed");
  static_cast<void>(director_.pause(group, paused));
  events_.add("failover", "group " + group + (paused ? " paused by " : " resumed by ") + user, Severity::notice, user);
  decide();
  return {};
}

}  // namespace headgate::app
