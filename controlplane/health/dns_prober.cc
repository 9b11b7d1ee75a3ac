#include "controlplane/health/dns_prober.h"

#include "controlplane/health/datagram_attempt.h"
#include "controlplane/health/dns_message.h"

namespace headgate::health {
namespace {

class DnsAttempt : public DatagramAttempt {
 public:
  DnsAttempt(asio::io_context& io, const Done& done, std::uint64_t probe, const Target& target, std::uint16_t id)
      : DatagramAttempt(io, done, probe, target), check_(target.check.share<DnsCheck>()), id_(id) {}

 protected:
  std::string request() override { return make_dns_query(*check_, id_); }
  std::optional<Outcome> judge(std::span<const std::uint8_t> answer) override {
    return judge_dns_answer(*check_, id_, answer);
  }

 private:
  const std::shared_ptr<const DnsCheck> check_;
  const std::uint16_t id_;
};

}  // namespace

void DnsProber::start(std::uint64_t probe, const Target& target) {
  const auto id = static_cast<std::uint16_t>(random_.next());
  std::make_shared<DnsAttempt>(io_, done_, probe, target, id)->start(target.timeout);
}

}  // namespace headgate::health
