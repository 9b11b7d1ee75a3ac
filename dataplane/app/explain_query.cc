#include "dataplane/app/explain_query.h"

#include <array>
#include <cstring>

#include "dataplane/base/byte_order.h"
#include "dataplane/packet/checksum.h"

namespace headgate::app {

namespace pb = dataplane::v1;
using snapshot::Snapshot;

namespace {

constexpr unsigned kVisitsMax = 6;  // workers a packet can see: steering, persistence and back, limits and back

struct Question {
  std::vector<std::uint8_t> frame;
  std::uint16_t port = 0;
};

// A minimal frame with right checksums: SYN (or ACK), one UDP byte, echo request.
Result<Question> build_question(const Box& box, const Snapshot& snapshot, const pb::ExplainRequest& request) {
  Question question;
  if (!request.port().empty()) {
    question.port = box.port_index(request.port());
    if (question.port == snapshot::kNone)
      return fail(ErrorCode::invalid_argument, "port: there is no port '" + request.port() + "'");
  }
  if (!request.frame().empty()) {
    question.frame.assign(request.frame().begin(), request.frame().end());
    return question;
  }
  const auto source = parse_ip(request.source()), destination = parse_ip(request.destination());
  if (!source) return fail(ErrorCode::invalid_argument, "source: '" + request.source() + "' is no address");
  if (!destination)
    return fail(ErrorCode::invalid_argument, "destination: '" + request.destination() + "' is no address");
  if (source->is_v4() != destination->is_v4())
    return fail(ErrorCode::invalid_argument, "source and destination are of different families");
  if (request.source_port() > 65535 || request.destination_port() > 65535)
    return fail(ErrorCode::invalid_argument, "ports are at most 65535");
  std::uint16_t vlan = static_cast<std::uint16_t>(request.vlan());
  if (request.port().empty()) {
    // Where it would come from: the way back to the source.
    const std::uint16_t route = snapshot.route_table.find(*source);
    if (route == snapshot::kNone) {
      return fail(ErrorCode::invalid_argument, "no route back to " + request.source() + ": say the arrival port");
    }
    const auto& interface = snapshot.interfaces[snapshot.routes[route].next_hops.front().interface];
    question.port = interface.port;
    if (vlan == 0) vlan = interface.vlan;
  }
  std::array<std::uint8_t, 128> frame{};
  MacAddress from{{0x02, 0, 0, 0, 0, 0x99}};
  std::uint8_t* at = frame.data();
  const bool v4 = source->is_v4();
  at += packet::write_ethernet(at, box.ports()[question.port].port->mac(), from, vlan,
                               v4 ? packet::kEtherIpv4 : packet::kEtherIpv6);
  const auto source_port = static_cast<std::uint16_t>(request.source_port() != 0 ? request.source_port() : 40000);
  const auto destination_port = static_cast<std::uint16_t>(request.destination_port());
  packet::IpFields ip{.src = *source, .dst = *destination};
  if (request.protocol() == "tcp") {
    ip.protocol = kProtocolTcp;
    ip.payload_length = packet::kTcpLength;
    at += packet::write_ip(at, ip);
    const std::uint8_t flags = request.established() ? packet::kAck : packet::kSyn;
    at += packet::write_tcp(
        at, {.src_port = source_port, .dst_port = destination_port, .sequence = 1, .flags = flags, .window = 65535},
        *source, *destination);
  } else if (request.protocol() == "udp") {
    ip.protocol = kProtocolUdp;
    ip.payload_length = packet::kUdpLength;
    at += packet::write_ip(at, ip);
    store_be16(at, source_port);
    store_be16(at + 2, destination_port);
    store_be16(at + 4, packet::kUdpLength);
    const std::uint16_t sum = packet::invert(packet::sum(
        {at, packet::kUdpLength}, packet::pseudo_header_sum(*source, *destination, kProtocolUdp, packet::kUdpLength)));
    std::memcpy(at + 6, &sum, 2);
    at += packet::kUdpLength;
  } else if (request.protocol() == "icmp") {
    ip.protocol = v4 ? kProtocolIcmp : kProtocolIcmpv6;
    ip.payload_length = packet::kIcmpLength;
    at += packet::write_ip(at, ip);
    at[0] = v4 ? 8 : 128;
    store_be16(at + 4, source_port);
    const std::uint16_t pseudo =
        v4 ? std::uint16_t{0} : packet::pseudo_header_sum(*source, *destination, kProtocolIcmpv6, packet::kIcmpLength);
    const std::uint16_t sum = packet::invert(packet::sum({at, packet::kIcmpLength}, pseudo));
    std::memcpy(at + 2, &sum, 2);
    at += packet::kIcmpLength;
  } else {
    return fail(ErrorCode::invalid_argument, "protocol: '" + request.protocol() + "' is none of tcp, udp, icmp");
  }
  question.frame.assign(frame.data(), at);
  return question;
}

// As a client would write it; what is wrong with it, the parser says.
std::string head_of(const pb::ExplainRequest& request) {
  const pb::HttpQuestion& http = request.http();
  const auto or_else = [](const std::string& text, const std::string& other) { return text.empty() ? other : text; };
  const bool v6 = request.destination().find(':') != std::string::npos;
  const std::string address = v6 ? "[" + request.destination() + "]" : request.destination();
  const std::string port = request.destination_port() == 80 ? "" : ":" + std::to_string(request.destination_port());
  std::string head = or_else(http.method(), "GET") + " " + or_else(http.target(), "/") +
                     " HTTP/1.1\r\nHost: " + or_else(http.host(), address + port) + "\r\n";
  for (const std::string& header : http.header()) head += header + "\r\n";
  return head + "\r\n";
}

// By the worker that has the connection, or would have it.
Result<void> explain_request(Box& box, const pb::ExplainRequest& request, unsigned at, ServiceId service,
                             pb::ExplainReply& reply) {
  worker::RequestQuestion question;
  question.service = service;
  question.text = head_of(request);
  if (const auto source = parse_ip(request.source())) question.client = *source;
  question.client_port = static_cast<std::uint16_t>(request.source_port() != 0 ? request.source_port() : 40000);
  worker::Explanation explanation;
  if (!box.fleet().run(at, [&](worker::Worker& worker) { explanation = worker.explain_request(question); }))
    return fail(ErrorCode::unavailable, "worker " + std::to_string(at) + " does not answer");
  for (const auto& step : explanation.steps) {
    auto* s = reply.add_step();
    s->set_stage(step.stage);
    s->set_text(step.text);
  }
  reply.set_backend_id(explanation.backend.value);
  return {};
}

// On the worker's thread, with the snapshot that it runs, which may be newer than ours.
Slot persistent_slot(const worker::Worker& worker, PoolId id, const IpAddress& source) {
  if (worker.snapshot() == nullptr) return kNoSlot;
  for (const snapshot::Pool& pool : worker.snapshot()->pools) {
    if (pool.id == id) return worker.persistent_slot(pool, source);
  }
  return kNoSlot;
}

}  // namespace

Result<pb::ExplainReply> explain(Box& box, const pb::ExplainRequest& request) {
  const auto snapshot = box.current();
  if (!snapshot) return fail(ErrorCode::unavailable, "no snapshot runs yet");
  const auto question = build_question(box, *snapshot, request);
  if (!question) return tl::unexpected(question.error());

  pb::ExplainReply reply;
  worker::Explanation explanation;
  worker::Visit visit;
  unsigned at = 0;
  for (unsigned visits = 0; visits < kVisitsMax; ++visits) {
    Slot persisted = kNoSlot;
    if (!box.fleet().run(at, [&](worker::Worker& worker) {
          explanation = worker.explain(question->frame, question->port, visit);
        })) {
      return fail(ErrorCode::unavailable, "worker " + std::to_string(at) + " does not answer");
    }
    for (const auto& step : explanation.steps) {
      if (step.stage == "verdict" && explanation.fate.exit == telemetry::Exit::handed_over) continue;
      auto* s = reply.add_step();
      s->set_stage(box.fleet().size() > 1 ? "worker " + std::to_string(at) + " " + step.stage : step.stage);
      s->set_text(step.text);
    }
    if (explanation.fate.exit != telemetry::Exit::handed_over) break;
    if (explanation.decision.handover == telemetry::Handover::persistence && explanation.pool) {
      const auto source = parse_ip(request.source());
      box.fleet().run(explanation.decision.owner, [&](worker::Worker& worker) {
        if (source) persisted = persistent_slot(worker, explanation.pool, *source);
      });
      visit.persistence_done = true;
      visit.persisted = persisted;
      visit.owner_known = true;
      continue;  // back to the owner with the answer
    }
    at = explanation.decision.owner;
    visit.owner_known = true;
  }
  reply.set_verdict(telemetry::to_string(explanation.fate.exit));
  if (explanation.fate.reason != telemetry::DropReason::count)
    reply.set_drop_reason(telemetry::to_string(explanation.fate.reason));
  reply.set_worker(explanation.decision.owner);
  reply.set_bucket(explanation.decision.bucket);
  reply.set_existing_flow(explanation.decision.existing_flow);
  reply.set_backend_id(explanation.backend.value);
  if (request.has_http() && explanation.fate.exit == telemetry::Exit::proxied) {
    if (const auto done = explain_request(box, request, at, explanation.service, reply); !done)
      return tl::unexpected(done.error());
  }
  return reply;
}

}  // namespace headgate::app
