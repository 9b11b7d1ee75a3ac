#include "drivers/port/rss.h"

#include <rte_errno.h>
#include <rte_ethdev.h>

#include <cstring>
#include <vector>

namespace headgate::port {
namespace {

// The input of Toeplitz::hash with ports: fragments and other protocols hash to addresses alone and reach their owner
// through the ring.
constexpr std::uint64_t kHashTypes = RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_IPV6 | RTE_ETH_RSS_NONFRAG_IPV4_TCP |
                                     RTE_ETH_RSS_NONFRAG_IPV4_UDP | RTE_ETH_RSS_NONFRAG_IPV6_TCP |
                                     RTE_ETH_RSS_NONFRAG_IPV6_UDP;
constexpr std::uint64_t kPortHashTypes = RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV6_TCP;

std::uint8_t key_length(const rte_eth_dev_info& info) {
  return info.hash_key_size == 0 ? std::uint8_t{40} : info.hash_key_size;
}

using Table = std::vector<rte_eth_rss_reta_entry64>;

Table expand(const BucketMap& map, std::uint16_t entries, std::uint16_t queues) {
  Table table((entries + RTE_ETH_RETA_GROUP_SIZE - 1u) / RTE_ETH_RETA_GROUP_SIZE);
  for (unsigned i = 0; i < entries; ++i) {
    auto& group = table[i / RTE_ETH_RETA_GROUP_SIZE];
    group.mask |= 1ull << (i % RTE_ETH_RETA_GROUP_SIZE);
    group.reta[i % RTE_ETH_RETA_GROUP_SIZE] = static_cast<std::uint16_t>(map.worker[i % kBuckets] % queues);
  }
  return table;
}

std::string driver_says(const char* what, int error) {
  return std::string(what) + " (" + rte_strerror(error < 0 ? -error : error) + ")";
}

}  // namespace

bool request_rss(const rte_eth_dev_info& info, const RssKey& key, rte_eth_conf& configuration) {
  const std::uint64_t offered = info.flow_type_rss_offloads & kHashTypes;
  if ((offered & kPortHashTypes) == 0 || key_length(info) > key.size()) return false;
  configuration.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
  // The driver copies the key during configure and does not write to it.
  configuration.rx_adv_conf.rss_conf.rss_key = const_cast<std::uint8_t*>(key.data());
  configuration.rx_adv_conf.rss_conf.rss_key_len = key_length(info);
  configuration.rx_adv_conf.rss_conf.rss_hf = offered;
  return true;
}

RssState program_rss(std::uint16_t port_id, const rte_eth_dev_info& info, const RssKey& key, const BucketMap& map,
                     std::uint16_t queues) {
  const std::uint16_t entries = info.reta_size;
  if (entries < kBuckets || entries % kBuckets != 0) {
    return {false, "the device's redirection table has " + std::to_string(entries) + " entries, not a multiple of " +
                       std::to_string(kBuckets)};
  }
  const Table wanted = expand(map, entries, queues);
  Table table = wanted;
  if (const int error = rte_eth_dev_rss_reta_update(port_id, table.data(), entries); error != 0)
    return {false, driver_says("the device refused the redirection table", error)};
  for (auto& group : table) std::memset(group.reta, 0xff, sizeof group.reta);
  if (const int error = rte_eth_dev_rss_reta_query(port_id, table.data(), entries); error != 0)
    return {false, driver_says("the device does not show its redirection table", error)};
  for (unsigned i = 0; i < entries; ++i) {
    const unsigned group = i / RTE_ETH_RETA_GROUP_SIZE, at = i % RTE_ETH_RETA_GROUP_SIZE;
    if (table[group].reta[at] != wanted[group].reta[at])
      return {false, "the device kept another redirection table than it was given (entry " + std::to_string(i) + ")"};
  }
  RssKey read_back{};
  rte_eth_rss_conf shown{};
  shown.rss_key = read_back.data();
  shown.rss_key_len = key_length(info);
  if (const int error = rte_eth_dev_rss_hash_conf_get(port_id, &shown); error != 0)
    return {false, driver_says("the device does not show its hash key", error)};
  if (std::memcmp(read_back.data(), key.data(), key_length(info)) != 0)
    return {false, "the device kept another hash key than it was given"};
  if ((shown.rss_hf & kPortHashTypes) == 0) return {false, "the device does not hash over TCP ports"};
  return {true, ""};
}

}  // namespace headgate::port
