// Explain: a packet from a person's words, then its way through the workers that would have it.
#pragma once

#include "dataplane/api/dataplane.pb.h"
#include "dataplane/app/box.h"

namespace headgate::app {

Result<dataplane::v1::ExplainReply> explain(Box& box, const dataplane::v1::ExplainRequest& request);

}  // namespace headgate::app
