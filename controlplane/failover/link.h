// The HA link: one TLS connection between the control planes of a pair, heartbeats on it, and whatever its parts say.
//
// Both boxes listen on their own address; the box with side A connects, again and again (link_timing.h). Whoever
// comes from another address than the peer's is closed at once. After the TLS handshake each end looks at the other's
// certificate: only the pinned one (pairing_record.h) is spoken with. Then a Hello each way, then everything else.
// Of two connections the newer one counts, once its Hello is good: the older one is what a peer that restarted left.
//
// A peer that is silent for three of its heartbeats counts as such; its word is kept. A connection on which nothing
// came for ten, a second at least, is given up.
//
// Thread rule: that of the io_context, callbacks included.
#pragma once

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/steady_timer.hpp>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "controlplane/api/config.pb.h"
#include "controlplane/api/ha.pb.h"
#include "controlplane/failover/link_stream.h"
#include "controlplane/failover/link_timing.h"
#include "controlplane/failover/pairing_exchange.h"
#include "controlplane/failover/peer_view.h"

namespace headgate::failover {

struct LinkSettings {
  asio::ip::address own, peer;
  std::uint16_t port = 9444;
  config::v1::Side side = config::v1::A;
  std::chrono::milliseconds heartbeat{100};
  friend bool operator==(const LinkSettings&, const LinkSettings&) = default;
};
// Nothing without an HA link, or when its addresses are none of one family (validation refuses that).
std::optional<LinkSettings> link_settings(const config::v1::Config& config);

// What can be said on the link.
class Wire {
 public:
  virtual ~Wire() = default;
  virtual bool up() const = 0;  // there is a connection, and the peer's Hello was good
  // False: not sent, and never will be.
  virtual bool send(const ha::v1::Envelope& envelope) = 0;
  virtual void changed() = 0;  // something that contribute() says
};

// Somebody with something to say on the link.
class LinkPart {
 public:
  virtual ~LinkPart() = default;
  virtual void configured(Wire&, const std::optional<LinkSettings>&) {}  // before anything else
  virtual void told(const Word&) {}                                      // what the box says from now on
  virtual void forgotten() {}                                            // the peer: unpaired, or another one
  virtual void began(Wire&, const ha::v1::Hello& /*peer*/) {}
  virtual void ended() {}
  // True: it was for this part.
  virtual bool message(const ha::v1::Envelope&) { return false; }
  virtual void heard(const ha::v1::Heartbeat&) {}
  virtual void speak(ha::v1::Heartbeat&) const {}  // adds to what is said
  virtual void contribute(PeerView&) const {}      // adds to what is known
};

class HaLink final : public PeerLink, public Wire {
 public:
  struct Options {
    std::string directory;  // STATE_DIR/ha
    std::string version;    // of this firmware
    std::string name;       // of this host
  };
  enum class Weight { notice, warning };
  using Log = std::function<void(Weight, const std::string&)>;  // what happened on the link, for people

  HaLink(asio::io_context& io, config::Disk& disk, Options options, Log log);
  ~HaLink() override;
  HaLink(const HaLink&) = delete;
  HaLink& operator=(const HaLink&) = delete;

  // Keys and the pinned peer. After an error there is no link; view().problem says why.
  config::Result<void> open();
  void configure(const config::v1::Config& config);
  // Requires: outlives this. Before configure().
  void add(LinkPart& part) { parts_.push_back(&part); }

  const PeerView& view() const override { return view_; }
  void tell(const Word& word) override;
  void on_change(std::function<void()> listener) override { listener_ = std::move(listener); }

  bool up() const override { return session_ != nullptr; }
  bool send(const ha::v1::Envelope& envelope) override { return session_ && session_->send(envelope); }
  void changed() override;

  const Word& word() const { return word_; }  // what this box says
  bool paired() const { return settings_ && record_.peer() != nullptr; }

  // The dataplane answers, or does not.
  void set_dataplane(bool runs);

  // For the operator. A code to be typed on the other box; why there can be none.
  config::Result<std::string> pair();
  void pair_with(const std::string& code, PairingDesk::Done done);
  config::Result<void> unpair();
  // Begins; `done` once the peer accepts the new key, or with the reason why not.
  void rotate_key(PairingDesk::Done done);

 private:
  struct Incoming {
    std::shared_ptr<LinkStream> stream;
    std::shared_ptr<asio::steady_timer> hello_limit;
    bool hello_sent = false;
  };
  using Entry = std::list<Incoming>::iterator;

  // link.cc: who connects to whom
  void start();
  void stop(const std::string& why);
  void forget_peer();
  void listen();
  void accept();
  void connect();
  void connect_later();
  LinkStream::Handlers handlers_of(Entry entry);
  Entry add_stream(std::shared_ptr<asio::ssl::context> context);
  void ready(Entry entry);
  void hello(Entry entry, const ha::v1::Hello& theirs);
  void refuse(Entry entry, const ha::v1::Refusal& refusal);
  void forget(Entry entry, const std::string& why);
  void lost(Entry entry, const std::string& why);
  std::shared_ptr<asio::ssl::context> context();

  // link_session.cc: what is said on it
  void begin_session(std::shared_ptr<LinkStream> stream, const ha::v1::Hello& theirs, std::uint32_t protocol);
  void end_session(const std::string& why);
  void message(const ha::v1::Envelope& envelope);
  void heartbeat(const ha::v1::Heartbeat& heartbeat);
  void rotation_message(const ha::v1::Envelope& envelope);
  void announce_next();
  void say();
  void say_regularly();
  void watch_silence();
  void refresh();
  ha::v1::Hello our_hello() const;
  void note(Weight weight, const std::string& text);

  asio::io_context& io_;
  const Options options_;
  const Log log_;
  IdentityStore identity_;
  PairingRecord record_;
  PairingDesk desk_;
  const std::uint64_t instance_;
  std::string broken_;  // open() failed
  std::optional<LinkSettings> settings_;
  std::vector<LinkPart*> parts_;
  std::function<void()> listener_;

  asio::ip::tcp::acceptor acceptor_;
  std::uint64_t round_ = 0;  // of settings: what belongs to an earlier one is void
  asio::steady_timer listen_timer_, connect_timer_;
  Backoff backoff_;
  std::list<Incoming> incoming_;  // before their Hello was judged, ours that we make included
  bool connecting_ = false;

  std::shared_ptr<LinkStream> session_;
  ha::v1::Hello peer_;
  std::uint32_t protocol_ = 0;
  Hearing hearing_;
  Pace pace_;
  asio::steady_timer speak_timer_, silence_timer_;
  std::uint64_t unknown_messages_ = 0;

  Word word_;
  bool told_ = false;
  bool dataplane_runs_ = false;
  std::uint64_t incarnation_ = 0;
  PairingDesk::Done rotated_;

  std::string problem_;       // of the link itself
  std::string last_warning_;  // not said twice in a row
  PeerView view_;
};

}  // namespace headgate::failover
