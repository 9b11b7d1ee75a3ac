// Which configuration is in force, since when, by whom, and for how long. Knows the disk and nothing of a dataplane:
// Daemon pushes what this says.
//
// A commit is checked, its ids are made durable, then it is (config/history.h); only then it is in force. One that
// wants confirmation is taken back by tick() when its time is over; time is that since the machine's start, which no
// clock change touches, and after another start of the machine there is no time left.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "controlplane/compile/id_table.h"
#include "controlplane/config/effects.h"
#include "controlplane/config/history.h"
#include "controlplane/config/validate.h"

namespace headgate::app {

struct Now {
  std::int64_t unix_s = 0;
  std::uint64_t boottime_s = 0;
  std::string boot;  // changes with every start of the machine
};
Now machine_now();

struct Proposal {
  std::string text, file = "candidate";
  std::optional<std::uint64_t> base;  // the revision it was made from; nothing: whatever is in force
  std::string user, comment;
  std::uint32_t confirm_s = 0;
  config::FlowsNow flows{};  // to say what becomes of them
  // Of a pair (config/lineage.h): the version that the peer gave it, and the peer's ids; nothing: the next of this
  // line.
  std::optional<config::Lineage> lineage{};
  std::string ids{};
  bool local = false;  // on this box alone, while it belongs to a pair
};

struct Verdict {
  enum class Kind { committed, invalid, conflict, not_written, unchanged, peer } kind = Kind::invalid;
  std::vector<config::Diagnostic> diagnostics{};
  std::vector<std::string> effects{};
  std::uint64_t confirms = 0;  // a revision that was not confirmed and stays because of this one; 0: none
  std::string difference{};    // conflict: what others changed since the base
  std::string cause{};         // not_written; peer: why the other box does not take it, or cannot be asked
};

// What a commit would be for the peer.
struct Plan {
  Verdict verdict;
  config::Lineage lineage;  // that of the head: nothing shared changes
  std::string offered, ids;
};

class Configuration {
 public:
  Configuration(config::Disk& disk, std::string state_dir);

  // The newest good revision; without any, `file`. What is damaged or does not fit is logged and passed over.
  config::Result<void> start(const std::string& file, const Now& now);

  const config::Document& document() const { return document_; }
  const config::v1::Config& config() const { return document_.config; }
  const config::Revision& revision() const { return *history_.latest(); }  // Requires: started
  const compile::IdTable& ids() const { return ids_; }
  config::History& history() { return history_; }

  Verdict check(const Proposal& proposal) const;
  Plan plan(const Proposal& proposal) const;
  Verdict commit(const Proposal& proposal, const Now& now);
  config::Result<void> confirm() { return history_.confirm(); }
  std::optional<std::uint64_t> rolls_back_in_s(const Now& now) const;
  // The line of versions: its head, and the ids before it, the newest first.
  const config::Lineage& line() const { return line_; }
  std::vector<std::string> ancestors() const;
  // Entries of the peer's table that mean something else here.
  std::size_t ids_refused() const { return ids_refused_; }

  // Takes back what was not confirmed in time, also when the disk does not take the return: then it is in force in
  // memory, and each tick tries to write it. To be called every second or so while ticks(). True: another configuration
  // is in force now.
  bool tick(const Now& now);
  bool ticks() const;  // something waits for tick()
  // Why what is in force is not on disk; empty: it is.
  const std::string& unwritten() const { return unwritten_; }
  // The dataplane does not take this one: to the newest before it with another text. False: there is none.
  bool step_back(const std::string& why, const Now& now);

 private:
  bool conflicts(const Proposal& proposal) const;
  Verdict judge(const Proposal& proposal, const config::Document& document) const;
  compile::IdTable ids_of(const Proposal& proposal, const config::v1::Config& config, std::size_t& refused) const;
  config::Result<void> adopt(config::Document document);
  config::Result<void> return_to(std::uint64_t number, const std::string& comment, const Now& now);
  void write_behind();
  std::string difference_since(std::uint64_t number) const;

  config::Disk& disk_;
  const std::string state_dir_;
  config::History history_;
  compile::IdTable ids_;
  config::Document document_;
  std::string unwritten_;
  std::string complaint_;  // the last failure of tick() that was logged: each is said once
  config::Lineage line_;
  std::size_t ids_refused_ = 0;
};

}  // namespace headgate::app
