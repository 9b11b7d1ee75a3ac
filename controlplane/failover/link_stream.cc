#include "controlplane/failover/link_stream.h"

#include <openssl/ssl.h>

#include <cstring>
#include <utility>

namespace headgate::failover {

using asio::ip::tcp;

namespace {

constexpr std::chrono::milliseconds kDrainLimit{500};

std::string sentence(const char* what, const asio::error_code& error) {
  return std::string(what) + ": " + error.message();
}

}  // namespace

LinkStream::LinkStream(asio::io_context& io, std::shared_ptr<asio::ssl::context> context, Handlers handlers)
    : context_(std::move(context)),
      tls_(io, *context_),
      limit_(io),
      send_limit_(io),
      handlers_(std::make_shared<const Handlers>(std::move(handlers))) {}

void LinkStream::start_client(const tcp::endpoint& own, const tcp::endpoint& peer, Kind kind) {
  kind_ = kind;
  client_ = true;
  limit(kConnectLimit, "no answer");
  const auto failed = [this](const asio::error_code& error) {
    asio::post(tls_.get_executor(), [me = shared_from_this(), error] { me->close(sentence("cannot connect", error)); });
  };
  asio::error_code error;
  auto& socket = tls_.lowest_layer();
  socket.open(peer.protocol(), error);
  if (error) return failed(error);
  socket.set_option(tcp::socket::reuse_address(true), error);
  socket.bind({own.address(), 0}, error);
  if (error) return failed(error);
  socket.async_connect(peer, [me = shared_from_this()](const asio::error_code& failure) {
    if (me->closed_) return;
    if (failure) return me->close(sentence("cannot connect", failure));
    me->limit(kHandshakeLimit, "no TLS handshake in time");
    std::string alpn(me->kind_ == Kind::link ? kAlpnLink : kAlpnPair);
    alpn.insert(alpn.begin(), static_cast<char>(alpn.size()));
    ::SSL_set_alpn_protos(me->tls_.native_handle(), reinterpret_cast<const unsigned char*>(alpn.data()),
                          static_cast<unsigned>(alpn.size()));
    me->handshake(asio::ssl::stream_base::client);
  });
}

void LinkStream::start_server() {
  limit(kHandshakeLimit, "no TLS handshake in time");
  handshake(asio::ssl::stream_base::server);
}

void LinkStream::handshake(asio::ssl::stream_base::handshake_type side) {
  asio::error_code ignored;
  tls_.lowest_layer().set_option(tcp::no_delay(true), ignored);
  tls_.async_handshake(side, [me = shared_from_this()](const asio::error_code& error) {
    if (me->closed_) return;
    if (error) return me->close(sentence("TLS", error));
    me->established();
  });
}

void LinkStream::established() {
  const unsigned char* alpn = nullptr;
  unsigned size = 0;
  ::SSL_get0_alpn_selected(tls_.native_handle(), &alpn, &size);
  const std::string_view chosen(reinterpret_cast<const char*>(alpn), size);
  const auto fingerprint = peer_fingerprint(tls_.native_handle());
  if (!fingerprint || (chosen != kAlpnLink && chosen != kAlpnPair)) return close("the other end speaks something else");
  fingerprint_ = *fingerprint;
  kind_ = chosen == kAlpnLink ? Kind::link : Kind::pair;
  established_ = true;
  limit_.cancel();
  const auto me = shared_from_this();
  const auto handlers = handlers_;
  if (handlers->ready) handlers->ready();
  if (!closed_) read();
}

void LinkStream::read() {
  tls_.async_read_some(asio::buffer(buffer_), [me = shared_from_this()](const asio::error_code& error, std::size_t n) {
    if (me->closed_) return;
    if (error == asio::error::eof || error == asio::ssl::error::stream_truncated)
      return me->close(me->last_ ? me->last_why_ : "the other box ended the connection");
    if (error) return me->close(sentence("reading", error));
    me->received(n);
  });
}

void LinkStream::received(std::size_t size) {
  if (!last_) decoder_.feed(std::span(buffer_).first(size));
  while (!last_ && !closed_) {
    auto envelope = decoder_.next();
    if (!envelope) break;
    const auto handlers = handlers_;
    if (handlers->message) handlers->message(std::move(*envelope));
  }
  if (closed_) return;
  if (!decoder_.fault().empty() && !last_) return close("it sent " + decoder_.fault());
  read();
}

bool LinkStream::send(const ha::v1::Envelope& envelope) {
  return enqueue(envelope, false);
}

bool LinkStream::send_newest(const ha::v1::Envelope& envelope) {
  for (std::size_t i = queue_.size(); i-- > (writing_ ? 1 : 0);) {
    if (!queue_[i].newest) continue;
    queued_ -= queue_[i].frame.size();
    queue_.erase(queue_.begin() + static_cast<std::ptrdiff_t>(i));
    break;
  }
  return enqueue(envelope, true);
}

bool LinkStream::enqueue(const ha::v1::Envelope& envelope, bool newest) {
  if (closed_ || last_ || !established_) return false;
  std::string frame = encode_frame(envelope);
  if (frame.empty() || queued_ + frame.size() > kQueueBytesMax) {
    asio::post(tls_.get_executor(), [me = shared_from_this()] { me->close("it takes too slowly what it is sent"); });
    return false;
  }
  queued_ += frame.size();
  queue_.push_back({std::move(frame), newest});
  if (!writing_) write();
  return true;
}

void LinkStream::write() {
  writing_ = true;
  send_limit_.expires_after(kSendLimit);
  send_limit_.async_wait([me = shared_from_this()](const asio::error_code& cancelled) {
    if (!cancelled && me->writing_ && me->send_limit_.expiry() <= std::chrono::steady_clock::now())
      me->close("it takes nothing of what it is sent");
  });
  const std::string& frame = queue_.front().frame;
  tls_.async_write_some(asio::buffer(frame.data() + written_, frame.size() - written_),
                        [me = shared_from_this()](const asio::error_code& error, std::size_t n) {
                          if (me->closed_) return;
                          me->send_limit_.cancel();
                          if (error) return me->close(sentence("sending", error));
                          me->written_ += n;
                          if (me->written_ == me->queue_.front().frame.size()) {
                            me->queued_ -= me->written_;
                            me->queue_.pop_front();
                            me->written_ = 0;
                          }
                          if (!me->queue_.empty()) return me->write();
                          me->writing_ = false;
                          if (me->last_) me->drain();
                        });
}

void LinkStream::send_last(const ha::v1::Envelope& envelope, const std::string& why) {
  if (closed_ || last_) return;
  const bool sent = enqueue(envelope, false);
  last_ = true;
  last_why_ = why;
  if (!sent) close(why);
}

// Reads on until the other end has closed: closing with unread bytes would be a reset, which takes away what we sent.
void LinkStream::drain() {
  asio::error_code ignored;
  tls_.lowest_layer().shutdown(tcp::socket::shutdown_send, ignored);
  limit_.expires_after(kDrainLimit);
  limit_.async_wait([me = shared_from_this()](const asio::error_code& cancelled) {
    if (!cancelled) me->close(me->last_why_);
  });
}

void LinkStream::limit(std::chrono::milliseconds time, const char* why) {
  limit_.expires_after(time);
  limit_.async_wait([me = shared_from_this(), why](const asio::error_code& cancelled) {
    if (!cancelled && !me->established_) me->close(why);
  });
}

void LinkStream::close(const std::string& why) {
  if (std::exchange(closed_, true)) return;
  const auto me = shared_from_this();
  limit_.cancel();
  send_limit_.cancel();
  asio::error_code ignored;
  tls_.lowest_layer().close(ignored);
  const auto handlers = handlers_;
  if (handlers->closed) handlers->closed(why);
  handlers_ = std::make_shared<const Handlers>();  // what they hold lives no longer than it is needed
}

}  // namespace headgate::failover
