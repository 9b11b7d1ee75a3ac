// What was wrong with a command line, in one sentence that names the word and what could stand in its place.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace headgate::console {

std::string command_error(const CLI::App& app, const CLI::ParseError& error);

}  // namespace headgate::console
