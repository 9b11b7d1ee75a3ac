#include "controlplane/app/replies.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <ctime>
#include <map>

#include "controlplane/app/daemon.h"
#include "controlplane/config/print.h"
#include "controlplane/config/secrets.h"

namespace headgate::app {
namespace {

namespace pb = management::v1;

constexpr std::size_t kBundleRevisions = 10;

void add_file(const google::protobuf::FileDescriptor* file, google::protobuf::FileDescriptorSet& out) {
  for (const auto& known : out.file()) {
    if (known.name() == file->name()) return;
  }
  for (int i = 0; i < file->dependency_count(); ++i) add_file(file->dependency(i), out);
  file->CopyTo(out.add_file());
}

std::string utc(std::int64_t unix_s) {
  const auto time = static_cast<std::time_t>(unix_s);
  std::tm parts{};
  ::gmtime_r(&time, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

std::string json(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  std::string text;
  static_cast<void>(google::protobuf::util::MessageToJsonString(message, &text, options));
  return text;
}

void add_history(Daemon& daemon, BundleState& state) {
  std::string list;
  std::size_t texts = 0;
  for (const config::Revision& revision : daemon.configuration().history().list()) {
    list += std::to_string(revision.number) + " " + utc(revision.time_s) + " " + revision.user + " " +
            (revision.stands() ? "" : "(not confirmed) ") + revision.comment + "\n";
    const auto text = daemon.configuration().history().text(revision.number);
    if (!text) continue;
    const config::Document document = config::parse("", *text);
    const auto secrets = config::secrets_in(document.config);
    state.secrets.insert(state.secrets.end(), secrets.begin(), secrets.end());
    if (texts++ < kBundleRevisions && document.readable) {
      state.files.emplace_back("configuration/" + std::to_string(revision.number) + ".txtpb",
                               config::print(document.config, config::Secrets::redacted));
    }
  }
  state.files.emplace_back("configuration/history.txt", list);
  std::sort(state.secrets.begin(), state.secrets.end(),
            [](const auto& a, const auto& b) { return a.size() != b.size() ? a.size() > b.size() : a < b; });
  state.secrets.erase(std::unique(state.secrets.begin(), state.secrets.end()), state.secrets.end());
}

}  // namespace

void fill(const config::Revision& from, std::uint64_t rolls_back_in_s, pb::Revision* out) {
  out->set_number(from.number);
  out->set_time_s(from.time_s);
  out->set_user(from.user);
  out->set_comment(from.comment);
  out->set_digest(from.digest);
  out->set_rolls_back_in_s(static_cast<std::uint32_t>(rolls_back_in_s));
  out->set_rolled_back_from(from.rolled_back_from);
}

void fill(const std::vector<config::Diagnostic>& from, google::protobuf::RepeatedPtrField<pb::Diagnostic>* out) {
  for (const config::Diagnostic& diagnostic : from) {
    auto* d = out->Add();
    d->set_warning(diagnostic.severity == config::Severity::warning);
    d->set_file(diagnostic.file);
    d->set_line(diagnostic.location.line);
    d->set_column(diagnostic.location.column);
    d->set_message(diagnostic.message);
    d->set_path(diagnostic.path);
  }
}

void fill(const Event& from, pb::Event* out) {
  out->set_number(from.number);
  out->set_time_ms(from.time_ms);
  out->set_kind(from.kind);
  out->set_text(from.text);
  out->set_severity(static_cast<std::uint32_t>(from.severity));
  out->set_user(from.user);
}

config::FlowsNow flows_of(const dataplane::v1::StatsReply& stats) {
  const auto written = [](const std::string& name) { return name.substr(0, name.find('/')); };
  config::FlowsNow flows;
  flows.known = true;
  std::map<std::uint32_t, std::string> pools;
  for (const auto& pool : stats.pool()) pools[pool.id()] = written(pool.name());
  for (const auto& service : stats.service()) flows.services[written(service.name())] += service.traffic().flows_now();
  for (const auto& backend : stats.backend())
    flows.backends[{pools[backend.pool_id()], written(backend.name())}] += backend.traffic().flows_now();
  return flows;
}

pb::CommitReply::Outcome outcome_of(Verdict::Kind kind) {
  switch (kind) {
    case Verdict::Kind::committed:
      return pb::CommitReply::COMMITTED;
    case Verdict::Kind::invalid:
      return pb::CommitReply::INVALID;
    case Verdict::Kind::conflict:
      return pb::CommitReply::CONFLICT;
    case Verdict::Kind::not_written:
      return pb::CommitReply::NOT_WRITTEN;
    case Verdict::Kind::peer:
      return pb::CommitReply::PEER;
    case Verdict::Kind::unchanged:
      return pb::CommitReply::UNCHANGED;
  }
  return pb::CommitReply::INVALID;
}

const char* name_of(pb::SetBackendRequest::State state) {
  return state == pb::SetBackendRequest::ENABLE  ? "enabled"
         : state == pb::SetBackendRequest::DRAIN ? "drained"
                                                 : "disabled";
}

void fill(google::protobuf::FileDescriptorSet& out) {
  add_file(config::v1::Config::descriptor()->file(), out);
}

BundleState bundle_state(Daemon& daemon, const std::string& log) {
  BundleState state;
  pb::SystemReply system;
  daemon.describe(system);
  fill(daemon.configuration().revision(), daemon.configuration().rolls_back_in_s(machine_now()).value_or(0),
       system.mutable_revision());
  state.files.emplace_back("version.txt", system.version() + "\n");
  state.files.emplace_back("system.json", json(system));
  pb::BackendsReply backends;
  daemon.describe(backends);
  state.files.emplace_back("backends.json", json(backends));
  pb::FailoverReply failover;
  daemon.failover().describe(failover);
  state.files.emplace_back("failover.json", json(failover));
  state.files.emplace_back("configuration/running.txtpb",
                           config::print(daemon.configuration().config(), config::Secrets::redacted));
  add_history(daemon, state);
  std::string events;
  for (const Event& event : daemon.events().last(Events::kKept))
    events += utc(event.time_ms / 1000) + " " + event.kind + " " + event.text + "\n";
  state.files.emplace_back("events.txt", events);
  state.files.emplace_back("controlplane/log.txt", log);
  return state;
}

}  // namespace headgate::app
