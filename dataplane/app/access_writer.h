// Writes the access lines of all workers to one file, from a thread of its own: a slow disk delays nobody. The file is
// bounded: at kAccessFileMax it becomes FILE.1, in place of the one before.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>

#include "dataplane/app/fleet.h"

namespace headgate::app {

inline constexpr std::uint64_t kAccessFileMax = 16u << 20;

class AccessWriter {
 public:
  // fleet outlives it. The file is opened when there is a line to write.
  AccessWriter(Fleet& fleet, std::string path);
  ~AccessWriter();
  AccessWriter(const AccessWriter&) = delete;
  AccessWriter& operator=(const AccessWriter&) = delete;

 private:
  void run();
  void drain();
  void write_out();
  bool open();

  Fleet& fleet_;
  const std::string path_;
  std::string pending_;
  int fd_ = -1;
  std::uint64_t size_ = 0;
  std::uint64_t lost_ = 0;  // as last said
  bool complained_ = false;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace headgate::app
