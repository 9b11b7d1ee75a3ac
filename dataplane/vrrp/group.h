// One group of addresses that fail over together: the VRRP state machine of RFC 9568 6.4 over all routers of the group
// (one router = one VRID on one interface in one family), with the active lease of design section 7. Pure: events and
// `now` in, actions and a lease out; nanoseconds inside; no clock, no packet, no allocation after configure().
//
// A group has one role. Its routers send the same adverts at the same time. The peer is heard when any router hears it;
// it has gone when none has for its down interval. So a cut of one network moves nothing by itself: health does that.
//
// The lease: active_until() = the time at which the driver accepted the last advert, the oldest of all routers with a
// link, + 2 x the advertised interval. Nothing is forwarded or answered for the group at or after it. The peer waits
// at least 3 intervals since the advert it heard, so a box that stops, hangs or cannot send is silent before the peer
// takes over. After a lapse (we were stopped) advance() decides, once all that waited has been read: nobody claimed the
// group, and the peer's shortest wait is not over: go on, counted as a lease gap; otherwise backup, and elect again.
//
// Who calls: one loop that reads what waits (input, link, accepted, received), then calls advance(), then sends what
// actions() say after each of these calls; and sleeps until next_deadline(). Roles are taken in advance() alone, and
// given up anywhere.
//
// Thread rule: one thread; nothing here is shared.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/ids.h"
#include "dataplane/vrrp/lease.h"
#include "dataplane/vrrp/limits.h"
#include "dataplane/vrrp/wire.h"

namespace headgate::vrrp {

enum class Role : std::uint8_t {
  starting,  // listening for startup_wait, or not eligible yet
  backup,
  active,
  fault,  // takes no part: health says fault, or no router has a link
};
const char* name(Role role);

// How well the box can serve. fault always yields; degraded only lowers the priority that is advertised.
enum class Health : std::uint8_t { ok, degraded, fault };

// Who may take a group from a healthy active box.
enum class Preemption : std::uint8_t {
  stay,    // nobody: it stays where it is
  after,   // the box with the higher priority, once it was ready for preempt_delay
  manual,  // nobody but an operator's switch
};

struct RouterConfig {
  InterfaceId interface{};
  std::uint8_t vrid = 0;
  bool v6 = false;
  std::uint8_t version = 3;
  ChecksumRule checksum = ChecksumRule::automatic;  // version 3 over IPv4
  IpAddress source{};                               // unique per box; decides between equal priorities
  std::vector<IpAddress> addresses{};               // listed in adverts; IPv6: the first is link-local
  std::vector<IpAddress> peers{};                   // unicast; none: multicast
  friend bool operator==(const RouterConfig&, const RouterConfig&) = default;
};

struct GroupConfig {
  GroupId id{};
  std::string name{};
  std::uint8_t priority = kPriorityDefault;  // 1..254 (255 by an expert: owner)
  std::uint8_t degraded_priority = 50;       // advertised while degraded
  Nanos interval = 100 * kMillisecond;
  Preemption preemption = Preemption::stay;
  Nanos preempt_delay = 0;
  Nanos startup_wait = 3 * kSecond;
  Nanos solo_lease = kSecond;  // of a box without a peer; 0: never longer than two intervals
  bool has_peer = false;       // another Headgate box is paired with this one
  std::vector<RouterConfig> routers{};
  friend bool operator==(const GroupConfig&, const GroupConfig&) = default;
};

// What the HA link says of the peer; all of it may be unknown.
enum class PeerState : std::uint8_t {
  unknown,  // no HA link, or silent on it
  backup,   // alive and not active
  active,   // alive, and it says that it is active: Input::peer_lease
  fault,    // alive, and out of the election: its ports are down, or the like
  dead,     // its supervisor, or the carrier of a direct cable, says that its dataplane is gone
};
enum class Witness : std::uint8_t {
  none,     // none is configured
  answers,  // one at least
  silent,   // all of them
};

// From the control plane; holds until the next one.
struct Input {
  Health health = Health::ok;
  std::uint8_t priority = 0;  // 0: the configured one
  bool eligible = true;       // false: configuration not agreed yet and the like
  bool paused = false;        // no role change but when the active box is gone or yields
  bool yield = false;         // give the group up now, if somebody can take it (planned switch)
  bool take = false;          // the peer is about to yield: its priority 0 promotes at once
  PeerState peer = PeerState::unknown;
  // With PeerState::active: what was left of its lease when it said so; two intervals when it became active and no
  // advert was accepted yet. While that holds (two intervals at least: it may be renewed at once), and an interval
  // more, until the next claim is due, we never promote ourselves, whatever else is missing: say it anew as often as
  // the peer's dataplane does, and only then. An active peer whose lease is over is `unknown`. 0: the peer does not
  // say. Then its word holds for three intervals from the change to `active` on and no longer, or a stopped dataplane
  // under a living control plane would keep the group for ever.
  Nanos peer_lease = 0;
  Witness witness = Witness::none;
};

struct Action {
  enum class Kind : std::uint8_t {
    send,      // an advert by `router`
    announce,  // gratuitous ARP and unsolicited NA of all addresses of the group, virtual MAC; one burst begins
    role,      // the role changed: see cause()
  };
  Kind kind = Kind::send;
  std::uint8_t router = 0;
  std::uint8_t priority = 0;
  Nanos interval = 0;  // as advertised
  ChecksumForm form = ChecksumForm::plain;
};

// For `show failover`; one writer.
struct RouterStatus {
  bool link = true;
  std::uint64_t sent = 0, accepted = 0;     // adverts of ours, and of these what the driver took
  std::uint64_t received = 0;               // also what was dropped
  Nanos last_accepted = 0, last_heard = 0;  // 0: never
  IpAddress peer;                           // who was heard last
  std::uint8_t peer_priority = 0;
  Nanos peer_interval = 0;
  std::optional<ChecksumForm> peer_form;
  std::array<std::uint64_t, static_cast<std::size_t>(Oddity::count)> oddities{};
};
// A sentence's end: "no advert from the peer for 303 ms". Held by value, so that a status can be copied to others.
struct Cause {
  std::array<char, 160> text{};
  std::uint8_t length = 0;
  std::string_view view() const { return {text.data(), length}; }
  operator std::string_view() const { return view(); }  // NOLINT: meant to convert
  bool empty() const { return length == 0; }
};
struct GroupStatus {
  Role role = Role::starting;
  Nanos since = 0;  // of the role
  Cause cause;      // of the last change of role
  std::uint64_t transitions = 0, promotions = 0;
  std::uint64_t lease_gaps = 0;  // lapses after which we could go on
  std::uint64_t withheld = 0;    // adverts not sent because a worker made no progress
  Nanos active_until = 0;        // 0 when not active
  Nanos down_interval = 0;       // what we wait for the peer
  Nanos due = kNever;            // when the peer counts as gone
  std::uint8_t priority = 0;     // as advertised now
  Nanos interval = 0;            // as advertised now
};

class Group {
 public:
  // Requires (here and in configure()): at most kRoutersMax routers, each with at most kAddressesMax addresses.
  Group(GroupConfig config, Nanos now);
  Group(Group&&) = default;
  Group& operator=(Group&&) = default;

