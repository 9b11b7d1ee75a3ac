// Writes captured frames as a pcap file with nanosecond times (libpcap's format, magic 0xa1b23c4d).
#pragma once

#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>

namespace headgate::console {

class PcapFile {
 public:
  explicit PcapFile(const std::string& path) : out_(path, std::ios::binary | std::ios::trunc) {
    const std::uint32_t header[6] = {0xa1b23c4d, 2 | 4u << 16, 0, 0, 65535, 1};  // version 2.4, Ethernet
    write(header, sizeof header);
  }
  bool good() const { return out_.good(); }
  void frame(std::uint64_t time_ns, std::string_view data, std::uint32_t length) {
    const std::uint32_t header[4] = {static_cast<std::uint32_t>(time_ns / 1'000'000'000),
                                     static_cast<std::uint32_t>(time_ns % 1'000'000'000),
                                     static_cast<std::uint32_t>(data.size()), length};
    write(header, sizeof header);
    out_.write(data.data(), static_cast<std::streamsize>(data.size()));
  }
  void flush() { out_.flush(); }

 private:
  void write(const void* bytes, std::size_t size) {
    out_.write(static_cast<const char*>(bytes), static_cast<std::streamsize>(size));
  }
  std::ofstream out_;
};

}  // namespace headgate::console
