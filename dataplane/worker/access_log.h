// Access lines of one worker's HTTP sessions, on their way to whoever writes them: formatted where they arise, in a
// ring that the app empties. A line that finds the ring full is lost, and counted: a slow disk slows no client.
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/base/spsc_ring.h"
#include "dataplane/http/access_log.h"
#include "dataplane/http/proxy.h"
#include "dataplane/snapshot/model.h"
#include "dataplane/telemetry/counters.h"

namespace headgate::worker {

inline constexpr std::size_t kAccessLines = 1024;  // 3 MiB, touched as lines come

struct AccessLine {
  std::uint16_t length = 0;
  std::array<char, http::kAccessLineMax> text;
};

class AccessLog final : public http::AccessSink {
 public:
  // -- the worker's side
  void use(const snapshot::Snapshot* snapshot) { snapshot_ = snapshot; }
  void request(const http::AccessRecord& record, ServiceId service, PoolId pool, BackendId backend) override {
    http::AccessRecord named = record;
    if (snapshot_ != nullptr) {
      if (const auto* entry = snapshot_->service_of(service)) named.service = snapshot_->name_of(*entry);
      if (const auto* entry = snapshot_->pool_of(pool)) named.pool = snapshot_->name_of(*entry);
      if (const auto* entry = snapshot_->backend_of(backend)) named.backend = snapshot_->name_of(*entry);
    }
    line_.length = static_cast<std::uint16_t>(http::write_access_line(named, line_.text));
    if (!ring_.push(line_)) lost_.add(1);
  }

  // -- the other side: one thread
  bool pop(AccessLine& line) { return ring_.pop(line); }
  std::uint64_t lost() const { return lost_.read(); }

 private:
  SpscRing<AccessLine> ring_{kAccessLines};
  telemetry::Counter lost_;
  AccessLine line_;
  const snapshot::Snapshot* snapshot_ = nullptr;
};

}  // namespace headgate::worker
