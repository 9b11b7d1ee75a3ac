// A page of metrics in Prometheus' text exposition format 0.0.4.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace headgate::monitor {

using Labels = std::vector<std::pair<std::string, std::string>>;

// Families in the order of their first sample, each with its samples together, as the format demands.
class Page {
 public:
  void gauge(const std::string& name, const std::string& help, const Labels& labels, double value);
  void counter(const std::string& name, const std::string& help, const Labels& labels, std::uint64_t value);
  struct Bucket {
    double up_to;
    std::uint64_t count;  // not cumulative
  };
  void histogram(const std::string& name, const std::string& help, const Labels& labels,
                 const std::vector<Bucket>& buckets, std::uint64_t beyond, double sum);
  std::string take() const;

 private:
  void add(const char* type, const std::string& name, const std::string& help, const Labels& labels,
           const std::string& value, const char* suffix = "");

  std::vector<std::string> order_;
  std::map<std::string, std::string> families_;
};

}  // namespace headgate::monitor
