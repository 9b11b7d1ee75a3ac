// headgate: the console. Interactive on a terminal; one command from its arguments; or commands from standard input,
// ending at the first that fails.
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <string>

#include "controlplane/config/durable_file.h"
#include "controlplane/console/operational.h"
#include "controlplane/console/session.h"
#include "controlplane/console/terminal.h"

namespace headgate::console {
namespace {

int script(Session& session) {
  std::string line;
  for (int number = 1; !session.done() && std::getline(std::cin, line); ++number) {
    if (const int code = session.execute(line)) {
      std::fprintf(stderr, "headgate: line %d failed; the rest was not done\n", number);
      return code;
    }
  }
  if (session.has_changes())
    std::fprintf(stderr, "headgate: the commands ended without a commit: the changes are gone\n");
  return 0;
}

// From a file into `text`; 1 after saying why not.
int read_pem(const std::string& path, std::string& text) {
  const auto read = config::read_file(path);
  if (!read) return Client::say(read.error().message);
  text = *read;
  return 0;
}

// Our own options stand before the command; everything after belongs to it. `at`: the first word of the command.
int take_options(int argc, char** argv, int& at, Options& options) {
  for (; at < argc; at += 2) {
    const std::string option = argv[at];
    if (option != "--management" && option != "--cert" && option != "--key" && option != "--ca") break;
    if (at + 1 == argc)
      return Client::say(option + (option == "--management" ? " takes the path of a socket, or HOST:PORT"
                                                            : " takes the name of a PEM file"));
    const std::string value = argv[at + 1];
    if (option == "--management") {
      (value.find('/') == std::string::npos && value.find(':') != std::string::npos ? options.remote : options.socket) =
          value;
    } else if (const int code = read_pem(value, option == "--cert"  ? options.certificate
                                                : option == "--key" ? options.key
                                                                    : options.authority)) {
      return code;
    }
  }
  if (!options.remote.empty() && (options.certificate.empty() || options.key.empty() || options.authority.empty()))
    return Client::say("--management HOST:PORT needs --cert, --key and --ca");
  return 0;
}

int run(int argc, char** argv) {
  Options options;
  int at = 1;
  if (const int code = take_options(argc, argv, at, options)) return code;
  Client client(options);
  if (at < argc) {
    Words words(argv + at, argv + argc);
    const bool help = words[0] == "--help" || words[0] == "-h";
    if (!help && words[0].starts_with('-') && words[0] != "--json")
      return Client::say("there is no option " + words[0] + "; see headgate --help");
    return operational(client, words);
  }
  const bool terminal = ::isatty(STDIN_FILENO) != 0;
  Session session(client, terminal);
  return terminal ? interact(session) : script(session);
}

}  // namespace
}  // namespace headgate::console

int main(int argc, char** argv) {
  return headgate::console::run(argc, argv);
}
