// Writes the frames that packet_fuzz starts from: packet_seeds DIRECTORY. One of every kind the parser tells apart, in
// every family, valid and refused; mutation finds the rest.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "dataplane/packet/build.h"
#include "dataplane/packet/testing.h"

namespace headgate::packet::testing {
namespace {

std::vector<Frame> seeds_of_family(bool v4) {
  FrameSpec plain;
  if (!v4) {
    plain.src = "2001:db8::7";
    plain.dst = "2001:db8::100";
  }
  const auto with = [&plain](auto change) {
    FrameSpec spec = plain;
    change(spec);
    return spec;
  };
  const FrameSpec extended = with([](FrameSpec& s) {
    s.ip_options = {1, 148, 4, 0, 0, 0};
    s.extensions = {
        {0, {5, 2, 0, 0, 1, 0}}, {60, {1, 4}}, {43, {4, 0, 0, 0}}, {51, Frame(14)}, {44, {0, 0, 0, 0, 0, 1}}};
  });
  std::vector<Frame> frames = {
      tcp_frame(plain),
      tcp_frame(with([](FrameSpec& s) { s.tcp_options = {2, 4, 5, 180, 1, 3, 3, 7, 4, 2}; })),
      tcp_frame(with([](FrameSpec& s) { s.tcp_options = {1, 2, 4, 5, 180, 0}; })),
      tcp_frame(with([](FrameSpec& s) { s.flags = kSyn | kFin; })),
      tcp_frame(with([](FrameSpec& s) { s.vlan = 7; })),
      tcp_frame(with([](FrameSpec& s) { s.vlan = 7, s.outer_vlan = 8; })),
      tcp_frame(extended),
      udp_frame(with([](FrameSpec& s) { s.payload = text("hello"), s.pad_to = 70; })),
      udp_frame(with([](FrameSpec& s) { s.no_udp_checksum = true; })),
      udp_frame(with([](FrameSpec& s) { s.broken_ip_checksum = true; })),
      echo_frame(plain),
      echo_frame(with([](FrameSpec& s) { s.reply = true; })),
      ip_frame(with([](FrameSpec& s) { s.payload = text("x"); }), 47),
      ip_frame(plain, kProtocolNone),
  };
  const IcmpErrorSpec error{.type = v4 ? std::uint8_t{kIcmpUnreachable} : std::uint8_t{kIcmpv6TooBig}, .mtu = 1400};
  const std::size_t offenders = frames.size();
  for (std::size_t i = 0; i < offenders; ++i) frames.push_back(icmp_error_frame(plain, error, frames[i]));
  const auto parts = fragments(udp_frame(with([](FrameSpec& s) { s.payload = Frame(24, 1); })), v4 ? 36 : 64);
  for (const Frame& part : parts) {
    frames.push_back(part);
    frames.push_back(icmp_error_frame(plain, error, part));
  }
  return frames;
}

std::vector<Frame> neighbor_seeds() {
  const MacAddress ours{{2, 0, 0, 0, 0, 9}};
  Frame arp(kMaxControlFrame), solicitation = arp, advertisement = arp, report = arp;
  arp.resize(write_arp(arp.data(), 0, kBroadcastMac, ours, ip("10.0.0.1"), {}, ip("10.0.0.2"), false));
  solicitation.resize(
      write_neighbor_solicitation(solicitation.data(), 0, ours, ours, ip("::"), ip("ff02::1:ff00:2"), ip("fe80::2")));
  advertisement.resize(write_neighbor_advertisement(advertisement.data(), 0, ours, ours, ip("fe80::2"), ip("fe80::1"),
                                                    ip("fe80::2"), kNaSolicited));
  const IpAddress group = ip("ff02::1:ff00:2");
  report.resize(write_mld_report(report.data(), 0, ours, ip("::"), {&group, 1}));
  const Frame dhcp = udp_frame({.src = "0.0.0.0", .dst = "255.255.255.255", .src_port = 68, .dst_port = 67});
  return {arp, solicitation, advertisement, report, dhcp};
}

}  // namespace
}  // namespace headgate::packet::testing

int main(int argc, char** argv) {
  using namespace headgate::packet::testing;  // NOLINT
  if (argc != 2) {
    std::fprintf(stderr, "usage: packet_seeds DIRECTORY\n");
    return 2;
  }
  std::filesystem::create_directories(argv[1]);
  std::vector<Frame> frames = neighbor_seeds();
  for (const bool v4 : {true, false}) {
    for (Frame& frame : seeds_of_family(v4)) frames.push_back(std::move(frame));
  }
  for (std::size_t i = 0; i < frames.size(); ++i) {
    std::ofstream file(std::string(argv[1]) + "/seed-" + std::to_string(i), std::ios::binary);
    file.write(reinterpret_cast<const char*>(frames[i].data()), static_cast<std::streamsize>(frames[i].size()));
  }
  std::printf("%zu frames in %s\n", frames.size(), argv[1]);
  return 0;
}
