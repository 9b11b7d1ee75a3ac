#include "controlplane/monitor/page.h"

#include <cstdio>

namespace headgate::monitor {
namespace {

// A label's value: backslash, quote and line end are escaped.
std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.17g", value);
  return text;
}

std::string short_number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

Labels with_bound(const Labels& labels, const std::string& bound) {
  Labels out = labels;
  out.emplace_back("le", bound);
  return out;
}

}  // namespace

void Page::gauge(const std::string& name, const std::string& help, const Labels& labels, double value) {
  add("gauge", name, help, labels, number(value));
}

void Page::counter(const std::string& name, const std::string& help, const Labels& labels, std::uint64_t value) {
  add("counter", name, help, labels, std::to_string(value));
}

void Page::histogram(const std::string& name, const std::string& help, const Labels& labels,
                     const std::vector<Bucket>& buckets, std::uint64_t beyond, double sum) {
  std::uint64_t total = 0;
  for (const Bucket& bucket : buckets) {
    total += bucket.count;
    add("histogram", name, help, with_bound(labels, short_number(bucket.up_to)), std::to_string(total), "_bucket");
  }
  total += beyond;
  add("histogram", name, help, with_bound(labels, "+Inf"), std::to_string(total), "_bucket");
  add("histogram", name, help, labels, number(sum), "_sum");
  add("histogram", name, help, labels, std::to_string(total), "_count");
}

std::string Page::take() const {
  std::string text;
  for (const std::string& name : order_) text += families_.at(name);
  return text;
}

void Page::add(const char* type, const std::string& name, const std::string& help, const Labels& labels,
               const std::string& value, const char* suffix) {
  std::string& family = families_[name];
  if (family.empty()) {
    order_.push_back(name);
    family = "# HELP " + name + " " + help + "\n# TYPE " + name + " " + type + "\n";
  }
  family += name + suffix;
  for (std::size_t i = 0; i < labels.size(); ++i)
    family += (i == 0 ? "{" : ",") + labels[i].first + "=\"" + escaped(labels[i].second) + "\"";
  family += (labels.empty() ? " " : "} ") + value + "\n";
}

}  // namespace headgate::monitor
