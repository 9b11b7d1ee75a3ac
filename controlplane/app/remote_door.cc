#include "controlplane/app/remote_door.h"

#include <grpc/grpc_security_constants.h>
#include <grpcpp/security/server_credentials.h>

#include <algorithm>

#include "controlplane/config/address.h"

namespace headgate::app {
namespace {

namespace pb = management::v1;
using config::v1::Management;

constexpr unsigned kPortDefault = 9443;
constexpr std::size_t kNameMax = 64;
constexpr int kHandshakeMs = 10'000;     // a connection that says nothing ends after this
constexpr int kIdleMs = 15 * 60 * 1000;  // and one that asks nothing
constexpr std::chrono::seconds kLastCalls{5}, kRetry{5};
constexpr auto kReady = std::future_status::ready;

std::vector<std::string> properties(const grpc::AuthContext& context, const char* name) {
  std::vector<std::string> values;
  for (const grpc::string_ref& value : context.FindPropertyValues(name))
    values.emplace_back(value.data(), value.size());
  return values;
}

bool fits(const Management::Client& client, const CertificateNames& names, const std::vector<std::string>& others) {
  const auto has = [](const std::vector<std::string>& list, const std::string& text) {
    return std::find(list.begin(), list.end(), text) != list.end();
  };
  const bool name =
      client.common_name().empty() || client.common_name() == names.common_name || has(others, client.common_name());
  const bool unit =
      client.organizational_unit().empty() || has(names.organizational_units, client.organizational_unit());
  return name && unit && !(client.common_name().empty() && client.organizational_unit().empty());
}

}  // namespace

std::string user_of(const CertificateNames& names) {
  std::string user = "cert:";
  for (const char c : names.common_name.substr(0, kNameMax)) user += c > 0x20 && c < 0x7f ? c : '?';
  return user;
}

RemoteDoor::~RemoteDoor() {
  retire();
  for (std::future<void>& ended : retired_) ended.wait();
}

void RemoteDoor::retire() {
  if (!server_) return;
  // Its calls may wait for the very thread we are on: another one waits for them.
  std::erase_if(retired_, [](const auto& ended) { return ended.wait_for(std::chrono::seconds(0)) == kReady; });
  retired_.push_back(std::async(std::launch::async, [old = std::move(server_)] {
    old->Shutdown(std::chrono::system_clock::now() + kLastCalls);
    old->Wait();
  }));
  running_.clear();
}

void RemoteDoor::adopt(const config::v1::Config& config) {
  wanted_ = config.has_management() ? std::optional(config.management()) : std::nullopt;
  {
    const std::scoped_lock lock(mutex_);
    const auto& clients = config.management().client();
    clients_.assign(clients.begin(), clients.end());  // at once for connections that exist
  }
  apply();
}

void RemoteDoor::retry() {
  if (!problem().empty() && Clock::now() - tried_ >= kRetry) apply();
}

void RemoteDoor::apply() {
  tried_ = Clock::now();
  std::string problem;
  if (!wanted_) {
    if (server_) events_.add("operation", "the management API no longer listens on TCP");
    retire();
  } else if (auto credentials = load_credentials(*wanted_); !credentials) {
    problem = "the management API does not listen on TCP: " + credentials.error().message;
    retire();
  } else {
    Management place = *wanted_;
    place.clear_client();
    if (server_ && running_ == place.SerializeAsString() && credentials_ == *credentials) return;
    retire();
    problem = open(*wanted_, *credentials);
    running_ = place.SerializeAsString();
    credentials_ = std::move(*credentials);
  }
  if (!problem.empty() && problem != this->problem()) events_.add("operation", problem, Severity::error);
  const std::scoped_lock lock(mutex_);
  problem_ = problem;
}

std::string RemoteDoor::open(const Management& management, const Credentials& credentials) {
  grpc::SslServerCredentialsOptions options(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_root_certs = credentials.client_ca;
  options.pem_key_cert_pairs.push_back({credentials.key, credentials.certificate});
  const unsigned port = management.has_port() ? management.port() : kPortDefault;
  const std::string where = config::endpoint_text(*config::parse_address(management.address()), port);
  grpc::ServerBuilder builder;
  int bound = 0;
  builder.AddListeningPort(where, grpc::SslServerCredentials(options), &bound);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeMs);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, kIdleMs);
  prepare_(builder);
  server_ = builder.BuildAndStart();
  if (bound == 0) server_.reset();
  if (!server_) return "the management API cannot listen on " + where + ": is the address ours and the port free?";
  events_.add("operation", "the management API listens on " + where);
  return {};
}

std::optional<Caller> RemoteDoor::caller(const grpc::ServerContext& context) const {
  const auto authenticated = context.auth_context();
  if (!authenticated || !authenticated->IsPeerAuthenticated()) return std::nullopt;
  const auto pem = properties(*authenticated, GRPC_X509_PEM_CERT_PROPERTY_NAME);
  if (pem.empty()) return std::nullopt;
  const CertificateNames names = names_of(pem.front());
  const auto others = properties(*authenticated, GRPC_X509_SAN_PROPERTY_NAME);
  Caller caller{.uid = UINT32_MAX, .user = user_of(names)};
  const std::scoped_lock lock(mutex_);
  for (const Management::Client& client : clients_) {
    if (!fits(client, names, others)) continue;
    caller.role = std::max(caller.role, client.role() == Management::Client::ADMIN ? pb::ADMIN : pb::OPERATOR);
  }
  return caller;
}

std::string RemoteDoor::problem() const {
  const std::scoped_lock lock(mutex_);
  return problem_;
}

}  // namespace headgate::app
