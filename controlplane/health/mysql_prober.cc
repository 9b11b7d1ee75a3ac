#include "controlplane/health/mysql_prober.h"

#include <fcntl.h>
#include <mysql.h>
#include <unistd.h>

#include <array>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/write.hpp>
#include <functional>

#include "controlplane/health/tcp_prober.h"

namespace headgate::health {

using asio::ip::tcp;

namespace {
constexpr auto kRelayPause = std::chrono::milliseconds(50);
}

class MysqlAttempt : public TcpAttempt {
 public:
  MysqlAttempt(asio::io_context& io, const Done& done, std::uint64_t probe, const Target& target, MysqlProber& prober)
      : TcpAttempt(io, done, probe, target),
        check_(target.check.share<MysqlCheck>()),
        prober_(prober),
        inner_(io),
        readiness_(io) {}
  ~MysqlAttempt() override { release_library(); }

  // The relay's end of the library's connection.
  void attach(tcp::socket inner) {
    if (finished()) return;
    attached_ = true;
    inner_ = std::move(inner);
    pump(inner_, socket(), to_server_);
    pump(socket(), inner_, from_server_);
  }

 protected:
  void connected() override {
    asio::error_code error;
    if (!prober_.open_relay(error)) return finish(unknown("no relay on loopback: " + cause_of(error)));
    mysql_ = mysql_init(nullptr);
    if (mysql_ == nullptr) return finish(unknown("out of memory"));
    set_options();
    const int status =
        mysql_real_connect_start(&logged_in_, mysql_, "127.0.0.1", check_->user.c_str(), check_->password.c_str(),
                                 empty_is_null(check_->database), prober_.relay_.local_endpoint().port(), nullptr, 0);
    if (!expect_library()) return finish(unknown("the library made no connection: " + library_error()));
    go_on(
        status, [this](const int event) { return mysql_real_connect_cont(&logged_in_, mysql_, event); },
        [this] { after_login(); });
  }

  void close() override {
    asio::error_code ignored;
    inner_.close(ignored);
    TcpAttempt::close();
    prober_.expected_.erase(port_);
    release_library();
  }

  Outcome at_deadline() const override {
    if (decided_) return *decided_;
    return is_connected() && !attached_ ? unknown("the relay on loopback did not accept") : TcpAttempt::at_deadline();
  }

 private:
  using Continue = std::function<int(int event)>;  // a call of the library, resumed; 0: it is done
  using Then = std::function<void()>;
  struct Direction {
    std::array<char, 4096> buffer;
    std::size_t bytes = 0;
  };

  static const char* empty_is_null(const std::string& text) { return text.empty() ? nullptr : text.c_str(); }

  void set_options() {
    constexpr unsigned kLocalInfile = 0;  // a server must not ask for our files
    constexpr std::size_t kPacketMax = 64 * 1024;
    mysql_options(mysql_, MYSQL_OPT_NONBLOCK, nullptr);
    mysql_options(mysql_, MYSQL_OPT_LOCAL_INFILE, &kLocalInfile);
    mysql_options(mysql_, MYSQL_OPT_MAX_ALLOWED_PACKET, &kPacketMax);
    // None that sends the password itself.
    mysql_options(mysql_, MARIADB_OPT_RESTRICTED_AUTH,
                  "mysql_native_password,caching_sha2_password,sha256_password,client_ed25519");
  }

  // So that the relay knows whose connection it accepts.
  bool expect_library() {
    const int fd = static_cast<int>(mysql_get_socket(mysql_));
    sockaddr_in local{};
    socklen_t size = sizeof local;
    if (fd < 0 || getsockname(fd, reinterpret_cast<sockaddr*>(&local), &size) != 0) return false;
    port_ = ntohs(local.sin_port);
    prober_.expected_[port_] = self(this);
    // A descriptor of our own to wait on: the library closes its own when it likes.
    const int watched = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (watched < 0) return false;
    readiness_.assign(watched);
    return true;
  }

  // Calls `resume` when what the library waits for has come, until it is done.
  void go_on(const int status, Continue resume, Then then) {
    pending_ = status == 0 ? nullptr : resume;
    if (finished()) return;
    if (status == 0) return then();
    const auto wanted = (status & MYSQL_WAIT_READ) != 0 ? asio::posix::descriptor_base::wait_read
                                                        : asio::posix::descriptor_base::wait_write;
    readiness_.async_wait(wanted, [me = self(this), status, resume = std::move(resume),
                                   then = std::move(then)](const asio::error_code&) mutable {
      if (me->finished()) return;
      const int next = resume(status & (MYSQL_WAIT_READ | MYSQL_WAIT_WRITE));
      me->go_on(next, std::move(resume), std::move(then));
    });
  }

  void after_login() {
    if (logged_in_ == nullptr) return finish(failure(library_error()));
    if (check_->query.empty()) return quit(success());
    const int status = mysql_real_query_start(&query_failed_, mysql_, check_->query.data(), check_->query.size());
    go_on(
        status, [this](const int event) { return mysql_real_query_cont(&query_failed_, mysql_, event); },
        [this] { after_query(); });
  }

