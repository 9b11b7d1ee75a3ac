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
  const auto line = [look = client.look()](const char* label, const std::string& text) {
    std::fputs(field(label, 15, text, look).c_str(), stdout);
  };
  line("version", reply.version());
  line("uptime", duration(reply.uptime_s() * 1000));
  line("configuration", describe(reply.revision()));
  line("dataplane", !reply.dataplane_connected() ? "DOES NOT ANSWER"
                    : reply.in_sync()            ? "runs this configuration"
                                                 : "does not run this configuration yet");
  line("backends", std::to_string(reply.backends()) + ", " + std::to_string(reply.backends_down()) + " down");
  if (reply.problem_size() == 0) line("problems", "none");
  for (const std::string& problem : reply.problem()) line("PROBLEM", problem);
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

std::string milliseconds(std::uint32_t us) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f ms", us / 1000.0);
  return text;
}

void print_counts(const mg::SystemReply& reply, const Look& look) {
  const auto line = [&look](const char* label, const std::string& text) {
    std::fputs(field(label, 8, text, look).c_str(), stdout);
  };
  const auto& probes = reply.probes();
  std::printf("\n");
  line("probes", std::to_string(probes.started()) + " started, " + std::to_string(probes.succeeded()) + " succeeded, " +
                     std::to_string(probes.failed()) + " failed, " + std::to_string(probes.not_made()) +
                     " could not be made, " + std::to_string(probes.under_way()) + " under way");
  line("late", std::to_string(probes.late()) + " by more than a twentieth of their interval, at most " +
                   milliseconds(probes.lag_max_us()));
  const auto& push = reply.push();
  line("pushed", std::to_string(push.snapshots()) + " snapshots, " + std::to_string(push.updates()) +
                     " updates; from verdict to workers last " + milliseconds(push.delay_last_us()) + ", at most " +
                     milliseconds(push.delay_max_us()));
}

}  // namespace

int show_backends(Client& client) {
  grpc::ClientContext context;
  Client::soon(context);
  mg::BackendsReply reply;
  if (const int code = client.check(client.stub().Backends(&context, {}, &reply))) return code;
  if (client.json()) return print_json(reply);
  Table table({"BACKEND", "POOL", "ADDRESS", "!STATE", ">SINCE", ">WEIGHT", ">PROBE", ">?PROBED", "WHY"});
  for (const auto& backend : reply.backend()) {
    table.row({backend.name(), backend.pool(), backend.address(), state_of(backend), ago(backend.since_s()),
               std::to_string(backend.weight_configured()), probe_of(backend),
               backend.last_probe_s() == 0 ? "-" : ago(backend.last_probe_s()), why_of(backend)});
  }
  print(table, client.look());
  return 0;
}

int show_health(Client& client) {
  grpc::ClientContext context;
  Client::soon(context);
  mg::SystemReply reply;
  if (const int code = client.check(client.stub().System(&context, {}, &reply))) return code;
  if (client.json()) return print_json(reply);
  Table table({"POOL", ">HEALTHY", ">BACKENDS", ">MINIMUM", "!STATE"});
  for (const auto& pool : reply.pool()) {
    const std::string state = pool.below_minimum()   ? "BELOW MINIMUM"
                              : pool.healthy() == 0  ? "NONE SERVES"
                              : pool.backups_serve() ? "backups serve"
                                                     : "ok";
    table.row({pool.name(), std::to_string(pool.healthy()), std::to_string(pool.backends()),
               pool.minimum_healthy() == 0 ? "none" : std::to_string(pool.minimum_healthy()), state});
  }
  print(table, client.look());
  print_counts(reply, client.look());
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
  print(table, client.look());
  return 0;
}

int show_configuration(Client& client, std::uint64_t revision, bool as_set_commands) {
  grpc::ClientContext context;
  Client::soon(context);
  mg::ConfigRequest request;
  request.set_revision(revision);
  request.set_set_commands(as_set_commands);
  mg::ConfigReply reply;
  if (const int code = client.check(client.stub().GetConfig(&context, request, &reply))) return code;
  if (!as_set_commands) {  // canonical already, but secrets are for files and commits, not for screens
    const auto schema = client.schema();
    if (!schema) return client.say(schema.error().message);
    if ((*schema)->may_hold_secrets(reply.text())) {
      const auto message = (*schema)->parse(reply.text());
      if (!message) return client.say(message.error().message);
      reply.set_text(config::print(**message, config::Secrets::redacted));
    }
  }
  if (client.json()) return print_json(reply);
  std::fputs(reply.text().c_str(), stdout);
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
      char milli[8];
      std::snprintf(milli, sizeof milli, ".%03d", static_cast<int>(event.time_ms() % 1000));
      std::string label = local_time(event.time_ms() / 1000) + milli + " " + event.kind() + " ";
      label.resize(std::max(label.size(), std::size_t{34}), ' ');
      std::fputs(field(label, label.size(), event.text(), client.look()).c_str(), stdout);
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
  Client::soon(context, 40);  // both boxes of a pair
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
