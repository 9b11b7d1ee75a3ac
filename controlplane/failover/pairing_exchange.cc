#include "controlplane/failover/pairing_exchange.h"

#include <openssl/crypto.h>

#include <ctime>
#include <utility>

#include "controlplane/failover/link_words.h"

namespace headgate::failover {

using ha::v1::Envelope;
using ha::v1::PairVerdict;

PairingDesk::PairingDesk(asio::io_context& io, IdentityStore& identity, PairingRecord& record, std::string name,
                         Handlers handlers)
    : io_(io),
      identity_(identity),
      record_(record),
      name_(std::move(name)),
      handlers_(std::move(handlers)),
      limit_(io) {}

PairingDesk::~PairingDesk() {
  if (stream_) stream_->set_handlers({});
  drop("this control plane ends");
}

void PairingDesk::begin(std::shared_ptr<LinkStream> stream) {
  stream_ = std::move(stream);
  agreed_ = false;
  candidate_ = {};
  limit_.expires_after(kExchangeLimit);
  limit_.async_wait([this, which = std::weak_ptr(stream_)](const asio::error_code& cancelled) {
    const auto stream_then = which.lock();
    if (!cancelled && stream_then && stream_then == stream_) drop("the other box said nothing for too long");
  });
}

void PairingDesk::drop(const std::string& why) {
  limit_.cancel();
  if (const auto stream = std::exchange(stream_, nullptr)) stream->close(why);
}

config::Result<void> PairingDesk::pin(const Candidate& candidate) {
  if (candidate.box_id == identity_.current().box_id()) return config::fail("the other box is this box itself");
  return record_.pin(candidate.fingerprint, candidate.box_id, candidate.name, ::time(nullptr));
}

void PairingDesk::serve(std::shared_ptr<LinkStream> stream) {
  if (stream_) {
    stream->set_handlers({});
    return stream->close("another box is pairing");
  }
  const auto exporter = export_secret(stream->native());
  if (!exporter) return stream->close("no TLS 1.3");
  connection_ = {.client = stream->fingerprint(), .server = identity_.current().fingerprint(), .exporter = *exporter};
  begin(stream);
  stream->set_handlers({.ready = {},
                        .message =
                            [this](Envelope envelope) {
                              if (envelope.has_pair_proof() && !agreed_) return judge_proof(envelope.pair_proof());
                              if (envelope.has_pair_pinned() && agreed_) return judge_pinned();
                              drop("it sent what does not belong there");
                            },
                        .closed =
                            [this, raw = stream.get()](const std::string&) {
                              if (stream_.get() != raw) return;
                              stream_.reset();
                              limit_.cancel();
                            }});
}

void PairingDesk::judge_proof(const ha::v1::PairProof& proof) {
  Envelope answer;
  PairVerdict& verdict = *answer.mutable_pair_verdict();
  const auto judged = window_.judge(connection_, proof.proof(), PairingWindow::Clock::now());
  if (judged == PairingWindow::Verdict::right) {
    candidate_ = {connection_.client, proof.box_id(), shown(proof.name(), kHostNameMax)};
    const Secret own = window_.answer(connection_);
    verdict.set_verdict(PairVerdict::RIGHT);
    verdict.set_proof(own.data(), own.size());
    verdict.set_name(name_);
    verdict.set_box_id(identity_.current().box_id());
    agreed_ = true;
    stream_->send(answer);
    return;
  }
  const bool wrong = judged == PairingWindow::Verdict::wrong;
  verdict.set_verdict(wrong ? PairVerdict::WRONG : PairVerdict::CLOSED);
  handlers_.warning(!wrong ? "a box wants to pair, and no code is waited for"
                           : "a box wants to pair with a wrong code; " +
                                 (window_.tries_left() == 0
                                      ? "the code is void after " + std::to_string(kTriesMax) + " tries"
                                      : std::to_string(window_.tries_left()) + " tries are left"));
  stream_->send_last(answer, "no pairing");
}

void PairingDesk::judge_pinned() {
  Envelope answer;
  if (!waits()) {  // it ended while the other box wrote
    answer.mutable_pair_verdict()->set_verdict(PairVerdict::CLOSED);
    return stream_->send_last(answer, "no pairing");
  }
  if (const auto pinned = pin(candidate_); !pinned) {
    answer.mutable_pair_verdict()->set_verdict(PairVerdict::NOT_WRITTEN);
    answer.mutable_pair_verdict()->set_cause(pinned.error().message);
    handlers_.warning("pairing with " + candidate_.name + ": " + pinned.error().message);
    return stream_->send_last(answer, "no pairing");
  }
  window_.close();
  answer.mutable_pair_pinned();
  stream_->send_last(answer, "paired");
  handlers_.paired(candidate_.name);
}

void PairingDesk::join(const Code& code, const asio::ip::tcp::endpoint& own, const asio::ip::tcp::endpoint& peer,
                       Done done) {
  if (stream_) return done(config::fail("another pairing is under way; try again"));
  const auto context = identity_.current().context();
  if (!context) return done(config::fail(context.error().message));
  key_ = pairing_key(code);
  done_ = std::move(done);
  auto stream = std::make_shared<LinkStream>(io_, *context, LinkStream::Handlers{});
  stream->set_handlers(
      {.ready =
           [this] {
             const auto exporter = export_secret(stream_->native());
             if (!exporter) return finish(config::fail("the other box speaks no TLS 1.3"));
             connection_ = {
                 .client = identity_.current().fingerprint(), .server = stream_->fingerprint(), .exporter = *exporter};
             const Secret proof = pairing_proof(key_, PairRole::client, connection_);
             Envelope envelope;
             envelope.mutable_pair_proof()->set_proof(proof.data(), proof.size());
             envelope.mutable_pair_proof()->set_name(name_);
             envelope.mutable_pair_proof()->set_box_id(identity_.current().box_id());
             stream_->send(envelope);
           },
       .message =
           [this](Envelope envelope) {
             if (envelope.has_pair_verdict()) return judge_verdict(envelope.pair_verdict());
             if (!envelope.has_pair_pinned() || !agreed_)
               return finish(config::fail("the other box sent what does not belong there"));
             finish(candidate_.name);
           },
       .closed =
           [this](const std::string& why) {
             finish(config::fail(agreed_ ? "the connection ended before the other box had written: " + why +
                                               "; if it shows no pairing, run this again"
                                         : "cannot reach the other box's control plane: " + why +
                                               "; is its HA link configured, and did it print a code?"));
           }});
  begin(stream);
  stream->start_client(own, peer, LinkStream::Kind::pair);
}

void PairingDesk::judge_verdict(const ha::v1::PairVerdict& verdict) {
  switch (verdict.verdict()) {
    case PairVerdict::RIGHT:
      break;
    case PairVerdict::WRONG:
      return finish(config::fail("the code is not the one that the other box printed; look at it again"));
    case PairVerdict::CLOSED:
      return finish(
          config::fail("the other box waits for no code: its code is older than 10 minutes, was used, or was "
                       "tried too often; run `failover pair` there again"));
    case PairVerdict::NOT_WRITTEN:
      return finish(config::fail("the other box could not write it: " + shown(verdict.cause(), 200)));
    default:
      return finish(config::fail("the other box sent what does not belong there"));
  }
  if (agreed_) return finish(config::fail("the other box sent what does not belong there"));
  if (!same(pairing_proof(key_, PairRole::server, connection_), verdict.proof()))
    return finish(config::fail("the other end does not know the code: somebody is between the boxes"));
  candidate_ = {connection_.server, verdict.box_id(), shown(verdict.name(), kHostNameMax)};
  if (const auto pinned = pin(candidate_); !pinned) return finish(config::fail(pinned.error().message));
  agreed_ = true;
  Envelope envelope;
  envelope.mutable_pair_pinned();
  stream_->send(envelope);
}

void PairingDesk::finish(config::Result<std::string> result) {
  if (stream_) stream_->set_handlers({});
  drop("pairing ended");
  ::OPENSSL_cleanse(key_.data(), key_.size());
  const Done done = std::exchange(done_, nullptr);
  if (result) handlers_.paired(*result);
  if (done) done(std::move(result));
}

}  // namespace headgate::failover
