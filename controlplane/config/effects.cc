#include "controlplane/config/effects.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "controlplane/config/pool_use.h"
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

constexpr std::size_t kRoutesTold = 20;  // of one service; the rest is counted

constexpr const char* kGoOn = "go on until they end";

// As the dataplane does it (worker/removal.cc): a TCP connection cannot move to another server.
const char* fate_of_flows(const v1::Pool& pool) {
  switch (pool.on_removal()) {
    case v1::Pool::RESET:
      return "are reset";
    case v1::Pool::REHASH:
      return "are reset (TCP) or move to other backends (UDP)";
    default:
      return kGoOn;
  }
}

template <class Entries>
auto named(const Entries& entries, const std::string& name) {
  const auto found =
      std::find_if(entries.begin(), entries.end(), [&](const auto& entry) { return entry.name() == name; });
  return found == entries.end() ? nullptr : &*found;
}

// The same for many questions about a long list.
template <class Entry>
class Index {
 public:
  explicit Index(const google::protobuf::RepeatedPtrField<Entry>& entries) {
    for (const Entry& entry : entries) entries_.emplace(entry.name(), &entry);
  }
  const Entry* named(const std::string& name) const {
    const auto found = entries_.find(name);
    return found == entries_.end() ? nullptr : found->second;
  }

 private:
  std::unordered_map<std::string_view, const Entry*> entries_;
};

struct Indexed {
  explicit Indexed(const v1::Config& config) : services(config.service()), pools(config.pool()) {}
  Index<v1::Service> services;
  Index<v1::Pool> pools;
};

// One text per line, for sets. No word has this byte.
std::string whole(const Words& words) {
  std::string text;
  for (const std::string& word : words) (text += word) += '\0';
  return text;
}

template <class Key>
std::string flows_that(const FlowsNow& flows, const std::map<Key, std::uint64_t>& counts, const Key& key,
                       const std::string& fate) {
  if (!flows.known) return "its flows " + fate;
  const auto found = counts.find(key);
  const std::uint64_t n = found == counts.end() ? 0 : found->second;
  return "flows now: " + std::to_string(n) + (n == 0 ? "" : "; they " + fate);
}

std::set<std::string> addresses_of(const v1::Config& config) {
  std::set<std::string> all;
  for (const v1::Service& service : config.service()) all.insert(service.address().begin(), service.address().end());
  return all;
}

// Of a service that is there no more, or not under all its addresses. A flow needs no service, only that its packets
// still come here (dataplane/README.md: flows are self-contained).
std::string fate_of_service(const v1::Service& service, const Indexed& before, const Indexed& after,
                            const std::set<std::string>& kept, const std::set<std::string>& used) {
  std::vector<std::string> gone;
  for (const std::string& address : service.address()) {
    if (!kept.contains(address)) gone.push_back(address);
  }
  if (static_cast<int>(gone.size()) == service.address_size())
    return "end: this box gives up " + join(Words(gone.begin(), gone.end()));
  const v1::Pool* pool = before.pools.named(service.pool());
  const v1::Pool* now = after.pools.named(service.pool());
  const bool pool_goes = now == nullptr || !used.contains(service.pool());
  std::string fate = pool_goes && pool != nullptr ? fate_of_flows(now == nullptr ? *pool : *now) : kGoOn;
  if (!gone.empty()) fate += ", those to " + join(Words(gone.begin(), gone.end())) + " end";
  return fate;
}

void services(const v1::Config& before, const v1::Config& after, const FlowsNow& flows, std::vector<std::string>& out) {
  const std::set<std::string> kept = addresses_of(after), used = pools_in_use(after);
  const Indexed was(before), is(after);
  for (const v1::Service& service : before.service()) {
    const v1::Service* then = is.services.named(service.name());
    std::string what;
    if (then == nullptr) {
      what = "removed";
    } else {
      const auto note = [&what](bool differs, const std::string& change) {
        if (differs) what += (what.empty() ? "" : ", ") + change;
      };
      note(then->mode() != service.mode(), "mode " + v1::Service::Mode_Name(then->mode()));
      note(then->pool() != service.pool(), "pool " + then->pool());
      note(then->port() != service.port(), "another port");
      note(then->protocol() != service.protocol(), "another protocol");
      note(!std::equal(service.address().begin(), service.address().end(), then->address().begin(),
                       then->address().end()),
           "other addresses");
      if (!what.empty()) what += " for new flows";
    }
    if (what.empty()) continue;
    out.push_back("service " + service.name() + ": " + what + "; " +
                  flows_that(flows, flows.services, service.name(), fate_of_service(service, was, is, kept, used)));
  }
}

std::string what_it_does(const v1::Service& service, const v1::Http::Route& route) {
  if (route.has_status()) return "are answered with status " + std::to_string(route.status());
  if (route.has_redirect()) return "are redirected";
  return "go to pool " + (route.has_pool() ? route.pool() : service.pool());
}

