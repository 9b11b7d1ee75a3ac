// Errors of the control plane outside configuration text: one sentence that says what was wrong, where, and what to do.
#pragma once

#include <string>
#include <tl/expected.hpp>

namespace headgate::config {

struct Error {
  std::string message;
};

template <class T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(std::string message) {
  return tl::unexpected<Error>(Error{std::move(message)});
}

}  // namespace headgate::config
