// Sessions of proxied services for the API: those a filter takes, shown or ended. On the worker's thread, a slice at a
// time; sessions that come and go meanwhile may be seen twice or not at all.
#pragma once

#include "dataplane/api/dataplane.pb.h"
#include "dataplane/app/flow_query.h"
#include "dataplane/worker/worker.h"

namespace headgate::app {

// How far a walk through a worker's sessions has come.
struct SessionCursor {
  enum class List { relay, http, http_links, end } list = List::relay;
  std::uint32_t next = 0;
  bool at_end() const { return list == List::end; }
};

// A slice; `more` is set, and the walk ends, where the query's limit stops the list.
void list_connections(const worker::Worker& worker, const FlowQuery& query, SessionCursor& cursor,
                      dataplane::v1::ConnectionsReply& reply);
void clear_sessions(worker::Worker& worker, const FlowQuery& query, SessionCursor& cursor,
                    dataplane::v1::ClearSessionsReply& reply);

}  // namespace headgate::app
