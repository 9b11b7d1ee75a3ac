#include "controlplane/config/shared.h"

#include <google/protobuf/descriptor.h>

#include <memory>

#include "controlplane/api/options.pb.h"
#include "controlplane/config/lineage.h"
#include "controlplane/config/print.h"
#include "controlplane/config/tree.h"

namespace headgate::config {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

bool is_local(const FieldDescriptor& field) {
  return field.options().GetExtension(v1::box_local);
}

// The one field of `to` takes what `from` has of it, nothing included.
void take(Message& to, const Message& from, const FieldDescriptor& field) {
  const Reflection& r = *to.GetReflection();
  // By way of a message that has nothing else: reflection copies whole messages only.
  const std::unique_ptr<Message> only(from.New());
  only->CopyFrom(from);
  for (int i = 0; i < from.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor* other = from.GetDescriptor()->field(i);
    if (other != &field) r.ClearField(only.get(), other);
  }
  r.ClearField(&to, &field);
  to.MergeFrom(*only);
}

// The entry of `list` in `local` that is this one of `offered`; null when there is none.
const Message* counterpart(const Message& offered, const Message& local, const FieldDescriptor& list, int index) {
  const Reflection& r = *local.GetReflection();
  int found = -1;
  if (key_field(*list.message_type()) != nullptr)
    found = index_of(local, list, key_of(offered, list, index));
  else if (r.FieldSize(local, &list) == r.FieldSize(offered, &list))
    found = index;
  return found < 0 ? nullptr : &r.GetRepeatedMessage(local, &list, found);
}

}  // namespace

void keep_shared(Message& message, bool with_required) {
  const Reflection& r = *message.GetReflection();
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor& field = *message.GetDescriptor()->field(i);
    if (is_local(field)) {
      if (!with_required || !field.options().GetExtension(v1::required)) r.ClearField(&message, &field);
    } else if (field.message_type() == nullptr) {
      continue;
    } else if (field.is_repeated()) {
      for (int entry = 0; entry < r.FieldSize(message, &field); ++entry)
        keep_shared(*r.MutableRepeatedMessage(&message, &field, entry), with_required);
    } else if (r.HasField(message, &field)) {
      keep_shared(*r.MutableMessage(&message, &field), with_required);
    }
  }
}

void merge_local(Message& offered, const Message* local) {
  if (local == nullptr) return;  // new here: it begins as it was offered
  const Reflection& r = *offered.GetReflection();
  for (int i = 0; i < offered.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor& field = *offered.GetDescriptor()->field(i);
    if (is_local(field)) {
      take(offered, *local, field);
    } else if (field.message_type() == nullptr) {
      continue;
    } else if (field.is_repeated()) {
      for (int entry = 0; entry < r.FieldSize(offered, &field); ++entry)
        merge_local(*r.MutableRepeatedMessage(&offered, &field, entry), counterpart(offered, *local, field, entry));
    } else if (r.HasField(offered, &field)) {
      merge_local(*r.MutableMessage(&offered, &field),
                  r.HasField(*local, &field) ? &r.GetMessage(*local, &field) : nullptr);
    }
  }
}

v1::Config shared_part(const v1::Config& config) {
  v1::Config out = config;
  keep_shared(out, false);
  return out;
}

v1::Config offered_part(const v1::Config& config) {
  v1::Config out = config;
  keep_shared(out, true);
  return out;
}

v1::Config merge(const v1::Config& offered, const v1::Config& local) {
  v1::Config out = offered;
  merge_local(out, &local);
  return out;
}

std::string shared_digest(const v1::Config& config) {
  return sha256_hex(print(shared_part(config)));
}

}  // namespace headgate::config
