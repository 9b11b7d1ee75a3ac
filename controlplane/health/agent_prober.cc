#include "controlplane/health/agent_prober.h"

#include <array>
#include <asio/write.hpp>

#include "controlplane/health/agent_reply.h"
#include "controlplane/health/tcp_prober.h"

namespace headgate::health {
namespace {

class AgentAttempt : public TcpAttempt {
 public:
  AgentAttempt(asio::io_context& io, const Done& done, std::uint64_t probe, const Target& target)
      : TcpAttempt(io, done, probe, target), check_(target.check.share<AgentCheck>()) {}

 protected:
  void connected() override {
    if (check_->send.empty()) return receive();
    // An agent may answer and close without reading: what it said counts.
    asio::async_write(socket(), asio::buffer(check_->send), [me = self(this)](const asio::error_code&, std::size_t) {
      if (!me->finished()) me->receive();
    });
  }

 private:
  void receive() {
    socket().async_read_some(asio::buffer(buffer_), [me = self(this)](const asio::error_code& error, std::size_t n) {
      if (me->finished()) return;
      if (error && error != asio::error::eof) return me->finish(failed(error));
      me->line_.append(me->buffer_.data(), std::min(n, kAgentBytesMax - me->line_.size()));
      const std::size_t end = me->line_.find_first_of("\r\n");
      if (end == std::string::npos && !error && me->line_.size() < kAgentBytesMax) return me->receive();
      me->line_.resize(std::min(end, me->line_.size()));
      me->judge();
    });
  }

  void judge() {
    if (line_.empty()) return finish(failure("closed without an answer"));
    if (!parse_agent_reply(line_)) return finish(failure("no agent's answer: \"" + excerpt(line_) + "\""));
    finish({Result::success, {}, line_});
  }

  const std::shared_ptr<const AgentCheck> check_;
  std::array<char, 256> buffer_;
  std::string line_;
};

}  // namespace

void AgentProber::start(std::uint64_t probe, const Target& target) {
  std::make_shared<AgentAttempt>(io_, done_, probe, target)->start(target.timeout);
}

}  // namespace headgate::health
