#include "tests/wire/direction.h"

#include <algorithm>
#include <charconv>
#include <string>

namespace headgate::wire {

namespace {

std::string_view next_word(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
  const std::string_view word = text.substr(0, text.find_first_of(" \t\r\n"));
  text.remove_prefix(word.size());
  return word;
}

Result<double> number(std::string_view& words, std::string_view name, double most) {
  const std::string_view word = next_word(words);
  double value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc{} || end != word.data() + word.size() || !(value >= 0 && value <= most))
    return fail(ErrorCode::invalid_argument,
                std::string(name) + " \"" + std::string(word) + "\" is no number from 0 to " + std::to_string(most));
  return value;
}

Nanos from_ms(double ms) {
  return static_cast<Nanos>(ms * static_cast<double>(kMillisecond));
}

}  // namespace

void Direction::set(const Impairment& impairment) {
  impairment_ = impairment;
  if (!impairment.cut) return;
  counters_.cut += queue_.size();
  queue_.clear();
}

void Direction::push(std::span<const std::uint8_t> frame, Nanos now) {
  ++counters_.received;
  const bool lost = rng_.chance(impairment_.loss);
  const bool twice = rng_.chance(impairment_.duplicate);
  const double first = static_cast<double>(rng_.below(1u << 31)) / 0x1.0p31;
  const double second = static_cast<double>(rng_.below(1u << 31)) / 0x1.0p31;
  if (impairment_.cut) {
    ++counters_.cut;
    return;
  }
  if (lost) {
    ++counters_.lost;
    return;
  }
  const double jitter = static_cast<double>(impairment_.jitter);
  enqueue(frame, now + impairment_.delay + static_cast<Nanos>(jitter * first));
  if (!twice) return;
  ++counters_.duplicated;
  enqueue(frame, now + impairment_.delay + static_cast<Nanos>(jitter * second));
}

void Direction::enqueue(std::span<const std::uint8_t> frame, Nanos due) {
  if (queue_.size() >= kFramesMax) {
    ++counters_.overflowed;
    return;
  }
  queue_.push_back({due, order_++, {frame.begin(), frame.end()}});
  std::push_heap(queue_.begin(), queue_.end(), later);
}

std::optional<std::span<const std::uint8_t>> Direction::pop(Nanos now) {
  if (queue_.empty() || queue_.front().due > now) return std::nullopt;
  std::pop_heap(queue_.begin(), queue_.end(), later);
  current_ = std::move(queue_.back());
  queue_.pop_back();
  ++counters_.sent;
  return current_.bytes;
}

Result<Command> parse_command(std::string_view text) {
  const std::string_view which = next_word(text);
  if (which == "ab") return Command{.ab = true, .words = text};
  if (which == "ba") return Command{.ba = true, .words = text};
  if (which == "both") return Command{.ab = true, .ba = true, .words = text};
  return fail(ErrorCode::invalid_argument, "\"" + std::string(which) + "\" is no direction: ab, ba or both");
}

Result<Impairment> changed(Impairment impairment, std::string_view words) {
  for (std::string_view word = next_word(words); !word.empty(); word = next_word(words)) {
    if (word == "heal") {
      impairment = {};
    } else if (word == "cut" || word == "uncut") {
      impairment.cut = word == "cut";
    } else if (word == "loss" || word == "duplicate") {
      const auto value = number(words, word, 1);
      if (!value) return tl::unexpected(value.error());
      (word == "loss" ? impairment.loss : impairment.duplicate) = *value;
    } else if (word == "delay" || word == "jitter") {
      const auto value = number(words, word, static_cast<double>(kDelayMax / kMillisecond));
      if (!value) return tl::unexpected(value.error());
      (word == "delay" ? impairment.delay : impairment.jitter) = from_ms(*value);
    } else {
      return fail(ErrorCode::invalid_argument,
                  "\"" + std::string(word) + "\" is none of heal, cut, uncut, loss, duplicate, delay, jitter");
    }
  }
  return impairment;
}

}  // namespace headgate::wire
