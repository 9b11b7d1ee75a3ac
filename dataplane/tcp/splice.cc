#include "dataplane/tcp/splice.h"

#include "dataplane/tcp/receive.h"
#include "dataplane/tcp/send.h"

namespace headgate::tcp {

void splice(Core& k, Connection& from, Connection& to) {
  if (from.splice_to != kNone) k.connections[from.splice_to].splice_from = kNone;
  if (to.splice_from != kNone) k.connections[to.splice_from].splice_to = kNone;
  from.splice_to = k.index_of(to);
  to.splice_from = k.index_of(from);
  mark_dirty(k, from);
}

void unsplice(Core& k, Connection& c) {
  if (c.splice_to != kNone) k.connections[c.splice_to].splice_from = kNone;
  if (c.splice_from != kNone) k.connections[c.splice_from].splice_to = kNone;
  c.splice_to = c.splice_from = kNone;
}

void pull_splice(Core& k, Connection& from) {
  if (from.splice_to == kNone) return;
  Connection& to = k.connections[from.splice_to];
  const std::uint32_t mark = send_limit(k, to);
  std::uint32_t moved = 0;
  // By true size: small segments in large buffers fill the queue as what they are.
  while (!from.receive.empty() && sends_data(to) && to.queued() < mark &&
         to.send_truesize < 2 * mark + kTruesizeSlack) {
    const std::uint32_t index = k.pieces.pop_front(from.receive);
    const std::uint32_t length = k.pieces[index].length;
    from.receive_truesize -= k.pieces[index].charge();
    from.receive_bytes -= length;
    moved += length;
    Chain chain(k.pieces);
    chain.adopt(index);
    enqueue(k, to, std::move(chain));
  }
  if (moved != 0) consume(k, from, moved);
}

}  // namespace headgate::tcp
