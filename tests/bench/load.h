// Established TCP flows and segments of them. Flows come to be as in life: SYN, SYN-ACK and ACK through the worker.
#pragma once

#include <cstdint>
#include <vector>

#include "dataplane/base/rng.h"
#include "tests/bench/frames.h"
#include "tests/bench/site.h"

namespace headgate::bench {

// What both ends of a flow know, 12 bytes: 10 M of them must not disturb what is measured.
struct KnownFlow {
  std::uint32_t client = 0;              // number, see client_address()
  std::uint16_t backend = 0, local = 0;  // low half of the address, in kServerNet
  std::uint16_t local_port = 0;
};

class Load {
 public:
  // `seed` also chooses the clients: two Loads of one Site must not share them.
  Load(Site& site, unsigned lane, std::uint32_t first_client = 0);

  // Until there are `flows` established ones. Dies when the worker loses a packet.
  void grow(std::uint32_t flows);
  // Data segments of random flows, in modes whose replies pass half of them from the backend. Frames from Lane::take().
  void write_data(std::span<worker::Frame> frames, Rng& rng) const;
  std::uint32_t flows() const { return static_cast<std::uint32_t>(flows_.size()); }

  // The phases of a connection, for `count` new clients. Replies use what the worker did with the SYN.
  enum class Phase { syn, syn_ack, ack, client_fin, server_fin, last_ack };
  static constexpr std::array kAllPhases{Phase::syn,        Phase::syn_ack,    Phase::ack,
                                         Phase::client_fin, Phase::server_fin, Phase::last_ack};
  void new_clients(unsigned count);
  // Cycles of the worker for one packet of each new client.
  std::uint64_t pass(Phase phase);

 private:
  Segment from_client(const KnownFlow& flow) const;
  Segment from_backend(const KnownFlow& flow) const;
  void learn();

  Site& site_;
  Lane& lane_;
  std::uint32_t next_client_;
  std::vector<KnownFlow> flows_;
  std::vector<KnownFlow> fresh_;
};

}  // namespace headgate::bench
