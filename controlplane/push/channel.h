#pragma once

#include <grpcpp/channel.h>

#include <chrono>
#include <memory>
#include <string>

namespace headgate::push {

inline constexpr std::chrono::milliseconds kRetry{100};  // until a dataplane that came back is found again

// A channel of its own to the dataplane, whatever else connects there. target: gRPC's name, e.g. unix:/run/x.sock
std::shared_ptr<grpc::Channel> dataplane_channel(const std::string& target);

}  // namespace headgate::push
