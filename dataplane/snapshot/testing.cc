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

tl::expected<std::shared_ptr<const Snapshot>, UpdateRefusal> Source::try_update(std::string_view text) const {
  headgate::dataplane::v1::StateUpdate message;
  if (!google::protobuf::TextFormat::ParseFromString(std::string(text), &message))
    die("not a StateUpdate: " + std::string(text));
  if (message.base_generation() == 0 && last_ != nullptr) message.set_base_generation(last_->generation);
  if (message.generation() == 0) message.set_generation(generation_ + 1);
  return snapshot::update(message, {.running = last_.get(), .slots = slots_, .hash_key = hash_key_});
}

std::shared_ptr<const Snapshot> Source::update(std::string_view text) {
  const auto updated = try_update(text);
  if (!updated) die("refused: " + updated.error().errors[0].path + ": " + updated.error().errors[0].message);
  last_ = *updated;
  generation_ = last_->generation;
  return last_;
}

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
