// A whole site in virtual time: clients, one box of real workers, three servers, faulty links between them. Design
// section 5.3 in its first form: ARP and ND are answered without faults, and hosts speak the small protocols of
// transfer.h.
//
// Invariants checked while it runs and at its end: bytes delivered are a prefix of bytes sent; an exchange stays with
// the server that it began with; with faults off every exchange ends; nothing leaks.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/sim/box.h"
#include "tests/sim/network.h"
#include "tests/sim/transfer.h"

namespace headgate::sim {

struct Plan {
  std::uint64_t seed = 1;
  unsigned workers = 2;
  unsigned connections = 40, udp_flows = 20;
  std::size_t bytes_max = 6000;  // each way
  unsigned lasting = 0;          // of the connections, and as many of the UDP flows: begin at once...
  unsigned lasting_turns = 0;    // ...and take this many round trips
  Faults faults{};
  Nanos fault_time = 5 * kSecond;  // then faults end
  Nanos snapshot_every = 0;        // 0: none while it runs
  Nanos patience = 200 * kSecond;  // after the faults
};
// Faults, workers and load drawn from the seed.
Plan random_plan(std::uint64_t seed);
std::string describe(const Plan& plan);

// What the box runs, and how that changes while traffic flows.
class Changes {
 public:
  Changes() = default;
  virtual ~Changes() = default;
  Changes(const Changes&) = delete;
  Changes& operator=(const Changes&) = delete;
  virtual std::string first() = 0;    // a snapshot's text
  virtual Nanos pause() = 0;          // how long until the next change; kNever: there is none
  virtual void change(Box& box) = 0;  // Requires: pause() was not kNever
  virtual bool finished() const = 0;  // the run need not wait for another change
};

class Simulation {
 public:
  explicit Simulation(const Plan& plan);  // three weights in turn, every plan.snapshot_every
  Simulation(const Plan& plan, std::unique_ptr<Changes> changes);

  // What is wrong, or nothing. Whether each exchange completed is left to the caller: see aborted().
  std::string run();

  unsigned finished() const;
  unsigned aborted() const;
  unsigned retransmissions() const;  // of both sides
  const Network::Counters& network() const { return network_.counters(); }
  Box& box() { return box_; }
  std::uint64_t trace() const { return trace_; }  // hash of all that was received, for determinism

 private:
  struct Client {
    Tuple tuple;  // as the client sends
    std::unique_ptr<TcpEnd> tcp{};
    std::unique_ptr<UdpClient> udp;
    Nanos start = 0;
  };
  struct ServerEnd {
    Tuple tuple;  // as the server sends
    bool direct = false;
    std::unique_ptr<TcpEnd> tcp{};
  };
  static constexpr unsigned kToBoxOutside = 0, kToBoxInside = 1, kToClients = 2, kToServers = 3;

  void add_clients();
  void step();
  Nanos next_time();
  void from_box(const std::vector<Out>& out);
  void deliver(const Network::Arrival& arrival);
  void to_client(const Frame& frame);
  void to_server(Frame frame);
  void server_segment(const MacAddress& host, const Tuple& arrived, const Segment& segment, bool direct);
  void note_server(const MacAddress& host, const Tuple& arrived, const Segment& segment);
  void speak(Client& client);
  void speak(ServerEnd& server);
  void send(const Tuple& tuple, const Segment& segment, bool from_client, bool direct);
  bool all_ended() const;
  std::string check() const;

  const Plan plan_;
  Rng rng_;
  Box box_;
  Network network_;
  std::vector<Client> clients_;
  std::unique_ptr<Changes> changes_;
  std::map<std::string, ServerEnd> servers_;        // by the server's hardware address and the text of the tuple
  std::map<std::uint64_t, std::string> server_of_;  // by what the client's first packet says of the exchange
  std::string moved_;                               // an exchange that met a second server
  std::map<std::string, std::size_t> client_by_tuple_;
  Nanos next_change_ = kNever;
  std::uint64_t trace_ = 0;
};

}  // namespace headgate::sim
