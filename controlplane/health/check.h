// What a probe asks for: one of these for all backends of a pool, made from config.proto's HealthCheck and Agent.
#pragma once

#include <asio/ip/address.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace headgate::health {

struct TcpCheck {  // a connection is accepted
  friend bool operator==(const TcpCheck&, const TcpCheck&) = default;
};

struct IcmpCheck {  // an echo request is answered
  friend bool operator==(const IcmpCheck&, const IcmpCheck&) = default;
};

struct UdpCheck {  // a datagram is answered
  std::string payload{};
  std::string expect{};  // part of the answer; empty: any answer
  friend bool operator==(const UdpCheck&, const UdpCheck&) = default;
};

struct HttpTls {
  std::string sni;  // also the name to verify; empty: the check's `host`
  bool verify = true;
  std::string ca_file;  // empty: those of the system
  friend bool operator==(const HttpTls&, const HttpTls&) = default;
};

struct HttpCheck {  // a request is answered with a status of `status`
  struct Range {
    unsigned first = 0, last = 0;
    friend bool operator==(const Range&, const Range&) = default;
  };
  std::optional<HttpTls> tls;  // https
  std::string method = "GET";
  std::string path = "/";
  std::string host;                  // empty: the backend's address
  std::vector<std::string> headers;  // "Name: value"
  std::vector<Range> status{{200, 299}};
  std::string body;  // part of it, within its first kHttpBodyMax bytes; empty: whatever it is
  friend bool operator==(const HttpCheck&, const HttpCheck&) = default;
};

struct MysqlCheck {  // `user` can log in, and `query` gives a row or is done without one to give
  std::string user{}, password{};
  std::string database{}, query{};  // empty: none
  friend bool operator==(const MysqlCheck&, const MysqlCheck&) = default;
};

struct DnsCheck {  // NOERROR with a record of the type
  std::string name{};
  std::uint16_t type = 1;                     // RFC 1035 3.2.2
  std::optional<asio::ip::address> expect{};  // among the records
  friend bool operator==(const DnsCheck&, const DnsCheck&) = default;
};

struct ExternalCheck {    // the program ends with 0
  std::string program{};  // an absolute path
  std::vector<std::string> arguments{};
  std::string pool{};  // told to the program
  friend bool operator==(const ExternalCheck&, const ExternalCheck&) = default;
};

struct AgentCheck {    // a line comes that agent_reply.h can read; it is the outcome's `answer`
  std::string send{};  // before that; empty: nothing
  friend bool operator==(const AgentCheck&, const AgentCheck&) = default;
};

using Check = std::variant<TcpCheck, IcmpCheck, UdpCheck, HttpCheck, MysqlCheck, DnsCheck, ExternalCheck, AgentCheck>;

// Shared by the backends of a pool, compared by value. Without a check given: TcpCheck.
class SharedCheck {
 public:
  SharedCheck() = default;
  SharedCheck(Check check) : check_(std::make_shared<const Check>(std::move(check))) {}  // NOLINT: a value like it
  const Check& operator*() const {
    static const Check tcp;
    return check_ ? *check_ : tcp;
  }
  // Keeps the check alive while a probe uses it.
  template <class Kind>
  std::shared_ptr<const Kind> share() const {
    return {check_, &std::get<Kind>(**this)};
  }
  friend bool operator==(const SharedCheck& a, const SharedCheck& b) { return a.check_ == b.check_ || *a == *b; }

 private:
  std::shared_ptr<const Check> check_;
};

}  // namespace headgate::health
