#include "controlplane/app/pair.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>

#include "controlplane/config/print.h"
#include "controlplane/config/shared.h"
#include "controlplane/config/tree.h"
#include "controlplane/failover/moves.h"

namespace headgate::app {
namespace {

std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 && name[0] != '\0' ? name : "headgate";
}

// The first of what is wrong, for a person on the other box.
std::string first_error(const std::vector<config::Diagnostic>& diagnostics) {
  std::size_t errors = 0;
  std::string first;
  for (const config::Diagnostic& diagnostic : diagnostics) {
    if (diagnostic.severity == config::Severity::error && errors++ == 0) first = diagnostic.message;
  }
  return errors > 1 ? first + " (and " + std::to_string(errors - 1) + " more)" : first;
}

config::Result<void> result_of(const Verdict& verdict) {
  switch (verdict.kind) {
    case Verdict::Kind::committed:
    case Verdict::Kind::unchanged:
      return {};
    case Verdict::Kind::invalid:
      return config::fail(first_error(verdict.diagnostics));
    case Verdict::Kind::conflict:
      return config::fail("somebody committed meanwhile");
    default:
      return config::fail(verdict.cause);
  }
}

}  // namespace

Pair::Pair(asio::io_context& io, config::Disk& disk, const std::string& state_dir, const std::string& supervisor,
           Configuration& configuration, Events& events, Hooks hooks)
    : configuration_(configuration),
      events_(events),
      hooks_(std::move(hooks)),
      link_(io, disk, {.directory = state_dir + "/ha", .version = HEADGATE_VERSION, .name = host_name()}, log()),
      notices_(io, supervisor, log()),
      carrier_(io, log()),
      cookie_keys_(disk, state_dir + "/ha", log()),
      sync_(io, *this, log()) {
  link_.add(notices_);
  link_.add(carrier_);
  link_.add(cookie_keys_);
  link_.add(sync_);
  cookie_keys_.on_change([this] { hooks_.cookie_keys(); });
}

failover::HaLink::Log Pair::log() {
  return [this](failover::HaLink::Weight weight, const std::string& text) {
    events_.add("failover", "HA link: " + text,
                weight == failover::HaLink::Weight::warning ? Severity::warning : Severity::notice);
  };
}

void Pair::open() {
  if (const auto opened = link_.open(); !opened)
    events_.add("failover", "HA link: " + opened.error().message, Severity::error);
  if (const auto opened = cookie_keys_.open(); !opened)
    events_.add("failover",
                "no key for persistence cookies, so that clients choose their backends anew after a restart: " +
                    opened.error().message,
                Severity::error);
}

std::vector<std::string> Pair::cookie_keys() const {
  std::vector<std::string> keys;
  for (const failover::CookieKey& key : cookie_keys_.keys()) keys.emplace_back(key.begin(), key.end());
  return keys;
}

void Pair::adopt(const config::v1::Config& config) {
  link_.configure(config);
  sync_.changed();
  if (configuration_.ids_refused() != 0 && configuration_.ids_refused() != ids_told_)
    events_.add("failover",
                std::to_string(configuration_.ids_refused()) +
                    " entries have other ids on the peer, which gave them before it was paired with this box",
                Severity::warning);
  ids_told_ = configuration_.ids_refused();
}

// -- a commit that begins here
// -------------------------------------------------------------------------------------------

