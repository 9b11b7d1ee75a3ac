#include "controlplane/config/secrets.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>

#include "controlplane/api/options.pb.h"
#include "controlplane/config/tree.h"

namespace headgate::config {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

void collect(const Message& message, std::vector<std::string>& out) {
  const auto* reflection = message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const bool secret = field->options().GetExtension(v1::secret);
    const int count = field->is_repeated() ? reflection->FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      if (field->message_type() != nullptr) {
        collect(field->is_repeated() ? reflection->GetRepeatedMessage(message, field, i)
                                     : reflection->GetMessage(message, field),
                out);
      } else if (secret) {
        out.push_back(value_word(message, *field, field->is_repeated() ? i : -1));
      }
    }
  }
}

}  // namespace

std::vector<std::string> secrets_in(const Message& config) {
  std::vector<std::string> found;
  collect(config, found);
  std::erase_if(found, [](const std::string& value) { return value.size() < kSecretLeast; });
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
    return a.size() != b.size() ? a.size() > b.size() : a < b;  // one that holds another goes first
  });
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

std::string without(const std::vector<std::string>& secrets, std::string text) {
  for (const std::string& secret : secrets) {
    for (std::size_t at = 0; (at = text.find(secret, at)) != std::string::npos; at += std::string(kRedacted).size())
      text.replace(at, secret.size(), kRedacted);
  }
  return text;
}

}  // namespace headgate::config
