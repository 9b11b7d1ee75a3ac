// What workers say to each other: one SPSC ring per ordered pair. Packets change owner here; nothing else is shared.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <vector>

#include "dataplane/base/ids.h"
#include "dataplane/base/ip.h"
#include "dataplane/base/spsc_ring.h"
#include "dataplane/neighbor/neighbor_table.h"
#include "dataplane/snapshot/model.h"
#include "dataplane/worker/limits.h"

struct rte_mbuf;

namespace headgate::worker {

struct Message {
  enum class Kind : std::uint8_t {
    packet,              // process as if received on `port`; its owner is the receiver
    fragment,            // match this fragment; its owner by (addresses, id) is the receiver
    transmit,            // send on `port` as it is
    neighbor,            // ARP, neighbor discovery, MLD for the resolver
    persistence_query,   // which backend has this client? decide if none
    persistence_answer,  // `backend`
    grant_query,         // a token of `backend`'s connection limit
    grant_given,
    grant_denied,
    place_query,  // a token of `backend`'s limit for a connection of the asker's; no packet
    place_given,
    place_denied,
    neighbor_wanted,  // resolve `update.address`
    neighbor_update,
  };
  Kind kind = Kind::packet;
  std::uint8_t from = 0;
  std::uint16_t port = 0;
  snapshot::GroupSlot group = snapshot::kNoGroup;  // transmit: whom it is sent for
  // State of a new flow on its way: slots.
  Slot backend = kNoSlot;  // persistence: chosen; grant: asked for
  Slot persisted = kNoSlot;
  bool persistence_done = false;
  std::array<Slot, kDenialsMax> denied{kNoSlot, kNoSlot, kNoSlot, kNoSlot};
  // Of a fragment after the first, learnt from the first.
  std::uint16_t src_port = 0, dst_port = 0;
  std::uint8_t protocol = 0;
  rte_mbuf* mbuf = nullptr;
  neighbor::NeighborUpdate update{};
};

// All rings of a box: at(from, to). `wake` is called after a push to a worker that may sleep (the runner gives it).
class Mailboxes {
 public:
  explicit Mailboxes(unsigned workers) : workers_(workers) {
    for (unsigned i = 0; i < workers * workers; ++i) rings_.push_back(std::make_unique<SpscRing<Message>>(kMailbox));
  }
  SpscRing<Message>& at(unsigned from, unsigned to) { return *rings_[from * workers_ + to]; }
  unsigned workers() const { return workers_; }
  bool empty_for(unsigned to) const {
    for (unsigned from = 0; from < workers_; ++from) {
      if (!rings_[from * workers_ + to]->empty()) return false;
    }
    return true;
  }

 private:
  unsigned workers_;
  std::vector<std::unique_ptr<SpscRing<Message>>> rings_;
};

}  // namespace headgate::worker
