#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "controlplane/api/options.pb.h"
#include "controlplane/config/checks.h"

namespace headgate::config {
namespace {

using google::protobuf::FieldDescriptorProto;

// A schema with options that config.proto may not use at the moment.
class OptionsOfFields : public ::testing::Test {
 protected:
  OptionsOfFields() : pool_(google::protobuf::DescriptorPool::generated_pool()), factory_(&pool_) {
    google::protobuf::FileDescriptorProto file;
    file.set_name("options_of_fields.proto");
    file.set_syntax("proto3");
    auto& type = *file.add_message_type();
    type.set_name("Root");
    add(type, "code", 1).SetExtension(v1::pattern, "[a-z]{3}");
    type.mutable_field(0)->mutable_options()->SetExtension(v1::help, "three letters");
    add(type, "old", 2).SetExtension(v1::deprecated, "since 2.1, use code");
    auto& token = add(type, "token", 3);
    token.SetExtension(v1::pattern, "[0-9]+");
    token.SetExtension(v1::secret, true);
    token.SetExtension(v1::help, "digits");
    root_ = factory_.GetPrototype(pool_.BuildFile(file)->message_type(0));
  }
  static google::protobuf::FieldOptions& add(google::protobuf::DescriptorProto& type, const char* name, int number) {
    FieldDescriptorProto& field = *type.add_field();
    field.set_name(name);
    field.set_number(number);
    field.set_label(FieldDescriptorProto::LABEL_OPTIONAL);
    field.set_type(FieldDescriptorProto::TYPE_STRING);
    return *field.mutable_options();
  }
  std::string said(const std::string& text) {
    const std::unique_ptr<google::protobuf::Message> message(root_->New());
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, message.get()));
    Document document;
    document.file = "x";
    Report report(document);
    check_schema(Node(*message, nullptr, {1, 1}), report);
    std::string all;
    for (const Diagnostic& diagnostic : document.diagnostics) all += diagnostic.to_string() + "\n";
    return all;
  }

  google::protobuf::DescriptorPool pool_;
  google::protobuf::DynamicMessageFactory factory_;
  const google::protobuf::Message* root_ = nullptr;
};

TEST_F(OptionsOfFields, APatternIsForTheWholeText) {
  EXPECT_EQ(said("code: \"abc\""), "");
  EXPECT_EQ(said("code: \"abcd\""), "x:1:1: code is \"abcd\"; write three letters; it matches [a-z]{3}\n");
}

TEST_F(OptionsOfFields, APatternTellsNoSecret) {
  EXPECT_EQ(said("token: \"hunter2\""), "x:1:1: token is not what it must be; write digits; it matches [0-9]+\n");
}

TEST_F(OptionsOfFields, WhatIsDeprecatedIsAWarning) {
  EXPECT_EQ(said("old: \"x\""), "x:1:1: warning: old is deprecated; since 2.1, use code\n");
}

}  // namespace
}  // namespace headgate::config
