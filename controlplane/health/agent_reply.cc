#include "controlplane/health/agent_reply.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "controlplane/health/attempt.h"

namespace headgate::health {
namespace {

constexpr std::size_t kDescriptionMax = 128;
constexpr unsigned kPercentMax = 100;  // as HAProxy: more than that is all of it

std::optional<unsigned> percent_in(std::string_view word) {
  if (word.size() < 2 || word.back() != '%') return std::nullopt;
  word.remove_suffix(1);
  unsigned percent = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), percent);
  if (end != word.data() + word.size()) return std::nullopt;
  if (error == std::errc::result_out_of_range) return kPercentMax;
  return error == std::errc{} ? std::optional(std::min(percent, kPercentMax)) : std::nullopt;
}

void take(AgentReply& reply, std::string_view written) {
  std::string word(written);
  std::transform(word.begin(), word.end(), word.begin(),
                 [](const unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (const auto percent = percent_in(word)) {
    reply.weight_percent = percent;
  } else if (word == "up") {
    reply.state = AgentReply::State::up;
  } else if (word == "down" || word == "failed" || word == "stopped") {
    reply.state = AgentReply::State::down;
  } else if (word == "ready") {
    reply.admin = AgentReply::Admin::ready;
  } else if (word == "drain") {
    reply.admin = AgentReply::Admin::drain;
  } else if (word == "maint") {
    reply.admin = AgentReply::Admin::maint;
  } else if (reply.ignored.size() < kDescriptionMax) {
    reply.ignored += (reply.ignored.empty() ? "" : " ") + excerpt(word, kDescriptionMax);
  }
}

}  // namespace

std::optional<AgentReply> parse_agent_reply(std::string_view text) {
  constexpr std::string_view kBetween = " \t,";
  text = text.substr(0, text.find_first_of("\r\n"));
  AgentReply reply;
  if (const std::size_t hash = text.find('#'); hash != std::string_view::npos) {
    reply.description = excerpt(text.substr(hash + 1), kDescriptionMax);
    text = text.substr(0, hash);
  }
  while (!text.empty()) {
    const std::size_t start = text.find_first_not_of(kBetween);
    if (start == std::string_view::npos) break;
    text.remove_prefix(start);
    const std::size_t end = std::min(text.find_first_of(kBetween), text.size());
    take(reply, text.substr(0, end));
    text.remove_prefix(end);
  }
  const bool says =
      reply.weight_percent || reply.state != AgentReply::State::none || reply.admin != AgentReply::Admin::none;
  return says ? std::optional(std::move(reply)) : std::nullopt;
}

}  // namespace headgate::health
