#include "controlplane/failover/config_sync.h"

#include <algorithm>
#include <utility>

#include "controlplane/failover/link_words.h"

namespace headgate::failover {

using ha::v1::Envelope;

namespace {

constexpr std::size_t kSentenceMax = 1000;  // of a cause that the peer gives

void fill(const Offer& offer, ha::v1::Version& version) {
  version.set_id(offer.lineage.id);
  version.set_parent(offer.lineage.parent);
  version.set_digest(offer.lineage.digest);
  version.set_user(offer.user);
  version.set_comment(offer.comment);
}

config::Lineage lineage_of(const ha::v1::Version& version) {
  return {version.id(), version.parent(), version.digest()};
}

template <class List>
bool has(const List& list, const std::string& id) {
  return std::find(list.begin(), list.end(), id) != list.end();
}

}  // namespace

ConfigSync::ConfigSync(asio::io_context& io, LocalConfig& local, HaLink::Log log)
    : local_(local), log_(std::move(log)), hold_timer_(io), answer_timer_(io) {}

void ConfigSync::configured(Wire& wire, const std::optional<LinkSettings>& settings) {
  wire_ = &wire;
  settings_ = settings;
}

void ConfigSync::began(Wire&, const ha::v1::Hello&) {
  began_ = Clock::now();
  hold_timer_.expires_after(kHoldBack);
  hold_timer_.async_wait([this](const asio::error_code& cancelled) {
    if (!cancelled) wire_->changed();
  });
  say_state();
}

void ConfigSync::ended() {
  peer_.reset();
  fetching_ = false;
  staged_.reset();  // what was applied stands; the one that is behind follows
  state_ = State::apart;
  hold_timer_.cancel();
  if (pending_) {
    finish(
        config::fail(pending_->phase == Phase::staging
                         ? "the link to the peer ended; nothing was changed"
                         : "the link to the peer ended in the middle; whichever box is behind follows the other when "
                           "they are connected again"));
  }
}

void ConfigSync::forgotten() {
  peer_head_.reset();
  difference_.clear();
  follow_problem_.clear();
}

void ConfigSync::say_state() {
  const LocalConfig::Head head = local_.head();
  Envelope envelope;
  auto& state = *envelope.mutable_config_state();
  auto& version = *state.mutable_head();
  version.set_id(head.lineage.id);
  version.set_parent(head.lineage.parent);
  version.set_digest(head.lineage.digest);
  version.set_revision(head.revision);
  version.set_time_s(head.time_s);
  version.set_user(head.user);
  version.set_comment(head.comment);
  for (const std::string& id : local_.ancestors()) {
    if (static_cast<std::size_t>(state.ancestor_size()) < kAncestorsMax) state.add_ancestor(id);
  }
  state.set_rolls_back_in_s(head.rolls_back_in_s);
  state.set_local(head.local);
  state.set_follow_problem(follow_problem_);
  if (wire_ != nullptr) wire_->send(envelope);
}

void ConfigSync::changed() {
  follow_problem_.clear();  // it may do now
  if (wire_ == nullptr) return;
  if (!wire_->up()) return wire_->changed();  // what is shown of it
  say_state();
  evaluate();
}

ConfigSync::State ConfigSync::judge() const {
  if (!peer_ || wire_ == nullptr || !wire_->up()) return State::apart;
  const config::Lineage ours = local_.head().lineage, theirs = lineage_of(peer_->head());
  if (ours.id == theirs.id) return State::agreed;
  const bool they_had_ours = has(peer_->ancestor(), ours.id), we_had_theirs = has(local_.ancestors(), theirs.id);
  if (they_had_ours != we_had_theirs) return they_had_ours ? State::following : State::ahead;
  if (ours.digest != theirs.digest) return State::diverged;
  // The same by two ways: one of them has to take the other's line, or the next change would find no common past.
  return settings_->side == config::v1::B ? State::following : State::ahead;
}

void ConfigSync::evaluate() {
  if (pending_) return;  // it comes again when that is over
  state_ = judge();
  const bool stuck =
      state_ == State::ahead && !peer_->follow_problem().empty();  // a person may take the peer's instead
  if (state_ == State::agreed || (state_ == State::ahead && !stuck)) {
    peer_head_.reset();
    difference_.clear();
    follow_problem_.clear();
  }
  const std::string theirs = peer_ ? peer_->head().id() : "";
  const bool comes = staged_ && !staged_->applied && staged_->offer.lineage.id == theirs;  // by ConfigApply
  const bool known = peer_head_ && peer_head_->lineage.id == theirs;
  if (state_ == State::following && !comes && (!known || follow_problem_.empty())) fetch();
  if ((state_ == State::diverged || stuck) && !known) fetch();
  if (state_ == State::diverged) {
    if (known) difference_ = local_.difference(peer_head_->text);
    const std::string both = local_.head().lineage.id + theirs;
    if (std::exchange(alarmed_, both) != both)
      log_(HaLink::Weight::warning,
           "the boxes run configurations that have gone different ways; show failover peer has the difference; say "
           "failover adopt peer or failover adopt local");
  }
  wire_->changed();
}

void ConfigSync::fetch() {
  if (std::exchange(fetching_, true)) return;
  Envelope envelope;
  envelope.mutable_config_fetch();
  wire_->send(envelope);
}

void ConfigSync::send_head() {
  const Offer offer = local_.offer();
  Envelope envelope;
  auto& head = *envelope.mutable_config_head();
  fill(offer, *head.mutable_version());
  head.set_shared_text(offer.text);
  head.set_ids(offer.ids);
  head.set_confirm_left_s(local_.head().rolls_back_in_s);
  wire_->send(envelope);
}

void ConfigSync::head_came(const ha::v1::ConfigHead& head) {
  if (!std::exchange(fetching_, false)) return;
  auto offer = offer_of(head.version(), head.shared_text(), head.ids(), head.confirm_left_s());
  if (!offer || !peer_ || offer->lineage.id != peer_->head().id()) return evaluate();  // it went on meanwhile
  peer_head_ = std::move(offer);
  if (judge() != State::following || pending_) return evaluate();
  const Offer wanted = *peer_head_;  // which is let go when both agree
  auto done = local_.check(wanted);
  if (done) done = local_.apply(wanted);
  if (done) {
    log_(HaLink::Weight::notice,
         "configuration: followed the peer to version " + wanted.lineage.id.substr(0, 8) + " by " + wanted.user);
    return;  // changed() has said the rest
  }
  follow_problem_ = done.error().message;
  log_(HaLink::Weight::warning, "configuration: the peer's version does not do on this box: " + follow_problem_);
  say_state();
  evaluate();
}

// -- a commit that begins here
// -------------------------------------------------------------------------------------------

void ConfigSync::begin(Pending pending, const Envelope& envelope) {
  pending_ = std::move(pending);
  answer_timer_.expires_after(kAnswerLimit);
  answer_timer_.async_wait([this, which = pending_->transaction](const asio::error_code& cancelled) {
    if (!cancelled && pending_ && pending_->transaction == which) no_answer();
  });
  if (!wire_->send(envelope)) finish(config::fail("it cannot be sent to the peer; see show failover peer"));
}

// What the peer still does of it, it takes back: messages keep their order.
void ConfigSync::no_answer() {
  if (pending_->phase != Phase::confirming) {
    Envelope envelope;
    envelope.mutable_config_abort()->set_transaction(pending_->transaction);
    wire_->send(envelope);
  }
  finish(config::fail("the peer does not answer; see show failover peer"));
}

// One at a time. What the peer did before stands from now on.
config::Result<void> ConfigSync::free_for_commit() {
  if (pending_ || (staged_ && !staged_->applied))
    return config::fail("another commit is under way on the pair; try again");
  staged_.reset();
  return {};
}

void ConfigSync::finish(config::Result<void> result) {
  answer_timer_.cancel();
  const Done done = std::move(pending_->done);
  pending_.reset();
  if (wire_ != nullptr && wire_->up()) evaluate();
  if (done) done(std::move(result));
}

void ConfigSync::commit(Offer offer, ApplyHere here, Done done) {
  if (auto free = free_for_commit(); !free) return done(std::move(free));
  if (wire_ == nullptr || !wire_->up())
    return done(
        config::fail("the peer is not reachable, so it would run something else; when it is back this works "
                     "again, or say `commit local` to change this box alone"));
  if (state_ != State::agreed)
    return done(
        config::fail(state_ == State::diverged
                         ? "the boxes run different configurations; say `failover adopt peer` or `failover adopt "
                           "local` first"
                         : "the boxes have not agreed on a configuration yet; see show failover peer"));
  Envelope envelope;
  auto& stage = *envelope.mutable_config_stage();
  const std::uint64_t transaction = random_number();
  stage.set_transaction(transaction);
  stage.set_base(local_.head().lineage.digest);
  fill(offer, *stage.mutable_version());
  stage.set_shared_text(offer.text);
  stage.set_ids(offer.ids);
  stage.set_confirm_s(offer.confirm_s);
  begin({.transaction = transaction,
         .phase = Phase::staging,
         .offer = std::move(offer),
         .adopt = false,
         .here_done = false,
         .before = std::nullopt,
         .here = std::move(here),
         .done = std::move(done)},
        envelope);
}

void ConfigSync::staged(const ha::v1::ConfigStaged& answer) {
  if (!pending_ || answer.transaction() != pending_->transaction || pending_->phase != Phase::staging) return;
  if (!answer.accepted()) return finish(config::fail("the peer refuses it: " + shown(answer.cause(), kSentenceMax)));
  if (!pending_->adopt && local_.passive()) {
    pending_->before = local_.offer();
    auto done = do_here();
    if (!pending_) return;
    if (!done) {
      Envelope envelope;
      envelope.mutable_config_abort()->set_transaction(pending_->transaction);
      wire_->send(envelope);
      return finish(std::move(done));
    }
    pending_->here_done = true;
  }
  pending_->phase = Phase::applying;
  Envelope envelope;
  envelope.mutable_config_apply()->set_transaction(pending_->transaction);
  wire_->send(envelope);
}

void ConfigSync::applied(const ha::v1::ConfigApplied& answer) {
  if (!pending_ || answer.transaction() != pending_->transaction || pending_->phase != Phase::applying) return;
  if (!answer.done()) {
    const std::string cause = "the peer could not do it: " + shown(answer.cause(), kSentenceMax);
    if (pending_->here_done) {
      if (const auto back = take_back(*pending_->before, cause); !back)
        return finish(config::fail(cause + "; and taking it back here failed: " + back.error().message));
    }
    return finish(config::fail(cause + "; nothing has changed"));
  }
  if (pending_->adopt || pending_->here_done) return finish({});
  auto done = do_here();
  if (!pending_) return;
  if (!done) {
    Envelope envelope;
    envelope.mutable_config_abort()->set_transaction(pending_->transaction);
    wire_->send(envelope);
    return finish(config::fail(done.error().message + "; the peer takes it back"));
  }
  finish({});
}

// What is done here may end the connection, and with it what is pending: its function has to outlive itself.
config::Result<void> ConfigSync::do_here() {
  const ApplyHere here = pending_->here;
  return here();
}

void ConfigSync::confirm(ApplyHere here, Done done) {
  if (auto free = free_for_commit(); !free) return done(std::move(free));
  const LocalConfig::Head head = local_.head();
  if (wire_ == nullptr || !wire_->up() || state_ != State::agreed) {
    return done(config::fail("the peer cannot be asked to confirm it, too; both boxes go back in " +
                             std::to_string(head.rolls_back_in_s) + " s"));
  }
  Envelope envelope;
  const std::uint64_t transaction = random_number();
  envelope.mutable_config_confirm()->set_transaction(transaction);
  envelope.mutable_config_confirm()->set_id(head.lineage.id);
  begin({.transaction = transaction,
         .phase = Phase::confirming,
         .offer = {},
         .adopt = false,
         .here_done = false,
         .before = std::nullopt,
         .here = std::move(here),
         .done = std::move(done)},
        envelope);
}

void ConfigSync::adopt_peer(const Done& done) {
  if (auto free = free_for_commit(); !free) return done(std::move(free));
  if (state_ == State::agreed) return done(config::fail("the boxes agree; there is nothing to adopt"));
  if (!peer_ || !peer_head_ || peer_head_->lineage.id != peer_->head().id())
    return done(config::fail("the peer's configuration is not here yet; see show failover peer"));
  const Offer wanted = *peer_head_;  // which is let go when both agree
  auto checked = local_.check(wanted);
  done(checked ? local_.apply(wanted) : std::move(checked));
}

void ConfigSync::adopt_local(const std::string& user, Done done) {
  if (auto free = free_for_commit(); !free) return done(std::move(free));
  if (state_ == State::agreed) return done(config::fail("the boxes agree; there is nothing to adopt"));
  if (!peer_) return done(config::fail("the peer is not reachable; see show failover peer"));
  Offer offer = local_.offer();
  offer.user = user;
  offer.comment = "adopted from the peer";
  Envelope envelope;
  auto& stage = *envelope.mutable_config_stage();
  const std::uint64_t transaction = random_number();
  stage.set_transaction(transaction);
  fill(offer, *stage.mutable_version());
  stage.set_shared_text(offer.text);
  stage.set_ids(offer.ids);
  stage.set_adopt(true);
  begin({.transaction = transaction,
         .phase = Phase::staging,
         .offer = std::move(offer),
         .adopt = true,
         .here_done = false,
         .before = std::nullopt,
         .here = nullptr,
         .done = std::move(done)},
        envelope);
}

}  // namespace headgate::failover
