// The configuration: read, judged, committed, confirmed.
#include <optional>
#include <thread>

#include "controlplane/app/credentials.h"
#include "controlplane/app/management_service.h"
#include "controlplane/app/replies.h"
#include "controlplane/config/print.h"
#include "controlplane/config/tree.h"

namespace headgate::app {
namespace {

constexpr std::size_t kTextMax = 8 << 20;
constexpr std::chrono::seconds kTrialWait{3};  // thousands of new maglev tables take longer; then the console says so

// Files that do not fit are told before a commit, not found after it.
std::vector<config::Diagnostic> credential_problems(const std::string& text, const std::string& file) {
  if (text.find("management") == std::string::npos) return {};
  const config::Document document = config::load_text(file, text);
  if (!document.ok() || !document.config.has_management()) return {};
  const auto loaded = load_credentials(document.config.management());
  if (loaded) return {};
  const config::Location where = document.root().child("management").location();
  return {{config::Severity::error, file, where, loaded.error().message}};
}

}  // namespace

Status Management::Service::GetConfig(ServerContext* context, const pb::ConfigRequest* request,
                                      pb::ConfigReply* reply) {
  return guarded(context, "GetConfig", [&](const Caller& who) {
    std::string text;
    std::optional<config::v1::Config> runs;  // and need not be read again
    Status status;
    const Status ran = on_loop([&] {
      Configuration& configuration = daemon_.configuration();
      const std::uint64_t newest = configuration.revision().number;
      const std::uint64_t number = request->revision() == 0 ? newest : request->revision();
      auto found = configuration.history().text(number);
      if (!found) {
        status = {StatusCode::NOT_FOUND, found.error().message};
        return;
      }
      text = std::move(*found);
      fill(*configuration.history().find(number), number == newest ? rolls_back() : 0, reply->mutable_revision());
      if (request->set_commands() && number == newest && configuration.unwritten().empty())
        runs = configuration.config();
    });
    if (!ran.ok() || !status.ok()) return ran.ok() ? status : ran;
    if (runs) {
      reply->set_text(config::set_commands(*runs));
      return Status::OK;
    }
    // An operator sees no secrets; an administrator needs them to edit.
    if (who.role == pb::ADMIN && !request->set_commands()) {
      reply->set_text(std::move(text));
      return Status::OK;
    }
    config::Document document = config::parse("revision", text);
    if (!document.readable) {
      return Status(StatusCode::FAILED_PRECONDITION, "revision " + std::to_string(reply->revision().number()) +
                                                         " does not fit this version; an administrator can read it");
    }
    if (request->set_commands()) {
      reply->set_text(config::set_commands(document.config));
      return Status::OK;
    }
    config::attach_comments(document, text);
    reply->set_text(config::print(document.config, config::Secrets::redacted));
    return Status::OK;
  });
}

Status Management::Service::Check(ServerContext* context, const pb::CheckRequest* request, pb::CheckReply* reply) {
  return guarded(context, "Check", [&](const Caller& who) {
    if (request->text().size() > kTextMax) return too_large();
    // The text names the files: what is in them, or whether there are any, is not for an operator to learn.
    std::vector<config::Diagnostic> problems;
    if (who.role == pb::ADMIN) problems = credential_problems(request->text(), request->file());
    Proposal wanted = proposal(request->text(), request->file());
    wanted.flows = flows_now();
    return on_loop([&] {
      const Verdict verdict = daemon_.configuration().check(wanted);
      fill(verdict.diagnostics, reply->mutable_diagnostic());
      fill(problems, reply->mutable_diagnostic());
      for (const std::string& effect : verdict.effects) reply->add_effect(effect);
      if (request->canonical() && verdict.kind != Verdict::Kind::invalid) {
        config::Document document = config::load_text(request->file(), request->text());
        config::attach_comments(document, request->text());
        reply->set_canonical_text(config::print(document.config));
      }
    });
  });
}

Status Management::Service::Commit(ServerContext* context, const pb::CommitRequest* request, pb::CommitReply* reply) {
  return guarded(context, "Commit", [&](const Caller& who) {
    if (request->text().size() > kTextMax) return too_large();
    if (const auto problems = credential_problems(request->text(), "candidate"); !problems.empty()) {
      reply->set_outcome(pb::CommitReply::INVALID);
      fill(problems, reply->mutable_diagnostic());
      return on_loop([&] { fill(daemon_.configuration().revision(), rolls_back(), reply->mutable_revision()); });
    }
    Proposal wanted = proposal(request->text(), "candidate");
    wanted.flows = flows_now();
    if (request->base_revision() != 0) wanted.base = request->base_revision();
    wanted.user = who.user;
    wanted.comment = request->comment();
    wanted.confirm_s = request->confirm_s();
    wanted.local = request->local();
    // The revision of that moment: the dataplane may refuse it before anybody asks again.
    struct Committed {
      Verdict verdict{};
      config::Revision revision{};
      std::uint64_t rolls_back_in_s = 0;
    } done;
    Status ran = later<Committed>(
        [&](const auto& tell) {
          daemon_.pair().commit(wanted, [this, tell](Verdict verdict) {
            tell({std::move(verdict), daemon_.configuration().revision(), rolls_back()});
          });
        },
        done);
    if (!ran.ok()) return ran;
    reply->set_outcome(outcome_of(done.verdict.kind));
    fill(done.revision, done.rolls_back_in_s, reply->mutable_revision());
    fill(done.verdict.diagnostics, reply->mutable_diagnostic());
    reply->set_difference(done.verdict.difference);
    reply->set_cause(done.verdict.cause);
    for (const std::string& effect : done.verdict.effects) reply->add_effect(effect);
    if (ran.ok() && reply->outcome() == pb::CommitReply::COMMITTED) ran = await_trial(*reply);
    return ran;
  });
}

Status Management::Service::Confirm(ServerContext* context, const pb::Empty*, pb::ConfirmReply* reply) {
  return guarded(context, "Confirm", [&](const Caller& who) {
    config::Result<std::string> confirmed;
    Status ran = later<config::Result<std::string>>([&](const auto& done) { daemon_.pair().confirm(who.user, done); },
                                                    confirmed);
    if (!ran.ok()) return ran;
    ran = on_loop([&] { fill(daemon_.configuration().revision(), rolls_back(), reply->mutable_revision()); });
    if (ran.ok() && !confirmed) ran = {StatusCode::FAILED_PRECONDITION, confirmed.error().message};
    return ran;
  });
}

Status Management::Service::History(ServerContext* context, const pb::HistoryRequest* request,
                                    pb::HistoryReply* reply) {
  return guarded(context, "History", [&](const Caller&) {
    return on_loop([&] {
      std::uint32_t left = request->limit() == 0 ? UINT32_MAX : request->limit();
      bool newest = true;
      for (const config::Revision& revision : daemon_.configuration().history().list()) {
        if (left-- == 0) break;
        fill(revision, newest ? rolls_back() : 0, reply->add_revision());
        newest = false;
      }
    });
  });
}

Status Management::Service::await_trial(pb::CommitReply& reply) {
  const std::uint64_t revision = reply.revision().number();
  const auto end = std::chrono::steady_clock::now() + kTrialWait;
  for (;;) {
    Daemon::Trial trial;
    Status ran = on_loop([&] {
      trial = daemon_.trial(revision);
      if (trial.state == Daemon::Trial::State::refused)
        fill(daemon_.configuration().revision(), rolls_back(), reply.mutable_revision());
    });
    if (!ran.ok()) return ran;
    reply.set_runs(trial.state == Daemon::Trial::State::runs);
    if (trial.state == Daemon::Trial::State::refused) {
      reply.set_outcome(pb::CommitReply::REFUSED);
      fill(trial.errors, reply.mutable_diagnostic());
    }
    if (trial.state != Daemon::Trial::State::waiting || std::chrono::steady_clock::now() > end) return Status::OK;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

}  // namespace headgate::app
