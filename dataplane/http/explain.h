// What would happen to a request, and why, by the functions that would do it; a backend apart, which is the worker's to
// choose. For operators: allocates, changes nothing.
#pragma once

#include <string>
#include <vector>

#include "dataplane/http/routing.h"

namespace headgate::http {

struct ExplainedRequest {
  struct Step {
    std::string stage, text;
  };
  std::vector<Step> steps;
  Direction::To to = Direction::To::refused;
  PoolId pool{};          // to: pool
  BackendId preferred{};  // a cookie's; 0: none
  IpAddress client;       // as far as trust reaches
};

// `text`: a whole head. `context`: the connection that it would come by; the rest of it is read from the request.
ExplainedRequest explain_request(const Site& site, const CookieSigner& signer, const RequestContext& context,
                                 std::string_view text);

}  // namespace headgate::http
