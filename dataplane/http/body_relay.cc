#include "dataplane/http/body_relay.h"

#include <algorithm>

#include "dataplane/base/check.h"
#include "dataplane/http/text_writer.h"

namespace headgate::http {
namespace {

std::span<const std::uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

std::string_view text_of(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

void BodyRelay::start(const Head& head, BodyKind to, bool trailers, std::uint64_t bytes_max, const Scanner& scanner) {
  from_ = head.body;
  to_ = to;
  trailers_ = trailers;
  done_ = from_ == BodyKind::none;
  taken_ = line_end_due_ = false;
  left_ = from_ == BodyKind::length ? head.content_length : 0;
  owed_ = moved_ = 0;
  if (from_ == BodyKind::chunked) decoder_.start(space_, bytes_max, scanner);
}

void BodyRelay::clear() {
  from_ = BodyKind::none;
  done_ = true;
  taken_ = false;
  moved_ = 0;
}

BodyRelay::Status BodyRelay::move(tcp::Engine& engine, tcp::ConnectionId from, tcp::ConnectionId to, bool ended) {
  const Way way{engine, from, to};
  switch (from_) {
    case BodyKind::none:
      return Status::done;
    case BodyKind::length:
      return move_length(way);
    case BodyKind::chunked:
      return move_chunks(way);
    case BodyKind::until_close:
      return move_stream(way, ended);
  }
  return Status::done;
}

BodyRelay::Status BodyRelay::move_length(const Way& way) {
  while (left_ != 0) {
    const std::uint32_t room = way.engine.room(way.to);
    if (room == 0) return Status::blocked;
    tcp::Chain chain = way.engine.receive(way.from, static_cast<std::uint32_t>(std::min<std::uint64_t>(left_, room)));
    const std::uint32_t bytes = chain.bytes();
    if (bytes == 0) return way.engine.front(way.from).empty() ? Status::starved : Status::no_memory;
    taken_ = true;
    if (!way.engine.send(way.to, std::move(chain))) return Status::no_memory;
    way.engine.consume(way.from, bytes);
    left_ -= bytes;
    moved_ += bytes;
  }
  done_ = true;
  return Status::done;
}

BodyRelay::Status BodyRelay::move_stream(const Way& way, bool ended) {
  while (!done_) {
    const std::uint32_t room = way.engine.room(way.to);
    if (room == 0) return Status::blocked;
    tcp::Chain chain = way.engine.receive(way.from, room);
    const std::uint32_t bytes = chain.bytes();
    if (bytes == 0) {
      if (!way.engine.front(way.from).empty()) return Status::no_memory;
      return ended ? finish(way) : Status::starved;
    }
    taken_ = true;
    if (to_ == BodyKind::chunked && !open_chunk(way, bytes)) return Status::no_memory;
    if (!way.engine.send(way.to, std::move(chain))) return Status::no_memory;
    way.engine.consume(way.from, bytes);
    line_end_due_ = to_ == BodyKind::chunked;
    moved_ += bytes;
  }
  return Status::done;
}

BodyRelay::Status BodyRelay::move_chunks(const Way& way) {
  for (unsigned part = 0; part < kPartsPerMove; ++part) {
    if (done_) return Status::done;
    const std::uint32_t room = way.engine.room(way.to);
    if (room == 0) return Status::blocked;
    const std::string_view front = text_of(way.engine.front(way.from));
    if (front.empty()) return Status::starved;
    taken_ = true;
    const Piece piece = decoder_.next(front.substr(0, room));
    switch (piece.kind) {
      case Piece::Kind::refused:
        return Status::refused;
      case Piece::Kind::need_more:
        way.engine.discard(way.from, static_cast<std::uint32_t>(piece.used));
        break;
      case Piece::Kind::data:
        if (move_part(way, piece) != Status::done) return Status::no_memory;
        break;
      case Piece::Kind::end:
        way.engine.discard(way.from, static_cast<std::uint32_t>(piece.used));
        return finish(way);
    }
  }
  return Status::busy;
}

// done: the part moved.
BodyRelay::Status BodyRelay::move_part(const Way& way, const Piece& piece) {
  const auto bytes = static_cast<std::uint32_t>(piece.data.size());
  way.engine.discard(way.from, static_cast<std::uint32_t>(piece.used - bytes));
  if (to_ == BodyKind::chunked) {
    if (owed_ == 0) {
      owed_ = bytes + decoder_.chunk_left();
      if (!open_chunk(way, owed_)) return Status::no_memory;
    }
    owed_ -= bytes;
    line_end_due_ = owed_ == 0;
  }
  tcp::Chain chain = way.engine.receive(way.from, bytes);
  if (chain.bytes() != bytes || !way.engine.send(way.to, std::move(chain))) return Status::no_memory;
  way.engine.consume(way.from, bytes);
  moved_ += bytes;
  return Status::done;
}

bool BodyRelay::open_chunk(const Way& way, std::uint64_t size) {
  std::array<char, 32> space;
  TextWriter writer(space);
  if (line_end_due_) writer.text(kChunkEnd);
  writer.text(ChunkHeader(size).text());
  line_end_due_ = false;
  return way.engine.send_copy(way.to, bytes_of(writer.written()));
}

BodyRelay::Status BodyRelay::finish(const Way& way) {
  if (to_ == BodyKind::chunked) {
    HEADGATE_CHECK(owed_ == 0);
    // A trailer line may grow by the blank behind its colon.
    std::array<char, kTrailerSpace + kTrailerFieldsMax + 16> space;
    TextWriter writer(space);
    if (line_end_due_) writer.text(kChunkEnd);
    writer.text(kLastChunk);
    if (trailers_ && from_ == BodyKind::chunked) {
      for (const Field& field : decoder_.trailers()) {
        if (field.hop) continue;
        writer.text(field.name_in(decoder_.trailer_text())).text(": ");
        writer.text(field.value_in(decoder_.trailer_text())).text("\r\n");
      }
    }
    writer.text(kChunkEnd);
    HEADGATE_CHECK(writer.fits());
    if (!way.engine.send_copy(way.to, bytes_of(writer.written()))) return Status::no_memory;
  }
  done_ = true;
  return Status::done;
}

}  // namespace headgate::http
