// What may come over the HA link, any bytes in any pieces: frames are taken apart, heartbeats and versions judged, and
// what was understood is the same after another way there and back. The second half of the input is a death notice.
#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "controlplane/failover/link_frame.h"
#include "controlplane/failover/link_words.h"
#include "controlplane/failover/notice.h"

namespace {

namespace fo = headgate::failover;
constexpr std::size_t kFrameMax = 4096;

void check(bool good) {
  if (!good) std::abort();
}

void judge(const headgate::ha::v1::Envelope& envelope) {
  if (envelope.has_heartbeat()) {
    const auto word = fo::word_of(envelope.heartbeat());
    if (!word) return;
    headgate::ha::v1::Heartbeat again;
    fo::fill(*word, again);
    check(fo::word_of(again) == word);
  } else if (envelope.has_hello()) {
    headgate::ha::v1::Hello ours;
    ours.set_protocol_least(fo::kProtocolLeast);
    ours.set_protocol_most(fo::kProtocolMost);
    const auto meeting = fo::meet(ours, envelope.hello());
    check(meeting.refusal.has_value() || meeting.protocol == fo::kProtocolMost);
    if (meeting.refusal) check(!fo::explain(*meeting.refusal).empty());
  } else if (envelope.has_refusal()) {
    check(!fo::explain(envelope.refusal()).empty());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const google::protobuf::LogSilencer quiet;
  fo::FrameDecoder decoder(kFrameMax);
  std::size_t frames = 0;
  for (std::size_t at = 0; at < size;) {
    const std::size_t piece = std::min<std::size_t>(size - at, 1 + data[at] % 32u);
    decoder.feed({data + at, piece});
    at += piece;
    while (const auto envelope = decoder.next()) {
      check(++frames <= size / fo::kFrameHeader);
      judge(*envelope);
    }
    check(decoder.buffered() <= kFrameMax + fo::kFrameHeader + 32);
  }
  fo::NoticeGuard guard;
  guard.add(1, fo::Secret{});
  const auto verdict = guard.judge({data + size / 2, size - size / 2});
  check(verdict != fo::NoticeGuard::Verdict::count);
  return 0;
}
