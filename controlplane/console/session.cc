#include "controlplane/console/session.h"

#include <google/protobuf/descriptor.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "controlplane/config/durable_file.h"
#include "controlplane/config/print.h"
#include "controlplane/console/manage.h"
#include "controlplane/console/operational.h"
#include "controlplane/console/output.h"
#include "controlplane/console/pairing.h"

namespace headgate::console {
namespace {

namespace mg = management::v1;

const std::vector<Choice> kConfigureCommands = {
    {"set", "set a value, or make an entry"},
    {"delete", "delete an entry or a value"},
    {"rename", "rename an entry; what refers to it follows: rename pool web to www"},
    {"comment", "say something about an entry: comment pool web \"ask anna first\""},
    {"show", "the candidate, or a part of it; show set: as set commands"},
    {"compare", "what would change"},
    {"check", "judge the candidate without committing it"},
    {"commit", "make the candidate run"},
    {"confirm", "let the last commit stand"},
    {"rollback", "take an earlier revision as the candidate: rollback 12"},
    {"load", "take a file as the candidate, or run its set commands"},
    {"save", "write the candidate to a file; save FILE changes: only what differs, as commands"},
    {"discard", "forget all changes, and begin from what runs now"},
    {"run", "an operational command: run show backends"},
    {"exit", "leave configure mode"},
};

Words tail(const Words& words, std::size_t from = 1) {
  return {words.begin() + static_cast<std::ptrdiff_t>(std::min(from, words.size())), words.end()};
}

std::string host() {
  char name[65] = "headgate";
  ::gethostname(name, sizeof name - 1);
  return name;
}

void print_diagnostics(const google::protobuf::RepeatedPtrField<mg::Diagnostic>& diagnostics) {
  for (const auto& d : diagnostics) {
    std::string where = d.file();
    if (d.line() > 0) where += ":" + std::to_string(d.line()) + ":" + std::to_string(d.column());
    const std::string about = d.path().empty() ? "" : " (" + d.path() + ")";
    std::fprintf(d.warning() ? stdout : stderr, "%s%s%s%s%s\n", where.c_str(), where.empty() ? "" : ": ",
                 d.warning() ? "warning: " : "", d.message().c_str(), about.c_str());
  }
}

bool any_error(const google::protobuf::RepeatedPtrField<mg::Diagnostic>& diagnostics) {
  return std::any_of(diagnostics.begin(), diagnostics.end(), [](const auto& d) { return !d.warning(); });
}

template <class Number>
bool parse_number(const std::string& word, Number& out) {
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), out);
  return error == std::errc{} && end == word.data() + word.size();
}

}  // namespace

std::string Session::prompt() const {
  if (!candidate_) return host() + "> ";
  return host() + (candidate_->changed() ? " (changed)# " : " (configure)# ");
}

int Session::execute(const std::string& text) {
  const Line line = split(text);
  if (line.open_quote) return Client::say("a quote is not closed");
  const Words& command = line.parts[0];
  if (command.empty()) return line.parts.size() > 1 ? Client::say("there is no command before |") : 0;
  bool json = false, filters = false;
  for (std::size_t i = 1; i < line.parts.size(); ++i) {
    if (const std::string problem = filter_problem(line.parts[i]); !problem.empty()) return Client::say(problem);
    (line.parts[i][0] == "json" ? json : filters) = true;
  }
  const bool streams = is_direct(candidate_ && command[0] == "run" && command.size() > 1 ? tail(command) : command);
  if (streams && filters && interactive_) return Client::say("what comes bit by bit takes no filter but json");
  const bool json_before = client_.json();
  client_.set_json(json_before || json);
  std::string out;
  int code = 0;
  if (!filters && (streams || !interactive_)) {
    code = run(command);
  } else {
    // As the terminal is, while it still is standard output; filters see whole lines.
    client_.set_look(filters ? Look{} : look_of_output());
    code = with_output_taken([&] { return run(command); }, out);
    client_.set_look(std::nullopt);
    for (std::size_t i = 1; i < line.parts.size(); ++i) out = filtered(out, line.parts[i]);
    page(out);
  }
  client_.set_json(json_before);
  return code;
}

