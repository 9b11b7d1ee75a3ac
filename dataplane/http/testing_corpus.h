// Reads tests/golden/http/requests.txt, whose head says what it means.
#pragma once

#include <string>
#include <vector>

namespace headgate::http::testing {

struct CorpusCase {
  std::string name;
  std::vector<std::string> answers, backend;  // one for each request
  std::string bytes;
};

// Escapes and repetitions undone, without definitions.
std::string unescape(const std::string& text);
// Nothing but `error` when the file is not as its head says.
std::vector<CorpusCase> read_corpus(const std::string& path, std::string& error);

}  // namespace headgate::http::testing
