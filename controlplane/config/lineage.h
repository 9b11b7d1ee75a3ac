// One line of versions for the two boxes of a pair: each names the one before by a hash, so that a box which sees the
// other's head knows whether it is behind, ahead, or beside it. Pure.
//
//   id = SHA-256("parent id, line feed, digest of the shared part")
//
// The same content may come twice on a line (a commit, and the return from it): ids still differ.
#pragma once

#include <string>

namespace headgate::config {

struct Lineage {
  std::string id, parent, digest;  // hexadecimal; parent empty: the first of its line
  friend bool operator==(const Lineage&, const Lineage&) = default;
};

// Of a shared part with this digest that follows `before`: the same when nothing shared has changed. An empty `before`
// begins a line.
Lineage following(const Lineage& before, const std::string& digest);
// The id fits parent and digest, and all three look like what they are.
bool sound(const Lineage& lineage);

std::string sha256_hex(const std::string& text);

}  // namespace headgate::config
