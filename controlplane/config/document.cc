#include "controlplane/config/document.h"

#include <google/protobuf/descriptor.h>

#include <map>
#include <utility>

namespace headgate::config {

using google::protobuf::FieldDescriptor;

const FieldDescriptor& Node::field_named(const char* field) const {
  return *message_->GetDescriptor()->FindFieldByName(field);
}

Location Node::location_of(const FieldDescriptor& field, int index) const {
  if (tree_ == nullptr) return location_;
  const int count = field.is_repeated() ? index : -1;
  // `address: ["a", "b"]` is recorded once, for its first value.
  for (int i = count; i >= (field.is_repeated() ? 0 : -1); --i) {
    const auto place = tree_->GetLocation(&field, i);
    if (place.line >= 0) return {place.line + 1, place.column + 1};
  }
  return location_;
}

Location Node::location_of(const char* field, int index) const {
  return location_of(field_named(field), index);
}

Node Node::child(const FieldDescriptor& field, int index) const {
  const auto* reflection = message_->GetReflection();
  const google::protobuf::Message& message = field.is_repeated()
                                                 ? reflection->GetRepeatedMessage(*message_, &field, index)
                                                 : reflection->GetMessage(*message_, &field);
  const Tree* tree = tree_ == nullptr ? nullptr : tree_->GetTreeForNested(&field, field.is_repeated() ? index : -1);
  return {message, tree, location_of(field, index)};
}

Node Node::child(const char* field, int index) const {
  return child(field_named(field), index);
}

void sort_by_place(std::vector<Diagnostic>& diagnostics) {
  // std::stable_sort of libstdc++ 12 does not compile cleanly under clang 19.
  std::multimap<std::pair<int, int>, Diagnostic> by_place;
  for (Diagnostic& d : diagnostics) by_place.emplace(std::pair(d.location.line, d.location.column), std::move(d));
  diagnostics.clear();
  for (auto& [place, diagnostic] : by_place) diagnostics.push_back(std::move(diagnostic));
}

}  // namespace headgate::config
