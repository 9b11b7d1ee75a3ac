// A console session: its mode, its candidate, and what each line does. Knows no terminal: terminal.h reads lines from
// one, main.cc from a pipe or the command line.
#pragma once

#include <memory>
#include <string>

#include "controlplane/console/candidate.h"
#include "controlplane/console/client.h"
#include "controlplane/console/grammar.h"

namespace headgate::console {

class Session {
 public:
  explicit Session(Client& client, bool interactive) : client_(client), interactive_(interactive) {}

  // Prints what the line asks for, through its filters. 0, or 1 after saying what was wrong. A line of nothing is fine.
  int execute(const std::string& line);
  // What could follow the line, for ? and Tab: the words that fit what was begun, and how many characters were.
  Choices choices(const std::string& line, std::string& begun);

  // The line says a secret: nothing may remember it.
  bool has_secret(const std::string& line) const;

  bool done() const { return done_; }
  bool configuring() const { return candidate_ != nullptr; }
  bool has_changes() const { return candidate_ != nullptr && candidate_->changed(); }
  // "box-a> ", "box-a (changed)# "
  std::string prompt() const;

 private:
  int run(const Words& words);
  int configure();
  int begin();
  int edit(const Words& words);
  int comment(const Words& words);
  int commit(const Words& words);
  int rollback(const Words& words);
  int load(const Words& words);
  int load_configuration(const std::string& file, const std::string& text, const Schema& schema);
  int save(const Words& words);
  int leave(const Words& words);
  Choices entry_choices(const Words& words) const;
  int show(const Words& words);
  int help() const;
  int say(const config::Result<void>& done) const;
  bool warn_of_changes(const char* what);

  Client& client_;
  const bool interactive_;
  std::unique_ptr<Candidate> candidate_;
  bool warned_ = false;  // that uncommitted changes would be lost
  bool done_ = false;
};

}  // namespace headgate::console
