// A connection to the dataplane's API for the length of one command.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "dataplane/api/dataplane.grpc.pb.h"

namespace headgate::console {

class Client {
 public:
  explicit Client(const std::string& target);

  // One question, one answer, kTimeout at most. Empty when it went well, else what to print.
  template <class Request, class Reply>
  using Method = grpc::Status (dataplane::v1::Dataplane::Stub::*)(grpc::ClientContext*, const Request&, Reply*);
  template <class Request, class Reply>
  std::string call(Method<Request, Reply> method, const Request& request, Reply& reply) {
    grpc::ClientContext context;
    limit(context);
    return explain((stub_.get()->*method)(&context, request, &reply));
  }

  // Streams until the dataplane ends or `on_item` returns false.
  std::string stream_stats(const dataplane::v1::StatsRequest& request,
                           const std::function<bool(const dataplane::v1::StatsReply&)>& on_item);
  std::string capture(const dataplane::v1::CaptureRequest& request,
                      const std::function<bool(const dataplane::v1::CapturedPacket&)>& on_item);

 private:
  static void limit(grpc::ClientContext& context);
  std::string explain(const grpc::Status& status) const;

  std::string target_;
  std::unique_ptr<dataplane::v1::Dataplane::Stub> stub_;
};

}  // namespace headgate::console
