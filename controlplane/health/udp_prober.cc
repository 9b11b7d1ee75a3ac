#include "controlplane/health/udp_prober.h"

#include "controlplane/health/datagram_attempt.h"

namespace headgate::health {
namespace {

class UdpAttempt : public DatagramAttempt {
 public:
  UdpAttempt(asio::io_context& io, const Done& done, std::uint64_t probe, const Target& target)
      : DatagramAttempt(io, done, probe, target), check_(target.check.share<UdpCheck>()) {}

 protected:
  std::string request() override { return check_->payload; }
  std::optional<Outcome> judge(std::span<const std::uint8_t> answer) override {
    const std::string_view text(reinterpret_cast<const char*>(answer.data()), answer.size());
    if (text.find(check_->expect) != std::string_view::npos) return success();
    return failure("the answer is not as expected: \"" + excerpt(text) + "\"");
  }

 private:
  const std::shared_ptr<const UdpCheck> check_;
};

}  // namespace

void UdpProber::start(std::uint64_t probe, const Target& target) {
  std::make_shared<UdpAttempt>(io_, done_, probe, target)->start(target.timeout);
}

}  // namespace headgate::health
