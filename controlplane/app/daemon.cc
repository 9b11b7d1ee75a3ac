#include "controlplane/app/daemon.h"

#include <spdlog/spdlog.h>

#include <random>
#include <sstream>

#include "controlplane/app/refusal.h"
#include "controlplane/compile/expand.h"
#include "controlplane/config/durable_file.h"
#include "controlplane/config/tree.h"

namespace headgate::app {
namespace {

namespace pb = management::v1;

std::string admin_path(const Options& options) {
  return options.state_dir + "/backends.state";
}

void log_diagnostics(const std::vector<config::Diagnostic>& diagnostics) {
  for (const config::Diagnostic& diagnostic : diagnostics) {
    const bool error = diagnostic.severity == config::Severity::error;
    spdlog::log(error ? spdlog::level::err : spdlog::level::warn, "config: {}", diagnostic.to_string());
  }
}

}  // namespace

Daemon::Daemon(asio::io_context& io, Options options)
    : options_(std::move(options)),
      configuration_(disk_, options_.state_dir),
      confirmation_(io),
      checker_(io, std::random_device{}(),
               [this](const health::Change& change) {
                 events_.add("health", change.text, change.up ? Severity::notice : Severity::warning);
                 push();
               }),
      pusher_(io, options_.dataplane,
              push::Events{.connected = [this](const health::HealthView& running) { on_connected(running); },
                           .in_sync = [this] { on_in_sync(); },
                           .refused = [this](const auto& sent, const auto& reply) { on_refused(sent, reply); },
                           .lost =
                               [this] {
                                 connected_ = settled_ = false;
                                 events_.add("dataplane", "lost: it ended or does not answer", Severity::error);
                                 checker_.pause_path(true);
                               }}) {}

config::Result<void> Daemon::start() {
  if (auto started = configuration_.start(options_.config, machine_now()); !started) return started;
  load_admin();
  watch_confirmation();
  push();
  pusher_.start();
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
  const Verdict verdict = commit(proposal);
  log_diagnostics(verdict.diagnostics);
  switch (verdict.kind) {
    case Verdict::Kind::committed:
      break;
    case Verdict::Kind::unchanged:
      spdlog::info("config: {} says what runs already", options_.config);
      break;
    case Verdict::Kind::not_written:
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
          (revision.confirm_s != 0 ? "; goes back in " + std::to_string(revision.confirm_s) + " s unless confirmed"
                                   : ""),
      Severity::notice, revision.user);
  adopt();
  return verdict;
}

// Another configuration is in force. New backends are probed once the dataplane knows the way to them.
void Daemon::adopt() {
  settled_ = held_ = false;
  watch_confirmation();
  push();
  if (listener_) listener_(configuration_.config());
}

config::Result<void> Daemon::confirm(const std::string& user) {
  if (configuration_.revision().stands()) return config::fail("nothing waits for confirmation");
  if (auto done = configuration_.confirm(); !done) return done;
  events_.add("commit", "revision " + std::to_string(configuration_.revision().number) + " confirmed by " + user,
              Severity::notice, user);
  watch_confirmation();
  return {};
}

void Daemon::watch_confirmation() {
  const auto left = configuration_.rolls_back_in_s(machine_now());
  if (!left) {
    confirmation_.cancel();
    return;
  }
  // Often enough that a suspended machine is not late; the time itself is Configuration's.
  confirmation_.expires_after(std::chrono::milliseconds(std::min<std::uint64_t>(*left * 1000, 1000)));
  confirmation_.async_wait([this](const asio::error_code& cancelled) {
    if (cancelled) return;
    if (!configuration_.tick(machine_now())) return watch_confirmation();
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

void Daemon::on_connected(const health::HealthView& running) {
  connected_ = true;
  settled_ = held_ = false;  // another dataplane, perhaps with other ports
  events_.add("dataplane", "connected");
  if (!met_dataplane_) {
    known_ = running;
    probe();
  }
  met_dataplane_ = true;  // from now on our own verdicts count, whatever a restarted dataplane remembers
  push();
}

void Daemon::on_in_sync() {
  if (!settled_) {
    probe();
    known_.clear();
    settled_ = true;
  }
  checker_.pause_path(false);
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
  probe();  // before the push: it carries the verdicts
  adopt();
}

void Daemon::probe() {
  checker_.set_targets(compile::probe_targets(configuration_.config(), configuration_.ids()), known_);
}

dataplane::v1::Snapshot Daemon::compiled() const {
  dataplane::v1::Snapshot snapshot = compile::compile(configuration_.config(), checker_.view(), configuration_.ids());
  bool changed = false;
  for (auto& pool : *snapshot.mutable_pool()) {
    for (auto& backend : *pool.mutable_backend()) {
      const auto found = admin_.find(backend.id());
      if (found == admin_.end()) continue;
      backend.set_drain(true);  // a disabled one keeps its flows too; it is down besides, so that persistence lets go
      if (found->second == pb::SetBackendRequest::DISABLE) backend.set_health(dataplane::v1::DOWN);
      changed = true;
    }
  }
  if (changed) snapshot.set_digest(compile::digest_of(snapshot));
  return snapshot;
}

void Daemon::push() {
  wanted_ = compiled();
  if (met_dataplane_ && !held_) pusher_.set_wanted(wanted_);
}

// Lines of "ID drain" and "ID disable".
void Daemon::load_admin() {
  const auto text = config::read_file(admin_path(options_));
  if (!text) return;
  std::istringstream lines(*text);
  std::uint32_t id = 0;
  std::string state;
  while (lines >> id >> state) {
    if (state == "drain") admin_[id] = pb::SetBackendRequest::DRAIN;
    if (state == "disable") admin_[id] = pb::SetBackendRequest::DISABLE;
  }
}

config::Result<void> Daemon::save_admin() const {
  std::string text;
  for (const auto& [id, state] : admin_)
    text += std::to_string(id) + (state == pb::SetBackendRequest::DRAIN ? " drain\n" : " disable\n");
  return config::write_file_durably(admin_path(options_), text);
}

config::Result<std::string> Daemon::set_backend(const std::string& pool, const std::string& backend, AdminState state) {
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
  const auto before = admin_;
  for (const std::uint32_t id : found.begin()->second) {
    if (state == pb::SetBackendRequest::ENABLE) {
      admin_.erase(id);
    } else {
      admin_[id] = state;
    }
  }
  if (auto saved = save_admin(); !saved) {
    admin_ = before;
    return config::fail(saved.error().message);
  }
  push();
  return found.begin()->first + "/" + backend;
}

void Daemon::describe(pb::SystemReply& reply) const {
  reply.set_version(HEADGATE_VERSION);
  reply.set_uptime_s(static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - started_).count()));
  reply.set_dataplane_connected(connected_);
  reply.set_in_sync(settled_);
  std::uint32_t down = 0;
  const auto details = checker_.details();
  for (const auto& [id, detail] : details) {
    if (detail.up) continue;
    ++down;
    if (reply.problem_size() < 20)
      reply.add_problem(detail.name + " is down: " + (detail.cause.empty() ? "as before the restart" : detail.cause));
  }
  std::uint32_t backends = 0;
  std::map<std::uint32_t, bool> serves;
  for (const auto& pool : wanted_.pool()) {
    backends += static_cast<std::uint32_t>(pool.backend_size());
    for (const auto& backend : pool.backend()) {
      serves[pool.id()] |= backend.health() == dataplane::v1::UP && !backend.drain() && backend.weight() != 0;
    }
  }
  for (const auto& service : wanted_.service()) {
    if (!serves[service.pool_id()]) reply.add_problem("service " + service.name() + " has no backend that can serve");
  }
  reply.set_backends(backends);
  reply.set_backends_down(down);
  if (!connected_) reply.add_problem("the dataplane does not answer");
  if (held_)
    reply.add_problem("the dataplane refuses the configuration, and no earlier one is left: see show log");
  else if (connected_ && !settled_)
    reply.add_problem("the dataplane does not run the newest configuration yet");
  if (configuration_.rolls_back_in_s(machine_now())) reply.add_problem("a commit waits for confirmation");
}

void Daemon::describe(pb::BackendsReply& reply) const {
  const auto details = checker_.details();
  std::map<std::uint32_t, std::uint32_t> ports;  // of pools, by a service that uses them
  for (const auto& service : wanted_.service()) ports.emplace(service.pool_id(), service.port());
  for (const auto& pool : wanted_.pool()) {
    for (const auto& backend : pool.backend()) {
      auto* out = reply.add_backend();
      out->set_id(backend.id());
      out->set_pool(pool.name());
      out->set_name(backend.name());
      const std::uint32_t port = backend.port() != 0 ? backend.port() : ports[pool.id()];
      const bool v6 = backend.address().find(':') != std::string::npos;
      out->set_address((v6 ? "[" + backend.address() + "]" : backend.address()) +
                       (port == 0 ? "" : ":" + std::to_string(port)));
      out->set_up(backend.health() == dataplane::v1::UP);
      const auto admin = admin_.find(backend.id());
      out->set_admin(admin != admin_.end() ? (admin->second == pb::SetBackendRequest::DRAIN ? "drain" : "disabled")
                     : backend.drain()     ? "drain"
                                           : "enabled");
      out->set_weight(backend.weight());
      out->set_weight_configured(backend.weight());
      const auto detail = details.find(backend.id());
      out->set_probed(detail != details.end());
      if (detail == details.end()) continue;
      out->set_since_s(health::Checker::unix_s(detail->second.changed));
      out->set_cause(detail->second.cause);
      out->set_last_probe_s(health::Checker::unix_s(detail->second.last));
      out->set_last_success(detail->second.last_result == health::Result::success);
      out->set_last_error(detail->second.last_error);
      out->set_latency_us(static_cast<std::uint32_t>(
          std::chrono::duration_cast<std::chrono::microseconds>(detail->second.latency).count()));
    }
  }
}

}  // namespace headgate::app
