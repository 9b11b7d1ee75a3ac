#include "controlplane/failover/notice_desk.h"

#include <asio/post.hpp>
#include <cstring>
#include <utility>

namespace headgate::failover {

using asio::ip::udp;
using ha::v1::Envelope;
using Local = asio::local::datagram_protocol;

void SupervisorOrder::send(std::string text, Done done) {
  const std::uint64_t round = ++round_;
  text_ = std::move(text);
  done_ = std::move(done);
  asio::error_code error, ignored;
  socket_.close(ignored);
  socket_.open(Local(), error);
  if (!error) socket_.non_blocking(true, error);
  // A name for the answer: the kernel chooses one for an empty address (unix(7), autobind). asio's endpoint cannot say
  // so.
  const sockaddr_un own{.sun_family = AF_UNIX, .sun_path = {}};
  if (!error && ::bind(socket_.native_handle(), reinterpret_cast<const sockaddr*>(&own), sizeof own.sun_family) != 0)
    error.assign(errno, asio::error::get_system_category());
  if (!error) socket_.connect(Local::endpoint(path_), error);
  if (!error) socket_.send(asio::buffer(text_), 0, error);
  std::fill(text_.begin(), text_.end(), '\0');  // it holds a key
  if (error) {
    asio::post(io_, [this, round, error] {
      if (round == round_) finish(error.message());
    });
    return;
  }
  limit_.expires_after(kLimit);
  limit_.async_wait([this, round](const asio::error_code& cancelled) {
    if (!cancelled && round == round_) finish("no answer");
  });
  socket_.async_receive(asio::buffer(answer_), [this, round](const asio::error_code& failed, std::size_t n) {
    if (failed == asio::error::operation_aborted || round != round_) return;
    const std::string answer(answer_.data(), n);
    finish(failed ? failed.message() : answer == "ok" ? "" : answer);
  });
}

void SupervisorOrder::finish(const std::string& problem) {
  ++round_;
  limit_.cancel();
  asio::error_code ignored;
  socket_.close(ignored);
  if (const Done done = std::exchange(done_, nullptr)) done(problem);
}

NoticeDesk::NoticeDesk(asio::io_context& io, std::string supervisor, HaLink::Log log)
    : log_(std::move(log)),
      supervised_(!supervisor.empty()),
      socket_(io),
      listen_timer_(io),
      pace_timer_(io),
      supervisor_(io, std::move(supervisor)),
      order_timer_(io) {}

void NoticeDesk::configured(Wire& wire, const std::optional<LinkSettings>& settings) {
  wire_ = &wire;
  settings_ = settings;
  asio::error_code ignored;
  socket_.close(ignored);
  listen_timer_.cancel();
  pace_timer_.cancel();
  if (!settings_) return;
  pace_ = {};
  keep_pace();
  listen();
}

void NoticeDesk::keep_pace() {
  pace_.kept(Clock::now(), kPaceEvery);
  pace_timer_.expires_after(kPaceEvery);
  pace_timer_.async_wait([this](const asio::error_code& cancelled) {
    if (!cancelled) keep_pace();
  });
}

void NoticeDesk::listen() {
  const udp::endpoint here(settings_->own, settings_->port);
  asio::error_code error, ignored;
  socket_.open(here.protocol(), error);
  if (!error) socket_.bind(here, error);
  if (!error) return receive();
  socket_.close(ignored);
  listen_timer_.expires_after(kAgain);
  listen_timer_.async_wait([this](const asio::error_code& cancelled) {
    if (!cancelled && settings_ && !socket_.is_open()) listen();
  });
}

void NoticeDesk::receive() {
  socket_.async_receive_from(asio::buffer(buffer_), from_, [this](const asio::error_code& error, std::size_t n) {
    if (error == asio::error::operation_aborted || !socket_.is_open()) return;
    if (!error) received(n);
    receive();
  });
}

void NoticeDesk::received(std::size_t size) {
  if (from_.address() != settings_->peer) {
    ++strangers_;
    return;
  }
  // The peer may have come back since; its adverts say more than a datagram of then.
  if (pace_.may_be_old(Clock::now(), kPaceEvery)) {
    ++old_;
    return;
  }
  const NoticeGuard::Verdict verdict = guard_.judge(std::span(buffer_).first(size));
  if (verdict == NoticeGuard::Verdict::copy) return;
  if (verdict != NoticeGuard::Verdict::dead) {
    // Once: whoever sends these can send many. All are counted.
    if (guard_.seen(verdict) == 1)
      log_(HaLink::Weight::warning, std::string("a death notice ") + NoticeGuard::name_of(verdict) + " came from " +
                                        from_.address().to_string());
    return;
  }
  peer_.died();
  wire_->changed();  // first of all: somebody waits for it
  log_(HaLink::Weight::warning, "the peer's supervisor says that its dataplane ended");
}

void NoticeDesk::began(Wire& wire, const ha::v1::Hello& peer) {
  peer_.meet(peer.instance());
  if (!supervised_) return;
  key_id_ = random_number();
  fill_random(key_);
  acknowledged_ = false;
  Envelope envelope;
  auto& out = *envelope.mutable_death_notice_key();
  out.set_key_id(key_id_);
  out.set_key(key_.data(), key_.size());
  wire.send(envelope);
}

// Whoever comes next is another box.
void NoticeDesk::forgotten() {
  guard_.clear();
  peer_.forget();
  acknowledged_ = false;
  key_id_ = armed_id_ = 0;
  if (supervised_) supervisor_.send(std::string("notice ") + kProcess + " off", nullptr);
}

bool NoticeDesk::message(const Envelope& envelope) {
  if (envelope.has_death_notice_key()) {
    const auto& given = envelope.death_notice_key();
    Secret key;
    if (given.key().size() != key.size() || given.key_id() == 0) return true;  // no acknowledgement: not used
    std::memcpy(key.data(), given.key().data(), key.size());
    guard_.add(given.key_id(), key);
    Envelope answer;
    answer.mutable_death_notice_key_ack()->set_key_id(given.key_id());
    wire_->send(answer);
    return true;
  }
  if (!envelope.has_death_notice_key_ack()) return false;
  if (envelope.death_notice_key_ack().key_id() == key_id_ && key_id_ != 0) {
    acknowledged_ = true;
    order();
  }
  return true;
}

void NoticeDesk::told(const Word& word) {
  if (word.epoch == epoch_) return;
  epoch_ = word.epoch;
  order();
}

// Key and epoch of this moment to the supervisor.
void NoticeDesk::order() {
  if (!supervised_ || !acknowledged_ || !settings_) return;
  const std::uint64_t id = key_id_, epoch = epoch_;
  char hex_id[17];
  std::snprintf(hex_id, sizeof hex_id, "%llx", static_cast<unsigned long long>(id));
  supervisor_.send(std::string("notice ") + kProcess + " " + settings_->own.to_string() + " " +
                       settings_->peer.to_string() + " " + std::to_string(settings_->port) + " " + hex_id + " " +
                       to_hex(key_) + " " + std::to_string(epoch) + " 0",
                   [this, id, epoch](const std::string& problem) {
                     if (problem != order_problem_ && !problem.empty())
                       log_(HaLink::Weight::warning, "no death notice to the peer, the supervisor says: " + problem);
                     order_problem_ = problem;
                     if (!problem.empty()) return order_later();
                     armed_id_ = id;
                     armed_epoch_ = epoch;
                     wire_->changed();
                   });
}

void NoticeDesk::order_later() {
  order_timer_.expires_after(kAgain);
  order_timer_.async_wait([this](const asio::error_code& cancelled) {
    if (!cancelled) order();
  });
}

void NoticeDesk::heard(const ha::v1::Heartbeat& heartbeat) {
  guard_.in_use(heartbeat.notice_key_id(), heartbeat.notice_epoch());
  if (!peer_.heard(heartbeat.dataplane_runs(), heartbeat.dataplane_incarnation())) return;
  log_(HaLink::Weight::notice, "the peer's dataplane runs again");
  wire_->changed();
}

void NoticeDesk::speak(ha::v1::Heartbeat& heartbeat) const {
  heartbeat.set_notice_key_id(armed_id_);
  heartbeat.set_notice_epoch(armed_epoch_);
}

void NoticeDesk::contribute(PeerView& view) const {
  view.dead = view.dead || peer_.dead();
  if (!settings_) return;
  view.detail.push_back("death notice to the peer: " +
                        (!supervised_              ? "none, this control plane has no supervisor"
                         : !order_problem_.empty() ? "none, the supervisor says: " + order_problem_
                         : armed_id_ == 0          ? "not agreed yet"
                                                   : "ready, epoch " + std::to_string(armed_epoch_)));
  std::string refused;
  for (std::size_t i = static_cast<std::size_t>(NoticeGuard::Verdict::malformed);
       i < static_cast<std::size_t>(NoticeGuard::Verdict::count); ++i) {
    const auto verdict = static_cast<NoticeGuard::Verdict>(i);
    if (guard_.seen(verdict) == 0) continue;
    refused +=
        (refused.empty() ? "" : ", ") + std::to_string(guard_.seen(verdict)) + " " + NoticeGuard::name_of(verdict);
  }
  if (strangers_ != 0) refused += (refused.empty() ? "" : ", ") + std::to_string(strangers_) + " from other addresses";
  if (old_ != 0)
    refused +=
        (refused.empty() ? "" : ", ") + std::to_string(old_) + " that waited while this control plane stood still";
  if (!refused.empty()) view.detail.push_back("death notices refused: " + refused);
}

}  // namespace headgate::failover
