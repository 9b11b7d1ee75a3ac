// The management API on TCP, as `management` of the configuration says: TLS 1.2 or newer, and only for certificates of
// its authorities. Another configuration takes effect at once: a new server begins, the old one ends its calls.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "controlplane/api/config.pb.h"
#include "controlplane/app/credentials.h"
#include "controlplane/app/door.h"
#include "controlplane/app/events.h"

namespace headgate::app {

class RemoteDoor {
 public:
  // prepare: gives a server its service and limits.
  using Prepare = std::function<void(grpc::ServerBuilder&)>;
  RemoteDoor(Prepare prepare, Events& events) : prepare_(std::move(prepare)), events_(events) {}
  ~RemoteDoor();
  RemoteDoor(const RemoteDoor&) = delete;
  RemoteDoor& operator=(const RemoteDoor&) = delete;

  // One thread at a time. Does not wait for calls in progress.
  void adopt(const config::v1::Config& config);
  // Tries again what failed, since an address may come after us; to be called about once a second, on the same thread.
  void retry();

  // Any thread. Nothing when the peer came in elsewhere or shows no certificate; role unspecified when nobody knows it.
  std::optional<Caller> caller(const grpc::ServerContext& context) const;
  // Why it does not listen although it should; empty: it does, or should not. Any thread.
  std::string problem() const;

 private:
  using Clock = std::chrono::steady_clock;
  void apply();
  void retire();
  std::string open(const config::v1::Management& management, const Credentials& credentials);

  const Prepare prepare_;
  Events& events_;
  std::optional<config::v1::Management> wanted_;
  Clock::time_point tried_;
  std::unique_ptr<grpc::Server> server_;
  std::string running_;  // the configuration of server_, serialised
  Credentials credentials_;
  std::vector<std::future<void>> retired_;  // servers that end their calls
  mutable std::mutex mutex_;
  std::vector<config::v1::Management::Client> clients_;
  std::string problem_;
};

// "cert:anna": who it is in the log; never more than 64 printable characters of what the certificate says.
std::string user_of(const CertificateNames& names);

}  // namespace headgate::app
