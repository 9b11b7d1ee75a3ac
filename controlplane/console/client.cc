#include "controlplane/console/client.h"

#include <google/protobuf/util/json_util.h>

#include <chrono>
#include <cstdio>

namespace headgate::console {

Client::Client(const Options& options) : options_(options) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(256 << 20);
  stub_ = pb::Dataplane::NewStub(
      grpc::CreateCustomChannel("unix:" + options.socket, grpc::InsecureChannelCredentials(), arguments));
}

int Client::check(const grpc::Status& status) const {
  if (status.ok()) return 0;
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE &&
      status.error_message().find("worker") == std::string::npos) {
    std::fprintf(stderr, "headgate: the dataplane does not answer on %s: is it running?\n", options_.socket.c_str());
  } else {
    std::fprintf(stderr, "headgate: %s\n", status.error_message().c_str());
  }
  return 1;
}

void Client::soon(grpc::ClientContext& context, int seconds) {
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(seconds));
}

int Client::stats(pb::StatsReply& reply) {
  grpc::ClientContext context;
  soon(context);
  pb::StatsRequest request;
  request.set_interval_ms(200);
  return check(stub_->Stats(&context, request, &reply));
}

int print_json(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string text;
  if (!google::protobuf::util::MessageToJsonString(message, &text, options).ok()) return 1;
  std::fputs(text.c_str(), stdout);
  return 0;
}

}  // namespace headgate::console
