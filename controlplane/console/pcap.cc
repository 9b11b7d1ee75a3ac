#include "controlplane/console/pcap.h"

#include <array>

namespace headgate::console {
namespace {

// In this machine's byte order: readers tell it from the magic number.
template <std::size_t N>
void put(std::ofstream& file, const std::array<std::uint32_t, N>& words) {
  file.write(reinterpret_cast<const char*>(words.data()), sizeof words);
}

}  // namespace

PcapFile::PcapFile(const std::string& path, std::uint32_t snap_length)
    : file_(path, std::ios::binary | std::ios::trunc) {
  constexpr std::uint32_t kNanosecondMagic = 0xa1b23c4d, kVersion2_4 = 4u << 16 | 2, kEthernet = 1;
  put<6>(file_, {kNanosecondMagic, kVersion2_4, 0, 0, snap_length, kEthernet});
}

void PcapFile::add(std::uint64_t time_ns, std::uint32_t original_length, std::string_view data) {
  const auto length = static_cast<std::uint32_t>(data.size());
  put<4>(file_, {static_cast<std::uint32_t>(time_ns / 1'000'000'000),
                 static_cast<std::uint32_t>(time_ns % 1'000'000'000), length, original_length});
  file_.write(data.data(), static_cast<std::streamsize>(data.size()));
}

}  // namespace headgate::console
