// explain: what would happen to a packet, or to a request, and why.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "controlplane/console/client.h"

namespace headgate::console {

struct Question {
  std::string protocol, source, destination, port;  // source and destination: ADDRESS:PORT, [ADDRESS]:PORT
  std::uint32_t vlan = 0;
  bool established = false;
  // Protocol http: of the request.
  std::string method, host, path;
  std::vector<std::string> headers;  // "Name: value"
};

int explain(Client& client, const Question& question);

}  // namespace headgate::console
