#include "controlplane/failover/epoch_file.h"

#include <unistd.h>

#include <cerrno>
#include <charconv>

#include "controlplane/config/durable_file.h"

namespace headgate::failover {

config::Result<std::uint64_t> load_epoch(const std::string& path) {
  if (::access(path.c_str(), F_OK) != 0 && errno == ENOENT) return std::uint64_t{0};
  const auto text = config::read_file(path);
  if (!text) return config::fail(text.error().message);
  std::uint64_t epoch = 0;
  const char* const end = text->data() + text->size();
  const auto [stop, error] = std::from_chars(text->data(), end, epoch);
  if (error != std::errc{} || std::string_view(stop, end) != "\n") return config::fail(path + " holds no epoch");
  return epoch;
}

config::Result<void> save_epoch(const std::string& path, std::uint64_t epoch) {
  return config::write_file_durably(path, std::to_string(epoch) + "\n");
}

}  // namespace headgate::failover