bool Session::has_secret(const std::string& text) const {
  if (names_pairing_code(text)) return true;
  const Words words = split(text).parts[0];
  if (!candidate_ || words.empty() || (words[0] != "set" && words[0] != "delete")) return false;
  return config::is_secret(candidate_->message().GetDescriptor(), tail(words));
}

int Session::run(const Words& words) {
  const std::string& verb = words[0];
  if (verb != "exit" && verb != "quit") warned_ = false;
  if (verb == "help" || verb == "?") return help();
  if (!candidate_) {
    if (verb == "exit" || verb == "quit") {
      done_ = true;
      return 0;
    }
    if (verb == "configure" && words.size() == 1) return configure();
    return operational(client_, words);
  }
  if (verb == "exit" || verb == "quit") return leave(words);
  if (verb == "set" || verb == "delete" || verb == "rename" || verb == "comment") return edit(words);
  if (verb == "show") return show(words);
  if (verb == "run") return words.size() > 1 ? operational(client_, tail(words)) : Client::say("run what?");
  if (verb == "confirm" && words.size() == 1) return confirm(client_);
  if (verb == "compare" && words.size() == 1) {
    const std::string lines = candidate_->compare();
    std::fputs(lines.empty() ? "no changes\n" : lines.c_str(), stdout);
    return 0;
  }
  if (verb == "commit" || verb == "check") return commit(words);
  if (verb == "rollback") return rollback(words);
  if (verb == "load") return load(words);
  if (verb == "save") return save(words);
  if (verb == "discard" && words.size() == 1) {
    candidate_->discard();
    return begin();  // what runs by now
  }
  std::string there;
  for (const Choice& choice : kConfigureCommands) there += (there.empty() ? "" : ", ") + choice.word;
  return Client::say("there is no '" + verb + "' in configure mode; there are: " + there);
}

int Session::say(const config::Result<void>& done) const {
  return done ? 0 : Client::say(done.error().message);
}

int Session::configure() {
  grpc::ClientContext who;
  Client::soon(who);
  mg::Identity identity;
  if (const int code = client_.check(client_.stub().WhoAmI(&who, {}, &identity))) return code;
  if (identity.role() != mg::ADMIN)
    return Client::say(identity.user() + " may look and drain, not configure: that takes the role ADMIN");
  return begin();
}

// A candidate from what runs.
int Session::begin() {
  const auto schema = client_.schema();
  if (!schema) return Client::say(schema.error().message);
  grpc::ClientContext context;
  Client::soon(context);
  mg::ConfigReply reply;
  if (const int code = client_.check(client_.stub().GetConfig(&context, {}, &reply))) return code;
  auto message = (*schema)->parse(reply.text());
  if (!message) return Client::say("the running configuration cannot be read: " + message.error().message);
  candidate_ = std::make_unique<Candidate>(std::move(*message), reply.revision().number());
  if (reply.revision().rolls_back_in_s() != 0) std::printf("%s\n", describe(reply.revision()).c_str());
  return 0;
}

int Session::edit(const Words& words) {
  const std::string& verb = words[0];
  if (verb == "set") return say(config::set(candidate_->message(), tail(words)));
  if (verb == "delete") return say(config::remove(candidate_->message(), tail(words)));
  if (verb == "rename") {
    if (words.size() < 5 || words[words.size() - 2] != "to")
      return Client::say("write it like: rename pool web to www");
    const auto renamed = config::rename(candidate_->message(), Words(words.begin() + 1, words.end() - 2), words.back());
    if (!renamed) return Client::say(renamed.error().message);
    if (*renamed > 0) std::printf("%u references follow\n", *renamed);
    return 0;
  }
  return comment(words);
}

int Session::comment(const Words& words) {
  if (words.size() < 3) return Client::say("write it like: comment pool web \"ask anna first\"; \"\" removes it");
  Words path(words.begin() + 1, words.end() - 1);
  // Setting makes what is missing; a comment is on what is there.
  if (!console::choices(candidate_->message(), path, Use::existing).end)
    return Client::say("there is no " + config::join(path));
  const auto fields = console::choices(candidate_->message(), path, Use::set).next;
  if (std::none_of(fields.begin(), fields.end(), [](const Choice& choice) { return choice.word == "comment"; }))
    return Client::say(config::join(path) + " takes no comment; an entry does, like pool web");
  path.push_back("comment");
  if (words.back().empty()) return say(config::remove(candidate_->message(), path));
  path.push_back(words.back());
  return say(config::set(candidate_->message(), path));
}

