// Who came in: a line for each connection's first call, until one identity comes so often that its lines would push out
// what else happened. A script that asks every second is a few lines and then a count.
#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <set>
#include <string>

namespace headgate::app {

// Any thread.
class Logins {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr unsigned kBurst = 10;                                 // lines of an identity in a row
  static constexpr std::chrono::minutes kRefill{5};                      // and one more each
  static constexpr std::size_t kIdentities = 1000, kConnections = 4000;  // remembered of

  // What to log of a call, or nothing. `peer`: grpc::ServerContext::peer(), which names the connection.
  std::string note(const std::string& user, const std::string& peer, Clock::time_point now);

 private:
  struct Identity {
    unsigned lines_left = kBurst;
    Clock::time_point refilled;
    unsigned unsaid = 0;  // logins without a line since the last
  };
  std::mutex mutex_;
  std::map<std::string, Identity> identities_;
  std::set<std::pair<std::string, std::string>> connections_;  // identity and peer
};

}  // namespace headgate::app
