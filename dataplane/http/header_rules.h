// Rules of a route that add, set or remove header fields. Compiled off the workers, applied without allocation.
//
// A value is text with variables in it, `${client_ip}`. What they stand for came from outside and is checked when it is
// written: a value that could end its line refuses the request. Fields that frame messages or belong to one hop can not
// be touched, and those that say who the client is have options of their own (forwarded.h).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/ip.h"
#include "dataplane/base/result.h"
#include "dataplane/http/head_writer.h"

namespace headgate::http {

// What is known of a request besides its head.
struct RequestContext {
  IpAddress client;  // the peer of the connection, or whom PROXY protocol named
  std::uint16_t client_port = 0;
  IpAddress service;  // the address that the client connected to
  std::uint16_t service_port = 0;
  bool secure = false;      // TLS towards the client
  std::string_view host{};  // with its port, as the client named it; may be empty
  std::string_view method{};
  std::string_view path{};        // without the query
  std::string_view request_id{};  // may be empty
};

// clang-format off
#define HEADGATE_HTTP_VARIABLES(X) \
  X(client_ip, "address of the client") \
  X(client_port, "port of the client") \
  X(service_ip, "address that the client connected to") \
  X(service_port, "port that the client connected to") \
  X(scheme, "http or https") \
  X(host, "host that the client asked for, with its port") \
  X(method, "method of the request") \
  X(path, "path of the request without its query") \
  X(request_id, "number of the request, unique on this box")
// clang-format on

enum class Variable : std::uint8_t {
#define X(name, text) name,
  HEADGATE_HTTP_VARIABLES(X)
#undef X
      none
};

struct HeaderRuleSpec {
  enum class Action : std::uint8_t { add, set, remove };  // set: remove, then add
  Action action = Action::set;
  std::string name, value;
};

class HeaderRules {
 public:
  HeaderRules() = default;
  // The error names the rule and says what to do.
  static Result<HeaderRules> compile(std::span<const HeaderRuleSpec> specs);

  bool empty() const { return rules_.empty(); }
  // Whether a received field of this name is to be left out.
  bool removes(std::string_view name) const;
  // Writes what is added or set.
  void write(const RequestContext& context, HeadWriter& writer) const;
  bool sets_host() const { return sets_host_; }

 private:
  struct Part {
    std::string text;
    Variable variable = Variable::none;  // behind the text
  };
  struct Rule {
    HeaderRuleSpec::Action action;
    std::string name;
    std::vector<Part> parts;
  };
  static Result<std::vector<Part>> parse_value(const HeaderRuleSpec& spec);

  std::vector<Rule> rules_;
  bool sets_host_ = false;
};

}  // namespace headgate::http
