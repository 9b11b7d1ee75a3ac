// A session as operators see it, or a connection to a backend that no session uses.
#pragma once

#include <string_view>

#include "dataplane/base/ids.h"
#include "dataplane/base/ip.h"
#include "dataplane/base/time.h"
#include "dataplane/tcp/events.h"

namespace headgate::http {

struct SessionView {
  const char* stage = "";
  tcp::ConnectionId client, backend;  // none: generation 0
  ServiceId service;
  Slot slot = kNoSlot;  // of the service
  BackendId backend_id;
  IpAddress client_address;
  std::uint16_t client_port = 0;
  Nanos idle = 0;        // in this stage without progress
  Nanos expires_in = 0;  // unless something happens
  std::uint32_t requests = 0;
  std::uint32_t tried = 0;              // backends that did not answer this request
  std::string_view method{}, target{};  // of the request under way while its text is held; valid until the next call
};

}  // namespace headgate::http
