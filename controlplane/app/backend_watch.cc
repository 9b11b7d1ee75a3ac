#include "controlplane/app/backend_watch.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <asio/post.hpp>
#include <fstream>
#include <random>
#include <set>
#include <sstream>

#include "controlplane/config/durable_file.h"
#include "controlplane/health/memory.h"

namespace headgate::app {

using health::Admin;
using health::AgentReply;
using health::Checker;

namespace {

health::AgentWord word_of(const AgentReply& reply) {
  health::AgentWord word{.percent = reply.weight_percent};
  if (reply.state != AgentReply::State::none) word.down = reply.state == AgentReply::State::down;
  switch (reply.admin) {
    case AgentReply::Admin::none:
      break;
    case AgentReply::Admin::ready:
      word.admin = Admin::enabled;
      break;
    case AgentReply::Admin::drain:
      word.admin = Admin::drain;
      break;
    case AgentReply::Admin::maint:
      word.admin = Admin::disabled;
      break;
  }
  return word;
}

std::string in_words(const AgentReply& reply) {
  static constexpr const char* kState[] = {"", "up", "down"};
  static constexpr const char* kAdmin[] = {"", "ready", "drain", "maint"};
  std::string text;
  const auto add = [&](const std::string& part) { text += part.empty() || text.empty() ? part : " " + part; };
  if (reply.weight_percent) add(std::to_string(*reply.weight_percent) + "%");
  add(kState[static_cast<int>(reply.state)]);
  add(kAdmin[static_cast<int>(reply.admin)]);
  if (!reply.description.empty()) add("#" + reply.description);
  if (!reply.ignored.empty()) add("(without effect: " + reply.ignored + ")");
  return text;
}

}  // namespace

BackendWatch::BackendWatch(asio::io_context& io, std::string state_dir, std::string boot, Events& events,
                           OnStates on_states)
    : state_dir_(std::move(state_dir)),
      boot_(std::move(boot)),
      events_(events),
      on_states_(std::move(on_states)),
      checker_(probing_, io, std::random_device{}(), [this](const health::Change& change) { on_verdict(change); }),
      // An agent that does not answer changes nothing: its last word holds.
      agents_(probing_, io, std::random_device{}(),
              [this](const health::Change& change) {
                if (!change.first || !change.up) events_.add("agent", change.text);
              }),
      refresh_timer_(io),
      save_timer_(io) {
  agents_.set_on_answer([this](const health::Target& target, const std::string& answer) { on_agent(target, answer); });
}

BackendWatch::~BackendWatch() {
  if (save_armed_) save();
  writer_.join();
}

void BackendWatch::load() {
  load_admin();
  if (const auto text = config::read_file(memory_path())) memory_ = health::read_memory(*text, boot_);
}

// Lines of "ID drain" and "ID disable". One that is damaged costs itself alone.
void BackendWatch::load_admin() {
  const auto text = config::read_file(admin_path());
  if (!text) return;
  std::istringstream lines(*text);
  std::string line;
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    std::uint32_t id = 0;
    std::string state;
    if (words >> id >> state && (state == "drain" || state == "disable")) {
      admin_[id] = state == "drain" ? Admin::drain : Admin::disabled;
    } else {
      spdlog::warn("health: {} has a line that says nothing: \"{}\"; drain or disable that backend again", admin_path(),
                   line);
    }
  }
}

config::Result<void> BackendWatch::save_admin() const {
  std::string text;
  for (const auto& [id, admin] : admin_)
    text += std::to_string(id) + (admin == Admin::drain ? " drain\n" : " disable\n");
  return config::write_file_durably(admin_path(), text);
}

void BackendWatch::set_pools(const config::v1::Config& config, const compile::IdTable& ids) {
  remember();
  pools_ = compile::pool_rules(config, ids);
  standings_.set_pools(pools_, memory_, Checker::now());
  for (const auto& [id, admin] : admin_) standings_.set_admin(id, admin, Checker::now());
  refresh();
}

