// A configuration text as an operator may send it: any bytes. It is read and judged; what can be read is printed, and
// the print says the same, comments included, and is printed alike again. Then it is edited by words taken from itself.
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/util/message_differencer.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "controlplane/config/edit.h"
#include "controlplane/config/effects.h"
#include "controlplane/config/print.h"
#include "controlplane/config/secrets.h"
#include "controlplane/config/tree.h"
#include "controlplane/config/validate.h"

namespace {

namespace cf = headgate::config;
using google::protobuf::util::MessageDifferencer;

void check(bool good, const char* what, const std::string& text) {
  if (good) return;
  std::fprintf(stderr, "property broken: %s\n%s\n", what, text.c_str());
  std::abort();
}

// As the control plane reads it.
cf::Document load(const std::string& text) {
  cf::Document document = cf::load_text("fuzz", text);
  cf::attach_comments(document, text);
  return document;
}

void check_diagnostics(const cf::Document& document, const std::string& text) {
  for (const cf::Diagnostic& diagnostic : document.diagnostics) {
    check(!diagnostic.message.empty(), "a diagnostic says something", text);
    check(diagnostic.location.line >= 0 && diagnostic.location.column >= 0, "places are in the text", text);
  }
}

void check_print(const cf::v1::Config& config, const std::string& text) {
  const std::string printed = cf::print(config);
  const cf::Document again = load(printed);
  check(again.readable, "a print can be read", printed);
  check(MessageDifferencer::Equals(again.config, config), "a print says the same, comments too",
        text + "\n---\n" + printed);
  check(cf::print(again.config) == printed, "printing is stable", printed);
  check(cf::compare(config, again.config).empty(), "compare finds no difference", printed);
  check(cf::effects(config, again.config).empty(), "and a commit of it would do nothing", printed);
}

void check_secrets(const cf::v1::Config& config) {
  const auto secrets = cf::secrets_in(config);
  cf::v1::Config bare = config;
  bare.mutable_management()->clear_key_passphrase();
  const std::string other = cf::print(bare), redacted = cf::print(config, cf::Secrets::redacted);
  for (const std::string& secret : secrets) {
    if (other.find(secret) == std::string::npos && std::string(cf::kRedacted).find(secret) == std::string::npos)
      check(redacted.find(secret) == std::string::npos, "a secret is not shown", redacted);
  }
}

// A valid configuration is made again from nothing by its own set commands; a refused command changes nothing.
void check_edit(const cf::v1::Config& config, const std::string& text) {
  cf::v1::Config made;
  for (const cf::Words& words : cf::flatten(config)) {
    const cf::v1::Config before = made;
    if (!cf::set(made, words)) check(MessageDifferencer::Equals(made, before), "a refused edit changes nothing", text);
  }
  cf::v1::Config left = config;
  for (const cf::Words& words : cf::flatten(config)) static_cast<void>(cf::remove(left, words));
  static_cast<void>(cf::print(left));
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  google::protobuf::SetLogHandler(nullptr);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const cf::Document document = load(text);
  check_diagnostics(document, text);
  if (!document.ok()) {
    check(!document.diagnostics.empty(), "what is refused has a reason", text);
    return 0;
  }
  check_print(document.config, text);
  check_secrets(document.config);
  check_edit(document.config, text);
  return 0;
}