// Of services that stay: which of their routes are new, other or gone. A request takes the routes of its moment.
void routes(const v1::Config& before, const v1::Config& after, std::vector<std::string>& out) {
  const Index<v1::Service> is(after.service());
  for (const v1::Service& service : before.service()) {
    const v1::Service* then = is.named(service.name());
    if (then == nullptr) continue;
    const auto content = [](v1::Http::Route route) {
      route.clear_comment();
      return route.SerializeAsString();
    };
    std::map<std::string, std::string> was;
    for (const v1::Http::Route& route : service.http().route()) was[route.name()] = content(route);
    std::vector<std::string> lines;
    for (const v1::Http::Route& route : then->http().route()) {
      const auto old = was.find(route.name());
      if (old == was.end() || old->second != content(route)) {
        lines.push_back("route " + route.name() + ": " + (old == was.end() ? "added" : "changed") +
                        "; new requests that it takes " + what_it_does(*then, route));
      }
      if (old != was.end()) was.erase(old);
    }
    for (const auto& [name, content_then] : was)
      lines.push_back("route " + name + ": removed; new requests take other routes, or go to pool " + then->pool());
    for (std::size_t i = 0; i < lines.size() && i < kRoutesTold; ++i)
      out.push_back("service " + service.name() + " " + lines[i]);
    if (lines.size() > kRoutesTold)
      out.push_back("service " + service.name() + ": " + many(lines.size() - kRoutesTold, "more route") + " changed");
  }
}

void backends(const v1::Config& before, const v1::Config& after, const FlowsNow& flows, std::vector<std::string>& out) {
  const std::set<std::string> was_used = pools_in_use(before), used = pools_in_use(after);
  const Index<v1::Pool> is(after.pool());
  for (const v1::Pool& pool : before.pool()) {
    const v1::Pool* now = is.named(pool.name());
    const bool unused = now != nullptr && was_used.contains(pool.name()) && !used.contains(pool.name());
    for (const v1::Backend& backend : pool.backend()) {
      const v1::Backend* then = now == nullptr ? nullptr : named(now->backend(), backend.name());
      const auto say = [&](const char* what, const std::string& fate) {
        out.push_back("pool " + pool.name() + " backend " + backend.name() + ": " + what + "; " +
                      flows_that(flows, flows.backends, std::pair(pool.name(), backend.name()), fate));
      };
      if (then == nullptr) {
        say("removed", fate_of_flows(now == nullptr ? pool : *now));
      } else if (unused) {
        say("no service uses its pool any more", fate_of_flows(*now));
      } else if (then->drain() && !backend.drain()) {
        say("drained, it gets no new flows", "go on");
      } else if (then->port() != backend.port() || !std::equal(backend.address().begin(), backend.address().end(),
                                                               then->address().begin(), then->address().end())) {
        say("elsewhere for new flows", "go on where they are");
      }
    }
  }
}

// Ids hang on names (compile/expand.h), so an entry under a new name is a new one to the dataplane.
template <class Entry>
void renamed(const char* kind, const google::protobuf::RepeatedPtrField<Entry>& before,
             const google::protobuf::RepeatedPtrField<Entry>& after, std::vector<std::string>& out) {
  const Index<Entry> was(before), is(after);
  const auto nameless = [](Entry entry) {
    entry.clear_name();
    return entry.SerializeAsString();
  };
  std::map<std::string, std::string> gone;  // content -> name
  for (const auto& entry : before) {
    if (is.named(entry.name()) == nullptr) gone.emplace(nameless(entry), entry.name());
  }
  if (gone.empty()) return;
  for (const auto& entry : after) {
    if (was.named(entry.name()) != nullptr) continue;
    const auto same = gone.find(nameless(entry));
    if (same != gone.end())
      out.push_back(std::string(kind) + " " + entry.name() + ": is " + same->second +
                    " under a new name, and new to the dataplane: its counters and its health begin anew");
  }
}

void all_renamed(const v1::Config& before, const v1::Config& after, std::vector<std::string>& out) {
  renamed("interface", before.interface(), after.interface(), out);
  renamed("pool", before.pool(), after.pool(), out);
  const Index<v1::Pool> pools(before.pool());
  for (const v1::Pool& pool : after.pool()) {
    if (const v1::Pool* was = pools.named(pool.name()))
      renamed(("pool " + pool.name() + " backend").c_str(), was->backend(), pool.backend(), out);
  }
  renamed("service", before.service(), after.service(), out);
}

}  // namespace

std::vector<std::string> effects(const v1::Config& before, const v1::Config& after, const FlowsNow& flows) {
  const std::vector<Words> old_lines = flatten(before), new_lines = flatten(after);
  std::unordered_set<std::string> was, is, existed, exists;
  std::map<std::string, std::size_t> changed;
  std::vector<std::string> order;
  const auto note = [&](const Words& words, bool difference) {
    if (!difference) return;
    const std::string what = subject(words);
    if (changed[what]++ == 0) order.push_back(what);
  };
  for (const Words& words : old_lines) was.insert(whole(words)), existed.insert(subject(words));
  for (const Words& words : new_lines) is.insert(whole(words)), exists.insert(subject(words));
  for (const Words& words : new_lines) note(words, !was.contains(whole(words)));
  for (const Words& words : old_lines) note(words, !is.contains(whole(words)));
  std::vector<std::string> out;
  for (const std::string& what : order) {
    if (!existed.contains(what)) {
      out.push_back(what + ": added");
    } else if (!exists.contains(what) && what.starts_with("service ")) {
      continue;  // services() says it, with its flows
    } else if (!exists.contains(what)) {
      out.push_back(what + ": removed");
    } else {
      out.push_back(what + ": " + many(changed[what], "line") + " changed");
    }
  }
  services(before, after, flows, out);
  routes(before, after, out);
  backends(before, after, flows, out);
  all_renamed(before, after, out);
  return out;
}

}  // namespace headgate::config
