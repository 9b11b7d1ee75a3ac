#include "controlplane/health/dns_message.h"

#include <arpa/nameser.h>
#include <resolv.h>
#include <strings.h>

#include <algorithm>
#include <array>

#include "controlplane/health/attempt.h"

namespace headgate::health {
namespace {

constexpr std::uint16_t kAddress = ns_t_a, kAddress6 = ns_t_aaaa;

std::string rcode_name(int rcode) {
  constexpr const char* kNames[] = {"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"};
  return rcode >= 0 && rcode < static_cast<int>(std::size(kNames)) ? kNames[rcode] : "RCODE " + std::to_string(rcode);
}

// "www.example.com." is the same name.
std::string_view without_dot(std::string_view name) {
  return name.size() > 1 && name.back() == '.' ? name.substr(0, name.size() - 1) : name;
}

bool is_same_name(std::string_view a, std::string_view b) {
  a = without_dot(a);
  b = without_dot(b);
  return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

bool is_our_question(const DnsCheck& check, ns_msg& message) {
  ns_rr question;
  if (ns_msg_count(message, ns_s_qd) != 1 || ns_parserr(&message, ns_s_qd, 0, &question) != 0) return false;
  const std::string_view asked = check.name == "." ? "" : std::string_view(check.name);
  const std::string_view told = ns_rr_name(question);
  return is_same_name(told == "." ? "" : told, asked) && ns_rr_type(question) == check.type &&
         ns_rr_class(question) == ns_c_in;
}

std::optional<asio::ip::address> address_in(const ns_rr& record) {
  if (ns_rr_type(record) == kAddress && ns_rr_rdlen(record) == 4) {
    asio::ip::address_v4::bytes_type bytes;
    std::copy_n(ns_rr_rdata(record), 4, bytes.begin());
    return asio::ip::address_v4(bytes);
  }
  if (ns_rr_type(record) == kAddress6 && ns_rr_rdlen(record) == 16) {
    asio::ip::address_v6::bytes_type bytes;
    std::copy_n(ns_rr_rdata(record), 16, bytes.begin());
    return asio::ip::address_v6(bytes);
  }
  return std::nullopt;
}

Outcome judge_records(const DnsCheck& check, ns_msg& message) {
  bool any = false;
  for (int i = 0; i < ns_msg_count(message, ns_s_an); ++i) {
    ns_rr record;
    if (ns_parserr(&message, ns_s_an, i, &record) != 0) return failure("a damaged answer");
    if (ns_rr_type(record) != check.type && check.type != ns_t_any) continue;
    any = true;
    if (!check.expect || address_in(record) == check.expect) return success();
  }
  if (any) return failure("the answer is without " + check.expect->to_string());
  return failure(ns_msg_getflag(message, ns_f_tc) != 0 ? "a truncated answer without a record of the type"
                                                       : "an answer without a record of the type");
}

}  // namespace

std::string make_dns_query(const DnsCheck& check, std::uint16_t id) {
  struct __res_state state{};  // no servers, no search list
  state.options = RES_INIT | RES_RECURSE;
  std::array<std::uint8_t, NS_PACKETSZ> query;
  const int size = res_nmkquery(&state, ns_o_query, check.name.c_str(), ns_c_in, check.type, nullptr, 0, nullptr,
                                query.data(), static_cast<int>(query.size()));
  if (size < NS_HFIXEDSZ) return {};
  query[0] = static_cast<std::uint8_t>(id >> 8);
  query[1] = static_cast<std::uint8_t>(id);
  return {reinterpret_cast<const char*>(query.data()), static_cast<std::size_t>(size)};
}

std::optional<Outcome> judge_dns_answer(const DnsCheck& check, std::uint16_t id, std::span<const std::uint8_t> answer) {
  ns_msg message;
  if (answer.size() < NS_HFIXEDSZ || ns_get16(answer.data()) != id) return std::nullopt;
  if (ns_initparse(answer.data(), static_cast<int>(answer.size()), &message) != 0) return failure("a damaged answer");
  if (ns_msg_getflag(message, ns_f_qr) == 0 || !is_our_question(check, message)) return std::nullopt;
  const int rcode = ns_msg_getflag(message, ns_f_rcode);
  if (rcode != ns_r_noerror) return failure("answered " + rcode_name(rcode));
  return judge_records(check, message);
}

}  // namespace headgate::health
