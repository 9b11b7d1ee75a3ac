#include "controlplane/health/external_prober.h"

#include <algorithm>
#include <array>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/read.hpp>
#include <csignal>
#include <cstring>

#include "controlplane/health/child.h"

namespace headgate::health {
namespace {

std::vector<std::string> environment_for(const ExternalCheck& check, const Target& target) {
  return {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
          "HEADGATE_ADDRESS=" + target.endpoint.address().to_string(),
          "HEADGATE_PORT=" + std::to_string(target.endpoint.port()), "HEADGATE_BACKEND=" + target.backend,
          "HEADGATE_POOL=" + check.pool};
}

}  // namespace

// Its slot among the running is given back when the program is reaped, which may be after the probe's own end.
class ExternalAttempt : public Attempt {
 public:
  ExternalAttempt(asio::io_context& io, const Done& done, std::uint64_t probe, const Target& target,
                  ExternalProber& prober)
      : Attempt(io, done, probe),
        check_(target.check.share<ExternalCheck>()),
        environment_(environment_for(*check_, target)),
        prober_(prober),
        process_(io),
        output_(io) {}
  ~ExternalAttempt() override {
    if (pid_ > 0) kill(-pid_, SIGKILL);  // the loop has ended before it
  }

  bool is_over() const { return finished(); }

  void run() {
    Child child = start_child(check_->program, check_->arguments, environment_);
    if (child.error != 0) {
      return finish(unknown("cannot run " + check_->program + ": " + std::strerror(child.error)));
    }
    ++prober_.running_;
    pid_ = child.pid;
    process_.assign(child.pidfd);
    output_.assign(child.output);
    process_.async_wait(asio::posix::descriptor_base::wait_read,
                        [me = self(this)](const asio::error_code&) { me->ended(); });
    read();
  }

 protected:
  void begin() override {
    if (prober_.running_ < kProgramsMax) return run();
    prober_.waiting_.push_back(self(this));
  }
  void close() override {
    if (pid_ > 0) kill(-pid_, SIGKILL);
    asio::error_code ignored;
    output_.close(ignored);
  }
  Outcome at_deadline() const override {
    if (pid_ < 0) return unknown(std::to_string(kProgramsMax) + " other programs run already");
    return failure(with_output("did not end in time"));
  }

 private:
  std::string with_output(const std::string& what) const {
    const std::string said = excerpt(kept_, 200);
    return said.empty() ? what : what + ": " + said;
  }

  void read() {
    output_.async_read_some(asio::buffer(buffer_), [me = self(this)](const asio::error_code& error, std::size_t n) {
      if (me->finished() || error) return;
      me->keep(n);
      if (me->written_ > kOutputMax) {
        return me->finish(failure(me->with_output("wrote more than " + std::to_string(kOutputMax) + " bytes")));
      }
      me->read();
    });
  }

  void keep(std::size_t n) {
    written_ += n;
    kept_.append(buffer_.data(), std::min(n, kOutputKept - kept_.size()));
  }

  void ended() {
    const std::string how = reap(process_.native_handle());
    asio::error_code ignored;
    if (!finished()) {  // what it wrote last may still be in the pipe
      output_.non_blocking(true, ignored);
      keep(output_.read_some(asio::buffer(buffer_), ignored));
    }
    kill(-pid_, SIGKILL);  // what it left behind in its group
    pid_ = -2;
    process_.close(ignored);
    finish(how.empty() ? success() : failure(with_output(how)));
    prober_.ended();
  }

  const std::shared_ptr<const ExternalCheck> check_;
  const std::vector<std::string> environment_;
  ExternalProber& prober_;
  int pid_ = -1;  // -1: not started; -2: reaped
  asio::posix::stream_descriptor process_, output_;
  std::array<char, 1024> buffer_;
  std::string kept_;
  std::size_t written_ = 0;
};

void ExternalProber::ended() {
  --running_;
  while (running_ < kProgramsMax && !waiting_.empty()) {
    const auto next = std::move(waiting_.front());
    waiting_.pop_front();
    if (!next->is_over()) next->run();
  }
}

void ExternalProber::start(std::uint64_t probe, const Target& target) {
  std::make_shared<ExternalAttempt>(io_, done_, probe, target, *this)->start(target.timeout);
}

}  // namespace headgate::health