  void after_query() {
    if (query_failed_ != 0) return quit(failure(library_error()));
    result_ = mysql_use_result(mysql_);
    if (result_ == nullptr) {
      return quit(mysql_field_count(mysql_) == 0 ? success() : failure(library_error()));
    }
    const int status = mysql_fetch_row_start(&row_, result_);
    go_on(
        status, [this](const int event) { return mysql_fetch_row_cont(&row_, result_, event); },
        [this] { quit(row_ != nullptr ? success() : failure("the query gave no row")); });
  }

  // Says goodbye; the probe ends when the server has closed, or at its deadline, with what is decided now.
  void quit(Outcome outcome) {
    decided_ = std::move(outcome);
    if (result_ == nullptr) return say_goodbye();
    // Reads the rows that nobody asked for: the server listens again after them.
    // From here on it is the library's: release_library() brings a call that waits to its end, and must not free twice.
    MYSQL_RES* const result = std::exchange(result_, nullptr);
    go_on(
        mysql_free_result_start(result), [result](const int event) { return mysql_free_result_cont(result, event); },
        [this] { say_goodbye(); });
  }

  void say_goodbye() {
    MYSQL* const handle = std::exchange(mysql_, nullptr);
    go_on(
        mysql_close_start(handle), [handle](const int event) { return mysql_close_cont(handle, event); },
        [this] {
          asio::error_code ignored;
          readiness_.close(ignored);
        });
  }

  // With the relay closed, whatever the library waits for fails at once.
  void release_library() {
    asio::error_code ignored;
    if (pending_ && readiness_.is_open()) ::shutdown(readiness_.native_handle(), SHUT_RDWR);
    for (int i = 0; pending_ && i < 8; ++i) {
      if (pending_(MYSQL_WAIT_READ | MYSQL_WAIT_WRITE) == 0) break;
    }
    pending_ = nullptr;
    if (result_ != nullptr) mysql_free_result(std::exchange(result_, nullptr));
    if (mysql_ != nullptr) mysql_close(std::exchange(mysql_, nullptr));
    readiness_.close(ignored);
  }

  std::string library_error() const { return excerpt(mysql_error(mysql_), 200); }

  void pump(tcp::socket& from, tcp::socket& to, Direction& direction) {
    from.async_read_some(asio::buffer(direction.buffer), [me = self(this), &from, &to, &direction](
                                                             const asio::error_code& error, const std::size_t n) {
      if (me->finished()) return;
      if (error) return me->pump_ended(from, to);
      direction.bytes += n;
      if (direction.bytes > kMysqlBytesMax) {
        return me->finish(
            me->decided_.value_or(failure("more than " + std::to_string(kMysqlBytesMax) + " bytes came")));
      }
      asio::async_write(to, asio::buffer(direction.buffer, n),
                        [me, &from, &to, &direction](const asio::error_code& unwritten, std::size_t) {
                          if (me->finished()) return;
                          if (unwritten) return me->pump_ended(from, to);
                          me->pump(from, to, direction);
                        });
    });
  }

  void pump_ended(tcp::socket& from, tcp::socket& to) {
    if (decided_ && &from == &socket()) return finish(*decided_);
    asio::error_code ignored;
    to.shutdown(tcp::socket::shutdown_send,
                ignored);  // the library says what that means; the server ends after COM_QUIT
  }

  const std::shared_ptr<const MysqlCheck> check_;
  MysqlProber& prober_;
  tcp::socket inner_;
  asio::posix::stream_descriptor readiness_;  // of the library's socket
  std::uint16_t port_ = 0;                    // its local one
  bool attached_ = false;
  Direction to_server_, from_server_;
  Continue pending_;  // the call of the library that waits
  MYSQL* mysql_ = nullptr;
  MYSQL* logged_in_ = nullptr;
  int query_failed_ = 0;
  MYSQL_RES* result_ = nullptr;
  MYSQL_ROW row_ = nullptr;
  std::optional<Outcome> decided_;
};

bool MysqlProber::open_relay(asio::error_code& error) {
  if (relay_.is_open()) return true;
  const tcp::endpoint anywhere(asio::ip::address_v4::loopback(), 0);
  relay_.open(tcp::v4(), error);
  if (!error) relay_.bind(anywhere, error);
  if (!error) relay_.listen(asio::socket_base::max_listen_connections, error);
  if (!error) {
    accept();
    return true;
  }
  asio::error_code ignored;
  relay_.close(ignored);
  return false;
}

void MysqlProber::accept() {
  relay_.async_accept([this](const asio::error_code& error, tcp::socket inner) {
    if (error == asio::error::operation_aborted) return;  // the prober may be gone
    asio::error_code unknown_peer;
    const tcp::endpoint peer = error ? tcp::endpoint() : inner.remote_endpoint(unknown_peer);
    if (const auto found = expected_.find(peer.port()); !error && !unknown_peer && found != expected_.end()) {
      const auto attempt = found->second.lock();
      expected_.erase(found);
      if (attempt) attempt->attach(std::move(inner));
    }
    if (!error) return accept();
    pause_.expires_after(kRelayPause);  // out of descriptors: the connection waits
    pause_.async_wait([this](const asio::error_code& cancelled) {
      if (!cancelled) accept();
    });
  });
}

void MysqlProber::start(std::uint64_t probe, const Target& target) {
  std::make_shared<MysqlAttempt>(io_, done_, probe, target, *this)->start(target.timeout);
}

}  // namespace headgate::health
