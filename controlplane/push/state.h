// What is in force of a backend: health, slow start, operators and configuration together.
#pragma once

#include <cstdint>
#include <unordered_map>

namespace headgate::push {

struct BackendState {
  bool up = true;
  std::uint32_t weight = 1;
  bool drain = false;
  friend bool operator==(const BackendState&, const BackendState&) = default;
};

using States = std::unordered_map<std::uint32_t, BackendState>;  // by backend id

}  // namespace headgate::push
