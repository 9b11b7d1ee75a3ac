// The datagram socket RUN_DIR/supervisor.sock, by which processes speak to the supervisor. With each message the kernel
// says who sent it (SCM_CREDENTIALS), so the file may be open to all users.
//
//   READY=1, WATCHDOG=1, STATUS=...   from a child, as sd_notify(3) sends them; never answered
//   restart NAME                      ends the process, which is then started again; answered
//   notice NAME ORDER | notice NAME off   what to tell the peer when the process ends: death_notice.h; answered
//   reboot                            stops all processes and reboots the machine; answered
//
// An answer is "ok", or a sentence that says why not. Without connections there is nothing a slow client can hold.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#include <optional>
#include <string>

namespace headgate::supervisor {

struct Request {
  pid_t pid = 0;
  uid_t uid = 0;
  std::string text;
  sockaddr_un from{};
  socklen_t from_size = 0;
};

class RequestSocket {
 public:
  RequestSocket() = default;
  ~RequestSocket();
  RequestSocket(const RequestSocket&) = delete;
  RequestSocket& operator=(const RequestSocket&) = delete;

  bool open(const std::string& path);  // errno on false
  int descriptor() const { return descriptor_; }
  std::optional<Request> next();  // nothing when nothing waits
  void answer(const Request& request, const std::string& text) const;

 private:
  int descriptor_ = -1;
  std::string path_;
};

// To the service manager above us, when there is one (NOTIFY_SOCKET): sd_notify(3) in a few lines, since what must
// outlive everything else depends on no library.
void notify_manager(const std::string& state);

}  // namespace headgate::supervisor