int Session::show(const Words& words) {
  if (words.size() == 1) {
    std::fputs(config::print(candidate_->message(), config::Secrets::redacted).c_str(), stdout);
    return 0;
  }
  const bool set = words[1] == "set" && words.size() == 2;
  const Words path = set ? Words{} : tail(words);
  unsigned found = 0;
  for (const Words& line : config::flatten(candidate_->message(), config::Secrets::redacted)) {
    if (line.size() < path.size() || !std::equal(path.begin(), path.end(), line.begin())) continue;
    std::printf("set %s\n", config::join(line).c_str());
    ++found;
  }
  return found == 0 && !set ? Client::say("there is no " + config::join(path)) : 0;
}

// check | commit [local] [confirm MINUTES] [comment "why"]
int Session::commit(const Words& words) {
  const bool only_check = words[0] == "check";
  mg::CommitRequest request;
  request.set_base_revision(candidate_->base());
  for (std::size_t i = 1; i < words.size(); ++i) {
    unsigned minutes = 0;
    if (!only_check && words[i] == "confirm" && i + 1 < words.size() && parse_number(words[i + 1], minutes) &&
        minutes >= 1 && minutes <= 1440) {
      request.set_confirm_s(minutes * 60);
      ++i;
    } else if (!only_check && words[i] == "comment" && i + 1 < words.size()) {
      request.set_comment(words[++i]);
    } else if (!only_check && words[i] == "local") {
      request.set_local(true);
    } else {
      return Client::say(only_check ? "check takes no word"
                                    : "write it like: commit confirm 5 comment \"why\" (minutes: 1 to 1440)");
    }
  }
  if (!only_check && !candidate_->changed()) {
    grpc::ClientContext context;
    Client::soon(context);
    mg::ConfigReply running;
    if (const int code = client_.check(client_.stub().GetConfig(&context, {}, &running))) return code;
    if (running.revision().rolls_back_in_s() != 0 && running.revision().number() == candidate_->base())
      return confirm(client_);
    if (running.revision().number() != candidate_->base())
      return Client::say(
          "nothing was changed here, and since this candidate began another configuration came into force: " +
          describe(running.revision()) + "; discard takes that one");
    std::printf("nothing to commit\n");
    return 0;
  }
  const std::string text = candidate_->text();
  {
    grpc::ClientContext context;
    Client::soon(context, 20);
    mg::CheckRequest check;
    check.set_text(text);
    check.set_file("candidate");
    mg::CheckReply judged;
    if (const int code = client_.check(client_.stub().Check(&context, check, &judged))) return code;
    print_diagnostics(judged.diagnostic());
    if (any_error(judged.diagnostic())) return Client::say("the candidate has errors; nothing was changed");
    for (const std::string& effect : judged.effect()) std::printf("%s\n", effect.c_str());
  }
  if (only_check) return 0;
  request.set_text(text);
  grpc::ClientContext context;
  Client::soon(context, 40);  // both boxes of a pair
  mg::CommitReply reply;
  if (const int code = client_.check(client_.stub().Commit(&context, request, &reply))) return code;
  switch (reply.outcome()) {
    case mg::CommitReply::COMMITTED:
      std::printf("committed: %s%s\n", describe(reply.revision()).c_str(),
                  reply.runs() ? "" : "; the dataplane does not run it yet, see show system");
      return begin();  // the next changes start from here
    case mg::CommitReply::UNCHANGED:
      std::printf("nothing to commit\n");
      return 0;
    case mg::CommitReply::CONFLICT:
      std::fputs(reply.difference().c_str(), stdout);
      return Client::say(
          "somebody else committed since this candidate began; above is what changed. save FILE changes keeps your "
          "changes as commands; discard takes what runs now, then load FILE makes them again");
    case mg::CommitReply::REFUSED:
      print_diagnostics(reply.diagnostic());
      return Client::say("the dataplane does not take it; the configuration before is in force again");
    case mg::CommitReply::NOT_WRITTEN:
      return Client::say(reply.cause() + "; nothing was changed");
    case mg::CommitReply::PEER:
      return Client::say(reply.cause());
    default:
      print_diagnostics(reply.diagnostic());
      return Client::say("nothing was changed");
  }
}

