#include "controlplane/console/pairing.h"

#include <algorithm>
#include <cstdio>

#include "controlplane/console/words.h"

namespace headgate::console {
namespace {

namespace mg = management::v1;

constexpr unsigned kWaitS = 40;  // for both boxes

int print(const mg::PairReply& reply) {
  if (!reply.code().empty()) std::printf("%s\n", reply.code().c_str());
  std::printf("%s\n", reply.text().c_str());
  return 0;
}

}  // namespace

int pair_box(Client& client, const std::string& code) {
  mg::PairRequest request;
  request.set_code(code);
  grpc::ClientContext context;
  Client::soon(context, kWaitS);
  mg::PairReply reply;
  if (const int status = client.check(client.stub().PairBox(&context, request, &reply))) return status;
  return print(reply);
}

int unpair_box(Client& client) {
  grpc::ClientContext context;
  Client::soon(context, kWaitS);
  mg::PairReply reply;
  if (const int status = client.check(client.stub().UnpairBox(&context, {}, &reply))) return status;
  return print(reply);
}

int rotate_key(Client& client) {
  grpc::ClientContext context;
  Client::soon(context, kWaitS);
  mg::PairReply reply;
  if (const int status = client.check(client.stub().RotateKey(&context, {}, &reply))) return status;
  return print(reply);
}

int adopt(Client& client, const std::string& whose) {
  mg::AdoptRequest request;
  request.set_what(whose == "peer" ? mg::AdoptRequest::PEER : mg::AdoptRequest::LOCAL);
  grpc::ClientContext context;
  Client::soon(context, kWaitS);
  mg::PairReply reply;
  if (const int status = client.check(client.stub().AdoptConfig(&context, request, &reply))) return status;
  return print(reply);
}

bool names_pairing_code(const std::string& line) {
  for (const Words& words : split(line).parts) {
    const auto failover = std::find(words.begin(), words.end(), "failover");
    const auto pair = std::find(failover, words.end(), "pair");
    if (pair != words.end() && pair + 1 != words.end()) return true;
  }
  return false;
}

}  // namespace headgate::console
