#include "controlplane/health/tcp_prober.h"

#include <netinet/tcp.h>

namespace headgate::health {
namespace {

class Connect : public TcpAttempt {
 public:
  using TcpAttempt::TcpAttempt;

 protected:
  void connected() override { finish(success()); }
};

}  // namespace

void TcpAttempt::begin() {
  asio::error_code error;
  socket_.open(endpoint_.protocol(), error);
  if (!error) socket_.set_option(asio::socket_base::linger(true, 0), error);
  if (error) return finish(failed(error));
  if (speaks_first()) {  // the handshake's last segment leaves with what we say: one less for both ends
    constexpr int kLater = 0;
    ::setsockopt(socket_.native_handle(), IPPROTO_TCP, TCP_QUICKACK, &kLater, sizeof kLater);
  }
  socket_.async_connect(endpoint_, [me = self(this)](const asio::error_code& failure) {
    if (me->finished()) return;
    if (failure) return me->finish(failed(failure));
    me->connected_ = true;
    me->connected();
  });
}

void TcpAttempt::close() {
  asio::error_code ignored;
  socket_.close(ignored);
}

void TcpProber::start(std::uint64_t probe, const Target& target) {
  std::make_shared<Connect>(io_, done_, probe, target)->start(target.timeout);
}

}  // namespace headgate::health
