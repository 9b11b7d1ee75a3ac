// The configuration of the pair: one line of versions (config/lineage.h), and both boxes on its head.
//
// A commit. The box where it is made asks the peer to judge it (ConfigStage), the passive box takes it into force, then
// the other one. What the peer refuses, or cannot be asked, is not done. If the second one cannot do what the first one
// did, the first one takes it back, as a version of its own. A connection that ends in between leaves one box ahead by
// one version, and the other one follows when they meet again: which is why versions name the one before.
//
// A meeting. Each says its head and the ids before it. Equal: agreed. One head is among what the other had before: that
// box follows by itself. Neither: diverged; the difference is shown, and a person decides (adopt_peer, adopt_local).
// Nothing is ever merged.
//
// Thread rule: that of the io_context. `Done` may be called before the function returns.
#pragma once

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "controlplane/config/lineage.h"
#include "controlplane/config/result.h"
#include "controlplane/failover/link.h"

namespace headgate::failover {

inline constexpr std::size_t kAncestorsMax = 100;
inline constexpr std::size_t kDifferenceLinesMax = 200;  // of what is shown

// A version as it travels.
struct Offer {
  config::Lineage lineage;
  std::string text;  // canonical text of offered_part (config/shared.h)
  std::string ids;   // the table of ids of the box that offers it
  std::string user{}, comment{};
  std::uint32_t confirm_s = 0;
  friend bool operator==(const Offer&, const Offer&) = default;
};

// This box's configuration.
class LocalConfig {
 public:
  virtual ~LocalConfig() = default;
  struct Head {
    config::Lineage lineage;
    std::uint64_t revision = 0;
    std::int64_t time_s = 0;
    std::string user{}, comment{};
    std::uint32_t rolls_back_in_s = 0;
    bool local = false;
  };
  virtual Head head() const = 0;
  virtual std::vector<std::string> ancestors() const = 0;  // ids before the head's, the newest first
  virtual Offer offer() const = 0;                         // what is in force
  // With this box's own fields: would it do here? Is its text what its digest says?
  virtual config::Result<void> check(const Offer& offer) const = 0;
  // Durable and in force when it returns; after an error nothing has changed.
  virtual config::Result<void> apply(const Offer& offer) = 0;
  virtual config::Result<void> confirm() = 0;
  // From what is in force to that, a line each; secrets do not show.
  virtual std::vector<std::string> difference(const std::string& offered_text) const = 0;
  virtual bool passive() const = 0;  // nothing is active here: it takes what is new first
};

class ConfigSync final : public LinkPart {
 public:
  using Done = std::function<void(config::Result<void>)>;
  using ApplyHere = std::function<config::Result<void>()>;
  static constexpr std::chrono::seconds kAnswerLimit{10};
  static constexpr std::chrono::seconds kHoldBack{5};  // a box that waits for agreement may be active after so long

  enum class State : std::uint8_t {
    apart,  // no connection, or nothing heard on it yet
    agreed,
    following,  // the peer is ahead
    ahead,      // the peer follows
    diverged,
  };

  ConfigSync(asio::io_context& io, LocalConfig& local, HaLink::Log log);

  State state() const { return state_; }

  // Of a version that follows the head. here: what takes it into force on this box.
  void commit(Offer offer, ApplyHere here, Done done);
  // Of the head, on both. here: what confirms it on this box.
  void confirm(ApplyHere here, Done done);
  void adopt_peer(const Done& done);
  void adopt_local(const std::string& user, Done done);
  // Another version is in force here.
  void changed();

  void configured(Wire& wire, const std::optional<LinkSettings>& settings) override;
  void began(Wire& wire, const ha::v1::Hello& peer) override;
  void ended() override;
  void forgotten() override;
  bool message(const ha::v1::Envelope& envelope) override;
  void contribute(PeerView& view) const override;

 private:
  enum class Phase : std::uint8_t { staging, applying, confirming };
  struct Pending {  // ours, and the peer's answer is waited for
    std::uint64_t transaction = 0;
    Phase phase = Phase::staging;
    Offer offer;
    bool adopt = false, here_done = false;
    std::optional<Offer> before;  // to take back what was done here
    ApplyHere here;
    Done done;
  };
  struct Staged {  // the peer's
    std::uint64_t transaction = 0;
    Offer offer, before;
    bool applied = false;
  };

  void begin(Pending pending, const ha::v1::Envelope& envelope);
  void finish(config::Result<void> result);
  void no_answer();
  config::Result<void> do_here();
  config::Result<void> free_for_commit();
  void stage(const ha::v1::ConfigStage& stage);
  void staged(const ha::v1::ConfigStaged& staged);
  void apply(std::uint64_t transaction);
  void applied(const ha::v1::ConfigApplied& applied);
  void abort(std::uint64_t transaction);
  void confirm_here(const ha::v1::ConfigConfirm& confirm);
  void confirmed(const ha::v1::ConfigConfirmed& confirmed);
  static std::optional<Offer> offer_of(const ha::v1::Version& version, const std::string& text, const std::string& ids,
                                       std::uint32_t confirm_s);
  void head_came(const ha::v1::ConfigHead& head);
  config::Result<void> take_back(const Offer& before, const std::string& why);
  void say_state();
  void send_head();
  void evaluate();
  void fetch();
  State judge() const;
  std::string state_text() const;

  LocalConfig& local_;
  const HaLink::Log log_;
  Wire* wire_ = nullptr;
  std::optional<LinkSettings> settings_;

  State state_ = State::apart;
  std::optional<ha::v1::ConfigState> peer_;
  bool fetching_ = false;
  std::optional<Offer> peer_head_;  // its text, when it was fetched
  std::vector<std::string> difference_;
  std::string follow_problem_;  // why the peer's version does not do here
  std::string alarmed_;         // heads of the divergence that was told
  Time began_{};
  asio::steady_timer hold_timer_, answer_timer_;
  std::optional<Pending> pending_;
  std::optional<Staged> staged_;
};

}  // namespace headgate::failover
