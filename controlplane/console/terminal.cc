#include "controlplane/console/terminal.h"

#include <histedit.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

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
  el_set(editor, EL_SIGNAL, 1);
  el_set(editor, EL_HIST, ::history, history);
  el_set(editor, EL_ADDFN, "headgate-tab", "complete the word", on_tab);
  el_set(editor, EL_ADDFN, "headgate-help", "what can follow", on_help);
  el_set(editor, EL_BIND, "^I", "headgate-tab", nullptr);
  el_set(editor, EL_BIND, "?", "headgate-help", nullptr);
  el_set(editor, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  std::signal(SIGINT, SIG_IGN);  // Ctrl-C is for the line (libedit has its own handler) or the command (interrupt.h)
  int count = 0;
  while (!session.done()) {
    const char* line = el_gets(editor, &count);
    if (line == nullptr && count < 0 && errno == EINTR) {  // Ctrl-C: the line is dropped, and no more
      std::printf("\n");
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
