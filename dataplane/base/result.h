// Errors outside the packet path. A message says what was wrong, where, and what to do.
#pragma once

#include <string>
#include <tl/expected.hpp>

namespace headgate {

enum class ErrorCode {
  invalid_argument,
  not_found,
  already_exists,
  permission_denied,
  exhausted,
  unavailable,
  internal
};

struct Error {
  ErrorCode code = ErrorCode::internal;
  std::string message;
};

template <class T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(ErrorCode code, std::string message) {
  return tl::unexpected<Error>(Error{code, std::move(message)});
}

}  // namespace headgate