int Session::rollback(const Words& words) {
  mg::ConfigRequest request;
  std::uint64_t number = 0;
  if (words.size() != 2 || !parse_number(words[1], number) || number == 0)
    return Client::say("rollback takes the number of a revision; see run show commits");
  request.set_revision(number);
  grpc::ClientContext context;
  Client::soon(context);
  mg::ConfigReply reply;
  if (const int code = client_.check(client_.stub().GetConfig(&context, request, &reply))) return code;
  const auto schema = client_.schema();
  if (!schema) return Client::say(schema.error().message);
  auto message = (*schema)->parse(reply.text());
  if (!message) return Client::say(message.error().message);
  candidate_->replace(std::move(*message));
  std::printf("the candidate is %s; compare shows the difference, commit makes it run\n",
              describe(reply.revision()).c_str());
  return 0;
}

int Session::load(const Words& words) {
  if (words.size() != 2) return Client::say("load takes the name of a file");
  const auto text = config::read_file(words[1]);
  if (!text) return Client::say(text.error().message);
  const auto schema = client_.schema();
  if (!schema) return Client::say(schema.error().message);
  // A file of commands, or a whole configuration.
  std::istringstream lines(*text);
  std::string line;
  bool commands = false;
  while (std::getline(lines, line)) {
    const Line first = split(line);
    if (first.parts[0].empty()) continue;
    commands = first.parts[0][0] == "set" || first.parts[0][0] == "delete";
    break;
  }
  if (!commands) return load_configuration(words[1], *text, **schema);
  std::unique_ptr<google::protobuf::Message> before(candidate_->message().New());
  before->CopyFrom(candidate_->message());
  std::istringstream again(*text);
  for (int number = 1; std::getline(again, line); ++number) {
    const Words command = split(line).parts[0];
    if (command.empty()) continue;
    const bool known = command[0] == "set" || command[0] == "delete";
    if (known && edit(command) == 0) continue;
    candidate_->replace(std::move(before));
    return Client::say(words[1] + ":" + std::to_string(number) +
                       (known ? ": see above" : ": only set and delete can be loaded") +
                       "; the candidate is as it was");
  }
  return 0;
}

// All that is wrong with it is said now, with its places in the file: later it is a candidate without line numbers.
int Session::load_configuration(const std::string& file, const std::string& text, const Schema& schema) {
  grpc::ClientContext context;
  Client::soon(context, 20);
  mg::CheckRequest request;
  request.set_text(text);
  request.set_file(file);
  mg::CheckReply judged;
  if (const int code = client_.check(client_.stub().Check(&context, request, &judged))) return code;
  print_diagnostics(judged.diagnostic());
  auto message = schema.parse(text);
  if (!message) {
    if (!any_error(judged.diagnostic())) return Client::say(file + ":" + message.error().message);
    return Client::say(file + " is not loaded; the candidate is as it was");
  }
  candidate_->replace(std::move(*message));
  if (any_error(judged.diagnostic())) std::printf("loaded, but with these errors it cannot be committed\n");
  return 0;
}

// save FILE [changes]
int Session::save(const Words& words) {
  const bool changes = words.size() == 3 && words[2] == "changes";
  if (words.size() != 2 && !changes)
    return Client::say("write it like: save FILE, or save FILE changes for your changes as commands");
  std::string text = candidate_->text();
  if (changes) {
    auto commands = candidate_->changes();
    if (!commands) return Client::say(commands.error().message);
    text = std::move(*commands);
  }
  const mode_t before = ::umask(0077);  // it may hold secrets
  std::ofstream file(words[1], std::ios::trunc);
  ::umask(before);
  file << text;
  file.close();
  return file ? 0 : Client::say("cannot write " + words[1]);
}

int Session::leave(const Words&) {
  if (candidate_->changed() && interactive_ && !warned_) {
    warned_ = true;
    return Client::say("there are changes that are not committed: commit, discard, or exit once more to lose them");
  }
  candidate_.reset();
  return 0;
}

