// Calls that stream hold a thread each. So there are only so many, which leaves threads for the others, and a reader
// that takes nothing for long loses its call.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstddef>
#include <list>
#include <mutex>

namespace headgate::app {

inline constexpr std::size_t kStreamsMax = 32;
inline constexpr std::chrono::seconds kReaderWait{20};

// Any thread.
class Streams {
 public:
  using Clock = std::chrono::steady_clock;

  // One streaming call; false when there were too many.
  class Stream {
   public:
    Stream(Streams& streams, grpc::ServerContext* context);
    ~Stream();
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;
    explicit operator bool() const { return taken_; }
    // False: the reader is gone.
    template <class Writer, class Message>
    bool write(Writer* writer, const Message& message) {
      mark(Clock::now() + kReaderWait);
      const bool written = writer->Write(message);
      mark(Clock::time_point::max());
      return written;
    }

   private:
    void mark(Clock::time_point deadline);
    Streams& streams_;
    std::list<std::pair<grpc::ServerContext*, Clock::time_point>>::iterator entry_;
    bool taken_ = false;
  };

  // Ends those whose reader took nothing in time; to be called about every second. How many.
  unsigned end_slow(Clock::time_point now);
  static grpc::Status too_many();

 private:
  std::mutex mutex_;
  std::list<std::pair<grpc::ServerContext*, Clock::time_point>> open_;
};

}  // namespace headgate::app
