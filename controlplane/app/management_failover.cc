// Groups, and the pair itself.
#include <thread>

#include "controlplane/app/management_service.h"

namespace headgate::app {
namespace {

constexpr std::chrono::seconds kSwitchWait{8};

}  // namespace

Status Management::Service::PairBox(ServerContext* context, const pb::PairRequest* request, pb::PairReply* reply) {
  return guarded(context, "PairBox", [&](const Caller& who) -> Status {
    if (!request->code().empty()) {
      return said(*reply, [&](const auto& done) { daemon_.pair().pair_with(request->code(), who.user, done); });
    }
    config::Result<std::string> code;
    if (Status ran = on_loop([&] { code = daemon_.pair().make_code(who.user); }); !ran.ok()) return ran;
    if (!code) return {StatusCode::FAILED_PRECONDITION, code.error().message};
    reply->set_code(*code);
    reply->set_text("valid for 10 minutes; on the other box: failover pair " + *code);
    return Status::OK;
  });
}

Status Management::Service::UnpairBox(ServerContext* context, const pb::Empty*, pb::PairReply* reply) {
  return guarded(context, "UnpairBox", [&](const Caller& who) -> Status {
    config::Result<void> done;
    if (Status ran = on_loop([&] { done = daemon_.pair().unpair(who.user); }); !ran.ok()) return ran;
    if (!done) return {StatusCode::FAILED_PRECONDITION, done.error().message};
    reply->set_text("this box is no longer paired");
    return Status::OK;
  });
}

Status Management::Service::RotateKey(ServerContext* context, const pb::Empty*, pb::PairReply* reply) {
  return guarded(context, "RotateKey", [&](const Caller& who) {
    return said(*reply, [&](const auto& done) { daemon_.pair().rotate_key(who.user, done); });
  });
}

Status Management::Service::AdoptConfig(ServerContext* context, const pb::AdoptRequest* request, pb::PairReply* reply) {
  return guarded(context, "AdoptConfig", [&](const Caller& who) -> Status {
    if (request->what() != pb::AdoptRequest::PEER && request->what() != pb::AdoptRequest::LOCAL)
      return {StatusCode::INVALID_ARGUMENT, "say whose configuration to adopt: peer or local"};
    const bool peer = request->what() == pb::AdoptRequest::PEER;
    return said(*reply, [&](const auto& done) { daemon_.pair().adopt_configuration(peer, who.user, done); });
  });
}

Status Management::Service::Failover(ServerContext* context, const pb::Empty*, pb::FailoverReply* reply) {
  return guarded(context, "Failover",
                 [&](const Caller&) { return on_loop([&] { daemon_.failover().describe(*reply); }); });
}

Status Management::Service::SwitchGroup(ServerContext* context, const pb::SwitchRequest* request,
                                        pb::SwitchReply* reply) {
  return guarded(context, "SwitchGroup", [&](const Caller& who) {
    Status status;
    const Status ran = on_loop([&] {
      FailoverWatch& failover = daemon_.failover();
      const auto done = request->dry_run() ? failover.can_switch(request->group())
                                           : failover.switch_group(request->group(), who.user);
      if (!done) status = {StatusCode::FAILED_PRECONDITION, done.error().message};
    });
    if (!ran.ok() || !status.ok()) return ran.ok() ? status : ran;
    if (!request->dry_run()) return await_switch(request->group(), *reply);
    reply->set_done(true);
    reply->set_text("group " + request->group() + " could be switched now; nothing was done");
    return Status::OK;
  });
}

Status Management::Service::PauseGroup(ServerContext* context, const pb::PauseRequest* request, pb::Empty*) {
  return guarded(context, "PauseGroup", [&](const Caller& who) {
    Status status;
    const Status ran = on_loop([&] {
      const auto done = daemon_.failover().pause(request->group(), request->paused(), who.user);
      if (!done) status = {StatusCode::FAILED_PRECONDITION, done.error().message};
    });
    return ran.ok() ? status : ran;
  });
}

Status Management::Service::WhatIf(ServerContext* context, const pb::WhatIfRequest* request, pb::WhatIfReply* reply) {
  return guarded(context, "WhatIf", [&](const Caller&) {
    Status status;
    const Status ran = on_loop([&] {
      const auto lines = daemon_.failover().what_if(*request);
      if (!lines) status = {StatusCode::INVALID_ARGUMENT, lines.error().message};
      if (lines) *reply->mutable_line() = {lines->begin(), lines->end()};
    });
    return ran.ok() ? status : ran;
  });
}

Status Management::Service::await_switch(const std::string& group, pb::SwitchReply& reply) {
  const auto end = std::chrono::steady_clock::now() + kSwitchWait;
  for (;;) {
    headgate::failover::Outcome outcome;
    if (Status ran = on_loop([&] { outcome = daemon_.failover().outcome(group); }); !ran.ok()) return ran;
    reply.set_done(outcome.good);
    reply.set_text(outcome.text);
    if (outcome.finished) return Status::OK;
    if (std::chrono::steady_clock::now() > end) return {StatusCode::ABORTED, "what came of it is not known: show log"};
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

}  // namespace headgate::app