void BackendWatch::adopt(const std::unordered_map<std::uint32_t, health::InForce>& running) {
  for (const auto& [id, state] : running) {
    const auto [known, fresh] = memory_.try_emplace(id);
    if (fresh || known->second.known.health == health::Health::unknown)
      known->second.known.health = state.up ? health::Health::up : health::Health::down;
  }
  begin_anew();
  // What is on disk may be a moment older than what was pushed before we died: nobody comes up by that.
  bool older = false;
  for (const auto& [id, state] : running) {
    if (state.up || !standings_.in_force(id).up) continue;
    memory_[id].known = {health::Health::down, Checker::now(), "down before the restart of this process"};
    older = true;
  }
  if (older) begin_anew();
}

void BackendWatch::begin_anew() {
  standings_ = {};
  standings_.set_pools(pools_, memory_, Checker::now());
  for (const auto& [id, admin] : admin_) standings_.set_admin(id, admin, Checker::now());
  refresh();
}

void BackendWatch::set_targets(const config::v1::Config& config, const compile::IdTable& ids) {
  remember();
  health::KnownHealth known;
  for (const auto& [id, remembered] : memory_) known.emplace(id, remembered.known);
  checker_.set_targets(compile::probe_targets(config, ids), known);
  const std::vector<health::Target> agents = compile::agent_targets(config, ids);
  agents_.set_targets(agents, {});
  std::set<std::uint32_t> with_agent;
  for (const health::Target& agent : agents) with_agent.insert(agent.backend_id);
  standings_.forget_agents(with_agent);
  std::erase_if(agent_replies_, [&](const auto& entry) { return !with_agent.contains(entry.first); });
  passive_.set_rules(compile::passive_rules(config, ids));
  std::set<std::uint32_t> present;
  for (const health::PoolRules& pool : pools_) {
    for (const auto& backend : pool.backends) {
      present.insert(backend.id);
      standings_.set_health(backend.id, checker_.health(backend.id), Checker::now());
    }
  }
  std::erase_if(memory_, [&](const auto& entry) { return !present.contains(entry.first); });
  save_soon();
  refresh_and_tell();
}

config::Result<void> BackendWatch::command(const std::vector<std::uint32_t>& backend_ids, Admin admin) {
  const auto before = admin_;
  for (const std::uint32_t id : backend_ids) {
    if (admin == Admin::enabled) {
      admin_.erase(id);
    } else {
      admin_[id] = admin;
    }
  }
  if (auto saved = save_admin(); !saved) {
    admin_ = before;
    return saved;
  }
  for (const std::uint32_t id : backend_ids) standings_.set_admin(id, admin, Checker::now());
  refresh_and_tell();
  return {};
}

void BackendWatch::put_in_force(dataplane::v1::Snapshot& snapshot) const {
  for (auto& pool : *snapshot.mutable_pool()) {
    for (auto& backend : *pool.mutable_backend()) {
      app::put_in_force(standings_.in_force(backend.id()), backend);
    }
  }
}

void BackendWatch::observe(const std::vector<health::BackendTraffic>& traffic) {
  for (const health::Passive::Trip& trip : passive_.observe(traffic))
    checker_.take_down(trip.backend_id, trip.cause, trip.hold);
}

void BackendWatch::pause_path(bool paused) {
  checker_.pause_path(paused);
  agents_.pause_path(paused);
}

void BackendWatch::on_agent(const health::Target& target, const std::string& answer) {
  const auto reply = health::parse_agent_reply(answer);
  if (!reply) return;
  const auto before = agent_replies_.find(target.backend_id);
  if (before != agent_replies_.end() && before->second == *reply) return;
  // Many agents say their load with each answer: only what has an effect is news.
  const bool news = before == agent_replies_.end() || word_of(before->second) != word_of(*reply);
  agent_replies_[target.backend_id] = *reply;
  if (!news) return;
  events_.add("agent", target.name + " says: " + in_words(*reply));
  standings_.heard(target.backend_id, word_of(*reply));
  refresh_soon(Checker::now());
  save_soon();
}

