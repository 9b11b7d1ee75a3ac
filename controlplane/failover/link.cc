#include "controlplane/failover/link.h"

#include <sys/socket.h>

#include <asio/post.hpp>
#include <utility>

#include "controlplane/failover/link_words.h"

namespace headgate::failover {

using asio::ip::tcp;
using ha::v1::Envelope;
using ha::v1::Refusal;

namespace {

constexpr std::size_t kIncomingMax = 4;  // that have not said Hello yet
constexpr std::chrono::milliseconds kHelloLimit{3000}, kListenAgain{1000}, kAcceptAgain{100};

}  // namespace

std::optional<LinkSettings> link_settings(const config::v1::Config& config) {
  if (!config.failover().has_ha_link()) return std::nullopt;
  const auto& link = config.failover().ha_link();
  asio::error_code own_error, peer_error;
  LinkSettings settings{.own = asio::ip::make_address(link.address(), own_error),
                        .peer = asio::ip::make_address(link.peer_address(), peer_error),
                        .side = config.failover().side()};
  if (own_error || peer_error || settings.own.is_v4() != settings.peer.is_v4()) return std::nullopt;
  if (link.has_port()) settings.port = static_cast<std::uint16_t>(link.port());
  if (link.has_heartbeat_ms()) settings.heartbeat = std::chrono::milliseconds(link.heartbeat_ms());
  return settings;
}

HaLink::HaLink(asio::io_context& io, config::Disk& disk, Options options, Log log)
    : io_(io),
      options_(std::move(options)),
      log_(std::move(log)),
      identity_(disk, options_.directory),
      record_(disk, options_.directory),
      desk_(io, identity_, record_, options_.name,
            {.paired =
                 [this](const std::string& peer) {
                   note(Weight::notice, "paired with " + peer);
                   end_session("another pairing");
                   forget_peer();
                   problem_.clear();
                   backoff_.reset();
                   if (settings_ && settings_->side == config::v1::A) connect();
                   changed();
                 },
             .warning = [this](const std::string& text) { note(Weight::warning, text); }}),
      instance_(random_number()),
      acceptor_(io),
      listen_timer_(io),
      connect_timer_(io),
      speak_timer_(io),
      silence_timer_(io) {}

HaLink::~HaLink() {  // NOLINT(bugprone-exception-escape): nothing but want of memory, which ends the process anyway
  parts_.clear();
  listener_ = nullptr;
  stop("this control plane ends");
}

config::Result<void> HaLink::open() {
  auto done = identity_.open();
  if (done) done = record_.open();
  if (!done) broken_ = done.error().message;
  refresh();
  return done;
}

void HaLink::configure(const config::v1::Config& config) {
  auto settings = link_settings(config);
  if (settings == settings_) return;
  const bool only_pace = settings && settings_ && settings->own == settings_->own &&
                         settings->peer == settings_->peer && settings->port == settings_->port &&
                         settings->side == settings_->side;
  settings_ = std::move(settings);
  for (LinkPart* part : parts_) part->configured(*this, settings_);
  if (!only_pace) {
    stop("its configuration changed");
    forget_peer();
    start();
  } else if (session_) {
    pace_.kept(Clock::now(), settings_->heartbeat);  // by the old one
    say_regularly();
  }
  changed();
}

// What it said is not true of another one.
void HaLink::forget_peer() {
  view_.heard.reset();
  view_.word = {};
  for (LinkPart* part : parts_) part->forgotten();
}

void HaLink::start() {
  problem_.clear();
  backoff_.reset();
  if (settings_ && broken_.empty()) {
    listen();
    if (settings_->side == config::v1::A) connect();
  }
  changed();
}

void HaLink::stop(const std::string& why) {
  ++round_;
  connecting_ = false;
  asio::error_code ignored;
  acceptor_.close(ignored);
  listen_timer_.cancel();
  connect_timer_.cancel();
  for (Incoming& incoming : std::exchange(incoming_, {})) {
    incoming.hello_limit->cancel();
    incoming.stream->set_handlers({});
    incoming.stream->close(why);
  }
  end_session(why);
}

std::shared_ptr<asio::ssl::context> HaLink::context() {
  auto made = identity_.current().context();
  if (made) return *made;
  problem_ = made.error().message;
  return nullptr;
}

void HaLink::listen() {
  const tcp::endpoint here(settings_->own, settings_->port);
  asio::error_code error;
  acceptor_.open(here.protocol(), error);
  if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor_.bind(here, error);
  if (!error) acceptor_.listen(static_cast<int>(kIncomingMax), error);
  if (!error) return accept();
  asio::error_code ignored;
  acceptor_.close(ignored);
  problem_ = "cannot listen on " + here.address().to_string() + " port " + std::to_string(here.port()) + ": " +
             error.message();
  listen_timer_.expires_after(kListenAgain);  // an address may come later than we
  listen_timer_.async_wait([this, round = round_](const asio::error_code& cancelled) {
    if (!cancelled && round == round_) listen();
  });
  changed();
}

void HaLink::accept() {
  acceptor_.async_accept([this, round = round_](const asio::error_code& error, tcp::socket socket) {
    if (error == asio::error::operation_aborted || round != round_) return;
    asio::error_code unknown;
    const bool welcome = !error && socket.remote_endpoint(unknown).address() == settings_->peer && !unknown &&
                         incoming_.size() < kIncomingMax;
    if (const auto tls = welcome ? context() : nullptr) {
      const Entry entry = add_stream(tls);
      entry->stream->socket() = std::move(socket);
      entry->stream->start_server();
    }
    if (!error) return accept();
    listen_timer_.expires_after(kAcceptAgain);  // no descriptor is left, or the like
    listen_timer_.async_wait([this, round](const asio::error_code& cancelled) {
      if (!cancelled && round == round_) accept();
    });
  });
}

void HaLink::connect() {
  if (session_ || connecting_ || record_.peer() == nullptr) return;
  const auto tls = context();
  if (!tls) return;
  connecting_ = true;
  const Entry entry = add_stream(tls);
  entry->stream->start_client({settings_->own, 0}, {settings_->peer, settings_->port}, LinkStream::Kind::link);
}

void HaLink::connect_later() {
  if (!settings_ || settings_->side != config::v1::A) return;
  connect_timer_.expires_after(backoff_.next());
  connect_timer_.async_wait([this, round = round_](const asio::error_code& cancelled) {
    if (!cancelled && round == round_) connect();
  });
}

HaLink::Entry HaLink::add_stream(std::shared_ptr<asio::ssl::context> tls) {
  const Entry entry = incoming_.emplace(incoming_.end());
  entry->stream = std::make_shared<LinkStream>(io_, std::move(tls), LinkStream::Handlers{});
  entry->hello_limit = std::make_shared<asio::steady_timer>(io_);
  entry->stream->set_handlers(handlers_of(entry));
  return entry;
}

LinkStream::Handlers HaLink::handlers_of(Entry entry) {
  return {.ready = [this, entry] { ready(entry); },
          .message =
              [this, entry](const Envelope& envelope) {
                if (envelope.has_refusal()) {
                  backoff_.refused();
                  return lost(entry, explain(envelope.refusal()));
                }
                if (envelope.has_hello() && entry->hello_sent) return hello(entry, envelope.hello());
                lost(entry, "the peer sent something else before its Hello");
              },
          .closed = [this, entry](const std::string& why) { lost(entry, why); }};
}

// TLS is done, so the other end has the key of the certificate it showed.
void HaLink::ready(Entry entry) {
  const auto stream = entry->stream;
  if (stream->kind() == LinkStream::Kind::pair) {
    incoming_.erase(entry);
    return desk_.serve(stream);
  }
  if (!record_.knows(stream->fingerprint())) {
    Refusal refusal;
    const bool unpaired = record_.peer() == nullptr;
    refusal.set_cause(unpaired ? Refusal::UNPAIRED : Refusal::WRONG_KEY);
    refusal.set_text(unpaired ? "this box is not paired; run `failover pair` on both"
                              : "the peer showed another key (" + short_form(stream->fingerprint()) +
                                    ") than it was paired with; if it was installed anew, unpair and pair them again");
    return refuse(entry, refusal);
  }
  Envelope envelope;
  *envelope.mutable_hello() = our_hello();
  entry->hello_sent = true;
  stream->send(envelope);
  entry->hello_limit->expires_after(kHelloLimit);
  entry->hello_limit->async_wait([this, entry, limit = entry->hello_limit](const asio::error_code& cancelled) {
    // Alone with the timer: the entry is gone, and the timer had expired before it was cancelled.
    if (!cancelled && limit.use_count() > 1) lost(entry, "the peer said no Hello");
  });
}

void HaLink::hello(Entry entry, const ha::v1::Hello& theirs) {
  const Meeting meeting = meet(our_hello(), theirs);
  if (meeting.refusal) return refuse(entry, *meeting.refusal);
  if (record_.peer() == nullptr) return lost(entry, "this box is no longer paired");  // since the handshake
  if (theirs.box_id() != record_.peer()->box_id()) return lost(entry, "the peer's key belongs to another box");
  if (const auto seen = record_.seen(entry->stream->fingerprint()); !seen)
    return lost(entry, seen.error().message);  // it would be unknown after a crash
  const auto stream = entry->stream;
  entry->hello_limit->cancel();
  if (stream->is_client()) connecting_ = false;
  incoming_.erase(entry);
  end_session("the peer connected anew");
  begin_session(stream, theirs, meeting.protocol);
}

void HaLink::refuse(Entry entry, const Refusal& refusal) {
  Envelope envelope;
  *envelope.mutable_refusal() = refusal;
  const auto stream = entry->stream;
  backoff_.refused();
  forget(entry, refusal.text());
  stream->send_last(envelope, refusal.text());
}

// A connection that will not become the link.
void HaLink::forget(Entry entry, const std::string& why) {
  const auto stream = entry->stream;
  entry->hello_limit->cancel();
  incoming_.erase(entry);
  stream->set_handlers({});
  if (stream->is_client()) {
    connecting_ = false;
    connect_later();
  }
  if (session_) return;
  problem_ = why;
  changed();
}

void HaLink::lost(Entry entry, const std::string& why) {
  const auto stream = entry->stream;
  forget(entry, why);
  stream->close(why);
}

void HaLink::note(Weight weight, const std::string& text) {
  if (weight == Weight::warning && text == last_warning_) return;
  last_warning_ = weight == Weight::warning ? text : "";
  log_(weight, text);
}

config::Result<std::string> HaLink::pair() {
  if (!broken_.empty()) return config::fail(broken_);
  if (!settings_)
    return config::fail(
        "there is no HA link in the configuration: set failover ha_link address and peer_address first");
  note(Weight::notice, "pairing: a code is valid for 10 minutes");
  return desk_.open();
}

void HaLink::pair_with(const std::string& text, PairingDesk::Done done) {
  if (!broken_.empty()) return done(config::fail(broken_));
  if (!settings_)
    return done(
        config::fail("there is no HA link in the configuration: set failover ha_link address and peer_address first"));
  const auto code = read_code(text);
  if (!code) return done(config::fail("that is no code: it has 16 letters and digits, in groups of four"));
  desk_.join(*code, {settings_->own, 0}, {settings_->peer, settings_->port}, std::move(done));
}

config::Result<void> HaLink::unpair() {
  desk_.cancel();
  if (!broken_.empty()) return config::fail(broken_);
  if (record_.peer() == nullptr) return config::fail("this box is not paired");
  const std::string name = record_.peer()->name();
  if (auto done = record_.forget(); !done) return done;
  if (auto dropped = identity_.drop_next(); !dropped) note(Weight::warning, dropped.error().message);
  if (session_) {
    Envelope envelope;
    envelope.mutable_refusal()->set_cause(Refusal::UNPAIRED);
    session_->send_last(envelope, "unpaired");
    end_session("an operator ended the pairing");
  }
  forget_peer();
  note(Weight::notice, "no longer paired with " + name);
  changed();
  return {};
}

}  // namespace headgate::failover
