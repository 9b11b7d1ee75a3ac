// Which file descriptors a driver opened behind our back: net_af_xdp, net_af_packet and net_tap have a pollable
// descriptor per queue and no call that returns it, so we compare /proc/self/fd before and after they open it.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

namespace headgate::port {

using DescriptorSet = std::set<int>;

enum class DescriptorKind { xdp_socket, packet_socket, tun_file };

DescriptorSet open_descriptors();
// Of this kind, open now and not in `before`, in ascending order (the order of opening, unless another thread closed
// some).
std::vector<int> new_descriptors(const DescriptorSet& before, DescriptorKind kind);

// Which open file a descriptor stands for, so that a reused number is not taken for it. 0 when it is not open.
std::uint64_t inode_of(int fd);

}  // namespace headgate::port
