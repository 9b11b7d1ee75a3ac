#include "controlplane/app/support_bundle.h"

#include <google/protobuf/util/json_util.h>
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <chrono>
#include <ctime>
#include <fstream>
#include <sstream>

#include "controlplane/config/secrets.h"
#include "controlplane/system/archive.h"
#include "controlplane/system/program.h"

namespace headgate::app {
namespace {

namespace dp = dataplane::v1;
using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kCallWait{5}, kProgramTime{5};
constexpr std::uint32_t kFlowsMax = 1000;  // a sample

struct NamedProgram {
  const char* file;
  std::vector<std::string> command;
};

const std::vector<NamedProgram>& programs() {
  static const std::vector<NamedProgram> list = {
      {"kernel/addresses.txt", {"ip", "-d", "address"}},
      {"kernel/links.txt", {"ip", "-s", "-d", "link"}},
      {"kernel/routes.txt", {"ip", "-4", "route", "show", "table", "all"}},
      {"kernel/routes6.txt", {"ip", "-6", "route", "show", "table", "all"}},
      {"kernel/rules.txt", {"ip", "rule"}},
      {"kernel/neighbors.txt", {"ip", "-s", "neighbor"}},
      {"kernel/sockets.txt", {"ss", "-tuanp"}},
      {"kernel/dmesg.txt", {"dmesg", "-T"}},
      {"kernel/disks.txt", {"df", "-h"}},
      {"processes.txt", {"ps", "-eo", "pid,ppid,user,cls,rtprio,ni,stat,pcpu,pmem,rss,etime,comm"}},
      {"journal.txt", {"journalctl", "--no-pager", "-n", "5000", "-u", "headgate*"}},
  };
  return list;
}

constexpr const char* kFiles[][2] = {
    {"kernel/version.txt", "/proc/version"},
    {"kernel/cmdline.txt", "/proc/cmdline"},
    {"kernel/meminfo.txt", "/proc/meminfo"},
    {"kernel/cpuinfo.txt", "/proc/cpuinfo"},
    {"kernel/uptime.txt", "/proc/uptime"},
    {"kernel/loadavg.txt", "/proc/loadavg"},
    {"kernel/mounts.txt", "/proc/mounts"},
    {"kernel/interrupts.txt", "/proc/interrupts"},
    {"kernel/net_dev.txt", "/proc/net/dev"},
    {"kernel/snmp.txt", "/proc/net/snmp"},
    {"controlplane/status.txt", "/proc/self/status"},
    {"controlplane/limits.txt", "/proc/self/limits"},
    {"os-release.txt", "/etc/os-release"},
};

class Bundle {
 public:
  explicit Bundle(const std::vector<std::string>& secrets) : secrets_(secrets), archive_(folder()) {}

  void add(const std::string& name, const std::string& content) {
    archive_.add(name, config::without(secrets_, content));
  }
  void add_file(const std::string& name, const std::string& path) {
    std::ifstream file(path);
    if (!file) return archive_.note(name + ": " + path + " cannot be read");
    std::ostringstream text;
    text << file.rdbuf();
    add(name, text.str());
  }
  void add_output(const NamedProgram& program) {
    if (late()) return archive_.note(std::string(program.file) + ": there was no time left");
    add(program.file,
        system::output_of(
            {.command = program.command, .time_max = kProgramTime, .output_max = system::kArchiveFileMax}));
  }
  // What `call` of the dataplane answers.
  template <class Reply, class Call>
  void add_reply(const std::string& name, Call call) {
    if (late() || away_) return archive_.note(name + ": the dataplane does not answer");
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kCallWait);
    Reply reply;
    if (const grpc::Status status = call(context, reply); !status.ok()) {
      away_ = status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED;  // the next would wait as long
      return archive_.note(name + ": the dataplane does not answer: " + status.error_message());
    }
    std::string text;
    google::protobuf::util::JsonPrintOptions options;
    options.add_whitespace = true;
    options.preserve_proto_field_names = true;
    if (google::protobuf::util::MessageToJsonString(reply, &text, options).ok()) add(name, text);
  }
  std::string finish() { return archive_.finish(); }

 private:
  static std::string folder() {
    char host[65] = "box", stamp[32];
    ::gethostname(host, sizeof host - 1);
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    ::gmtime_r(&now, &parts);
    std::strftime(stamp, sizeof stamp, "-%Y%m%dT%H%M%SZ", &parts);
    return std::string("headgate-") + host + stamp;
  }
  bool late() const { return Clock::now() > end_; }

  const std::vector<std::string>& secrets_;
  system::Archive archive_;
  bool away_ = false;
  const Clock::time_point end_ = Clock::now() + kBundleTime;
};

}  // namespace

std::string make_bundle(const BundleState& state, dp::Dataplane::Stub& dataplane, const std::string& run_dir) {
  Bundle bundle(state.secrets);
  for (const auto& [name, content] : state.files) bundle.add(name, content);
  bundle.add_reply<dp::RunningReply>(
      "dataplane/running.json", [&](auto& context, auto& reply) { return dataplane.Running(&context, {}, &reply); });
  bundle.add_reply<dp::StatsReply>("dataplane/stats.json",
                                   [&](auto& context, auto& reply) { return dataplane.Stats(&context, {}, &reply); });
  bundle.add_reply<dp::NeighborsReply>("dataplane/neighbors.json", [&](auto& context, auto& reply) {
    return dataplane.Neighbors(&context, {}, &reply);
  });
  bundle.add_reply<dp::FlowsReply>("dataplane/flows.json", [&](auto& context, auto& reply) {
    dp::FlowFilter filter;
    filter.set_limit(kFlowsMax);
    return dataplane.ListFlows(&context, filter, &reply);
  });
  bundle.add_reply<dp::ConnectionsReply>("dataplane/sessions.json", [&](auto& context, auto& reply) {
    dp::FlowFilter filter;
    filter.set_limit(kFlowsMax);
    const grpc::Status status = dataplane.ListConnections(&context, filter, &reply);
    for (auto& session : *reply.mutable_connection()) session.clear_request();  // clients' own business
    return status;
  });
  for (const auto& [name, path] : kFiles) bundle.add_file(name, path);
  if (!run_dir.empty()) bundle.add_file("supervisor.status.txt", run_dir + "/supervisor.status");
  for (const NamedProgram& program : programs()) bundle.add_output(program);
  return bundle.finish();
}

}  // namespace headgate::app
