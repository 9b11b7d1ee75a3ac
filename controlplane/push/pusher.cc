#include "controlplane/push/pusher.h"

#include <grpcpp/grpcpp.h>
#include <spdlog/spdlog.h>

#include "controlplane/push/last_word.h"

namespace headgate::push {
namespace {

// Of a Backend or a BackendState.
template <class Message>
BackendState state_in(const Message& message) {
  return {.up = message.health() == dataplane::v1::UP, .weight = message.weight(), .drain = message.drain()};
}

States states_of(const dataplane::v1::RunningReply& reply) {
  States states;
  for (const auto& backend : reply.backend()) states[backend.backend_id()] = state_in(backend);
  return states;
}

States states_of(const dataplane::v1::Snapshot& snapshot) {
  States states;
  for (const auto& pool : snapshot.pool()) {
    for (const auto& backend : pool.backend()) states[backend.id()] = state_in(backend);
  }
  return states;
}

}  // namespace

struct Pusher::RunningCall {
  grpc::ClientContext context;
  grpc::Status status;
  LastWord last_word;
  dataplane::v1::RunningRequest request;
  dataplane::v1::RunningReply reply;
};

struct Pusher::ApplyCall {
  grpc::ClientContext context;
  grpc::Status status;
  LastWord last_word;
  dataplane::v1::ApplyRequest request;
  dataplane::v1::ApplyReply reply;
  std::optional<Time> changed;  // the oldest change it carries
};

struct Pusher::UpdateCall {
  grpc::ClientContext context;
  grpc::Status status;
  LastWord last_word;
  dataplane::v1::StateUpdate request;
  dataplane::v1::StateReply reply;
  std::optional<Time> changed;
};

Pusher::Pusher(asio::io_context& io, const std::string& target, Events events)
    : io_(io),
      target_(target),
      events_(std::move(events)),
      timer_(io),
      gather_(io),
      channel_(dataplane_channel(target)),
      stub_(dataplane::v1::Dataplane::NewStub(channel_)) {}

Pusher::~Pusher() {
  alive_.reset();
  if (cancel_) cancel_();
}

void Pusher::start() {
  tick();
}

void Pusher::set_wanted(dataplane::v1::Snapshot snapshot) {
  wanted_ = std::make_unique<dataplane::v1::Snapshot>(std::move(snapshot));
  wanted_by_id_.clear();
  for (auto& pool : *wanted_->mutable_pool()) {
    for (auto& backend : *pool.mutable_backend()) wanted_by_id_[backend.id()] = &backend;
  }
  doubt_all();
  refused_ = false;
  said_in_sync_ = false;
  step();
}

void Pusher::set_states(const std::vector<dataplane::v1::BackendState>& changed, Time since) {
  for (const auto& state : changed) {
    const auto found = wanted_by_id_.find(state.backend_id());
    if (found == wanted_by_id_.end() || state_in(*found->second) == state_in(state)) continue;
    found->second->set_health(state.health());
    found->second->set_weight(state.weight());
    found->second->set_drain(state.drain());
    doubtful_.insert(state.backend_id());
    wait_since(since);
    said_in_sync_ = false;
  }
  step();
}

void Pusher::doubt_all() {
  doubtful_.clear();
  for (const auto& [id, backend] : wanted_by_id_) doubtful_.insert(id);
}

// What is left in doubtful_ differs.
void Pusher::sort_out_equal() {
  std::erase_if(doubtful_, [this](std::uint32_t id) {
    const auto running = running_->states.find(id);
    return running != running_->states.end() && running->second == state_in(*wanted_by_id_.at(id));
  });
}

void Pusher::wait_since(std::optional<Time> changed) {
  if (changed && (!waiting_since_ || *changed < *waiting_since_)) waiting_since_ = changed;
}

void Pusher::acknowledged(std::optional<Time> changed) {
  if (changed) stats_.delay.add(std::chrono::steady_clock::now() - *changed);
}

void Pusher::tick() {
  // A pick-first channel goes idle when its connection ends and stays so until the next call: a restart is never
  // missed.
  if (running_ && channel_->GetState(false) != GRPC_CHANNEL_READY) lose("its connection closed");
  step();
  timer_.expires_after(kRetry);
  timer_.async_wait([this](const asio::error_code& cancelled) {
    if (!cancelled) tick();
  });
}

void Pusher::step() {
  if (cancel_) return;
  if (!running_) return ask();
  if (!wanted_ || refused_) return;
  if (needs_whole()) return apply();
  if (!doubtful_.empty() && gathering()) return;
  sort_out_equal();
  if (!doubtful_.empty()) return update();
  waiting_since_.reset();  // changed there and back
  if (said_in_sync_) return;
  said_in_sync_ = true;
  events_.in_sync();
}

// True until kGather after the last update; then step() runs again.
bool Pusher::gathering() {
  if (std::chrono::steady_clock::now() >= gather_until_) return false;
  if (std::exchange(gathering_, true)) return true;
  gather_.expires_at(gather_until_);
  gather_.async_wait([this](const asio::error_code& cancelled) {
    if (cancelled) return;
    gathering_ = false;
    step();
  });
  return true;
}

bool Pusher::needs_whole() const {
  return whole_ || running_->digest != wanted_->digest();
}

template <class Call>
std::shared_ptr<Call> Pusher::begin(std::chrono::milliseconds timeout) {
  auto call = std::make_shared<Call>();
  call->context.set_deadline(std::chrono::system_clock::now() + timeout);
  cancel_ = [call] {
    call->context.TryCancel();
    call->last_word.wait();
  };
  return call;
}

template <class Call>
std::function<void(grpc::Status)> Pusher::finish(const std::shared_ptr<Call>& call,
                                                 void (Pusher::*handler)(const Call&)) {
  return [this, call, handler, alive = std::weak_ptr<void>(alive_)](grpc::Status status) mutable {
    call->status = std::move(status);
    LastWord& last_word = call->last_word;
    last_word.pass(io_, std::move(call), [this, handler, alive](const Call& ended) {
      if (alive.expired()) return;
      cancel_ = nullptr;
      (this->*handler)(ended);
    });
  };
}

void Pusher::ask() {
  const auto call = begin<RunningCall>(kRunningTimeout);
  stub_->async()->Running(&call->context, &call->request, &call->reply, finish(call, &Pusher::on_running));
}

void Pusher::on_running(const RunningCall& call) {
  if (!call.status.ok()) {
    if (!said_waiting_)
      spdlog::warn("push: no answer from the dataplane at {} ({}), trying on", target_, call.status.error_message());
    said_waiting_ = true;
    return;  // the next tick asks again
  }
  said_waiting_ = false;
  refused_ = false;
  said_in_sync_ = false;
  running_ = Running{call.reply.generation(), call.reply.digest(), states_of(call.reply)};
  doubt_all();
  last_generation_ = std::max(last_generation_, call.reply.generation());
  spdlog::info("push: dataplane {} (pid {}) runs generation {}, digest {}", call.reply.version(), call.reply.pid(),
               call.reply.generation(), call.reply.digest().empty() ? "none" : call.reply.digest().substr(0, 12));
  events_.connected(running_->states);
  step();
}

void Pusher::apply() {
  const auto call = begin<ApplyCall>(kApplyTimeout);
  *call->request.mutable_snapshot() = *wanted_;
  call->request.mutable_snapshot()->set_generation(++last_generation_);
  call->changed = std::exchange(waiting_since_, {});
  doubtful_.clear();
  stub_->async()->Apply(&call->context, &call->request, &call->reply, finish(call, &Pusher::on_applied));
}

void Pusher::on_applied(const ApplyCall& call) {
  if (!call.status.ok() || !running_) {  // or lost while the call was under way: ask what came of it
    wait_since(call.changed);
    lose(call.status.error_message());
    return step();
  }
  const dataplane::v1::Snapshot& sent = call.request.snapshot();
  running_->generation = call.reply.running_generation();
  last_generation_ = std::max(last_generation_, running_->generation);
  if (call.reply.accepted()) {
    ++stats_.pushes;
    acknowledged(call.changed);
    spdlog::info("push: generation {} runs, digest {}", sent.generation(), sent.digest().substr(0, 12));
    for (const auto& warning : call.reply.warning())
      spdlog::warn("push: it runs, but {}: {}", warning.path(), warning.message());
    // Whatever the dataplane calls it: it accepted this content, so it must not be pushed again and again.
    running_->digest = sent.digest();
    running_->states = states_of(sent);
    whole_ = false;
  } else {
    ++stats_.refusals;
    wait_since(call.changed);
    running_->digest = call.reply.running_digest();
    doubt_all();
    // The next try may be of something else; one that differs in states alone would be refused like this one.
    if (wanted_->digest() == sent.digest()) on_refused(call);
  }
  step();
}

void Pusher::update() {
  gather_until_ = std::chrono::steady_clock::now() + kGather;
  const auto call = begin<UpdateCall>(kApplyTimeout);
  call->request.set_base_generation(running_->generation);
  call->request.set_generation(++last_generation_);
  for (const std::uint32_t id : doubtful_) {
    const dataplane::v1::Backend& wanted = *wanted_by_id_.at(id);
    auto& state = *call->request.add_backend();
    state.set_backend_id(id);
    state.set_health(wanted.health());
    state.set_weight(wanted.weight());
    state.set_drain(wanted.drain());
  }
  call->changed = std::exchange(waiting_since_, {});
  doubtful_.clear();  // what changes from now on
  stub_->async()->UpdateState(&call->context, &call->request, &call->reply, finish(call, &Pusher::on_updated));
}

void Pusher::on_updated(const UpdateCall& call) {
  if (!call.status.ok() || !running_) {
    wait_since(call.changed);
    lose(call.status.error_message());
    return step();
  }
  if (call.reply.outcome() == dataplane::v1::APPLIED) {
    ++stats_.updates;
    acknowledged(call.changed);
    running_->generation = call.reply.running_generation();
    for (const auto& state : call.request.backend()) running_->states[state.backend_id()] = state_in(state);
    spdlog::debug("push: generation {} runs, states of {} backends changed", running_->generation,
                  call.request.backend_size());
    for (const auto& warning : call.reply.warning())
      spdlog::debug("push: it runs, but {}: {}", warning.path(), warning.message());
    return step();
  }
  wait_since(call.changed);
  doubt_all();
  const std::string why = call.reply.error_size() == 0 ? "" : call.reply.error(0).message();
  whole_ = true;
  if (call.reply.outcome() == dataplane::v1::RESYNC) {
    ++stats_.resyncs;
    lose("it does not run what we pushed: " + why);  // another life of it, or another control plane
  } else {
    // A snapshot with these states will be refused as well, and by paths that the configuration is known by.
    ++stats_.refusals;
    spdlog::error("push: the dataplane refused states of backends: {}", why);
  }
  step();
}

void Pusher::on_refused(const ApplyCall& call) {
  refused_ = true;
  spdlog::error("push: the dataplane refused the snapshot and keeps generation {}; {} errors",
                call.reply.running_generation(), call.reply.error_size());
  events_.refused(call.request.snapshot(), call.reply);
}

void Pusher::lose(const std::string& why) {
  if (!running_) return;
  running_.reset();
  spdlog::warn("push: lost the dataplane: {}", why);
  events_.lost();
}

}  // namespace headgate::push
