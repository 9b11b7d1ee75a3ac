// Makes a NIC spread frames as our bucket map does, and believes only what it reads back.
#pragma once

#include <cstdint>
#include <string>

#include "dataplane/base/toeplitz.h"

struct rte_eth_conf;
struct rte_eth_dev_info;

namespace headgate::port {

struct RssState {
  bool programmed = false;
  std::string reason;  // why not, when not
};

// Asks for hashing over addresses and ports with our key, as far as the device offers it. False when it offers none.
bool request_rss(const rte_eth_dev_info& info, const RssKey& key, rte_eth_conf& configuration);

// After start: writes the redirection table expanded from `map` (entry i serves bucket i mod 128; worker w polls queue
// w mod queues), then reads key and table back.
RssState program_rss(std::uint16_t port_id, const rte_eth_dev_info& info, const RssKey& key, const BucketMap& map,
                     std::uint16_t queues);

}  // namespace headgate::port
