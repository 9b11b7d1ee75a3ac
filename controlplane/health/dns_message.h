// The DNS messages of a probe (RFC 1035 section 4), made and read by the C library's resolver routines, without its
// configuration and without asking anybody. Pure.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "controlplane/health/check.h"
#include "controlplane/health/scheduler.h"

namespace headgate::health {

// Empty when the name cannot be asked for.
std::string make_dns_query(const DnsCheck& check, std::uint16_t id);

// What an answer means; none when it is no answer to `check` with this id.
std::optional<Outcome> judge_dns_answer(const DnsCheck& check, std::uint16_t id, std::span<const std::uint8_t> answer);

}  // namespace headgate::health
