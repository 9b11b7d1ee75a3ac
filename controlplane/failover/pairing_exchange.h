// Pairing over the HA link's port (pairing.h says what is proved): this box waits for one that knows the code, or goes
// to the one that made it. One exchange at a time.
//
//   client                      server
//   PairProof            ->     judged; wrong ones are counted
//   judged, then pinned  <-     PairVerdict with the server's proof
//   PairPinned           ->     pinned, the code is used up
//   done                 <-     PairPinned
//
// If the connection ends in between, the code is still good and a second run pins the same again.
//
// Thread rule: that of the io_context.
#pragma once

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>

#include "controlplane/failover/link_stream.h"
#include "controlplane/failover/pairing.h"
#include "controlplane/failover/pairing_record.h"

namespace headgate::failover {

class PairingDesk {
 public:
  static constexpr std::chrono::seconds kExchangeLimit{10};
  using Done = std::function<void(config::Result<std::string>)>;  // the peer's name

  struct Handlers {
    std::function<void(const std::string& peer)> paired;   // on either side
    std::function<void(const std::string& text)> warning;  // wrong code, and the like: for the log
  };
  PairingDesk(asio::io_context& io, IdentityStore& identity, PairingRecord& record, std::string name,
              Handlers handlers);
  ~PairingDesk();

  // The code to print; it is good for kCodeLife.
  std::string open() { return window_.open(PairingWindow::Clock::now()); }
  void cancel() { window_.close(); }
  bool waits() const { return window_.is_open(PairingWindow::Clock::now()); }

  // A connection of kind `pair` that came in. Requires: its handler `ready` runs.
  void serve(std::shared_ptr<LinkStream> stream);
  // To the box where `code` was made.
  void join(const Code& code, const asio::ip::tcp::endpoint& own, const asio::ip::tcp::endpoint& peer, Done done);

 private:
  struct Candidate {
    Fingerprint fingerprint{};
    std::uint64_t box_id = 0;
    std::string name;
  };
  void judge_proof(const ha::v1::PairProof& proof);
  void judge_pinned();
  void judge_verdict(const ha::v1::PairVerdict& verdict);
  void finish(config::Result<std::string> result);
  config::Result<void> pin(const Candidate& candidate);
  void begin(std::shared_ptr<LinkStream> stream);
  void drop(const std::string& why);

  asio::io_context& io_;
  IdentityStore& identity_;
  PairingRecord& record_;
  const std::string name_;
  const Handlers handlers_;
  PairingWindow window_;
  asio::steady_timer limit_;
  std::shared_ptr<LinkStream> stream_;  // of the exchange that is under way
  Connection connection_;
  Candidate candidate_;
  bool agreed_ = false;  // server: the proof was right; client: pinned
  Secret key_{};         // client: from the code
  Done done_;
};

}  // namespace headgate::failover