void BackendWatch::on_verdict(const health::Change& change) {
  verdicts_.push_back(change);
  standings_.set_health(change.backend_id, change.up ? health::Health::up : health::Health::down, Checker::now());
  refresh_soon(change.at);
  save_soon();
}

// One refresh looks at whole pools, so that thousands of verdicts in a row must not each cause one.
void BackendWatch::refresh_soon(health::Time since) {
  const health::Time now = Checker::now();
  changed_ = std::min(changed_, since);
  if (refreshed_ == health::Time::min() || now - refreshed_ >= kRefreshEvery) return refresh_and_tell();
  refresh_at(refreshed_ + kRefreshEvery);
}

void BackendWatch::refresh_at(health::Time moment) {
  if (refresh_due_ <= moment) return;
  refresh_due_ = moment;
  refresh_timer_.expires_at(std::chrono::steady_clock::time_point(moment));
  refresh_timer_.async_wait([this](const asio::error_code& cancelled) {
    if (!cancelled) refresh_and_tell();
  });
}

BackendWatch::Changes BackendWatch::refresh() {
  const health::Time now = Checker::now();
  refreshed_ = now;
  health::Standings::Refreshed result = standings_.refresh(now);
  std::set<std::uint32_t> changed;
  for (const auto& change : result.changes) changed.insert(change.backend_id);
  for (const health::Change& verdict : std::exchange(verdicts_, {})) {
    // That a backend which serves already is in fact up is no news.
    if (!verdict.first || !verdict.up || changed.contains(verdict.backend_id))
      events_.add("health", verdict.text, verdict.up ? Severity::notice : Severity::warning);
  }
  for (const auto& note : result.notes)
    events_.add("pool", note.text, note.worse ? Severity::warning : Severity::notice);
  refresh_due_ = health::kNever;
  refresh_timer_.cancel();
  if (const health::Time next = standings_.next_deadline(now); next != health::Time::max()) refresh_at(next);
  return std::move(result.changes);
}

void BackendWatch::refresh_and_tell() {
  const health::Time since = std::min(std::exchange(changed_, health::kNever), Checker::now());
  if (const Changes changes = refresh(); !changes.empty())
    on_states_(changes, std::chrono::steady_clock::time_point(since));
}

void BackendWatch::remember() {
  for (const health::PoolRules& pool : pools_) {
    for (const auto& backend : pool.backends) standings_.remember(backend.id, memory_[backend.id]);
  }
  checker_.each_detail([this](const health::Target& target, health::Health, const health::Detail& detail) {
    const auto remembered = memory_.find(target.backend_id);
    if (remembered == memory_.end()) return;
    remembered->second.known.changed = detail.changed;
    remembered->second.known.cause = detail.cause;
  });
}

void BackendWatch::save_soon() {
  if (save_armed_) return;
  save_armed_ = true;
  save_timer_.expires_after(kSaveEvery);
  save_timer_.async_wait([this](const asio::error_code& cancelled) {
    if (!cancelled) save();
  });
}

// Not synced: another start of the machine does not read it. Written beside the event loop.
void BackendWatch::save() {
  save_armed_ = false;
  remember();
  asio::post(writer_, [this, text = health::write_memory(memory_, boot_)] {
    const std::string fresh = memory_path() + ".new";
    std::ofstream file(fresh, std::ios::trunc);
    file << text;
    file.close();
    const bool failed = !file || std::rename(fresh.c_str(), memory_path().c_str()) != 0;
    if (failed && !save_failed_)
      spdlog::warn("health: cannot write {}; after a restart of this process every backend is asked again",
                   memory_path());
    save_failed_ = failed;
  });
}

}  // namespace headgate::app
