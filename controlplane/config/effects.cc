#include "controlplane/config/effects.h"

#include <google/protobuf/descriptor.h>

#include <map>
#include <set>

#include "controlplane/config/tree.h"

namespace headgate::config {
namespace {

using google::protobuf::FieldDescriptor;

// "pool web": the entry of a top-level list that a line is about, or the top-level field.
std::string subject(const Words& words) {
  const FieldDescriptor* field = v1::Config::descriptor()->FindFieldByName(words[0]);
  const bool list = field != nullptr && field->is_repeated() && words.size() > 1;
  return list ? words[0] + " " + join({words[1]}) : words[0];
}

std::string many(std::size_t n, const std::string& what) {
  return std::to_string(n) + " " + what + (n == 1 ? "" : "s");
}

const char* fate_of_flows(const v1::Pool& pool) {
  switch (pool.on_removal()) {
    case v1::Pool::RESET:
      return "its flows are reset";
    case v1::Pool::REHASH:
      return "its flows move to other backends";
    default:
      return "its flows go on until they end";
  }
}

const v1::Pool* pool_named(const v1::Config& config, const std::string& name) {
  for (const v1::Pool& pool : config.pool()) {
    if (pool.name() == name) return &pool;
  }
  return nullptr;
}

const v1::Backend* backend_named(const v1::Pool& pool, const std::string& name) {
  for (const v1::Backend& backend : pool.backend()) {
    if (backend.name() == name) return &backend;
  }
  return nullptr;
}

void backends(const v1::Config& before, const v1::Config& after, std::vector<std::string>& out) {
  for (const v1::Pool& pool : before.pool()) {
    const v1::Pool* now = pool_named(after, pool.name());
    for (const v1::Backend& backend : pool.backend()) {
      const v1::Backend* then = now == nullptr ? nullptr : backend_named(*now, backend.name());
      const std::string name = "pool " + pool.name() + " backend " + backend.name();
      if (then == nullptr) {
        out.push_back(name + ": removed; " + fate_of_flows(now == nullptr ? pool : *now));
      } else if (then->drain() && !backend.drain()) {
        out.push_back(name + ": drained; its flows go on, it gets no new ones");
      }
    }
  }
}

}  // namespace

std::vector<std::string> effects(const v1::Config& before, const v1::Config& after) {
  const std::vector<Words> old_lines = flatten(before), new_lines = flatten(after);
  const std::set<Words> was(old_lines.begin(), old_lines.end()), is(new_lines.begin(), new_lines.end());
  std::set<std::string> existed, exists;
  std::map<std::string, std::size_t> changed;
  std::vector<std::string> order;
  const auto note = [&](const Words& words, bool difference) {
    const std::string what = subject(words);
    if (!difference) return;
    if (changed[what]++ == 0) order.push_back(what);
  };
  for (const Words& words : old_lines) existed.insert(subject(words));
  for (const Words& words : new_lines) exists.insert(subject(words));
  for (const Words& words : new_lines) note(words, !was.contains(words));
  for (const Words& words : old_lines) note(words, !is.contains(words));
  std::vector<std::string> out;
  for (const std::string& what : order) {
    if (!existed.contains(what)) {
      out.push_back(what + ": added");
    } else if (!exists.contains(what)) {
      out.push_back(what + ": removed");
    } else {
      out.push_back(what + ": " + many(changed[what], "line") + " changed");
    }
  }
  backends(before, after, out);
  return out;
}

}  // namespace headgate::config
