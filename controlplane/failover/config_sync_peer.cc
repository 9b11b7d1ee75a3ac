// The other side of a commit: what the peer asks of this box's configuration, and what is shown of it.
#include <utility>

#include "controlplane/failover/config_sync.h"
#include "controlplane/failover/link_words.h"

namespace headgate::failover {

using ha::v1::Envelope;

namespace {

constexpr std::size_t kTextMax = 8u << 20;

}  // namespace

bool ConfigSync::message(const Envelope& envelope) {
  switch (envelope.body_case()) {
    case Envelope::kConfigState:
      peer_ = envelope.config_state();
      evaluate();
      return true;
    case Envelope::kConfigFetch:
      send_head();
      return true;
    case Envelope::kConfigHead:
      head_came(envelope.config_head());
      return true;
    case Envelope::kConfigStage:
      stage(envelope.config_stage());
      return true;
    case Envelope::kConfigStaged:
      staged(envelope.config_staged());
      return true;
    case Envelope::kConfigApply:
      apply(envelope.config_apply().transaction());
      return true;
    case Envelope::kConfigApplied:
      applied(envelope.config_applied());
      return true;
    case Envelope::kConfigAbort:
      abort(envelope.config_abort().transaction());
      return true;
    case Envelope::kConfigConfirm:
      confirm_here(envelope.config_confirm());
      return true;
    case Envelope::kConfigConfirmed:
      confirmed(envelope.config_confirmed());
      return true;
    default:
      return false;
  }
}

void ConfigSync::stage(const ha::v1::ConfigStage& stage) {
  staged_.reset();
  Envelope envelope;
  auto& answer = *envelope.mutable_config_staged();
  answer.set_transaction(stage.transaction());
  const auto offer = offer_of(stage.version(), stage.shared_text(), stage.ids(), stage.confirm_s());
  if (pending_) {
    answer.set_cause("a commit is under way on the other box; try again");
  } else if (!offer) {
    answer.set_cause("what was sent is no version");
  } else if (!stage.adopt() && stage.base() != local_.head().lineage.digest) {
    answer.set_cause("it was made from a configuration that the other box does not run");
  } else if (const auto checked = local_.check(*offer); !checked) {
    answer.set_cause(checked.error().message);
  } else {
    staged_ = Staged{.transaction = stage.transaction(), .offer = *offer, .before = {}, .applied = false};
    answer.set_accepted(true);
  }
  wire_->send(envelope);
}

void ConfigSync::apply(std::uint64_t transaction) {
  Envelope envelope;
  auto& answer = *envelope.mutable_config_applied();
  answer.set_transaction(transaction);
  if (!staged_ || staged_->transaction != transaction || staged_->applied) {
    answer.set_cause("nothing was prepared");
  } else {
    staged_->before = local_.offer();
    staged_->applied = true;              // before the change says so to others
    const Offer wanted = staged_->offer;  // it may end the connection, and with it what was staged
    if (auto done = local_.apply(wanted); !done) {
      answer.set_cause(done.error().message);
      staged_.reset();
    } else {
      answer.set_done(true);
    }
  }
  wire_->send(envelope);
}

// The sender could not do what this box did, or thought better of it.
void ConfigSync::abort(std::uint64_t transaction) {
  if (!staged_ || staged_->transaction != transaction) return;
  const Staged staged = *std::exchange(staged_, std::nullopt);
  if (!staged.applied || local_.head().lineage.id != staged.offer.lineage.id) return;
  if (const auto back = take_back(staged.before, "the other box could not write it"); !back)
    log_(HaLink::Weight::warning,
         "configuration: cannot take back what the peer could not do: " + back.error().message);
}

// The text of before, as a version that follows the one that is taken back.
config::Result<void> ConfigSync::take_back(const Offer& before, const std::string& why) {
  Offer offer = before;
  offer.lineage = config::following(local_.head().lineage, before.lineage.digest);
  offer.user = "system";
  offer.comment = "taken back: " + why;
  offer.confirm_s = 0;
  return local_.apply(offer);
}

void ConfigSync::confirm_here(const ha::v1::ConfigConfirm& confirm) {
  Envelope envelope;
  auto& answer = *envelope.mutable_config_confirmed();
  answer.set_transaction(confirm.transaction());
  staged_.reset();
  if (local_.head().lineage.id != confirm.id()) {
    answer.set_cause("the other box runs another version");
  } else if (const auto done = local_.confirm(); !done) {
    answer.set_cause(done.error().message);
  } else {
    answer.set_done(true);
  }
  wire_->send(envelope);
}

void ConfigSync::confirmed(const ha::v1::ConfigConfirmed& answer) {
  if (!pending_ || answer.transaction() != pending_->transaction || pending_->phase != Phase::confirming) return;
  if (!answer.done()) return finish(config::fail("the peer could not confirm it: " + shown(answer.cause(), 1000)));
  auto done = do_here();
  if (pending_) finish(std::move(done));
}

std::optional<Offer> ConfigSync::offer_of(const ha::v1::Version& version, const std::string& text,
                                          const std::string& ids, std::uint32_t confirm_s) {
  Offer offer{.lineage = {version.id(), version.parent(), version.digest()},
              .text = text,
              .ids = ids,
              .user = shown(version.user(), 64),
              .comment = shown(version.comment(), 200),
              .confirm_s = confirm_s};
  if (!config::sound(offer.lineage) || text.size() > kTextMax || ids.size() > kTextMax) return std::nullopt;
  return offer;
}

std::string ConfigSync::state_text() const {
  const std::string ours = local_.head().lineage.id.substr(0, 8);
  switch (state_) {
    case State::agreed:
      return "agreed, version " + ours;
    case State::following:
      return follow_problem_.empty() ? "following the peer"
                                     : "the peer's version does not do on this box: " + follow_problem_;
    case State::ahead:
      return peer_->follow_problem().empty()
                 ? "the peer follows to version " + ours
                 : "version " + ours + " does not do on the peer: " + shown(peer_->follow_problem(), 1000);
    case State::diverged:
      return "different: this box has version " + ours + ", the peer " + shown(peer_->head().id(), 8) + " by " +
             shown(peer_->head().user(), 64) + "; no version of one comes after that of the other";
    case State::apart:
      break;
  }
  return local_.head().local ? "version " + ours + " was committed on this box alone"
                             : "version " + ours + ", the peer's is not known";
}

void ConfigSync::contribute(PeerView& view) const {
  if (!settings_) return;
  view.agreed = state_ == State::agreed;
  const bool waits = wire_ != nullptr && wire_->up() && Clock::now() < began_ + kHoldBack &&
                     (!peer_ || (state_ == State::following && follow_problem_.empty()));
  view.hold_back = waits && view.link_up;
  if (view.problem.empty() && state_ == State::diverged)
    view.problem = "the boxes run different configurations; say failover adopt peer or failover adopt local";
  if (view.problem.empty() && state_ == State::following && !follow_problem_.empty())
    view.problem = "the peer's configuration does not do on this box: " + follow_problem_;
  if (view.problem.empty() && state_ == State::ahead && !peer_->follow_problem().empty())
    view.problem = "this box's configuration does not do on the peer: " + shown(peer_->follow_problem(), 1000);
  view.detail.push_back("configuration: " + state_text());
  if (state_ != State::diverged) return;
  view.detail.push_back("from this box's to the peer's:");
  for (std::size_t i = 0; i < difference_.size(); ++i) {
    if (i == kDifferenceLinesMax) {
      view.detail.push_back("  and " + std::to_string(difference_.size() - i) + " lines more");
      break;
    }
    view.detail.push_back("  " + difference_[i]);
  }
}

}  // namespace headgate::failover
