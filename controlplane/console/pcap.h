// Capture files: libpcap's classic format with nanosecond time stamps (draft-ietf-opsawg-pcap), Ethernet frames.
#pragma once

#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>

namespace headgate::console {

class PcapFile {
 public:
  // Writes the header. Check good().
  PcapFile(const std::string& path, std::uint32_t snap_length);
  void add(std::uint64_t time_ns, std::uint32_t original_length, std::string_view data);
  bool good() const { return file_.good(); }

 private:
  std::ofstream file_;
};

}  // namespace headgate::console
