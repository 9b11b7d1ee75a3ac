#include "controlplane/console/client.h"

#include <google/protobuf/util/json_util.h>

#include <chrono>
#include <cstdio>

namespace headgate::console {

Client::Client(const Options& options) : options_(options) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(256 << 20);
  const bool local = options.remote.empty();
  const grpc::SslCredentialsOptions keys{options.authority, options.key, options.certificate};
  stub_ = management::v1::Management::NewStub(
      grpc::CreateCustomChannel(local ? "unix:" + options.socket : options.remote,
                                local ? grpc::InsecureChannelCredentials() : grpc::SslCredentials(keys), arguments));
}

int Client::check(const grpc::Status& status) const {
  return status.ok() ? 0 : say(explained(status));
}

std::string Client::explained(const grpc::Status& status) const {
  // gRPC's own words for a socket where nobody listens; the server's are sentences.
  const bool nobody = status.error_code() == grpc::StatusCode::UNAVAILABLE &&
                      (status.error_message().find("connect") != std::string::npos ||
                       status.error_message().find("Socket closed") != std::string::npos || !options_.remote.empty());
  if (nobody && !options_.remote.empty())
    return "no connection to " + where() + ": " + status.error_message() +
           "; does it listen, and do both sides trust "
           "each other's certificate?";
  if (nobody)
    return "the control plane does not answer on " + where() +
           ": is it running, and are you in the group that may ask it?";
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) return "no answer in time from " + where();
  return status.error_message();
}

int Client::say(const std::string& message) {
  std::fprintf(stderr, "headgate: %s\n", message.c_str());
  return 1;
}

config::Result<const Schema*> Client::schema() {
  if (schema_) return schema_.get();
  grpc::ClientContext context;
  soon(context);
  management::v1::Schema reply;
  if (const grpc::Status status = stub_->GetSchema(&context, {}, &reply); !status.ok())
    return config::fail(explained(status));
  auto loaded = Schema::load(reply.file_descriptor_set(), reply.root());
  if (!loaded) return config::fail(loaded.error().message);
  schema_ = std::move(*loaded);
  return schema_.get();
}

void Client::soon(grpc::ClientContext& context, int seconds) {
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(seconds));
}

int Client::stats(pb::StatsReply& reply) {
  grpc::ClientContext context;
  soon(context);
  return check(stub_->Stats(&context, {}, &reply));
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
