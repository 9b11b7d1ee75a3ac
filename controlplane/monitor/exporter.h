// The HTTP side of monitoring: /metrics for Prometheus, /healthz (this process lives), /readyz (the box serves, or 503
// and what is wrong). Plain HTTP for the management network.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "controlplane/config/result.h"
#include "controlplane/monitor/metrics.h"

namespace headgate::monitor {

// Fills the sample; false when the control plane itself does not answer. Called on the exporter's threads.
using Source = std::function<bool(Sample&)>;

class Exporter {
 public:
  // where: "ADDRESS:PORT" or "[ADDRESS]:PORT". Serves until destroyed.
  static config::Result<std::unique_ptr<Exporter>> start(const std::string& where, const Source& source);
  ~Exporter();
  Exporter(const Exporter&) = delete;
  Exporter& operator=(const Exporter&) = delete;

  int port() const;  // the one that is bound, when 0 was asked for

 private:
  struct Inside;
  Exporter();
  std::unique_ptr<Inside> inside_;
};

}  // namespace headgate::monitor
