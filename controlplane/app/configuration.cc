#include "controlplane/app/configuration.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <ctime>
#include <set>

#include "controlplane/compile/compile.h"
#include "controlplane/config/durable_file.h"
#include "controlplane/config/immutable.h"
#include "controlplane/config/print.h"
#include "controlplane/config/shared.h"

namespace headgate::app {
namespace {

std::string ids_path(const std::string& state_dir) {
  return state_dir + "/ids.txtpb";
}

config::Document load(const std::string& file, const std::string& text) {
  config::Document document = config::load_text(file, text);
  config::attach_comments(document, text);
  return document;
}

void log_diagnostics(const std::vector<config::Diagnostic>& diagnostics) {
  for (const config::Diagnostic& diagnostic : diagnostics) {
    const bool error = diagnostic.severity == config::Severity::error;
    spdlog::log(error ? spdlog::level::err : spdlog::level::warn, "config: {}", diagnostic.described());
  }
}

}  // namespace

Now machine_now() {
  Now now;
  timespec since_boot{};
  ::clock_gettime(CLOCK_BOOTTIME, &since_boot);
  now.unix_s =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  now.boottime_s = static_cast<std::uint64_t>(since_boot.tv_sec);
  now.boot = config::read_file("/proc/sys/kernel/random/boot_id").value_or("unknown");
  while (!now.boot.empty() && now.boot.back() == '\n') now.boot.pop_back();
  return now;
}

Configuration::Configuration(config::Disk& disk, std::string state_dir)
    : disk_(disk), state_dir_(std::move(state_dir)), history_(disk, state_dir_ + "/history") {}

config::Result<void> Configuration::start(const std::string& file, const Now& now) {
  auto ids = compile::load_ids(disk_, ids_path(state_dir_));
  if (!ids) return config::fail(ids.error().message);
  ids_ = std::move(*ids);
  if (auto opened = history_.open(); !opened) return opened;
  for (const std::string& problem : history_.problems()) spdlog::error("config: {}", problem);
  for (const config::Revision& revision : history_.list()) {
    const auto text = history_.text(revision.number);
    if (!text) {
      spdlog::error("config: {}", text.error().message);
      continue;
    }
    config::Document document = load("revision " + std::to_string(revision.number), *text);
    if (!document.ok()) {
      log_diagnostics(document.diagnostics);
      spdlog::error("config: revision {} does not fit this version; passed over", revision.number);
      continue;
    }
    if (auto adopted = adopt(std::move(document)); !adopted) {
      spdlog::error("config: revision {}: {}; passed over", revision.number, adopted.error().message);
      continue;
    }
    spdlog::info("config: revision {} of {}: {} services, {} pools", revision.number,
                 revision.user.empty() ? "unknown" : revision.user, config().service_size(), config().pool_size());
    // What is in force is the latest revision, always: one that was passed over is put aside by a return to this one.
    if (revision.number != history_.latest()->number) {
      if (auto returned = return_to(revision.number, "the later ones are damaged or do not fit", now); !returned)
        return returned;
    }
    tick(now);
    return {};
  }
  const auto text = config::read_file(file);
  if (!text) return config::fail(text.error().message);
  const Verdict first =
      commit({.text = *text, .file = file, .base = std::nullopt, .user = "system", .comment = "from " + file}, now);
  log_diagnostics(first.diagnostics);
  if (first.kind == Verdict::Kind::invalid) return config::fail(file + " has errors");
  if (first.kind == Verdict::Kind::not_written) return config::fail(first.cause);
  return {};
}

// Takes the document into force once its ids are on disk.
config::Result<void> Configuration::adopt(config::Document document) {
  compile::IdTable ids = ids_;
  const bool grown = compile::assign_ids(document.config, ids);
  if (const std::string problem = compile::probe_prefix_problem(document.config, ids); !problem.empty())
    return config::fail(problem);
  if (grown) {
    // On disk first: an id that was used and forgotten would be given to something else after a restart.
    if (auto saved = compile::save_ids(disk_, ids_path(state_dir_), ids); !saved) return saved;
  }
  ids_ = std::move(ids);
  document_ = std::move(document);
  line_ = history_.latest() == nullptr ? config::Lineage{} : history_.latest()->lineage;
  if (line_.id.empty()) line_ = config::following({}, config::shared_digest(this->config()));  // of older firmware
  return {};
}

// Each id once: several revisions may be one version.
std::vector<std::string> Configuration::ancestors() const {
  std::vector<std::string> ids;
  for (const config::Revision& revision : history_.list()) {
    const std::string& id = revision.lineage.id;
    if (!id.empty() && id != line_.id && std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
  }
  // The last of the list may be all that is left of the line's beginning: it names the one before.
  if (!line_.parent.empty() && std::find(ids.begin(), ids.end(), line_.parent) == ids.end())
    ids.insert(ids.begin(), line_.parent);
  return ids;
}

bool Configuration::conflicts(const Proposal& proposal) const {
  return proposal.base && *proposal.base != (history_.latest() == nullptr ? 0 : revision().number);
}

// The peer's ids first, so that what both boxes get at once has one id on both.
compile::IdTable Configuration::ids_of(const Proposal& proposal, const config::v1::Config& config,
                                       std::size_t& refused) const {
  compile::IdTable ids = ids_;
  refused = 0;
  if (!proposal.ids.empty()) {
    const auto theirs = compile::IdTable::from_text(proposal.ids);
    if (theirs) refused = ids.take(*theirs);
  }
  compile::assign_ids(config, ids);
  return ids;
}

Plan Configuration::plan(const Proposal& proposal) const {
  Plan plan;
  if (conflicts(proposal)) {
    plan.verdict.kind = Verdict::Kind::conflict;
    plan.verdict.difference = difference_since(*proposal.base);
    return plan;
  }
  config::Document document = load(proposal.file, proposal.text);
  if (history_.latest() != nullptr) config::check_immutable(config(), document);
  plan.verdict = judge(proposal, document);
  if (plan.verdict.kind != Verdict::Kind::committed) return plan;
  std::size_t refused = 0;
  plan.lineage = config::following(line_, config::shared_digest(document.config));
  plan.offered = config::print(config::offered_part(document.config));
  plan.ids = ids_of(proposal, document.config, refused).to_text();
  return plan;
}

Verdict Configuration::check(const Proposal& proposal) const {
  config::Document document = load(proposal.file, proposal.text);
  if (history_.latest() != nullptr) config::check_immutable(config(), document);
  return judge(proposal, document);
}

Verdict Configuration::judge(const Proposal& proposal, const config::Document& document) const {
  Verdict verdict;
  verdict.diagnostics = document.diagnostics;
  if (!document.ok()) return verdict;
  std::size_t refused = 0;
  const compile::IdTable ids = ids_of(proposal, document.config, refused);
  if (const std::string problem = compile::probe_prefix_problem(document.config, ids); !problem.empty()) {
    verdict.diagnostics.push_back({config::Severity::error, proposal.file, {}, problem});
    return verdict;
  }
  verdict.effects = config::effects(config(), document.config, proposal.flows);
  // A version that says what runs already is none; but one of the peer's line joins the two lines.
  const bool joins = proposal.lineage && *proposal.lineage != line_;
  const bool same = history_.latest() != nullptr && !joins && config::print(document.config) == config::print(config());
  verdict.kind = same ? Verdict::Kind::unchanged : Verdict::Kind::committed;
  if (!same && proposal.confirm_s == 0 && history_.latest() != nullptr && !revision().stands()) {
    verdict.confirms = revision().number;
    verdict.effects.push_back("revision " + std::to_string(revision().number) + " by " + revision().user +
                              ", which waits to be confirmed, stays with this commit");
  }
  return verdict;
}

Verdict Configuration::commit(const Proposal& proposal, const Now& now) {
  write_behind();
  if (conflicts(proposal)) {
    Verdict verdict;
    verdict.kind = Verdict::Kind::conflict;
    verdict.difference = difference_since(*proposal.base);
    return verdict;
  }
  config::Document document = load(proposal.file, proposal.text);
  if (history_.latest() != nullptr) config::check_immutable(config(), document);
  Verdict verdict = judge(proposal, document);
  if (verdict.kind != Verdict::Kind::committed) return verdict;
  const auto not_written = [&verdict](const std::string& cause) {
    verdict.kind = Verdict::Kind::not_written;
    verdict.cause = cause;
    return verdict;
  };
  std::size_t refused = 0;
  compile::IdTable ids = ids_of(proposal, document.config, refused);
  if (ids != ids_) {
    if (auto saved = compile::save_ids(disk_, ids_path(state_dir_), ids); !saved)
      return not_written(saved.error().message);
  }
  const config::Lineage lineage =
      proposal.lineage.value_or(config::following(line_, config::shared_digest(document.config)));
  auto added = history_.add({.time_s = now.unix_s,
                             .user = proposal.user,
                             .comment = proposal.comment,
                             .confirm_s = history_.standing() == nullptr ? 0 : proposal.confirm_s,
                             .boot = now.boot,
                             .boottime_s = now.boottime_s,
                             .lineage = lineage,
                             .local = proposal.local},
                            config::print(document.config));
  if (!added) return not_written(added.error().message);
  ids_ = std::move(ids);
  document_ = std::move(document);
  line_ = lineage;
  if (!proposal.ids.empty()) ids_refused_ = refused;
  spdlog::info("config: revision {} by {}: {} services, {} pools{}", added->number, proposal.user,
               config().service_size(), config().pool_size(), added->confirm_s != 0 ? ", to be confirmed" : "");
  return verdict;
}

std::string Configuration::difference_since(std::uint64_t number) const {
  const auto text = history_.text(number);
  if (!text) return {};
  return config::compare(load("", *text).config, config());
}

std::optional<std::uint64_t> Configuration::rolls_back_in_s(const Now& now) const {
  const config::Revision* latest = history_.latest();
  if (latest == nullptr || latest->stands()) return std::nullopt;
  const std::uint64_t end = latest->boottime_s + latest->confirm_s;
  return latest->boot != now.boot || now.boottime_s >= end ? 0 : end - now.boottime_s;
}

bool Configuration::ticks() const {
  return history_.unwritten() || (history_.latest() != nullptr && !revision().stands());
}

bool Configuration::tick(const Now& now) {
  write_behind();
  const auto left = rolls_back_in_s(now);
  if (!left || *left != 0 || history_.standing() == nullptr) return false;
  const std::uint64_t from = revision().number;
  const std::uint64_t to = history_.standing()->number;
  if (auto returned = return_to(to, "revision " + std::to_string(from) + " was not confirmed in time", now);
      !returned) {
    if (complaint_ != returned.error().message)
      spdlog::error("config: revision {} was not confirmed in time, and the return to {} failed: {}; tried again", from,
                    to, returned.error().message);
    complaint_ = returned.error().message;
    return false;
  }
  complaint_.clear();
  spdlog::warn("config: revision {} was not confirmed in time: back to {}, as revision {}", from, to,
               revision().number);
  return true;
}

// What is in force reaches the disk as soon as that takes something.
void Configuration::write_behind() {
  if (!history_.unwritten()) return;
  if (auto done = history_.write_unwritten(); !done) {
    unwritten_ = done.error().message;
    return;
  }
  unwritten_.clear();
  spdlog::info("config: the disk takes something again: revision {} is written", revision().number);
}

bool Configuration::step_back(const std::string& why, const Now& now) {
  // Returns to returns: none of those texts again, or it would go to and fro.
  std::set<std::string> tried;
  std::uint64_t first = revision().number;
  for (const config::Revision* r = &revision(); r != nullptr; r = history_.find(r->rolled_back_from)) {
    tried.insert(r->digest);
    first = r->number;
  }
  for (const config::Revision& earlier : history_.list()) {
    if (earlier.number >= first || tried.contains(earlier.digest)) continue;
    return return_to(earlier.number, why, now).has_value();
  }
  return false;
}

// A new revision with the text of an old one.
config::Result<void> Configuration::return_to(std::uint64_t number, const std::string& comment, const Now& now) {
  const auto text = history_.text(number);
  if (!text) return config::fail(text.error().message);
  config::Document document = load("revision " + std::to_string(number), *text);
  if (!document.ok()) return config::fail("revision " + std::to_string(number) + " does not fit this version");
  const std::uint64_t from = revision().number;
  const config::Revision back{.time_s = now.unix_s,
                              .user = "system",
                              .comment = "back to revision " + std::to_string(number) + ": " + comment,
                              .boot = now.boot,
                              .boottime_s = now.boottime_s,
                              .rolled_back_from = from,
                              .lineage = config::following(line_, config::shared_digest(document.config))};
  if (const auto added = history_.add(back, *text); !added) {
    // What must not stay in force goes, whatever the disk says.
    unwritten_ = added.error().message;
    const std::uint64_t unwritten = history_.add_unwritten(back, *text).number;
    spdlog::error("config: revision {} is in force and not on disk: {}; tried again every second", unwritten,
                  unwritten_);
  }
  return adopt(std::move(document));
}

}  // namespace headgate::app
