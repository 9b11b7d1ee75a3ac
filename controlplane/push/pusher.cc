#include "controlplane/push/pusher.h"

#include <grpcpp/grpcpp.h>
#include <spdlog/spdlog.h>

#include <asio/post.hpp>
#include <future>

namespace headgate::push {
namespace {

std::shared_ptr<grpc::Channel> make_channel(const std::string& target) {
  grpc::ChannelArguments arguments;
  const int backoff = static_cast<int>(kRetry.count());
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, backoff);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, backoff);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, backoff);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // a channel of its own, whatever else connects there
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetMaxSendMessageSize(-1);
  return grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
}

health::HealthView health_of(const dataplane::v1::RunningReply& reply) {
  health::HealthView view;
  for (const auto& backend : reply.backend()) view[backend.backend_id()] = backend.health() == dataplane::v1::UP;
  return view;
}

health::HealthView health_of(const dataplane::v1::Snapshot& snapshot) {
  health::HealthView view;
  for (const auto& pool : snapshot.pool()) {
    for (const auto& backend : pool.backend()) view[backend.id()] = backend.health() == dataplane::v1::UP;
  }
  return view;
}

// Only what `wanted` speaks about counts.
bool same_health(const health::HealthView& wanted, const health::HealthView& running) {
  for (const auto& [id, up] : wanted) {
    if (health::is_up(running, id) != up) return false;
  }
  return true;
}

}  // namespace

struct Pusher::RunningCall {
  grpc::ClientContext context;
  grpc::Status status;
  std::promise<void> finished;
  dataplane::v1::RunningRequest request;
  dataplane::v1::RunningReply reply;
};

struct Pusher::ApplyCall {
  grpc::ClientContext context;
  grpc::Status status;
  std::promise<void> finished;
  dataplane::v1::ApplyRequest request;
  dataplane::v1::ApplyReply reply;
};

Pusher::Pusher(asio::io_context& io, const std::string& target, Events events)
    : io_(io),
      target_(target),
      events_(std::move(events)),
      timer_(io),
      channel_(make_channel(target)),
      stub_(dataplane::v1::Dataplane::NewStub(channel_)) {}

Pusher::~Pusher() {
  alive_.reset();
  if (cancel_) cancel_();
}

void Pusher::start() {
  tick();
}

void Pusher::set_wanted(dataplane::v1::Snapshot snapshot) {
  wanted_ = std::move(snapshot);
  refused_ = false;
  said_in_sync_ = false;
  step();
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
  if (!running_) {
    ask();
  } else if (wanted_ && !refused_) {
    if (!wanted_runs()) {
      apply();
    } else if (!said_in_sync_) {
      said_in_sync_ = true;
      events_.in_sync();
    }
  }
}

bool Pusher::wanted_runs() const {
  return running_->digest == wanted_->digest() && same_health(health_of(*wanted_), running_->health);
}

template <class Call>
std::shared_ptr<Call> Pusher::begin(std::chrono::milliseconds timeout) {
  auto call = std::make_shared<Call>();
  call->context.set_deadline(std::chrono::system_clock::now() + timeout);
  cancel_ = [call] {
    call->context.TryCancel();
    call->finished.get_future().wait();
  };
  return call;
}

template <class Call>
std::function<void(grpc::Status)> Pusher::finish(const std::shared_ptr<Call>& call,
                                                 void (Pusher::*handler)(const Call&)) {
  return [this, call, handler, alive = std::weak_ptr<void>(alive_)](grpc::Status status) {
    call->status = std::move(status);
    asio::post(io_, [this, call, handler, alive] {
      if (alive.expired()) return;
      cancel_ = nullptr;
      (this->*handler)(*call);
    });
    call->finished.set_value();
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
  running_ = Running{call.reply.generation(), call.reply.digest(), health_of(call.reply)};
  last_generation_ = std::max(last_generation_, call.reply.generation());
  spdlog::info("push: dataplane {} (pid {}) runs generation {}, digest {}", call.reply.version(), call.reply.pid(),
               call.reply.generation(), call.reply.digest().empty() ? "none" : call.reply.digest().substr(0, 12));
  events_.connected(running_->health);
  step();
}

void Pusher::apply() {
  const auto call = begin<ApplyCall>(kApplyTimeout);
  *call->request.mutable_snapshot() = *wanted_;
  call->request.mutable_snapshot()->set_generation(++last_generation_);
  stub_->async()->Apply(&call->context, &call->request, &call->reply, finish(call, &Pusher::on_applied));
}

void Pusher::on_applied(const ApplyCall& call) {
  if (!call.status.ok()) {
    lose(call.status.error_message());
    return;
  }
  const dataplane::v1::Snapshot& sent = call.request.snapshot();
  running_ = Running{call.reply.running_generation(), call.reply.running_digest(),
                     call.reply.accepted() ? health_of(sent)
                     : running_            ? running_->health
                                           : health::HealthView{}};
  last_generation_ = std::max(last_generation_, call.reply.running_generation());
  if (call.reply.accepted()) {
    spdlog::info("push: generation {} runs, digest {}", sent.generation(), sent.digest().substr(0, 12));
    for (const auto& warning : call.reply.warning())
      spdlog::warn("push: it runs, but {}: {}", warning.path(), warning.message());
    // Whatever the dataplane calls it: it accepted this content, so it must not be pushed again and again.
    running_->digest = sent.digest();
  } else if (wanted_->digest() == sent.digest() && same_health(health_of(*wanted_), health_of(sent))) {
    on_refused(call);
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
