#include "controlplane/console/terminal.h"

#include <fcntl.h>
#include <histedit.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cwchar>

#include "controlplane/console/wakeup.h"

namespace headgate::console {
namespace {

// libedit calls back without a pointer of ours but this one.
struct Screen {
  Session& session;
  std::string prompt;
};

Screen& screen_of(EditLine* editor) {
  void* data = nullptr;
  el_get(editor, EL_CLIENTDATA, &data);
  return *static_cast<Screen*>(data);
}

char* prompt_of(EditLine* editor) {
  Screen& screen = screen_of(editor);
  screen.prompt = screen.session.prompt();
  return screen.prompt.data();
}

std::string before_cursor(EditLine* editor) {
  const LineInfo* line = el_line(editor);
  return {line->buffer, static_cast<std::size_t>(line->cursor - line->buffer)};
}

unsigned char on_help(EditLine* editor, int) {
  const std::string text = before_cursor(editor);
  if (split(text).open_quote) {
    el_insertstr(editor, "?");
    return CC_REFRESH;
  }
  std::string begun;
  const Choices choices = screen_of(editor).session.choices(text, begun);
  std::printf("?\n%s", help_text(choices).c_str());
  std::fflush(stdout);
  return CC_REDISPLAY;
}

unsigned char on_tab(EditLine* editor, int) {
  const std::string text = before_cursor(editor);
  std::string begun;
  const Choices choices = screen_of(editor).session.choices(text, begun);
  const std::string more = completed(text, begun, choices).substr(text.size());
  if (!more.empty()) {
    el_insertstr(editor, more.c_str());
    return CC_REFRESH;
  }
  if (choices.next.empty()) return CC_REFRESH_BEEP;
  std::printf("\n%s", help_text(choices).c_str());
  std::fflush(stdout);
  return CC_REDISPLAY;
}

// Signals while a line is edited. libedit's own handlers lose one that comes between the prompt and read(), and so does
// read() one that another thread takes: the descriptor is readable until somebody looked.
std::atomic<bool> interrupted{false}, resized{false}, continued{false};

const Wakeup& signalled() {
  static const Wakeup wakeup;
  return wakeup;
}

void on_signal(int number) {
  (number == SIGINT ? interrupted : number == SIGWINCH ? resized : continued) = true;
  signalled().set();
}

void watch_signals() {
  signalled();  // made before the handler can run
  struct sigaction action{};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;  // of what a command does; poll() ends in any case
  for (const int number : {SIGINT, SIGWINCH, SIGCONT}) ::sigaction(number, &action, nullptr);
}

// True when it ends the line.
bool heed_signals(EditLine* editor) {
  signalled().clear();
  if (resized.exchange(false)) el_resize(editor);
  if (continued.exchange(false)) {
    el_set(editor, EL_PREP_TERM, 1);
    el_set(editor, EL_REFRESH);
  }
  return interrupted.exchange(false);
}

// The terminal once more, so that read() can return at once without making the shell's standard input do so: Ctrl-C
// empties the queue, also of what poll() has just seen there.
int terminal_descriptor() {
  static const int descriptor = [] {
    const char* const name = ::ttyname(STDIN_FILENO);
    const int opened = name == nullptr ? -1 : ::open(name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    return opened >= 0 ? opened : STDIN_FILENO;
  }();
  return descriptor;
}

// The next byte; 0 at the end of input, -1 with errno: EINTR is Ctrl-C.
int next_byte(EditLine* editor, char& out) {
  for (;;) {
    pollfd wanted[2] = {{terminal_descriptor(), POLLIN, 0}, {signalled().descriptor(), POLLIN, 0}};
    if (::poll(wanted, 2, -1) < 0 && errno != EINTR) return -1;
    if (heed_signals(editor)) {
      errno = EINTR;
      return -1;
    }
    if (wanted[0].revents == 0) continue;
    const auto got = static_cast<int>(::read(terminal_descriptor(), &out, 1));
    if (got >= 0 || (errno != EINTR && errno != EAGAIN)) return got;
  }
}

int next_character(EditLine* editor, wchar_t* out) {
  std::mbstate_t state{};
  for (;;) {
    char byte = 0;
    if (const int got = next_byte(editor, byte); got <= 0) return got;
    const std::size_t length = std::mbrtowc(out, &byte, 1, &state);
    if (length == static_cast<std::size_t>(-2)) continue;  // more bytes follow
    if (length == static_cast<std::size_t>(-1)) *out = static_cast<unsigned char>(byte);
    if (length == 0) *out = 0;
    return 1;
  }
}

std::string history_file() {
  const char* home = std::getenv("HOME");
  return home == nullptr ? "" : std::string(home) + "/.headgate_history";
}

}  // namespace

std::string completed(const std::string& line, const std::string& begun, const Choices& choices) {
  std::string common;
  unsigned words = 0;
  for (const Choice& choice : choices.next) {
    if (!choice.is_word()) {
      if (begun.empty()) return line;  // something of the operator's own may follow: no guess
      continue;                        // begun like one that exists, so that is what is meant
    }
    if (words++ == 0) {
      common = choice.word;
    } else {
      const auto end = std::mismatch(common.begin(), common.end(), choice.word.begin(), choice.word.end());
      common.erase(end.first, common.end());
    }
  }
  if (words == 0 || common.size() < begun.size()) return line;
  return line + common.substr(begun.size()) + (words == 1 ? " " : "");
}

std::string help_text(const Choices& choices) {
  std::size_t width = 0;
  for (const Choice& choice : choices.next) width = std::max(width, choice.word.size());
  std::string text;
  for (const Choice& choice : choices.next) {
    text += "  " + choice.word;
    if (!choice.help.empty()) text += std::string(width - choice.word.size() + 2, ' ') + choice.help;
    text += "\n";
  }
  if (choices.end) text += "  <Enter>\n";
  if (text.empty()) text = "  nothing can follow\n";
  return text;
}

int interact(Session& session) {
  Screen screen{session, {}};
  EditLine* editor = el_init("headgate", stdin, stdout, stderr);
  if (editor == nullptr) return Client::say("this terminal cannot be used; pipe commands to standard input instead");
  ::History* history = history_init();
  HistEvent event;
  ::history(history, &event, H_SETSIZE, 1000);
  ::history(history, &event, H_SETUNIQUE, 1);
  const std::string file = history_file();
  if (!file.empty()) ::history(history, &event, H_LOAD, file.c_str());
  el_set(editor, EL_CLIENTDATA, &screen);
  el_set(editor, EL_PROMPT, prompt_of);
  el_set(editor, EL_EDITOR, "emacs");
  el_set(editor, EL_SIGNAL, 0);
  el_set(editor, EL_GETCFN, next_character);
  el_set(editor, EL_HIST, ::history, history);
  el_set(editor, EL_ADDFN, "headgate-tab", "complete the word", on_tab);
  el_set(editor, EL_ADDFN, "headgate-help", "what can follow", on_help);
  el_set(editor, EL_BIND, "^I", "headgate-tab", nullptr);
  el_set(editor, EL_BIND, "?", "headgate-help", nullptr);
  el_set(editor, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  watch_signals();  // while a command runs, Ctrl-C is for that (interrupt.h), or for nobody
  int count = 0;
  while (!session.done()) {
    interrupted = false;
    const char* line = el_gets(editor, &count);
    if (line == nullptr && count < 0 && errno == EINTR) {  // Ctrl-C: the line is dropped, and no more
      std::printf("^C\n");
      continue;
    }
    if (line == nullptr || count <= 0) {  // end of input: out of configure mode first
      std::printf("\n");
      if (!session.configuring()) break;
      session.execute("exit");
      continue;
    }
    const std::string text(line, static_cast<std::size_t>(count));
    const bool empty = text.find_first_not_of(" \t\r\n") == std::string::npos;
    if (!empty && !session.has_secret(text)) ::history(history, &event, H_ENTER, line);
    session.execute(text);
    std::fflush(stdout);
  }
  if (!file.empty()) {
    const mode_t before = ::umask(0077);
    ::history(history, &event, H_SAVE, file.c_str());
    ::umask(before);
  }
  history_end(history);
  el_end(editor);
  return 0;
}

}  // namespace headgate::console
