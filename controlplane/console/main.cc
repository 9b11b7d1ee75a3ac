// headgate: the console. Interactive on a terminal; one command from its arguments; or commands from standard input,
// ending at the first that fails.
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <string>

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
  return 0;
}

// Our own options stand before the command; everything after belongs to it.
int run(int argc, char** argv) {
  Options options;
  int at = 1;
  for (; at + 1 < argc && std::string(argv[at]) == "--management"; at += 2) options.socket = argv[at + 1];
  if (at < argc && std::string(argv[at]) == "--management")
    return Client::say("--management takes the path of a socket");
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
