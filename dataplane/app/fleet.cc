#include "dataplane/app/fleet.h"

#include <pthread.h>
#include <rte_launch.h>
#include <rte_lcore.h>

#include <chrono>

namespace headgate::app {

Fleet::Fleet(const FleetOptions& options, const std::vector<port::Port*>& ports,
             const std::vector<worker::PortFacts>& facts, rte_mempool* pool, const worker::Steering& steering)
    : options_(options),
      mailboxes_(options.workers),
      limits_(options.workers, snapshot::kBackendSlots),
      loads_(options.workers, snapshot::kBackendSlots),
      publisher_(options.workers) {
  HEADGATE_CHECK(options.idle.size() == options.workers);
  std::vector<worker::Waker*> wakers;
  for (unsigned i = 0; i < options.workers; ++i) {
    wakers_.push_back(std::make_unique<worker::Waker>());
    wakers.push_back(wakers_.back().get());
    task_mutexes_.push_back(std::make_unique<std::mutex>());
  }
  for (unsigned i = 0; i < options.workers; ++i) {
    worker::WorkerConfig config{.index = i,
                                .flows = options.flows,
                                .seed = options.seed + 1000 * i,
                                .ports = facts,
                                .pool = pool,
                                .proxy = options.proxy};
    config.proxy.secret[0] ^= i;  // sequence numbers of one worker say nothing about another's
    workers_.push_back(std::make_unique<worker::Worker>(
        config,
        worker::Shared{
            .steering = steering, .mailboxes = mailboxes_, .limits = limits_, .loads = loads_, .failover = &failover_},
        publisher_.reader(i)));
    runners_.push_back(std::make_unique<worker::Runner>(*workers_[i], publisher_.reader(i), ports, wakers,
                                                        options.idle[i], clock_, &failover_, &election_));
  }
}

Fleet::~Fleet() {
  stop();
}

void Fleet::start() {
  unsigned lcore = rte_get_next_lcore(-1u, 1, 0);
  for (auto& runner : runners_) {
    HEADGATE_CHECK(lcore < RTE_MAX_LCORE);
    const auto run = [](void* argument) {
      static_cast<worker::Runner*>(argument)->run();
      return 0;
    };
    HEADGATE_CHECK(rte_eal_remote_launch(run, runner.get(), lcore) == 0);
    lcores_.push_back(lcore);
    lcore = rte_get_next_lcore(lcore, 1, 0);
  }
  running_ = true;
}

void Fleet::stop() {
  if (!running_) return;
  for (auto& runner : runners_) runner->stop();
  for (const unsigned lcore : lcores_) rte_eal_wait_lcore(lcore);
  running_ = false;
}

void Fleet::wake_all() {
  for (auto& waker : wakers_) waker->wake();
}

int Fleet::raise_workers(int priority) {
  int error = 0;
  for (unsigned i = 0; i < size(); ++i) {
    if (options_.idle[i] != worker::Idle::adaptive) continue;
    run(i, [&error, priority](worker::Worker&) {
      sched_param wanted{};
      wanted.sched_priority = priority;
      if (const int result = pthread_setschedparam(pthread_self(), SCHED_FIFO, &wanted); result != 0) error = result;
    });
  }
  return error;
}

bool Fleet::run(unsigned i, const std::function<void(worker::Worker&)>& task) {
  struct Call {
    const std::function<void(worker::Worker&)>* task;
  } call{&task};
  const std::scoped_lock lock(*task_mutexes_[i]);
  worker::Worker& worker = *workers_[i];
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  const auto invoke = [](worker::Worker& on, void* argument) { (*static_cast<Call*>(argument)->task)(on); };
  if (!worker.post(invoke, &call)) return false;
  wakers_[i]->wake();
  while (worker.control_pending()) {
    if (std::chrono::steady_clock::now() > deadline) {
      if (worker.withdraw()) return false;
      // It has begun: it ends soon, and `call` must live until then.
      while (worker.control_pending()) std::this_thread::sleep_for(std::chrono::microseconds(100));
      return true;
    }
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  return true;
}

}  // namespace headgate::app