  // A change in place: no role changes because of it, unless what made the role possible is gone. A longer interval is
  // announced in 3 adverts before the lease is lengthened; a shorter one shortens the lease first.
  void configure(GroupConfig config, Nanos now);
  void input(const Input& input, Nanos now);

  void link(std::size_t router, bool up, Nanos now);
  // A decoded advert. Checks what decode() could not: peer, interval, addresses. Returns what was odd (counted).
  Oddity received(std::size_t router, const Advert& advert, const IpAddress& source, Nanos now);
  // Dropped before it got here, by decode() and the like: counted, like what is odd about others.
  void unread(std::size_t router, Oddity oddity) {
    ++routers_[router].received;
    odd(router, oddity);
  }
  void odd(std::size_t router, Oddity oddity) { ++routers_[router].oddities[static_cast<std::size_t>(oddity)]; }
  // The driver accepted an advert that said `interval` at `at`.
  void accepted(std::size_t router, Nanos interval, Nanos at);

  // Timers. progress: every worker stepped since the last call at which an advert was due; without it none is sent.
  // Requires: everything that waited in queues was given to received() and input() before, so that a box that was
  // stopped learns who took over before it believes in its own lease.
  void advance(bool progress, Nanos now);
  // The caller of advance() looked, and nothing is due. What it does not do for longer than its deadlines allow counts
  // as a stop, whatever input() and configure() were told by other threads meanwhile.
  void idle(Nanos now);
  Nanos next_deadline() const;

  // In order. Cleared by the next call of anything above but odd(): to be done once, after each call.
  const std::vector<Action>& actions() const { return actions_; }

  // At and after this time nothing is forwarded. 0: not active.
  Nanos active_until() const { return status_.active_until; }
  const GroupConfig& config() const { return config_; }
  const GroupStatus& status() const { return status_; }
  const RouterStatus& router(std::size_t i) const { return routers_[i]; }

  // The last thing before the process ends, or before the group leaves the configuration: priority 0 when active.
  void resign(Nanos now, const char* why);

 private:
  struct Learned {
    Nanos interval = 0, at = 0;  // of the last advert that counted; version 2 never learns
  };

