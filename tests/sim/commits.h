// The control plane of a simulated box: each change goes the whole way, from the text of a ConfigWalk by parse, check,
// ids and compile to a snapshot, and verdicts of health and commands of an operator by Standings to a StateUpdate.
#pragma once

#include <cstdint>
#include <deque>
#include <string>

#include "controlplane/compile/id_table.h"
#include "controlplane/health/standings.h"
#include "dataplane/api/dataplane.pb.h"
#include "tests/sim/config_walk.h"
#include "tests/sim/simulation.h"

namespace headgate::sim {

class Commits final : public Changes {
 public:
  Commits(std::uint64_t seed, unsigned count, Nanos pause_max);

  std::string first() override;
  Nanos pause() override;
  void change(Box& box) override;
  bool finished() const override { return commits_ == count_; }

  unsigned commits() const { return commits_; }  // configurations that went to the box
  unsigned state_updates() const { return state_updates_; }
  // The last changes, and what was wrong with the way to the box, one a line.
  std::string log() const;
  const std::string& trouble() const { return trouble_; }

 private:
  void commit(Box& box);
  dataplane::v1::Snapshot compiled();
  void change_states();
  void let_every_pool_serve();
  void push_states(Box& box);
  void say(std::string what);
  health::Time now() const { return health::Time(now_ / kMillisecond); }

  const unsigned count_;
  const Nanos pause_max_;
  Rng rng_;
  ConfigWalk walk_;
  compile::IdTable ids_;
  health::Standings standings_;
  std::string digest_;  // of what runs
  std::deque<std::string> log_;
  std::string trouble_;
  unsigned commits_ = 0, state_updates_ = 0;
  Nanos now_ = 0;
};

}  // namespace headgate::sim
