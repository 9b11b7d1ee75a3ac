// Where a request goes: what its host and path are in normal form, which route takes it, and what that does. A pure
// function, which sessions and explain share.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "dataplane/http/cookie.h"
#include "dataplane/http/rewrite.h"
#include "dataplane/http/site.h"

namespace headgate::http {

struct Direction {
  enum class To : std::uint8_t {
    refused,   // see reason
    here,      // Max-Forwards is 0 (RFC 9110 7.6.2)
    redirect,  // of route
    answer,    // status of route
    nowhere,   // no route, and the service has no pool
    pool,
  };
  To to = To::refused;
  Reason reason = Reason::none;
  std::string_view host{};         // as the client named it, with its port
  std::string_view normal_host{};  // as routes are compared with it
  NormalPath path{};
  const RouteSpec* route = nullptr;  // of site.routes; null: none matched
  PoolId pool{};
};

// The path that routes are compared with and backends are sent, in normal form; space: twice a head's largest size.
Reason path_of(const Site& site, const RequestHead& head, std::string_view buffer, std::span<char> space,
               NormalPath& out);

// Room for what is not in the request's buffer already: twice a head's largest size, and kHostMax.
struct RoutingSpace {
  std::span<char> path, host;
};

// `buffer`: what `head` was parsed from, complete and sound. Texts of the answer are in buffer or space.
Direction direct(const Site& site, const RequestHead& head, std::string_view buffer, const RoutingSpace& space);

// The Location of a redirect; its length, 0 when neither the redirect nor the request names a host.
// Requires: direction.to is redirect.
std::size_t write_location_of(const Direction& direction, const RequestHead& head, std::string_view buffer,
                              std::span<char> out);

// How a request for this path and route goes to a backend.
RequestRewrite rewrite_of(const Site& site, const RouteSpec* route, std::string_view path);

// What our own cookie says of the backend that this client came from, for this pool; nothing without one of ours.
std::optional<CookieSigner::Content> read_cookie(const Site& site, const CookieSigner& signer, PoolId pool,
                                                 const RequestHead& head, std::string_view buffer);

}  // namespace headgate::http
