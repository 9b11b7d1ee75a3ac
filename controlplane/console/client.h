// The connection to the management API, and what all commands do with answers.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <optional>
#include <string>

#include "controlplane/api/management.grpc.pb.h"
#include "controlplane/console/candidate.h"
#include "controlplane/console/table.h"

namespace headgate::console {

namespace pb = dataplane::v1;

struct Options {
  std::string socket = "/run/headgate/management.sock";
  // Instead of the socket, when not empty: HOST:PORT, with the client's certificate and key and who signed the
  // server's.
  std::string remote;
  std::string certificate, key, authority;  // PEM, not file names
  bool json = false;
};

class Client {
 public:
  explicit Client(const Options& options);
  management::v1::Management::Stub& stub() { return *stub_; }
  bool json() const { return options_.json; }
  void set_json(bool json) { options_.json = json; }
  // How tables look: as standard output does, unless set; nothing again: as standard output does.
  Look look() const { return look_ ? *look_ : look_of_output(); }
  void set_look(std::optional<Look> look) { look_ = look; }
  // Of the configuration, as the server runs it; asked for once.
  config::Result<const Schema*> schema();

  // 0, or 1 after saying what went wrong.
  int check(const grpc::Status& status) const;
  static int say(const std::string& message);  // on standard error; 1
  std::string explained(const grpc::Status& status) const;
  int stats(pb::StatsReply& reply);
  const std::string& where() const { return options_.remote.empty() ? options_.socket : options_.remote; }
  static void soon(grpc::ClientContext& context, int seconds = 5);

 private:
  Options options_;
  std::optional<Look> look_;
  std::unique_ptr<management::v1::Management::Stub> stub_;
  std::unique_ptr<Schema> schema_;
};

int print_json(const google::protobuf::Message& message);

}  // namespace headgate::console
