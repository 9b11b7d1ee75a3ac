#include "controlplane/monitor/syslog_sender.h"

#include <spdlog/spdlog.h>

#include <array>
#include <asio/write.hpp>

namespace headgate::monitor {
namespace {

constexpr std::size_t kBatch = 100;  // messages of one write
constexpr std::chrono::seconds kWriteTime{10};
// A connection that lived this long was a good one. That something was written says little: the kernel takes it, and a
// collector that accepts and closes has not read it.
constexpr std::chrono::seconds kSettled{5};

}  // namespace

// Callbacks hold it; one that comes after the sender has let go finds `ended`.
struct SyslogSender::Connection {
  explicit Connection(asio::io_context& io) : socket(io), deadline(io) {}
  asio::ip::tcp::socket socket;
  asio::steady_timer deadline;                  // of the connect or the write
  std::chrono::steady_clock::time_point since;  // it is ready
  std::string bytes;
  std::size_t messages = 0;  // in `bytes`
  std::array<char, 256> unread{};
  bool ready = false, writing = false, ended = false;
};

SyslogSender::SyslogSender(asio::io_context& io) : io_(io), retry_(io) {}

SyslogSender::~SyslogSender() {
  set_collector(std::nullopt);
}

bool SyslogSender::connected() const {
  return connection_ && connection_->ready;
}

void SyslogSender::set_collector(std::optional<asio::ip::tcp::endpoint> collector) {
  if (collector == collector_) return;
  collector_ = collector;
  retry_.cancel();
  backoff_ = kBackoffFirst;
  if (connection_) {
    connection_->ended = true;
    asio::error_code ignored;
    connection_->socket.close(ignored);
    connection_->deadline.cancel();
    connection_.reset();
  }
  if (!collector_) queue_.clear();
  if (collector_) connect();
}

void SyslogSender::send(const SyslogMessage& message) {
  if (!collector_) return;
  if (queue_.size() >= kQueueMax) {
    // Those being written stay until it is known what became of them.
    const std::size_t busy = connection_ ? connection_->messages : 0;
    queue_.erase(queue_.begin() + static_cast<std::ptrdiff_t>(busy));
    ++dropped_;
  }
  queue_.push_back(message);
  write();
}

void SyslogSender::connect() {
  connection_ = std::make_shared<Connection>(io_);
  connection_->deadline.expires_after(kWriteTime);
  connection_->deadline.async_wait([c = connection_](const asio::error_code& cancelled) {
    asio::error_code ignored;
    if (!cancelled) c->socket.close(ignored);
  });
  connection_->socket.async_connect(*collector_, [this, c = connection_](const asio::error_code& error) {
    if (c->ended) return;
    c->deadline.cancel();
    if (error) return lost();
    spdlog::info("syslog: connected to {}", collector_->address().to_string());
    c->ready = true;
    c->since = std::chrono::steady_clock::now();
    watch();
    write();
  });
}

// A collector has nothing to say: what comes is its end, which a write would notice one message too late.
void SyslogSender::watch() {
  connection_->socket.async_read_some(asio::buffer(connection_->unread),
                                      [this, c = connection_](const asio::error_code& error, std::size_t) {
                                        if (c->ended) return;
                                        if (error) return lost();
                                        watch();
                                      });
}

void SyslogSender::write() {
  if (!connected() || connection_->writing || queue_.empty()) return;
  Connection& c = *connection_;
  c.bytes.clear();
  if (told_ != dropped_) {
    SyslogMessage note = queue_.front();
    note.kind = "log";
    note.severity = 4;
    note.user.clear();
    note.text = std::to_string(dropped_ - told_) + " messages were dropped before this one: the collector was away";
    c.bytes += framed(format(note));
    told_ = dropped_;
  }
  c.messages = std::min(queue_.size(), kBatch);
  for (std::size_t i = 0; i < c.messages; ++i) c.bytes += framed(format(queue_[i]));
  c.writing = true;
  c.deadline.expires_after(kWriteTime);
  c.deadline.async_wait([own = connection_](const asio::error_code& cancelled) {
    asio::error_code ignored;
    if (!cancelled) own->socket.close(ignored);  // a collector that takes nothing
  });
  asio::async_write(c.socket, asio::buffer(c.bytes),
                    [this, own = connection_](const asio::error_code& error, std::size_t) {
                      if (own->ended) return;
                      own->writing = false;
                      own->deadline.cancel();
                      if (error) return lost();
                      queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(own->messages));
                      own->messages = 0;
                      write();
                    });
}

void SyslogSender::lost() {
  if (connection_->ready) spdlog::info("syslog: the connection to {} ended", collector_->address().to_string());
  if (connection_->ready && std::chrono::steady_clock::now() - connection_->since >= kSettled) backoff_ = kBackoffFirst;
  connection_->ended = true;
  connection_->deadline.cancel();
  asio::error_code ignored;
  connection_->socket.close(ignored);
  connection_.reset();
  retry_.expires_after(backoff_);
  backoff_ = std::min(backoff_ * 2, kBackoffLast);
  retry_.async_wait([this](const asio::error_code& cancelled) {
    if (!cancelled) connect();
  });
}

}  // namespace headgate::monitor
