// This box as one of a pair: the HA link, death notices and the common configuration, put together. Without an HA link
// in the configuration all of it rests, and a commit is this box's own business.
//
// Keys and the pinned peer are in STATE_DIR/ha. Without them (a damaged file) there is no link, which is said, and
// everything else goes on.
//
// Thread: that of the io_context.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "controlplane/app/configuration.h"
#include "controlplane/app/events.h"
#include "controlplane/failover/carrier.h"
#include "controlplane/failover/config_sync.h"
#include "controlplane/failover/cookie_keys.h"
#include "controlplane/failover/link.h"
#include "controlplane/failover/notice_desk.h"

namespace headgate::app {

class Pair final : private failover::LocalConfig {
 public:
  // What takes a configuration into force on this box, and what confirms it.
  struct Hooks {
    std::function<Verdict(const Proposal&)> commit;
    std::function<config::Result<void>(const std::string& user)> confirm;
    std::function<void()> cookie_keys;  // others are in force
  };
  using Committed = std::function<void(Verdict)>;
  using Done = std::function<void(config::Result<std::string>)>;  // a sentence for whoever asked

  Pair(asio::io_context& io, config::Disk& disk, const std::string& state_dir, const std::string& supervisor,
       Configuration& configuration, Events& events, Hooks hooks);

  void open();
  // Another configuration is in force.
  void adopt(const config::v1::Config& config);
  // Of persistence cookies, in order; the same on both boxes once they have met. After open().
  std::vector<std::string> cookie_keys() const;
  void set_dataplane(bool runs) { link_.set_dataplane(runs); }
  failover::PeerLink& link() { return link_; }
  const failover::PeerLink& link() const { return link_; }

  // On both boxes where this is one of a pair, else here. `local`: on this box alone, and only when the peer is away.
  void commit(const Proposal& proposal, Committed done);
  void confirm(const std::string& user, Done done);

  config::Result<std::string> make_code(const std::string& user);
  void pair_with(const std::string& code, const std::string& user, Done done);
  config::Result<void> unpair(const std::string& user);
  void rotate_key(const std::string& user, Done done);
  // peer: this box takes the peer's configuration; else the peer takes this one's.
  void adopt_configuration(bool peer, const std::string& user, Done done);

 private:
  Head head() const override;
  std::vector<std::string> ancestors() const override { return configuration_.ancestors(); }
  failover::Offer offer() const override;
  config::Result<void> check(const failover::Offer& offer) const override;
  config::Result<void> apply(const failover::Offer& offer) override;
  config::Result<void> confirm() override;
  std::vector<std::string> difference(const std::string& offered_text) const override;
  bool passive() const override;

  config::Result<Proposal> proposal_of(const failover::Offer& offer) const;
  bool moves_link(const Proposal& proposal) const;
  void commit_on_both(const Proposal& proposal, Plan plan, Committed done);
  failover::HaLink::Log log();

  Configuration& configuration_;
  Events& events_;
  const Hooks hooks_;
  failover::HaLink link_;
  failover::NoticeDesk notices_;
  failover::CarrierWatch carrier_;
  failover::CookieKeys cookie_keys_;
  failover::ConfigSync sync_;
  std::size_t ids_told_ = 0;
};

}  // namespace headgate::app
