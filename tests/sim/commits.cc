#include "tests/sim/commits.h"

#include <google/protobuf/text_format.h>

#include <algorithm>

#include "controlplane/compile/compile.h"
#include "controlplane/config/print.h"
#include "controlplane/config/validate.h"
#include "dataplane/base/check.h"

namespace headgate::sim {
namespace {

constexpr std::size_t kLogMax = 40;

template <class To>
void put_in_force(const health::InForce& state, To& to) {
  to.set_health(state.up ? dataplane::v1::UP : dataplane::v1::DOWN);
  to.set_weight(state.weight);
  to.set_drain(state.drain);
}

std::string text_of(const google::protobuf::Message& message) {
  std::string text;
  google::protobuf::TextFormat::PrintToString(message, &text);
  return text;
}

bool takes_flows(const health::InForce& state) {
  return state.up && state.weight != 0 && !state.drain;
}

// Neither a verdict nor a command keeps it from serving.
bool could_serve(const health::PoolRules::Backend& rule, health::Why why) {
  using health::Why;
  return rule.weight != 0 && !rule.drain &&
         (why == Why::nothing || why == Why::not_asked || why == Why::backup || why == Why::slow_start);
}

}  // namespace

Commits::Commits(std::uint64_t seed, unsigned count, Nanos pause_max)
    : count_(count), pause_max_(pause_max), rng_(seed ^ 0xc0117), walk_(seed) {}

std::string Commits::first() {
  dataplane::v1::Snapshot snapshot = compiled();
  digest_ = snapshot.digest();
  return text_of(snapshot);
}

// Sometimes at once: a snapshot that no worker ever saw is replaced by the next.
Nanos Commits::pause() {
  if (finished()) return kNever;
  return rng_.below(10) == 0 ? 0 : 1 + rng_.next() % pause_max_;
}

void Commits::change(Box& box) {
  now_ = box.now();
  if (rng_.below(3) == 0) {
    change_states();
    push_states(box);
  } else {
    commit(box);
  }
}

void Commits::commit(Box& box) {
  std::string what;
  for (unsigned wanted = 1 + rng_.below(3); wanted != 0;) {
    std::string step = walk_.step();
    if (step.empty()) continue;
    what += (what.empty() ? "" : "; ") + step;
    --wanted;
  }
  say(what);
  ++commits_;
  dataplane::v1::Snapshot snapshot = compiled();
  if (snapshot.digest() == digest_) return push_states(box);  // as the pusher does
  digest_ = snapshot.digest();
  standings_.refresh(now());
  for (auto& pool : *snapshot.mutable_pool()) {
    for (auto& backend : *pool.mutable_backend()) put_in_force(standings_.in_force(backend.id()), backend);
  }
  box.publish(text_of(snapshot));
}

// Text -> message -> validate -> ids -> snapshot, all by the product's code.
dataplane::v1::Snapshot Commits::compiled() {
  const std::string text = config::print(walk_.config());
  config::Document document = config::load_text("commit", text);
  config::attach_comments(document, text);
  for (const config::Diagnostic& diagnostic : document.diagnostics) {
    if (diagnostic.severity == config::Severity::error) trouble_ += diagnostic.to_string() + "\n";
  }
  if (document.config.SerializeAsString() != walk_.config().SerializeAsString()) {
    trouble_ += "commit " + std::to_string(commits_) + ": printed and read again, the configuration differs\n";
  }
  compile::assign_ids(document.config, ids_);
  if (rng_.below(10) == 0) ids_ = *compile::IdTable::from_text(ids_.to_text());  // as after a restart
  trouble_ += compile::probe_prefix_problem(document.config, ids_);
  standings_.set_pools(compile::pool_rules(document.config, ids_), {}, now());
  let_every_pool_serve();
  return compile::compile(document.config, ids_);
}

// Verdicts of probes, and what an operator commands.
void Commits::change_states() {
  for (unsigned n = 1 + rng_.below(4); n != 0; --n) {
    const auto& pools = standings_.pools();
    const auto& pool = pools[rng_.below(static_cast<std::uint32_t>(pools.size()))];
    if (pool.rules.backends.empty()) continue;
    const std::uint32_t id = pool.rules.backends[rng_.below(static_cast<std::uint32_t>(pool.rules.backends.size()))].id;
    const bool good = rng_.below(2) == 0;
    const std::string who = std::to_string(id) + " of " + pool.rules.name;
    switch (rng_.below(3)) {
      case 0:
        standings_.set_health(id, good ? health::Health::up : health::Health::down, now());
        say((good ? "up: " : "down: ") + who);
        break;
      case 1:
        standings_.set_admin(id, good ? health::Admin::enabled : health::Admin::drain, now());
        say((good ? "enable " : "drain ") + who);
        break;
      default:
        standings_.heard(id, {.percent = 1 + rng_.below(100)});
        say("agent's weight of " + who);
    }
  }
  let_every_pool_serve();
}

// Traffic needs one backend: where the last was taken, all come back.
void Commits::let_every_pool_serve() {
  standings_.refresh(now());
  for (const auto& pool : standings_.pools()) {
    if (std::any_of(pool.state.in_force.begin(), pool.state.in_force.end(), takes_flows)) continue;
    for (std::size_t i = 0; i < pool.rules.backends.size(); ++i) {
      const auto& backend = pool.rules.backends[i];
      if (could_serve(backend, pool.state.why[i])) {
        trouble_ += "commit " + std::to_string(commits_) + ": nobody serves in " + pool.rules.name + ", and " +
                    std::to_string(backend.id) + " could\n";
      }
      standings_.set_admin(backend.id, health::Admin::enabled, now());
      standings_.set_health(backend.id, health::Health::up, now());
    }
    say("all of " + pool.rules.name + " are back");
  }
}

// All of them, changed or not: what did not change is to stay.
void Commits::push_states(Box& box) {
  standings_.refresh(now());
  dataplane::v1::StateUpdate update;
  for (const auto& pool : standings_.pools()) {
    for (const auto& rule : pool.rules.backends) {
      auto& state = *update.add_backend();
      state.set_backend_id(rule.id);
      put_in_force(standings_.in_force(rule.id), state);
    }
  }
  box.update(text_of(update));
  ++state_updates_;
}

void Commits::say(std::string what) {
  log_.push_back(std::to_string(now_ / kMillisecond) + " ms, commit " + std::to_string(commits_) + ": " +
                 std::move(what));
  if (log_.size() > kLogMax) log_.pop_front();
}

std::string Commits::log() const {
  std::string all;
  for (const std::string& line : log_) all += line + "\n";
  return all + trouble_;
}

}  // namespace headgate::sim
