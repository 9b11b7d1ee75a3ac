// Values of fields that are marked `secret` in the schema, and texts without them.
#pragma once

#include <google/protobuf/message.h>

#include <string>
#include <vector>

namespace headgate::config {

// Every secret value, the longest first. Shorter ones than kSecretLeast are left out: a text would be unreadable
// without each "a"; what is that short is redacted where it stands, by print() and flatten(), and nowhere else.
inline constexpr std::size_t kSecretLeast = 4;
std::vector<std::string> secrets_in(const google::protobuf::Message& config);

// Every occurrence, however it got into the text, reads kRedacted.
std::string without(const std::vector<std::string>& secrets, std::string text);

}  // namespace headgate::config