  // group.cc: what everything else stands on
  void begin(Nanos now);        // of each event: clears the actions, notices that we were stopped
  void finish(Nanos now);       // of each event: what the status says
  void finish_told(Nanos now);  // the same, of one that does not come from the caller of advance()
  [[gnu::format(printf, 2, 3)]] void say(const char* format, ...);
  void become(Role role, Nanos now);  // Requires: say() before
  void enter_backup(Nanos now);
  void end_reign();                    // the lease ends at once
  void give_up(Role role, Nanos now);  // end_reign() and priority 0 if active
  void yield(Nanos now);
  const char* fault() const;     // why we can take no part; null: we can
  void settle_fault(Nanos now);  // into the role fault, or out of it
  void update_solo(Nanos now);
  void send(std::size_t router, std::uint8_t priority);
  void send_all(std::uint8_t priority);
  void announce() { actions_.push_back({.kind = Action::Kind::announce}); }
  bool has_link() const;
  void keep_routers(const GroupConfig& old, Nanos now);
  std::uint8_t priority() const;  // as advertised
  Nanos skew() const;
  Nanos down_interval() const { return kDownIntervals * learned_ + skew(); }
  Nanos listen_until() const;  // never less than the longest lease of a peer and its down interval
  ChecksumForm form(std::size_t router) const;

  // timers.cc: advance() by role
  void advance_starting(Nanos now);
  void advance_backup(Nanos now);
  void advance_active(Nanos now);
  void after_lapse(Nanos now);
  void send_if_due(Nanos now);
  void hand_over_guard(Nanos now);

  // received.cc
  Oddity judge(std::size_t router, const Advert& advert, const IpAddress& source);
  void answer(std::size_t router);  // at once, while active
  void hear_resignation(bool of_peer, Nanos now);
  void believe_resignation(Nanos now);
  void hear_claim(std::size_t router, const Advert& advert, Nanos now);
  void hear_while_active(std::size_t router, const Advert& advert, Nanos now);
  bool is_deaf(const Advert& advert, Nanos now);
  void step_down(std::size_t router, const Advert& advert, Nanos now);  // Requires: say() before
  bool peer_wins(std::uint8_t peer_priority) const;
  void learn(std::size_t router, const Advert& advert, Nanos now);

  // election.cc: who is to be active
  bool able() const;
  void hear_of_peer(const Input& old, Nanos now);
  Nanos promotion_at() const;  // backup: when the peer counts as gone; kNever: not as things are
  Nanos turn(bool witness_silent) const;
  void say_why_promoted(Nanos now);
  void promote(Nanos now);
  bool yielded_lately(Nanos now) const { return stepped_down_ != 0 && now < stepped_down_ + 4 * interval_; }
  void contend(Nanos now);
  void rival(Nanos now);
  void preempt(Nanos now);
  Nanos preemption_at() const;
  void update_ready(Nanos now);

  GroupConfig config_;
  GroupStatus status_;
  std::vector<RouterStatus> routers_;
  std::vector<Action> actions_;
  Input input_;
  Lease lease_;
  Nanos interval_ = 0;  // the configured one in the unit of the versions in use
  std::array<Learned, kRoutersMax> learned_of_{};
  Nanos learned_ = 0;  // the largest that is current
  Nanos started_ = 0;
  Nanos expected_ = kNever;  // the deadline that our caller knows; later than that: we were stopped
  bool stopped_ = false, stopped_before_ = false;
  Nanos stopped_for_ = 0;  // beyond that deadline
  Nanos caught_up_ = 0;    // after a stop: until then what is read may be old, and what followed it not read yet
  bool progress_ = true;
  bool stuck_ = false;     // fault because a worker makes no progress
  bool resigned_ = false;  // for good

  // Of the peer
  Nanos heard_at_ = 0;  // an advert that claims the group, anywhere; 0: never
  std::uint8_t peer_priority_ = 0;
  Nanos due_ = 0;               // when it counts as gone
  bool due_heard_ = false;      // due_ follows from an advert, not from a change of our own role
  bool peer_resigned_ = false;  // by priority 0, so due_ needs no further word
  Nanos peer_resigned_at_ = 0;
  Nanos resignation_heard_at_ = 0;  // of the peer, while the HA link said that it is active; 0: never
  Nanos peer_backup_since_ = 0;     // by the HA link
  Nanos peer_lived_ = 0;            // backup or active, by the HA link; 0: never
  bool peer_gone_ = false;          // dead or in fault by the HA link, and not heard since
  Nanos claimed_until_ = 0;         // by the HA link: the peer's lease and one interval
  bool met_ = false;                // by the HA link, since our start
  bool claim_seen_ = false;         // since our lease lapsed
  bool loser_heard_ = false;        // somebody else speaks for this group: a long lease is none of ours
  // Intervals in a row in which a worse peer claimed the group although it was answered.
  unsigned unheard_ = 0;
  Nanos unheard_at_ = 0;

  // Of our own reign, or of its end
  Nanos next_send_ = kNever;
  Nanos retry_at_ = 0;  // not before, for no worker makes progress
  Nanos announce_at_ = kNever;
  Nanos guard_until_ = 0;  // nothing is forwarded until then: the peer may hold its lease; 0: no
  Nanos guard_limit_ = 0;
  bool lapse_counted_ = false;
  bool yielded_ = false;
  Nanos stepped_down_ = 0;      // before the peer; 0: never
  Nanos ready_since_ = kNever;  // to preempt
  unsigned failures_ = 0;       // promotions in a row of which no advert was accepted
};

}  // namespace headgate::vrrp
