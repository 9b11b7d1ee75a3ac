// What is said on the link once both ends know each other: heartbeats, the rotation of keys, and what the parts say.
#include <asio/post.hpp>
#include <tuple>
#include <utility>

#include "controlplane/failover/link.h"
#include "controlplane/failover/link_words.h"

namespace headgate::failover {

using ha::v1::Envelope;

namespace {

// Between a deadline and the judgement: what waited in the socket while this process stood still is read first.
constexpr std::chrono::milliseconds kSecondLook{2};

constexpr const char* kStoodStill = "this control plane stood still, and what was said meanwhile is old";

// What somebody decides by; `heard`, problem and detail are for show.
auto decisive(const PeerView& view) {
  return std::tuple(view.configured, view.link_up, view.dead, view.word, view.hold_back, view.agreed);
}

}  // namespace

ha::v1::Hello HaLink::our_hello() const {
  ha::v1::Hello hello;
  hello.set_protocol_least(kProtocolLeast);
  hello.set_protocol_most(kProtocolMost);
  hello.set_version(options_.version);
  hello.set_name(options_.name);
  hello.set_box_id(identity_.current().box_id());
  hello.set_side(static_cast<std::uint32_t>(settings_->side));
  hello.set_instance(instance_);
  return hello;
}

void HaLink::begin_session(std::shared_ptr<LinkStream> stream, const ha::v1::Hello& theirs, std::uint32_t protocol) {
  session_ = std::move(stream);
  session_->set_frame_max(kFrameMax);
  session_->set_handlers({.ready = {},
                          .message = [this](const Envelope& envelope) { message(envelope); },
                          .closed = [this](const std::string& why) { end_session(why); }});
  peer_ = theirs;
  protocol_ = protocol;
  problem_.clear();
  backoff_.reset();
  connect_timer_.cancel();
  hearing_.begin(Clock::now());
  pace_.kept(Clock::now(), settings_->heartbeat);
  note(Weight::notice, "connected with " + shown(theirs.name(), kHostNameMax) + ", version " +
                           shown(theirs.version(), kVersionMax) + ", protocol " + std::to_string(protocol));
  say_regularly();
  watch_silence();
  if (identity_.next() != nullptr) announce_next();
  for (LinkPart* part : parts_) part->began(*this, theirs);
  changed();
}

// The peer's word holds until it counts as silent: a connection that is made anew at once is no news.
void HaLink::end_session(const std::string& why) {
  const auto stream = std::exchange(session_, nullptr);
  if (!stream) return;
  stream->set_handlers({});
  stream->close_unless_last(why);
  speak_timer_.cancel();
  problem_ = why;
  note(Weight::warning, "the connection with " + shown(peer_.name(), kHostNameMax) + " ended: " + why);
  if (const auto done = std::exchange(rotated_, nullptr))
    done(config::fail("the link ended before the peer had the key: " + why));
  for (LinkPart* part : parts_) part->ended();
  connect_later();
  changed();
}

void HaLink::message(const Envelope& envelope) {
  if (pace_.stood_still(Clock::now(), settings_->heartbeat)) return end_session(kStoodStill);
  switch (envelope.body_case()) {
    case Envelope::kHeartbeat:
      return heartbeat(envelope.heartbeat());
    case Envelope::kRefusal:
      return end_session(explain(envelope.refusal()));
    case Envelope::kRotateKey:
    case Envelope::kRotateKeyAck:
      return rotation_message(envelope);
    default:
      break;
  }
  for (LinkPart* part : parts_) {
    if (part->message(envelope)) return;
  }
  ++unknown_messages_;
}

void HaLink::heartbeat(const ha::v1::Heartbeat& heartbeat) {
  auto word = word_of(heartbeat);
  if (!word) return end_session("it sent a heartbeat that cannot be right");
  const Time now = Clock::now();
  hearing_.heard(now, std::chrono::milliseconds(heartbeat.interval_ms()));
  view_.heard = now;
  const bool news = !view_.link_up || *word != view_.word;
  const bool was_up = view_.link_up;
  view_.word = std::move(*word);
  for (LinkPart* part : parts_) part->heard(heartbeat);
  if (!news) return;
  refresh();
  if (!was_up) watch_silence();  // it waited for a connection without a word
  if (listener_) listener_();
}

void HaLink::tell(const Word& word) {
  const bool news = !told_ || word != word_;
  told_ = true;
  word_ = word;
  if (!news) return;
  for (LinkPart* part : parts_) part->told(word_);
  say();
}

void HaLink::set_dataplane(bool runs) {
  if (runs == dataplane_runs_) return;
  dataplane_runs_ = runs;
  incarnation_ += runs ? 1 : 0;
  say();
}

void HaLink::say() {
  if (!session_) return;
  Envelope envelope;
  ha::v1::Heartbeat& heartbeat = *envelope.mutable_heartbeat();
  fill(word_, heartbeat);
  heartbeat.set_version(options_.version);
  heartbeat.set_dataplane_runs(dataplane_runs_);
  heartbeat.set_dataplane_incarnation(incarnation_);
  heartbeat.set_interval_ms(static_cast<std::uint32_t>(settings_->heartbeat.count()));
  for (const LinkPart* part : parts_) part->speak(heartbeat);
  session_->send_newest(envelope);
}

void HaLink::say_regularly() {
  if (pace_.stood_still(Clock::now(), settings_->heartbeat)) return end_session(kStoodStill);
  pace_.kept(Clock::now(), settings_->heartbeat);
  say();
  speak_timer_.expires_after(settings_->heartbeat);
  speak_timer_.async_wait([this, which = session_.get()](const asio::error_code& cancelled) {
    if (!cancelled && session_ && session_.get() == which) say_regularly();
  });
}

void HaLink::watch_silence() {
  const bool was_silent = hearing_.silent(Clock::now());
  silence_timer_.expires_at((was_silent ? hearing_.gone_at() : hearing_.silent_at()) + kSecondLook);
  silence_timer_.async_wait([this](const asio::error_code& cancelled) {
    if (cancelled) return;
    silence_timer_.expires_after(kSecondLook);
    silence_timer_.async_wait([this](const asio::error_code& stopped) {
      if (stopped) return;
      const Time now = Clock::now();
      if (session_ && hearing_.gone(now))
        end_session("the peer said nothing for " + std::to_string(hearing_.gone_after().count()) + " ms");
      else if (hearing_.silent(now) == view_.link_up)
        changed();
      if (session_ || !hearing_.silent(now)) watch_silence();
    });
  });
}

void HaLink::changed() {
  const auto before = decisive(view_);
  refresh();
  if (before != decisive(view_) && listener_) listener_();
}

void HaLink::refresh() {
  const Time now = Clock::now();
  view_.configured = settings_.has_value();
  view_.link_up = view_.heard && settings_ && !hearing_.silent(now);
  view_.dead = view_.hold_back = view_.agreed = false;
  view_.problem = broken_;
  view_.detail.clear();
  if (view_.problem.empty() && settings_ && record_.peer() == nullptr)
    view_.problem = "this box is not paired; run `failover pair` on one box and `failover pair CODE` on the other";
  if (view_.problem.empty() && !session_) view_.problem = problem_;
  if (view_.problem.empty() && session_ && !view_.link_up) view_.problem = "the peer is silent";
  if (settings_) {
    view_.detail.push_back("link: " + settings_->own.to_string() + " to " + settings_->peer.to_string() + " port " +
                           std::to_string(settings_->port));
  }
  if (broken_.empty()) view_.detail.push_back("key of this box: " + short_form(identity_.current().fingerprint()));
  if (const auto* peer = record_.peer()) {
    const auto pinned = fingerprint_of_hex(peer->fingerprint());
    view_.detail.push_back("paired with: " + peer->name() + ", key " + (pinned ? short_form(*pinned) : "unreadable"));
  }
  if (session_) {
    view_.detail.push_back("peer: " + shown(peer_.name(), kHostNameMax) + ", version " +
                           shown(peer_.version(), kVersionMax) + ", protocol " + std::to_string(protocol_));
  }
  for (const LinkPart* part : parts_) part->contribute(view_);
}

void HaLink::rotate_key(PairingDesk::Done done) {
  if (!broken_.empty()) return done(config::fail(broken_));
  if (!session_)
    return done(
        config::fail("the peer is not reachable, and would not know the new key; try again when the link is up"));
  if (rotated_) return done(config::fail("a rotation is under way already"));
  if (auto made = identity_.make_next(); !made) return done(config::fail(made.error().message));
  rotated_ = std::move(done);
  announce_next();
}

void HaLink::announce_next() {
  Envelope envelope;
  const Fingerprint& fingerprint = identity_.next()->fingerprint();
  envelope.mutable_rotate_key()->set_fingerprint(fingerprint.data(), fingerprint.size());
  send(envelope);
}

void HaLink::rotation_message(const Envelope& envelope) {
  const bool theirs = envelope.has_rotate_key();
  const std::string& bytes = theirs ? envelope.rotate_key().fingerprint() : envelope.rotate_key_ack().fingerprint();
  Fingerprint fingerprint;
  if (bytes.size() != fingerprint.size()) return end_session("it sent a fingerprint that is none");
  std::copy(bytes.begin(), bytes.end(), fingerprint.begin());
  if (theirs) {
    // Without a word back the peer goes on with the key it has.
    if (const auto kept = record_.announce(fingerprint); !kept)
      return note(Weight::warning, "the peer's new key: " + kept.error().message);
    Envelope answer;
    answer.mutable_rotate_key_ack()->set_fingerprint(bytes);
    send(answer);
    return;
  }
  if (identity_.next() == nullptr || identity_.next()->fingerprint() != fingerprint) return;
  const auto switched = identity_.switch_to_next();
  const auto done = std::exchange(rotated_, nullptr);
  note(switched ? Weight::notice : Weight::warning, switched ? "this box has a new key, " + short_form(fingerprint)
                                                             : "the new key of this box: " + switched.error().message);
  if (done) switched ? done(short_form(fingerprint)) : done(config::fail(switched.error().message));
  end_session("this box has a new key");  // the next connection shows it, and ends the old one's life
}

}  // namespace headgate::failover
