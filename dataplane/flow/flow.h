// One flow: both directions of a client's exchange with a backend, in two cache lines. Self-contained: a flow whose
// backend or service left the configuration (policy `keep`) still forwards.
//
// Layout: line 0 is what a lookup compares, line 1 what forwarding needs.
#pragma once

#include <cstdint>

#include "dataplane/base/ids.h"
#include "dataplane/base/tuple.h"
#include "dataplane/snapshot/model.h"

namespace headgate::flow {

using FlowIndex = std::uint32_t;
inline constexpr FlowIndex kNoFlow = 0xffffffff;

enum class Direction : std::uint8_t { forward, reverse };

// Life of a flow. TCP per RFC 5382 and 7857; UDP per RFC 4787; each maps to one timeout of snapshot::Timeouts.
enum class State : std::uint8_t {
  free,
  tcp_syn,  // SYN seen, nothing from the backend yet (or one-directional modes: no ACK yet): half-open
  tcp_established,
  tcp_transitory,  // one-way modes: the client's FIN seen; else: after a RST, the other side goes on
  tcp_closed,      // both FINs or a RST: kept shortly for crossing segments; a new SYN rebinds at once
  udp_unreplied,
  udp,
  icmp,
};

// What kind of flow: a service's, a probe of ours along the path of traffic, or the servers' own traffic.
enum class Kind : std::uint8_t { service, probe, egress_snat, egress_route };

struct Flow {
  // Line 0: forward tuple is (client, service), reverse tuple as it arrives is (backend, local).
  IpAddress client;   // egress: the server
  IpAddress service;  // egress: the remote host
  IpAddress local;    // source towards the backend: a local address, or the client again (nat, dsr, tunnel)
  IpAddress backend;  // destination towards the backend; dsr and tunnel: where the frame goes, packet keeps `service`.
                      // Probes in these modes: the real service address; the frame goes to the backend of backend_slot
  // Line 1
  std::uint16_t client_port, service_port, local_port, backend_port;
  std::uint8_t protocol;
  State state;
  snapshot::Mode mode : 4;
  Kind kind : 4;
  snapshot::GroupSlot group;  // forwarded only while it is active here
  Slot service_slot, backend_slot, local_slot;
  // limited: holds a token of its backend's connection limit. gue: tunnel mode keeps the GUE port in local_port.
  // reset_by_client: who sent the RST that closed it. unanswered: counted as one that its backend did not answer.
  std::uint8_t fin_seen : 2, limited : 1, reset_on_expiry : 1, gue : 1, reverse_indexed : 1, replied : 1,
      reset_by_client : 1;
  std::uint8_t bucket : 7, unanswered : 1;
  std::uint32_t last_seen_ms;  // worker's clock, wraps after 49 days; compared by difference
  std::uint32_t created_ms;
  std::uint32_t hop_epoch;   // of the two cached next hops below
  std::uint32_t to_backend;  // neighbor refs
  std::uint32_t to_client;
  std::uint32_t seq_to_backend;  // next sequence numbers: what a RST is held to, and where our own go
  std::uint32_t seq_to_client;
  std::uint32_t timer_prev, timer_next;  // timer wheel, intrusive; a first entry's `prev` names its slot
  std::uint32_t shed_prev, shed_next;    // list of its shedding class

  Tuple forward_tuple() const { return {client, service, client_port, service_port, protocol}; }
  // As the backend's packets arrive.
  Tuple reverse_tuple() const { return {backend, local, backend_port, local_port, protocol}; }
  // The packet goes to the backend under the service address (dsr, tunnel); `local` is then the outer source of a
  // tunnel.
  bool keeps_destination() const {
    return kind == Kind::service && (mode == snapshot::Mode::dsr || mode == snapshot::Mode::tunnel);
  }
  bool half_open() const { return state == State::tcp_syn; }
};
static_assert(sizeof(Flow) == 128, "two cache lines; 1 M flows in 128 MB");

const char* to_string(State state);

}  // namespace headgate::flow
