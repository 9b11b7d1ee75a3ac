#include "controlplane/push/channel.h"

#include <grpcpp/grpcpp.h>

namespace headgate::push {

std::shared_ptr<grpc::Channel> dataplane_channel(const std::string& target) {
  grpc::ChannelArguments arguments;
  const int backoff = static_cast<int>(kRetry.count());
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, backoff);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, backoff);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, backoff);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // a channel of its own, whatever else connects there
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetMaxSendMessageSize(-1);
  return grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace headgate::push
