#include "controlplane/app/daemon.h"

#include <spdlog/spdlog.h>

#include <sstream>

#include "controlplane/app/refusal.h"
#include "controlplane/compile/expand.h"
#include "controlplane/config/durable_file.h"
#include "controlplane/config/tree.h"

namespace headgate::app {
namespace {

constexpr std::chrono::seconds kTick{1};

void log_diagnostics(const std::vector<config::Diagnostic>& diagnostics) {
  for (const config::Diagnostic& diagnostic : diagnostics) {
    const bool error = diagnostic.severity == config::Severity::error;
    spdlog::log(error ? spdlog::level::err : spdlog::level::warn, "config: {}", diagnostic.described());
  }
}

}  // namespace

Daemon::Daemon(asio::io_context& io, Options options, config::Disk& disk)
    : options_(std::move(options)),
      configuration_(disk, options_.state_dir),
      revision_timer_(io),
      pair_(io, disk, options_.state_dir, options_.supervisor, configuration_, events_,
            {.commit = [this](const Proposal& proposal) { return commit(proposal); },
             .confirm = [this](const std::string& user) { return confirm(user); },
             .cookie_keys = [this] { push(); }}),
      backends_(io, options_.state_dir, machine_now().boot, events_,
                [this](const BackendWatch::Changes& changes, auto since) { on_states(changes, since); }),
      pusher_(io, options_.dataplane,
              push::Events{.connected = [this](const push::States& running) { on_connected(running); },
                           .in_sync = [this] { on_in_sync(); },
                           .refused = [this](const auto& sent, const auto& reply) { on_refused(sent, reply); },
                           .lost =
                               [this] {
                                 connected_ = settled_ = false;
                                 pair_.set_dataplane(false);
                                 events_.add("dataplane", "lost: it ended or does not answer", Severity::error);
                                 backends_.pause_path(true);
                               }}),
      traffic_(io, options_.dataplane, [this](const auto& stats) { on_stats(stats); }),
      failover_(io, options_.dataplane, options_.state_dir, events_,
                [this]() -> const auto& { return backends_.pools(); }) {}

config::Result<void> Daemon::start() {
  events_.keep_in(options_.state_dir + "/events");
  if (auto started = configuration_.start(options_.config, machine_now()); !started) return started;
  backends_.load();
  backends_.set_pools(configuration_.config(), configuration_.ids());
  watch_revision();
  pair_.open();
  push();
  pusher_.start();
  pair_.adopt(configuration_.config());
  failover_.set_link(&pair_.link());
  failover_.load();
  failover_.set_config(configuration_.config(), configuration_.ids(), configuration_.revision().number);
  want_stats();
  return {};
}

void Daemon::reload() {
  spdlog::info("config: reading {} again", options_.config);
  const auto text = config::read_file(options_.config);
  if (!text) {
    spdlog::error("config: {}; everything goes on with the previous configuration", text.error().message);
    return;
  }
  Proposal proposal;
  proposal.text = *text;
  proposal.file = options_.config;
  proposal.user = "system";
  proposal.comment = "from " + options_.config;
  pair_.commit(proposal, [this](const Verdict& verdict) { tell_reload(verdict); });
}

void Daemon::tell_reload(const Verdict& verdict) const {
  log_diagnostics(verdict.diagnostics);
  switch (verdict.kind) {
    case Verdict::Kind::committed:
      break;
    case Verdict::Kind::unchanged:
      spdlog::info("config: {} says what runs already", options_.config);
      break;
    case Verdict::Kind::not_written:
    case Verdict::Kind::peer:
      spdlog::error("config: {}; everything goes on with the previous configuration", verdict.cause);
      break;
    default:
      spdlog::error("config: {} has errors; everything goes on with the previous configuration", options_.config);
  }
}

Verdict Daemon::commit(const Proposal& proposal) {
  Verdict verdict = configuration_.commit(proposal, machine_now());
  if (verdict.kind != Verdict::Kind::committed) return verdict;
  const config::Revision& revision = configuration_.revision();
  events_.add(
      "commit",
      "revision " + std::to_string(revision.number) + " by " + revision.user +
          (revision.comment.empty() ? "" : ": " + revision.comment) +
          (verdict.confirms != 0 ? "; revision " + std::to_string(verdict.confirms) + " stays, not confirmed before"
                                 : "") +
          (revision.confirm_s != 0 ? "; goes back in " + std::to_string(revision.confirm_s) + " s unless confirmed"
                                   : ""),
      Severity::notice, revision.user);
  adopt();
  return verdict;
}

// Another configuration is in force. New backends are probed once the dataplane knows the way to them.
void Daemon::adopt() {
  settled_ = held_ = false;
  watch_revision();
  backends_.set_pools(configuration_.config(), configuration_.ids());
  push();
  pair_.adopt(configuration_.config());
  failover_.set_config(configuration_.config(), configuration_.ids(), configuration_.revision().number);
  want_stats();
  if (listener_) listener_(configuration_.config());
}

config::Result<void> Daemon::confirm(const std::string& user) {
  if (configuration_.revision().stands()) return config::fail("nothing waits for confirmation");
  if (auto done = configuration_.confirm(); !done) return done;
  events_.add("commit", "revision " + std::to_string(configuration_.revision().number) + " confirmed by " + user,
              Severity::notice, user);
  watch_revision();
  return {};
}

// Every second while something waits, never at once: a disk that takes nothing must not become a loop. Often enough
// that a suspended machine is not late; the time itself is Configuration's.
void Daemon::watch_revision() {
  if (!configuration_.ticks()) {
    revision_timer_.cancel();
    return;
  }
  revision_timer_.expires_after(kTick);
  revision_timer_.async_wait([this](const asio::error_code& cancelled) {
    if (cancelled) return;
    if (!configuration_.tick(machine_now())) return watch_revision();
    events_.add("commit", "revision " + std::to_string(configuration_.revision().number) + ": " +
                              configuration_.revision().comment);
    adopt();
  });
}

Daemon::Trial Daemon::trial(std::uint64_t revision) const {
  if (revision == refused_revision_) return {Trial::State::refused, refusal_};
  const bool current = configuration_.revision().number == revision;
  if (current && !connected_) return {Trial::State::away, {}};
  return {settled_ || !current ? Trial::State::runs : Trial::State::waiting, {}};
}

void Daemon::on_connected(const push::States& running) {
  connected_ = true;
  pair_.set_dataplane(true);
  settled_ = held_ = false;  // another dataplane, perhaps with other ports
  events_.add("dataplane", "connected");
  if (!met_dataplane_) {
    backends_.adopt(running);
    probe();
  }
  met_dataplane_ = true;  // from now on our own verdicts count, whatever a restarted dataplane remembers
  push();
}

void Daemon::on_in_sync() {
  if (!settled_) {
    probe();
    settled_ = true;
  }
  backends_.pause_path(false);
}

void Daemon::on_refused(const dataplane::v1::Snapshot& sent, const dataplane::v1::ApplyReply& reply) {
  refused_revision_ = configuration_.revision().number;
  refusal_.clear();
  for (const auto& error : reply.error()) {
    const std::string text = describe_refusal(configuration_.document(), sent, error);
    spdlog::error("config: {}", text);
    refusal_.push_back({config::Severity::error, "", {}, text});
  }
  const std::string why = "the dataplane refused revision " + std::to_string(refused_revision_) +
                          (refusal_.empty() ? "" : ": " + refusal_.front().message);
  if (!configuration_.step_back(why, machine_now())) {
    held_ = true;
    spdlog::error(
        "config: no earlier revision is left to go back to; the dataplane goes on with what it runs, and its backends "
        "are not "
        "probed. Correct the configuration and commit it, or correct {} and send SIGHUP",
        options_.config);
    return;
  }
  events_.add("commit", "revision " + std::to_string(configuration_.revision().number) + ": " +
                            configuration_.revision().comment);
  spdlog::error("config: the previous configuration stays in force, health checks go on");
  adopt();
}

void Daemon::probe() {
  backends_.set_targets(configuration_.config(), configuration_.ids());
  want_stats();
}

void Daemon::want_stats() {
  traffic_.want(backends_.watches_traffic() || failover_.watches_links());
}

void Daemon::on_stats(const dataplane::v1::StatsReply& stats) {
  if (failover_.watches_links()) failover_.observe_links(stats);
  if (!backends_.watches_traffic()) return;
  std::vector<health::BackendTraffic> sample;
  for (const auto& backend : stats.backend())
    sample.push_back({backend.id(), backend.connects(), backend.connect_failures(), backend.resets()});
  backends_.observe(sample);
}

void Daemon::push() {
  wanted_ = compile::compile(configuration_.config(), configuration_.ids(), pair_.cookie_keys());
  backends_.put_in_force(wanted_);
  wanted_backends_.clear();
  for (auto& pool : *wanted_.mutable_pool()) {
    for (auto& backend : *pool.mutable_backend()) wanted_backends_[backend.id()] = &backend;
  }
  if (met_dataplane_ && !held_) pusher_.set_wanted(wanted_);
}

void Daemon::on_states(const BackendWatch::Changes& changes, std::chrono::steady_clock::time_point since) {
  std::vector<dataplane::v1::BackendState> states;
  states.reserve(changes.size());
  for (const auto& change : changes) {
    const auto found = wanted_backends_.find(change.backend_id);
    if (found == wanted_backends_.end()) continue;
    put_in_force(change.in_force, *found->second);
    dataplane::v1::BackendState& state = states.emplace_back();
    state.set_backend_id(change.backend_id);
    put_in_force(change.in_force, state);
  }
  if (met_dataplane_ && !held_) pusher_.set_states(states, since);
  failover_.observe_pools();
}

config::Result<std::string> Daemon::set_backend(const std::string& pool, const std::string& backend,
                                                health::Admin state) {
  // The operator's pool is one or two of the dataplane's, a family each: pool names carry "/v4" or "/v6" then.
  std::map<std::string, std::vector<std::uint32_t>> found;
  for (const auto& p : wanted_.pool()) {
    const std::string name = p.name().substr(0, p.name().find('/'));
    if (!pool.empty() && pool != name && pool != p.name()) continue;
    for (const auto& b : p.backend()) {
      if (b.name().substr(0, b.name().find('/')) == backend || b.name() == backend) found[name].push_back(b.id());
    }
  }
  if (found.empty())
    return config::fail("there is no backend " + config::join({backend}) +
                        (pool.empty() ? "" : " in pool " + config::join({pool})));
  if (found.size() > 1) {
    std::string pools;
    for (const auto& [name, ids] : found) pools += (pools.empty() ? "" : ", ") + name;
    return config::fail("several pools have a backend " + backend + " (" + pools + "): say POOL/" + backend);
  }
  if (auto done = backends_.command(found.begin()->second, state); !done) return config::fail(done.error().message);
  return found.begin()->first + "/" + backend;
}

}  // namespace headgate::app
