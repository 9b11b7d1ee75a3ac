// A proxy at its simplest: what a client sends is spliced to a server and back, ends and breaks are carried over. Its
// leg to the server has the client's port, so that TcpTalkers on both sides find each other.
#pragma once

#include <map>

#include "tests/sim/tcp_net.h"

namespace headgate::sim {

class TcpRelay : public TcpApp {
 public:
  void attach(TcpHost& host, IpAddress server, std::uint16_t port) {
    host_ = &host;
    server_ = server;
    port_ = port;
  }
  void act(Nanos) override {}
  void settled() override { memory_max_ = std::max(memory_max_, host_->engine().memory()); }
  Nanos next_action() const override { return kNever; }
  std::string trouble() const override { return trouble_; }
  std::uint64_t memory_max() const { return memory_max_; }

  void accepted(tcp::ConnectionId id, std::uint16_t) override {
    const std::uint16_t port = host_->engine().info(id)->tuple.src_port;
    const auto out = host_->engine().connect(host_->address(), server_, port_, tcp::PortSet::range(port, port));
    if (!out) return host_->engine().abort(id);
    pair(id, *out);
    pair(*out, id);
    host_->engine().splice(id, *out);
    host_->engine().splice(*out, id);
  }
  void connected(tcp::ConnectionId) override {}
  void data(tcp::ConnectionId) override { trouble_ = "data() of a spliced connection"; }
  void writable(tcp::ConnectionId) override {}
  void fin(tcp::ConnectionId id) override { host_->engine().shutdown(other_[key(id)]); }
  void reset(tcp::ConnectionId id, tcp::CloseReason) override {
    host_->engine().abort(other_[key(id)]);
    other_.erase(key(other_[key(id)]));
  }
  void closed(tcp::ConnectionId id, tcp::CloseReason) override { other_.erase(key(id)); }

 private:
  static std::uint64_t key(tcp::ConnectionId id) { return static_cast<std::uint64_t>(id.generation) << 32 | id.index; }
  void pair(tcp::ConnectionId a, tcp::ConnectionId b) { other_[key(a)] = b; }

  TcpHost* host_ = nullptr;
  IpAddress server_;
  std::uint16_t port_ = 0;
  std::map<std::uint64_t, tcp::ConnectionId> other_;
  std::uint64_t memory_max_ = 0;
  std::string trouble_;
};

}  // namespace headgate::sim
