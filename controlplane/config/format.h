// What a text must look like by the `format` of its field (options.proto).
#pragma once

#include <optional>
#include <string>

#include "controlplane/api/options.pb.h"

namespace headgate::config {

struct FormatProblem {
  std::string what;    // is wrong: "\"x\" is no name"
  std::string action;  // what to do, an imperative
};
std::optional<FormatProblem> format_problem(v1::Format format, const std::string& text);

}  // namespace headgate::config
