#include "controlplane/console/manage.h"

#include <algorithm>
#include <ctime>
#include <optional>

#include "controlplane/config/print.h"
#include "controlplane/console/candidate.h"
#include "controlplane/console/interrupt.h"
#include "controlplane/console/names.h"
#include "controlplane/console/table.h"

namespace headgate::console {
namespace {

namespace mg = management::v1;

std::string local_time(std::int64_t unix_s) {
  if (unix_s == 0) return "-";
  const auto time = static_cast<std::time_t>(unix_s);
  std::tm parts{};
  ::localtime_r(&time, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts);
  return text;
}

std::string ago(std::int64_t unix_s) {
  if (unix_s == 0) return "-";
  return duration(static_cast<std::uint64_t>(std::max<std::int64_t>(0, std::time(nullptr) - unix_s)) * 1000);
}

}  // namespace

std::string describe(const mg::Revision& revision) {
  std::string text =
      "revision " + std::to_string(revision.number()) + ", " + local_time(revision.time_s()) + ", " + revision.user();
  if (!revision.comment().empty()) text += ": " + revision.comment();
  if (revision.rolls_back_in_s() != 0)
    text += " (goes back in " + duration(revision.rolls_back_in_s() * std::uint64_t{1000}) + " unless confirmed)";
  return text;
}

int show_system(Client& client) {
  grpc::ClientContext context;
  Client::soon(context);
  mg::SystemReply reply;
  if (const int code = client.check(client.stub().System(&context, {}, &reply))) return code;
  if (client.json()) return print_json(reply);
  std::printf(
      "version        %s\nuptime         %s\nconfiguration  %s\ndataplane      %s\nbackends       %u, %u down\n",
      reply.version().c_str(), duration(reply.uptime_s() * 1000).c_str(), describe(reply.revision()).c_str(),
      !reply.dataplane_connected() ? "DOES NOT ANSWER"
      : reply.in_sync()            ? "runs this configuration"
                                   : "does not run this configuration yet",
      reply.backends(), reply.backends_down());
  if (reply.problem_size() == 0) {
    std::printf("problems       none\n");
  } else {
    for (const std::string& problem : reply.problem()) std::printf("PROBLEM        %s\n", problem.c_str());
  }
  return 0;
}

namespace {

std::string state_of(const mg::BackendState& backend) {
  if (backend.admin() == "disabled") return "disabled";
  if (!backend.up()) return backend.health() == "unknown" ? "waits" : "DOWN";
  if (backend.admin() == "drain") return "drain";
  return backend.note().starts_with("backup") ? "standby" : "up";
}

std::string probe_of(const mg::BackendState& backend) {
  if (!backend.probed()) return "none";
  if (backend.last_probe_s() == 0) return "not yet";
  return backend.last_success() ? std::to_string(backend.latency_us()) + "us" : "failed";
}

// What holds it back now, or what the last probe met, or how it came to be what it is.
std::string why_of(const mg::BackendState& backend) {
  if (!backend.note().empty()) return backend.note();
  const bool news = !backend.last_success() && !backend.last_error().empty() &&
                    backend.cause().find(backend.last_error()) == std::string::npos;
  return news ? backend.last_error() : backend.cause();
}

}  // namespace

int show_backends(Client& client) {
  grpc::ClientContext context;
  Client::soon(context);
  mg::BackendsReply reply;
  if (const int code = client.check(client.stub().Backends(&context, {}, &reply))) return code;
  if (client.json()) return print_json(reply);
  Table table({"BACKEND", "POOL", "ADDRESS", "STATE", ">SINCE", ">WEIGHT", ">PROBE", "WHY"});
  for (const auto& backend : reply.backend()) {
    table.row({backend.name(), backend.pool(), backend.address(), state_of(backend), ago(backend.since_s()),
               std::to_string(backend.weight_configured()), probe_of(backend), why_of(backend)});
  }
  print(table);
  return 0;
}

int show_health(Client& client) {
  grpc::ClientContext context;
  Client::soon(context);
  mg::SystemReply reply;
  if (const int code = client.check(client.stub().System(&context, {}, &reply))) return code;
  if (client.json()) return print_json(reply);
  Table table({"POOL", ">HEALTHY", ">BACKENDS", ">MINIMUM", "STATE"});
  for (const auto& pool : reply.pool()) {
    const std::string state = pool.below_minimum()   ? "BELOW MINIMUM"
                              : pool.healthy() == 0  ? "NONE SERVES"
                              : pool.backups_serve() ? "backups serve"
                                                     : "ok";
    table.row({pool.name(), std::to_string(pool.healthy()), std::to_string(pool.backends()),
               pool.minimum_healthy() == 0 ? "none" : std::to_string(pool.minimum_healthy()), state});
  }
  print(table);
  const auto& probes = reply.probes();
  std::printf("\nprobes  %llu started, %llu succeeded, %llu failed, %llu could not be made, %u under way\n",
              static_cast<unsigned long long>(probes.started()), static_cast<unsigned long long>(probes.succeeded()),
              static_cast<unsigned long long>(probes.failed()), static_cast<unsigned long long>(probes.not_made()),
              probes.under_way());
  std::printf("late    %llu by more than a twentieth of their interval, at most %.1f ms\n",
              static_cast<unsigned long long>(probes.late()), probes.lag_max_us() / 1000.0);
  const auto& push = reply.push();
  std::printf("pushed  %llu snapshots, %llu updates; from verdict to workers last %.1f ms, at most %.1f ms\n",
              static_cast<unsigned long long>(push.snapshots()), static_cast<unsigned long long>(push.updates()),
              push.delay_last_us() / 1000.0, push.delay_max_us() / 1000.0);
  return 0;
}

int show_commits(Client& client) {
  grpc::ClientContext context;
  Client::soon(context);
  mg::HistoryReply reply;
  if (const int code = client.check(client.stub().History(&context, {}, &reply))) return code;
  if (client.json()) return print_json(reply);
  Table table({">REVISION", "TIME", "USER", "COMMENT"});
  for (const auto& revision : reply.revision()) {
    std::string comment = revision.comment();
    if (revision.rolls_back_in_s() != 0)
      comment =
          "NOT CONFIRMED, goes back in " + duration(revision.rolls_back_in_s() * std::uint64_t{1000}) + "; " + comment;
    table.row({std::to_string(revision.number()), local_time(revision.time_s()), revision.user(), comment});
  }
  print(table);
  return 0;
}

int show_configuration(Client& client, std::uint64_t revision, bool as_set_commands) {
  grpc::ClientContext context;
  Client::soon(context);
  mg::ConfigRequest request;
  request.set_revision(revision);
  mg::ConfigReply reply;
  if (const int code = client.check(client.stub().GetConfig(&context, request, &reply))) return code;
  const auto schema = client.schema();
  if (!schema) return client.say(schema.error().message);
  // The text is canonical. Secrets are for files and commits, not for screens.
  if (!as_set_commands && !(*schema)->may_hold_secrets(reply.text())) {
    if (client.json()) return print_json(reply);
    std::fputs(reply.text().c_str(), stdout);
    return 0;
  }
  const auto message = (*schema)->parse(reply.text());
  if (!message) return client.say(message.error().message);
  // Secrets are for files and commits, not for screens.
  if (client.json()) {
    reply.set_text(config::print(**message, config::Secrets::redacted));
    return print_json(reply);
  }
  const std::string text =
      as_set_commands ? config::set_commands(**message) : config::print(**message, config::Secrets::redacted);
  std::fputs(text.c_str(), stdout);
  return 0;
}

int show_log(Client& client, unsigned lines, bool follow) {
  grpc::ClientContext context;
  std::optional<Interrupt> interrupt;  // only one can be: without `follow` it may be watch's
  if (follow) interrupt.emplace(&context);
  mg::EventsRequest request;
  request.set_limit(lines);
  request.set_follow(follow);
  const auto stream = client.stub().Events(&context, request);
  mg::Event event;
  while (stream->Read(&event)) {
    if (client.json()) {
      print_json(event);
    } else {
      std::printf("%s.%03lld %-9s %s\n", local_time(event.time_ms() / 1000).c_str(),
                  static_cast<long long>(event.time_ms() % 1000), event.kind().c_str(), event.text().c_str());
    }
    std::fflush(stdout);
  }
  const grpc::Status status = stream->Finish();
  return interrupt && interrupt->asked() ? 0 : client.check(status);
}

int set_backend(Client& client, const std::string& name, const std::string& state) {
  grpc::ClientContext context;
  Client::soon(context);
  mg::SetBackendRequest request;
  const std::size_t slash = name.find('/');
  if (slash != std::string::npos) request.set_pool(name.substr(0, slash));
  request.set_backend(slash == std::string::npos ? name : name.substr(slash + 1));
  request.set_state(state == "drain"     ? mg::SetBackendRequest::DRAIN
                    : state == "disable" ? mg::SetBackendRequest::DISABLE
                                         : mg::SetBackendRequest::ENABLE);
  mg::Empty reply;
  return client.check(client.stub().SetBackend(&context, request, &reply));
}

int confirm(Client& client) {
  grpc::ClientContext context;
  Client::soon(context);
  mg::ConfirmReply reply;
  if (const int code = client.check(client.stub().Confirm(&context, {}, &reply))) return code;
  std::printf("%s: stands\n", describe(reply.revision()).c_str());
  return 0;
}

std::vector<std::string> service_names(Client& client) {
  std::vector<std::string> names;
  grpc::ClientContext context;
  Client::soon(context, 1);
  pb::StatsReply reply;
  if (!client.stub().Stats(&context, {}, &reply).ok()) return names;
  for (const auto& service : reply.service()) {
    const std::string name = written_name(service.name());
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  return names;
}

std::vector<std::string> backend_names(Client& client) {
  std::vector<std::string> names;
  grpc::ClientContext context;
  Client::soon(context, 1);
  mg::BackendsReply reply;
  if (!client.stub().Backends(&context, {}, &reply).ok()) return names;
  for (const auto& backend : reply.backend()) {
    const std::string name = written_name(backend.pool()) + "/" + backend.name();
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  return names;
}

}  // namespace headgate::console