int Session::help() const {
  if (candidate_) {
    for (const Choice& choice : kConfigureCommands) std::printf("%-10s %s\n", choice.word.c_str(), choice.help.c_str());
    return 0;
  }
  std::printf("%-10s %s\n%-10s %s\n", "configure", "change the configuration", "exit", "leave");
  for (const Choice& choice : operational_choices(client_, {}).next)
    std::printf("%-10s %s\n", choice.word.c_str(), choice.help.c_str());
  std::printf("\n? shows what can follow, Tab completes; | match WORD, | except WORD, | count, | json filter\n");
  return 0;
}

// comment ENTRY "text", rename ENTRY to NAME: the entries on the way, and what follows one.
Choices Session::entry_choices(const Words& words) const {
  const bool rename = words[0] == "rename";
  if (rename && words.size() > 3 && words.back() == "to") return {{{"<name>", "its new name"}}, false};
  if (rename && words.size() > 4 && words[words.size() - 2] == "to") return {{}, true};
  const Words path = tail(words);
  Choices found = console::choices(candidate_->message(), path, Use::existing);
  const auto fields = console::choices(candidate_->message(), path, Use::set).next;
  const auto has_name = [&] {
    std::unique_ptr<google::protobuf::Message> copy(candidate_->message().New());
    copy->CopyFrom(candidate_->message());
    return config::rename(*copy, path, "a-name-that-nothing-has").has_value();
  };
  const bool commented = std::any_of(fields.begin(), fields.end(), [](const auto& c) { return c.word == "comment"; });
  if (rename && found.end && has_name()) found.next.insert(found.next.begin(), {"to", "rename it: to NAME"});
  if (found.end && !rename && commented)
    found.next.insert(found.next.begin(), {"<text>", "what to say about it; \"\" says nothing any more"});
  found.end = false;
  return found;
}

Choices Session::choices(const std::string& text, std::string& begun) {
  const Line line = split(text);
  Words words = line.parts.back();
  begun.clear();
  if (line.open_word || line.open_quote) {
    if (words.empty()) return {};
    begun = words.back();
    words.pop_back();
  }
  Choices found;
  if (line.parts.size() > 1) {
    if (words.empty())
      found.next = {{"match", "lines with a pattern"},
                    {"except", "lines without it"},
                    {"count", "how many lines"},
                    {"json", "machine-readable"}};
  } else if (!candidate_) {
    found = operational_choices(client_, words);
    if (words.empty())
      found.next.insert(found.next.begin(), {{"configure", "change the configuration"}, {"exit", "leave"}});
  } else if (words.empty()) {
    found.next = kConfigureCommands;
  } else if (words[0] == "set") {
    found = console::choices(candidate_->message(), tail(words), Use::set);
  } else if (words[0] == "comment" || words[0] == "rename") {
    found = entry_choices(words);
  } else if (words[0] == "delete" || words[0] == "show") {
    found = console::choices(candidate_->message(), tail(words), Use::existing);
    if (words[0] == "show" && words.size() == 1) found.next.push_back({"set", "all of it, as set commands"});
    if (words[0] == "show") found.end = true;
  } else if (words[0] == "run") {
    found = operational_choices(client_, tail(words));
  } else if (words[0] == "commit") {
    if (words.back() == "confirm") {
      found.next = {{"<minutes>", "goes back after so long unless confirmed; 1 to 1440"}};
    } else if (words.back() == "comment") {
      found.next = {{"<why>", "kept in the history"}};
    } else {
      found.next = {{"confirm", "go back unless confirmed within so many minutes"},
                    {"comment", "say why"},
                    {"local", "on this box alone, while the peer is away"}};
      found.end = true;
    }
  } else if (words[0] == "load" && words.size() == 1) {
    found.next = {{"<file>", "a configuration, or set and delete commands"}};
  } else if (words[0] == "save" && words.size() == 1) {
    found.next = {{"<file>", "where to"}};
  } else if (words[0] == "save" && words.size() == 2) {
    found.next = {{"changes", "only what differs from what ran when this began, as commands"}};
    found.end = true;
  } else if (words[0] == "rollback" && words.size() == 1) {
    found.next = {{"<revision>", "a number of run show commits"}};
  } else {
    found.end = true;
  }
  keep_begun(found, begun);
  return found;
}

}  // namespace headgate::console
