// One normal form of a path, so that no spelling of it gets around a route.
//
// Two strings come out of it. `forward` is what the backend is sent: unreserved characters decoded and other percent-
// encodings in capitals (RFC 3986 6.2.2), dot segments removed, runs of slashes merged. `match` is what routes are
// compared with: of `forward`, parameters of segments (";" and what follows) cut away, as some servers do before they
// look a path up, and all encodings decoded. Routes' own paths go through the same function.
//
// Refused, because servers differ in what they make of it: malformed encodings, an encoded zero byte, encoded slashes
// (unless allowed) and backslashes of any kind, more ".." than segments, and "..;x". The query is not touched.
#pragma once

#include <span>
#include <string_view>

#include "dataplane/http/reason.h"

namespace headgate::http {

struct PathOptions {
  bool merge_slashes = true;     // false: empty segments are segments; for backends that take them for such
  bool encoded_slashes = false;  // "%2F" is passed on as it is, as a part of a segment
};

struct NormalPath {
  std::string_view forward, match;  // inside of `path` when that was normal already, of `space` else
};

// path: begins with "/", or is empty (then "/"). space: at least twice as long as the path.
Reason normalize_path(std::string_view path, const PathOptions& options, std::span<char> space, NormalPath& out);

}  // namespace headgate::http
