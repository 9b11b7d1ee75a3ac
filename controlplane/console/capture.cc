#include "controlplane/console/capture.h"

#include <cstdio>
#include <ctime>
#include <memory>

#include "controlplane/console/interrupt.h"
#include "controlplane/console/pcap_file.h"

namespace headgate::console {

std::string capture_line(const pb::CapturedPacket& packet) {
  const auto seconds = static_cast<std::time_t>(packet.time_ns() / 1'000'000'000);
  std::tm local{};
  localtime_r(&seconds, &local);
  char time[32];
  std::snprintf(time, sizeof time, "%02d:%02d:%02d.%06llu", local.tm_hour, local.tm_min, local.tm_sec,
                static_cast<unsigned long long>(packet.time_ns() / 1000 % 1'000'000));
  std::string line = time;
  line += " " + packet.summary() + " " + std::to_string(packet.length()) + " bytes, " + packet.port() + ", worker " +
          std::to_string(packet.worker()) + ": " + packet.verdict();
  if (!packet.drop_reason().empty()) line += ", " + packet.drop_reason();
  return line;
}

int capture(Client& client, const pb::CaptureRequest& request, const std::string& path) {
  std::unique_ptr<PcapFile> file;
  if (!path.empty()) {
    file = std::make_unique<PcapFile>(path);
    if (!file->good()) {
      std::fprintf(stderr, "headgate: cannot write %s\n", path.c_str());
      return 1;
    }
  }
  grpc::ClientContext context;
  const Interrupt interrupt(&context);
  const auto stream = client.stub().Capture(&context, request);
  pb::CapturedPacket packet;
  std::uint64_t seen = 0;
  while (stream->Read(&packet)) {
    ++seen;
    if (file) {
      file->frame(packet.time_ns(), packet.data(), packet.length());
      file->flush();
    } else if (client.json()) {
      print_json(packet);
    } else {
      std::printf("%s\n", capture_line(packet).c_str());
      std::fflush(stdout);
    }
  }
  const grpc::Status status = stream->Finish();
  const int code = interrupt.asked() ? 0 : client.check(status);
  std::fprintf(stderr, "%llu packets captured, %llu lost\n", static_cast<unsigned long long>(seen),
               static_cast<unsigned long long>(packet.lost()));
  return code;
}

}  // namespace headgate::console
