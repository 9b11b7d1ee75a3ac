// capture: packets as lines, as JSON, or into a pcap file.
#pragma once

#include <string>

#include "controlplane/console/client.h"

namespace headgate::console {

int capture(Client& client, const pb::CaptureRequest& request, const std::string& path);

// "10:15:23.123456 tcp 192.0.2.10:40000 > 192.0.2.100:80 SYN 74 bytes, front, worker 0: forwarded", in local time.
std::string capture_line(const pb::CapturedPacket& packet);

}  // namespace headgate::console
