// What a server says of itself in one line, in the format of HAProxy's agent-check: words separated by spaces, tabs or
// commas, then perhaps '#' and a description. "75% ready", "drain", "down #disk full". Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace headgate::health {

struct AgentReply {
  enum class State { none, up, down };             // "up"; "down", "failed", "stopped"
  enum class Admin { none, ready, drain, maint };  // what an operator there wants

  std::optional<unsigned> weight_percent{};  // of the configured weight, 0 to 100
  State state = State::none;
  Admin admin = Admin::none;
  std::string description{};  // printable, at most 128 bytes
  std::string ignored{};      // words that are known and have no effect here, or are unknown: "maxconn:30"

  friend bool operator==(const AgentReply&, const AgentReply&) = default;
};

// Reads the first line. None when it says nothing of weight, state or admin. Of several words of one sort the last
// holds.
std::optional<AgentReply> parse_agent_reply(std::string_view text);

}  // namespace headgate::health
