#include "controlplane/health/memory.h"

#include <sstream>

namespace headgate::health {
namespace {

constexpr const char* kHealth[] = {"unknown", "up", "down"};
constexpr const char* kAdmin[] = {"enabled", "drain", "disabled"};

template <class Enum>
bool read(std::istream& in, const char* const (&words)[3], Enum& value) {
  std::string word;
  in >> word;
  for (unsigned i = 0; i < 3; ++i) {
    if (word != words[i]) continue;
    value = static_cast<Enum>(i);
    return true;
  }
  return false;
}

std::string one_line(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  }
  return text;
}

bool is_moment(Time::rep value) {
  return value >= 0 || value == Time::min().count();
}

// ID HEALTH CHANGED SLOW_START AGENT_PERCENT AGENT_DOWN AGENT_ADMIN CAUSE
bool read_line(const std::string& line, std::uint32_t& id, Remembered& out) {
  std::istringstream in(line);
  Time::rep changed = 0, slow_start = 0;
  if (!(in >> id) || id == 0 || !read(in, kHealth, out.known.health)) return false;
  if (!(in >> changed >> slow_start >> out.agent_percent >> out.agent_down)) return false;
  if (out.agent_percent > 10'000 || !read(in, kAdmin, out.agent_admin)) return false;
  if (!is_moment(changed) || !is_moment(slow_start)) return false;
  out.known.changed = Time(changed);
  out.slow_start_since = Time(slow_start);
  std::getline(in >> std::ws, out.known.cause);
  return true;
}

}  // namespace

// Appends, since the caller is the event loop: 10,000 lines take a millisecond or two.
std::string write_memory(const Memory& memory, const std::string& boot) {
  std::string out = "boot " + boot + "\n";
  out.reserve(memory.size() * 128);
  for (const auto& [id, backend] : memory) {
    out += std::to_string(id);
    out += ' ';
    out += kHealth[static_cast<unsigned>(backend.known.health)];
    out += ' ';
    out += std::to_string(backend.known.changed.count());
    out += ' ';
    out += std::to_string(backend.slow_start_since.count());
    out += ' ';
    out += std::to_string(backend.agent_percent);
    out += backend.agent_down ? " 1 " : " 0 ";
    out += kAdmin[static_cast<unsigned>(backend.agent_admin)];
    out += ' ';
    out += one_line(backend.known.cause);
    out += '\n';
  }
  return out;
}

Memory read_memory(const std::string& text, const std::string& boot) {
  std::istringstream lines(text);
  std::string line;
  Memory memory;
  if (!std::getline(lines, line) || line != "boot " + boot) return memory;
  while (std::getline(lines, line)) {
    std::uint32_t id = 0;
    Remembered backend;
    if (read_line(line, id, backend)) memory[id] = backend;
  }
  return memory;
}

}  // namespace headgate::health
