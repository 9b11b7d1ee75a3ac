// What the engine tells an application. Called from Engine::flush() only, never from inside another call, so a callback
// may call anything of the engine, also for its own connection. Calls come once per connection and burst, not once per
// segment: data() means "there is more than you have seen".
#pragma once

#include <cstdint>

#include "dataplane/tcp/connection.h"

namespace headgate::tcp {

class Events {
 public:
  virtual ~Events() = default;
  // A handshake completed: of a listener, or of a connect().
  virtual void accepted(ConnectionId id, std::uint16_t listener) = 0;
  virtual void connected(ConnectionId id) = 0;
  // In-order bytes arrived: take them with receive(), open the window with consume().
  virtual void data(ConnectionId id) = 0;
  // After send() had filled the send buffer: half of it is free again.
  virtual void writable(ConnectionId id) = 0;
  // The peer will send no more, and everything it sent was received().
  virtual void fin(ConnectionId id) = 0;
  // The connection broke; what was queued is lost. closed() follows.
  virtual void reset(ConnectionId id, CloseReason reason) = 0;
  // The last word about this connection, once, unless the application aborted it.
  virtual void closed(ConnectionId id, CloseReason reason) = 0;
  // Its slot is given back, whoever ended it: for those who keep books beside connections. Called from inside other
  // calls, abort() and the engine's destructor among them; must not call the engine.
  virtual void released(ConnectionId) {}
};

}  // namespace headgate::tcp
