// STATE_DIR/events: what happened, over restarts of the control plane, for `show log`. A line an event; what does not
// fit two files is gone, the oldest first. Nothing waits for the disk: a power cut may take the last lines, and what a
// full disk does not take is lost.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "controlplane/app/event.h"

namespace headgate::app {

// One thread at a time.
class EventFile {
 public:
  static constexpr std::size_t kBytesMax = 2 << 20;  // of each file

  explicit EventFile(std::string path) : path_(std::move(path)) {}

  // The last `limit`, oldest first, without numbers. What cannot be read is left out.
  std::vector<Event> load(std::size_t limit) const;
  void append(const Event& event) const;

 private:
  const std::string path_;
};

}  // namespace headgate::app
