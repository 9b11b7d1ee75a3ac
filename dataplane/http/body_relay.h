// One body on its way from a connection to another, in either direction: moved piece by piece without a copy, framed
// anew where both sides differ or chunks are read. The window of the sender opens as bytes move, and they move while
// the receiver's send buffer has room: nothing waits here.
//
// Chunks keep their sizes, announced as they begin: a header for each chunk and not for each segment. When the sender
// breaks off inside of one, the receiver must be reset, as with any body that is cut short.
#pragma once

#include "dataplane/http/chunked.h"
#include "dataplane/tcp/engine.h"

namespace headgate::http {

inline constexpr std::size_t kTrailerSpace = 1024;  // bytes of a trailer section that a session takes
inline constexpr unsigned kPartsPerMove = 64;       // chunks or segments of chunks: one connection's share of a turn

class BodyRelay {
 public:
  enum class Status : std::uint8_t {
    done,       // to its end, and the end was written
    starved,    // the sender has to send more
    blocked,    // writable() of the receiver will come
    busy,       // its share of this turn is used up
    refused,    // malformed: reason()
    no_memory,  // buffers or pieces ran out in the middle: both connections are lost
  };

  // head: whose body it is. to: its framing behind us, as ResponsePlan has it; for requests head.body. trailers:
  // whether they go on. bytes_max: of a chunked body.
  void start(const Head& head, BodyKind to, bool trailers, std::uint64_t bytes_max, const Scanner& scanner);
  void clear();  // no body
  // ended: fin() of the sender was called.
  Status move(tcp::Engine& engine, tcp::ConnectionId from, tcp::ConnectionId to, bool ended);

  bool done() const { return done_; }
  bool begun() const { return taken_; }           // something was taken from the sender: it can not be sent again
  std::uint64_t moved() const { return moved_; }  // bytes of content
  Reason reason() const { return decoder_.reason(); }

 private:
  struct Way {
    tcp::Engine& engine;
    tcp::ConnectionId from, to;
  };
  Status move_length(const Way& way);
  Status move_stream(const Way& way, bool ended);
  Status move_chunks(const Way& way);
  Status move_part(const Way& way, const Piece& piece);
  bool open_chunk(const Way& way, std::uint64_t size);
  Status finish(const Way& way);

  BodyKind from_ = BodyKind::none, to_ = BodyKind::none;
  bool done_ = true, taken_ = false, trailers_ = false;
  bool line_end_due_ = false;  // behind the last chunk that was written
  std::uint64_t left_ = 0;     // of a body of known length
  std::uint64_t owed_ = 0;     // of the chunk that was announced
  std::uint64_t moved_ = 0;
  ChunkedDecoder decoder_;
  std::array<char, kTrailerSpace> space_;
};

}  // namespace headgate::http
