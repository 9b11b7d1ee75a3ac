#include "controlplane/failover/pairing_record.h"

#include <google/protobuf/text_format.h>

#include <algorithm>

namespace headgate::failover {

config::Result<void> PairingRecord::open() {
  const auto names = disk_.list(directory_);
  if (!names) return config::fail(names.error().message);
  if (std::find(names->begin(), names->end(), "peer.txtpb") == names->end()) return {};
  const auto text = disk_.read(path());
  if (!text) return config::fail(text.error().message);
  ha::v1::PeerRecord record;
  if (!google::protobuf::TextFormat::ParseFromString(*text, &record) || !fingerprint_of_hex(record.fingerprint()))
    return config::fail(path() + " is damaged; remove it and pair the boxes again");
  record_ = std::move(record);
  return {};
}

bool PairingRecord::knows(const Fingerprint& fingerprint) const {
  const std::string hex = to_hex(fingerprint);
  return record_ && (record_->fingerprint() == hex || record_->next_fingerprint() == hex);
}

config::Result<void> PairingRecord::put(const ha::v1::PeerRecord& record) {
  std::string text;
  google::protobuf::TextFormat::PrintToString(record, &text);
  if (auto done = config::replace_durably(disk_, path(), text); !done) return done;
  record_ = record;
  return {};
}

config::Result<void> PairingRecord::pin(const Fingerprint& fingerprint, std::uint64_t box_id, const std::string& name,
                                        std::int64_t now_s) {
  ha::v1::PeerRecord record;
  record.set_fingerprint(to_hex(fingerprint));
  record.set_box_id(box_id);
  record.set_name(name);
  record.set_paired_s(now_s);
  return put(record);
}

config::Result<void> PairingRecord::announce(const Fingerprint& next) {
  if (!record_) return config::fail("no peer is paired");
  if (record_->next_fingerprint() == to_hex(next) || record_->fingerprint() == to_hex(next)) return {};
  ha::v1::PeerRecord record = *record_;
  record.set_next_fingerprint(to_hex(next));
  return put(record);
}

config::Result<void> PairingRecord::seen(const Fingerprint& fingerprint) {
  if (!record_ || record_->next_fingerprint() != to_hex(fingerprint)) return {};
  ha::v1::PeerRecord record = *record_;
  record.set_fingerprint(record.next_fingerprint());
  record.clear_next_fingerprint();
  return put(record);
}

config::Result<void> PairingRecord::forget() {
  if (auto done = disk_.remove(path()); !done) return done;
  record_.reset();
  return disk_.sync_directory(directory_);
}

}  // namespace headgate::failover
