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
};

struct Verdict {
  enum class Kind { committed, invalid, conflict, not_written, unchanged } kind = Kind::invalid;
  std::vector<config::Diagnostic> diagnostics{};
  std::vector<std::string> effects{};
  std::string difference{};  // conflict: what others changed since the base
  std::string cause{};       // not_written
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
  Verdict commit(const Proposal& proposal, const Now& now);
  config::Result<void> confirm() { return history_.confirm(); }
  std::optional<std::uint64_t> rolls_back_in_s(const Now& now) const;
  // Takes back what was not confirmed in time. True: another configuration is in force now.
  bool tick(const Now& now);
  // The dataplane does not take this one: to the newest before it with another text. False: there is none.
  bool step_back(const std::string& why, const Now& now);

 private:
  Verdict judge(const Proposal& proposal, const config::Document& document) const;
  config::Result<void> adopt(config::Document document);
  config::Result<void> return_to(std::uint64_t number, const std::string& comment, const Now& now);
  std::string difference_since(std::uint64_t number);

  config::Disk& disk_;
  const std::string state_dir_;
  config::History history_;
  compile::IdTable ids_;
  config::Document document_;
};

}  // namespace headgate::app