void Pair::commit(const Proposal& proposal, Committed done) {
  if (!link_.paired()) return done(hooks_.commit(proposal));
  Plan plan = configuration_.plan(proposal);
  const bool shared = plan.lineage != configuration_.line();
  if (plan.verdict.kind != Verdict::Kind::committed || !shared) return done(hooks_.commit(proposal));
  if (link_.up() && moves_link(proposal)) {
    plan.verdict.kind = Verdict::Kind::peer;
    plan.verdict.cause =
        "the HA link's port cannot be changed over the link itself: unpair, change it on both boxes, and pair them "
        "again";
    return done(plan.verdict);
  }
  const auto moved = failover::moves(configuration_.config(), config::parse(proposal.file, proposal.text).config);
  if (const std::string why = failover::dual_active_move(moved, link_.word(), link_.view()); !why.empty()) {
    plan.verdict.kind = Verdict::Kind::peer;
    plan.verdict.cause = why;
    return done(plan.verdict);
  }
  if (!proposal.local) return commit_on_both(proposal, std::move(plan), std::move(done));
  if (link_.up()) {
    plan.verdict.kind = Verdict::Kind::peer;
    plan.verdict.cause = "the peer is there, so the commit belongs on both boxes; leave out `local`";
    return done(plan.verdict);
  }
  Verdict verdict = hooks_.commit(proposal);
  if (verdict.kind == Verdict::Kind::committed)
    events_.add("commit",
                "revision " + std::to_string(configuration_.revision().number) +
                    " is on this box alone: the pair runs two configurations until they are connected again",
                Severity::warning, proposal.user);
  done(std::move(verdict));
}

// One box would listen where the other does not look for it, and neither could tell.
bool Pair::moves_link(const Proposal& proposal) const {
  const auto now = failover::link_settings(configuration_.config());
  const auto then = failover::link_settings(config::parse(proposal.file, proposal.text).config);
  return now && (!then || now->port != then->port);
}

void Pair::commit_on_both(const Proposal& proposal, Plan plan, Committed done) {
  failover::Offer offer{.lineage = plan.lineage,
                        .text = std::move(plan.offered),
                        .ids = std::move(plan.ids),
                        .user = proposal.user,
                        .comment = proposal.comment,
                        .confirm_s = proposal.confirm_s};
  const auto verdict = std::make_shared<Verdict>(std::move(plan.verdict));
  sync_.commit(
      std::move(offer),
      [this, proposal, verdict] {
        *verdict = hooks_.commit(proposal);
        return result_of(*verdict);
      },
      [verdict, done = std::move(done)](const config::Result<void>& result) {
        if (!result && (verdict->kind == Verdict::Kind::committed || verdict->kind == Verdict::Kind::unchanged)) {
          verdict->kind = Verdict::Kind::peer;
          verdict->cause = result.error().message;
        }
        done(std::move(*verdict));
      });
}

void Pair::confirm(const std::string& user, Done done) {
  const config::Revision& revision = configuration_.revision();
  // What is on this box alone, and what the other one has no part in, nobody else has to confirm.
  const config::Revision* before = configuration_.history().standing();
  const bool shared = before == nullptr || before->lineage.id != revision.lineage.id;
  if (revision.stands() || !link_.paired() || revision.local || !shared) {
    const auto confirmed = hooks_.confirm(user);
    return done(confirmed ? config::Result<std::string>("") : config::fail(confirmed.error().message));
  }
  sync_.confirm([this, user] { return hooks_.confirm(user); },
                [done = std::move(done)](const config::Result<void>& result) {
                  done(result ? config::Result<std::string>("") : config::fail(result.error().message));
                });
}

// -- what the pair asks of this box's configuration
// ----------------------------------------------------------------------

Pair::Head Pair::head() const {
  const config::Revision& revision = configuration_.revision();
  return {.lineage = configuration_.line(),
          .revision = revision.number,
          .time_s = revision.time_s,
          .user = revision.user,
          .comment = revision.comment,
          .rolls_back_in_s = static_cast<std::uint32_t>(configuration_.rolls_back_in_s(machine_now()).value_or(0)),
          .local = revision.local};
}

failover::Offer Pair::offer() const {
  const config::Revision& revision = configuration_.revision();
  return {.lineage = configuration_.line(),
          .text = config::print(config::offered_part(configuration_.config())),
          .ids = configuration_.ids().to_text(),
          .user = revision.user,
          .comment = revision.comment};
}

