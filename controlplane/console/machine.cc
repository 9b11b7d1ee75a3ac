#include "controlplane/console/machine.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "controlplane/console/interrupt.h"

namespace headgate::console {
namespace {

namespace mg = management::v1;

int print_lines(Client& client, grpc::ClientContext& context, grpc::ClientReader<mg::Line>& reader) {
  const Interrupt interrupt(&context);
  mg::Line line;
  while (reader.Read(&line)) {
    std::printf("%s\n", line.text().c_str());
    std::fflush(stdout);
  }
  const grpc::Status status = reader.Finish();
  return interrupt.asked() ? 0 : client.check(status);
}

bool agreed(const std::string& question) {
  std::fprintf(stderr, "%s [y/N] ", question.c_str());
  char answer[16] = "";
  return std::fgets(answer, sizeof answer, stdin) != nullptr && (answer[0] == 'y' || answer[0] == 'Y');
}

// 0: go on.
int ask_first(const std::string& command, const std::string& question, bool now) {
  if (now) return 0;
  if (::isatty(STDIN_FILENO) == 0) return Client::say("nobody can be asked here: write " + command + " now");
  return agreed(question) ? 0 : Client::say("nothing was done");
}

std::string bundle_name() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::localtime_r(&now, &parts);
  char stamp[32], host[65] = "headgate";
  std::strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", &parts);
  ::gethostname(host, sizeof host - 1);
  return std::string("support-") + host + "-" + stamp + ".tar.gz";
}

bool write_all(int file, const std::string& bytes) {
  for (std::size_t at = 0; at < bytes.size();) {
    const ssize_t written = ::write(file, bytes.data() + at, bytes.size() - at);
    if (written < 0) return false;
    at += static_cast<std::size_t>(written);
  }
  return true;
}

}  // namespace

int ping(Client& client, const std::string& address, unsigned count) {
  grpc::ClientContext context;
  mg::PingRequest request;
  request.set_address(address);
  request.set_count(count);
  return print_lines(client, context, *client.stub().Ping(&context, request));
}

int traceroute(Client& client, const std::string& address) {
  grpc::ClientContext context;
  mg::TracerouteRequest request;
  request.set_address(address);
  return print_lines(client, context, *client.stub().Traceroute(&context, request));
}

int restart(Client& client, const std::string& what, bool now) {
  const bool dataplane = what == "dataplane";
  const char* question = dataplane ? "Restart the dataplane? Its flows end." : "Restart the control plane?";
  if (const int code = ask_first("restart " + what, question, now)) return code;
  grpc::ClientContext context;
  Client::soon(context);
  mg::RestartRequest request;
  request.set_what(dataplane ? mg::RestartRequest::DATAPLANE : mg::RestartRequest::CONTROLPLANE);
  mg::Empty reply;
  if (const int code = client.check(client.stub().Restart(&context, request, &reply))) return code;
  std::printf("%s\n", dataplane ? "the dataplane restarts; show system says when it runs again"
                                : "the control plane restarts; forwarding goes on");
  return 0;
}

int reboot(Client& client, bool now) {
  if (const int code = ask_first("reboot", "Reboot this box? It forwards nothing until it is up again.", now))
    return code;
  grpc::ClientContext context;
  Client::soon(context);
  mg::Empty reply;
  if (const int code = client.check(client.stub().Reboot(&context, {}, &reply))) return code;
  std::printf("the box reboots\n");
  return 0;
}

int support_bundle(Client& client, const std::string& path) {
  const std::string name = path.empty() ? bundle_name() : path;
  // Readable by its owner only: it has no secrets, and still says much.
  const int file = ::open(name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return Client::say("cannot write " + name + ": " + std::strerror(errno));
  grpc::ClientContext context;
  Client::soon(context, 120);
  const Interrupt interrupt(&context);
  const auto reader = client.stub().SupportBundle(&context, {});
  mg::BundlePart part;
  std::size_t bytes = 0;
  bool written = true;
  while (reader->Read(&part)) {
    written = written && write_all(file, part.data());
    bytes += part.data().size();
  }
  const grpc::Status status = reader->Finish();
  written = ::close(file) == 0 && written;
  if (!status.ok() || !written) ::unlink(name.c_str());
  if (!status.ok()) return interrupt.asked() ? Client::say("ended; nothing was written") : client.check(status);
  if (!written) return Client::say("cannot write " + name + ": is the disk full?");
  std::printf("%s: %zu bytes\n", name.c_str(), bytes);
  return 0;
}

}  // namespace headgate::console
