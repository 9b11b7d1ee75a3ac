// "Did you mean": the candidate that a mistyped word is nearest to.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace headgate::config {

// Nothing when no candidate is near: more than a third of the word would have to change (one letter of a short word).
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace headgate::config
