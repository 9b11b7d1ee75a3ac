// The Unix socket of the management API. gRPC does not tell a handler who is at the other end of it, so connections are
// accepted here, the kernel is asked (SO_PEERCRED), and gRPC gets the descriptor.
//
// gRPC names such a peer "fd:NUMBER". Numbers are given out rising and only wrap after hundreds of thousands of
// connections, so that a call which outlives its connection is never taken for the next one's.
#pragma once

#include <asio/io_context.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/steady_timer.hpp>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "controlplane/api/management.pb.h"
#include "controlplane/config/result.h"

namespace grpc {
class Server;
}

namespace headgate::app {

struct Caller {
  std::uint32_t uid = 0;
  std::string user;  // "root", or "uid 1234" without an entry in the user database
  management::v1::Role role = management::v1::ROLE_UNSPECIFIED;  // unspecified: may nothing
};

struct Groups {
  std::string admin = "headgate-admin", operators = "headgate";
};

// root and members of the admin group: ADMIN; members of the operators' group: OPERATOR.
Caller identify(std::uint32_t uid, std::uint32_t gid, const Groups& groups);

// As many descriptors as this process is allowed, for probes and connections alike. Returns how many.
int raise_descriptor_limit();

class Door {
 public:
  // Thread: the io_context's, except caller(). A socket file that nobody listens on is replaced; mode 0660, group of
  // the operators when it exists. Requires: the server outlives this.
  static config::Result<std::unique_ptr<Door>> open(asio::io_context& io, const std::string& path, grpc::Server& server,
                                                    const Groups& groups);
  ~Door();
  Door(const Door&) = delete;
  Door& operator=(const Door&) = delete;

  // By grpc::ServerContext::peer(). Any thread. Nothing when the peer did not come in here.
  std::optional<Caller> caller(const std::string& peer) const;

 private:
  Door(asio::io_context& io, std::string path, grpc::Server& server, Groups groups);
  void accept();
  void let_in(int descriptor);
  bool has_room();

  asio::local::stream_protocol::acceptor acceptor_;
  asio::steady_timer rest_;
  const std::string path_;
  grpc::Server& server_;
  const Groups groups_;
  int next_number_;
  mutable std::mutex mutex_;
  std::unordered_map<int, Caller> callers_;
};

}  // namespace headgate::app