config::Result<Proposal> Pair::proposal_of(const failover::Offer& offer) const {
  config::Document document = config::parse("the peer's version", offer.text);
  // A field that this version does not know is an error: leaving it out would be another configuration.
  if (!document.ok() || !document.readable) return config::fail(first_error(document.diagnostics));
  config::attach_comments(document, offer.text);
  if (config::shared_digest(document.config) != offer.lineage.digest)
    return config::fail("its text is not what its digest says; do both boxes run the same version of the firmware?");
  Proposal proposal;
  proposal.text = config::print(config::merge(document.config, configuration_.config()));
  proposal.file = "the peer's version";
  proposal.user = offer.user;
  proposal.comment = offer.comment;
  proposal.confirm_s = offer.confirm_s;
  proposal.lineage = offer.lineage;
  proposal.ids = offer.ids;
  return proposal;
}

config::Result<void> Pair::check(const failover::Offer& offer) const {
  const auto proposal = proposal_of(offer);
  if (!proposal) return config::fail(proposal.error().message);
  return result_of(configuration_.check(*proposal));
}

config::Result<void> Pair::apply(const failover::Offer& offer) {
  const auto proposal = proposal_of(offer);
  if (!proposal) return config::fail(proposal.error().message);
  return result_of(hooks_.commit(*proposal));
}

config::Result<void> Pair::confirm() {
  return hooks_.confirm("the peer");
}

std::vector<std::string> Pair::difference(const std::string& offered_text) const {
  const config::Document document = config::parse("the peer's version", offered_text);
  if (!document.readable) return {"the peer's configuration cannot be read by this version of the firmware"};
  std::istringstream text(
      config::compare(config::shared_part(configuration_.config()), config::shared_part(document.config)));
  std::vector<std::string> lines;
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  return lines;
}

// As this box tells the peer.
bool Pair::passive() const {
  const auto& groups = link_.word().groups;
  return !groups.empty() && std::none_of(groups.begin(), groups.end(), [](const failover::GroupWord& group) {
    return group.state == failover::PeerState::active || group.state == failover::PeerState::unknown;
  });
}

// -- for the operator
// ----------------------------------------------------------------------------------------------------

config::Result<std::string> Pair::make_code(const std::string& user) {
  auto code = link_.pair();
  if (code) events_.add("failover", "pairing: " + user + " made a code", Severity::notice, user);
  return code;
}

void Pair::pair_with(const std::string& code, const std::string& user, Done done) {
  link_.pair_with(code, [this, user, done = std::move(done)](const config::Result<std::string>& peer) {
    events_.add(
        "failover",
        peer ? "paired with " + *peer + " by " + user : "pairing by " + user + " failed: " + peer.error().message,
        peer ? Severity::notice : Severity::warning, user);
    done(peer ? config::Result<std::string>("paired with " + *peer) : peer);
  });
}

config::Result<void> Pair::unpair(const std::string& user) {
  auto done = link_.unpair();
  if (done) events_.add("failover", "unpaired by " + user, Severity::warning, user);
  return done;
}

void Pair::rotate_key(const std::string& user, Done done) {
  events_.add("failover", "another key for the HA link, asked for by " + user, Severity::notice, user);
  link_.rotate_key([done = std::move(done)](const config::Result<std::string>& key) {
    done(key ? config::Result<std::string>("this box has a new key, " + *key) : key);
  });
}

void Pair::adopt_configuration(bool peer, const std::string& user, Done done) {
  const auto then = [this, peer, user, done = std::move(done)](const config::Result<void>& result) {
    const std::string what = peer ? "the peer's configuration adopted" : "the peer adopted this box's configuration";
    events_.add("commit", result ? what + ", by " + user : "adopt by " + user + " failed: " + result.error().message,
                Severity::warning, user);
    done(result ? config::Result<std::string>(what) : config::fail(result.error().message));
  };
  peer ? sync_.adopt_peer(then) : sync_.adopt_local(user, then);
}

}  // namespace headgate::app
