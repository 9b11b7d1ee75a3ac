// The box this one is paired with, on disk: STATE_DIR/ha/peer.txtpb (PeerRecord of api/ha.proto). Each change is
// durable before it holds.
#pragma once

#include <optional>
#include <string>

#include "controlplane/api/ha.pb.h"
#include "controlplane/config/disk.h"
#include "controlplane/failover/identity.h"

namespace headgate::failover {

class PairingRecord {
 public:
  PairingRecord(config::Disk& disk, std::string directory) : disk_(disk), directory_(std::move(directory)) {}

  // A damaged file is an error and stays: forgetting the peer is a person's decision.
  config::Result<void> open();
  const ha::v1::PeerRecord* peer() const { return record_ ? &*record_ : nullptr; }

  // The certificate is that of the peer, or the one it announced.
  bool knows(const Fingerprint& fingerprint) const;

  config::Result<void> pin(const Fingerprint& fingerprint, std::uint64_t box_id, const std::string& name,
                           std::int64_t now_s);
  config::Result<void> announce(const Fingerprint& next);
  // The peer came with it: if it is the announced one, the one before is no longer accepted.
  config::Result<void> seen(const Fingerprint& fingerprint);
  config::Result<void> forget();

 private:
  std::string path() const { return directory_ + "/peer.txtpb"; }
  config::Result<void> put(const ha::v1::PeerRecord& record);

  config::Disk& disk_;
  const std::string directory_;
  std::optional<ha::v1::PeerRecord> record_;
};

}  // namespace headgate::failover
