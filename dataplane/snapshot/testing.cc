#include "dataplane/snapshot/testing.h"

#include <google/protobuf/text_format.h>

#include <cstdio>
#include <cstdlib>

#include "dataplane/api/dataplane.pb.h"

namespace headgate::snapshot::testing {
namespace {

[[noreturn]] void die(const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  std::abort();
}

headgate::dataplane::v1::Snapshot parse(std::string_view text, std::uint64_t generation) {
  headgate::dataplane::v1::Snapshot message;
  if (!google::protobuf::TextFormat::ParseFromString(std::string(text), &message))
    die("not a Snapshot: " + std::string(text));
  if (message.generation() == 0) message.set_generation(generation);
  return message;
}

}  // namespace

Source::Source(std::vector<std::string> ports, std::uint64_t hash_key)
    : ports_(std::move(ports)), hash_key_(hash_key), slots_(hash_key) {}

BuildInput Source::input() {
  return {
      .port_names = ports_, .previous = last_.get(), .slots = slots_, .hash_key = hash_key_, .flow_limit = flow_limit};
}

std::shared_ptr<const Snapshot> Source::accept(std::string_view text) {
  const auto message = parse(text, ++generation_);
  auto built = build(message, input());
  if (!built) {
    std::string all = "refused:";
    for (const SnapshotError& error : built.error()) all += "\n  " + error.path + ": " + error.message;
    die(all);
  }
  last_ = *built;
  return last_;
}

std::vector<std::string> Source::refuse(std::string_view text) {
  const auto message = parse(text, generation_ + 1);
  const auto built = build(message, input());
  std::vector<std::string> lines;
  if (built) return lines;
  for (const SnapshotError& error : built.error()) lines.push_back(error.path + ": " + error.message);
  return lines;
}

}  // namespace headgate::snapshot::testing
