#include "controlplane/console/client.h"

#include <grpcpp/grpcpp.h>

#include <chrono>

namespace headgate::console {
namespace {

constexpr std::chrono::seconds kTimeout{10};

template <class Item>
grpc::Status drain(grpc::ClientContext& context, grpc::ClientReader<Item>& reader,
                   const std::function<bool(const Item&)>& on_item) {
  Item item;
  bool wanted = true;
  while (wanted && reader.Read(&item)) wanted = on_item(item);
  if (!wanted) context.TryCancel();
  const grpc::Status status = reader.Finish();
  return wanted ? status : grpc::Status::OK;
}

}  // namespace

Client::Client(const std::string& target) : target_(target) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  stub_ = dataplane::v1::Dataplane::NewStub(
      grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments));
}

void Client::limit(grpc::ClientContext& context) {
  context.set_deadline(std::chrono::system_clock::now() + kTimeout);
}

std::string Client::explain(const grpc::Status& status) const {
  if (status.ok()) return {};
  switch (status.error_code()) {
    case grpc::StatusCode::UNAVAILABLE:
      return "the dataplane at " + target_ + " does not answer (" + status.error_message() +
             "); is headgate-dataplane running, and is --dataplane its socket?";
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return "the dataplane at " + target_ + " took longer than " + std::to_string(kTimeout.count()) +
             " s; see its log";
    case grpc::StatusCode::UNIMPLEMENTED:
      return "this dataplane does not know that command; it is older than this console";
    default:
      return status.error_message();
  }
}

std::string Client::stream_stats(const dataplane::v1::StatsRequest& request,
                                 const std::function<bool(const dataplane::v1::StatsReply&)>& on_item) {
  grpc::ClientContext context;
  const auto reader = stub_->StreamStats(&context, request);
  return explain(drain(context, *reader, on_item));
}

std::string Client::capture(const dataplane::v1::CaptureRequest& request,
                            const std::function<bool(const dataplane::v1::CapturedPacket&)>& on_item) {
  grpc::ClientContext context;
  const auto reader = stub_->Capture(&context, request);
  return explain(drain(context, *reader, on_item));
}

}  // namespace headgate::console
