// What the two boxes of a pair have in common of a configuration, and what each has for itself (option `box_local`). By
// reflection alone: a new field needs nothing here. Pure.
//
//   shared_part(c)    c without anything box_local: what versions and digests of the pair are about
//   offered_part(c)   that, and of box_local fields those that no entry can be without (`required`): a box that has not
//                     got the entry yet begins with the other one's port, since both are usually wired alike
//   merge(o, local)   what the peer offers, with this box's own box_local fields
//
// Entries of lists are matched by their key (tree.h), those without one by position if both lists are equally long.
// For any configurations x and y: shared_part(merge(offered_part(x), y)) equals shared_part(x).
#pragma once

#include <google/protobuf/message.h>

#include <string>

#include "controlplane/api/config.pb.h"

namespace headgate::config {

v1::Config shared_part(const v1::Config& config);
v1::Config offered_part(const v1::Config& config);
v1::Config merge(const v1::Config& offered, const v1::Config& local);

// SHA-256 of the canonical text of the shared part, in hexadecimal: equal on both boxes when they agree.
std::string shared_digest(const v1::Config& config);

// For tests: the same for messages of any schema that uses our options.
void keep_shared(google::protobuf::Message& message, bool with_required);
void merge_local(google::protobuf::Message& offered, const google::protobuf::Message* local);

}  // namespace headgate::config
