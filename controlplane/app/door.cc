#include "controlplane/app/door.h"

#include <fcntl.h>
#include <grp.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/server_posix.h>
#include <pwd.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <vector>

namespace headgate::app {
namespace {

namespace pb = management::v1;
constexpr std::size_t kConnectionsMax = 2000;  // at once; a further one is closed at once
constexpr int kFirstNumber = 4096;             // above what the rest of the process opens

std::optional<gid_t> group_id(const std::string& name) {
  const group* entry = name.empty() ? nullptr : ::getgrnam(name.c_str());
  return entry == nullptr ? std::nullopt : std::optional<gid_t>(entry->gr_gid);
}

bool somebody_listens(const std::string& path) {
  asio::io_context io;
  asio::local::stream_protocol::socket probe(io);
  asio::error_code error;
  probe.connect(path, error);
  return !error;
}

}  // namespace

int raise_descriptor_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return static_cast<int>(std::min<rlim_t>(limit.rlim_cur, 1 << 20));
}

Caller identify(std::uint32_t uid, std::uint32_t gid, const Groups& groups) {
  Caller caller{.uid = uid, .user = "uid " + std::to_string(uid)};
  const passwd* entry = ::getpwuid(uid);
  std::vector<gid_t> member{gid};
  if (entry != nullptr) {
    caller.user = entry->pw_name;
    int count = 256;
    member.resize(static_cast<std::size_t>(count));
    if (::getgrouplist(entry->pw_name, gid, member.data(), &count) < 0) count = 256;
    member.resize(static_cast<std::size_t>(count));
  }
  const auto in = [&](const std::string& name) {
    const auto id = group_id(name);
    return id && std::find(member.begin(), member.end(), *id) != member.end();
  };
  if (in(groups.operators)) caller.role = pb::OPERATOR;
  if (uid == 0 || in(groups.admin)) caller.role = pb::ADMIN;
  return caller;
}

Door::Door(asio::io_context& io, std::string path, grpc::Server& server, Groups groups)
    : acceptor_(io),
      rest_(io),
      path_(std::move(path)),
      server_(server),
      groups_(std::move(groups)),
      next_number_(kFirstNumber) {}

Door::~Door() {
  asio::error_code ignored;
  acceptor_.close(ignored);
  ::unlink(path_.c_str());
}

config::Result<std::unique_ptr<Door>> Door::open(asio::io_context& io, const std::string& path, grpc::Server& server,
                                                 const Groups& groups) {
  if (path.size() >= sizeof(sockaddr_un{}.sun_path)) return config::fail(path + " is too long for a socket's path");
  if (somebody_listens(path))
    return config::fail("another process listens on " + path + "; stop it or use another --management");
  ::unlink(path.c_str());
  std::unique_ptr<Door> door(new Door(io, path, server, groups));
  asio::error_code error;
  const asio::local::stream_protocol::endpoint endpoint(path);
  door->acceptor_.open(endpoint.protocol(), error);
  const mode_t before = ::umask(0117);  // never open to others, not even for a moment
  if (!error) door->acceptor_.bind(endpoint, error);
  ::umask(before);
  if (!error) door->acceptor_.listen(asio::socket_base::max_listen_connections, error);
  if (error) return config::fail("cannot listen on " + path + ": " + error.message());
  if (const auto group = group_id(groups.operators)) {
    if (::chown(path.c_str(), static_cast<uid_t>(-1), *group) != 0)
      spdlog::warn("management: cannot give {} to group {}", path, groups.operators);
  }
  door->accept();
  return door;
}

void Door::accept() {
  acceptor_.async_accept([this](const asio::error_code& error, asio::local::stream_protocol::socket socket) {
    if (error == asio::error::operation_aborted) return;
    if (!error) {
      asio::error_code ignored;
      socket.non_blocking(true, ignored);
      let_in(socket.release(ignored));
      return accept();
    }
    // No descriptor left, most likely: a moment's rest, or this would spin.
    rest_.expires_after(std::chrono::milliseconds(50));
    rest_.async_wait([this](const asio::error_code& cancelled) {
      if (!cancelled) accept();
    });
  });
}

void Door::let_in(int descriptor) {
  static const int limit = raise_descriptor_limit();
  ucred peer{};
  socklen_t size = sizeof peer;
  const bool known = has_room() && ::getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0;
  int number = known ? ::fcntl(descriptor, F_DUPFD_CLOEXEC, next_number_) : -1;
  if (known && number < 0) number = ::fcntl(descriptor, F_DUPFD_CLOEXEC, kFirstNumber);  // past the end: from the start
  ::close(descriptor);
  if (number < 0) return;
  next_number_ = number + 1 < limit ? number + 1 : kFirstNumber;
  {
    const std::scoped_lock lock(mutex_);
    callers_[number] = identify(peer.uid, peer.gid, groups_);
  }
  grpc::AddInsecureChannelFromFd(&server_, number);
}

// Connections end inside gRPC, which does not say so: their descriptors are looked at once there seem to be too many.
bool Door::has_room() {
  const std::scoped_lock lock(mutex_);
  if (callers_.size() < kConnectionsMax) return true;
  std::erase_if(callers_, [](const auto& entry) { return ::fcntl(entry.first, F_GETFD) < 0; });
  return callers_.size() < kConnectionsMax;
}

std::optional<Caller> Door::caller(const std::string& peer) const {
  constexpr std::string_view kPrefix = "fd:";
  int number = -1;
  if (!peer.starts_with(kPrefix)) return std::nullopt;
  const auto [end, error] = std::from_chars(peer.data() + kPrefix.size(), peer.data() + peer.size(), number);
  if (error != std::errc{} || end != peer.data() + peer.size()) return std::nullopt;
  const std::scoped_lock lock(mutex_);
  const auto found = callers_.find(number);
  return found == callers_.end() ? std::nullopt : std::optional<Caller>(found->second);
}

}  // namespace headgate::app
