// headgate-dataplane: EAL, ports, workers, API server. Wiring only: read it top to bottom; it is torn down in reverse.
#include <grp.h>
#include <poll.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstring>

#include "dataplane/app/access_writer.h"
#include "dataplane/app/api_server.h"
#include "dataplane/app/box.h"
#include "dataplane/app/fleet.h"
#include "dataplane/app/service_manager.h"
#include "dataplane/proxy/mbuf_pool.h"
#include "drivers/exception/exception.h"
#include "drivers/port/buffers.h"
#include "drivers/port/eal.h"
#include "drivers/port/port.h"
#include "drivers/port/spec.h"

namespace {

using headgate::Error;
using headgate::ErrorCode;
using headgate::fail;
using headgate::Result;

constexpr unsigned kKernelBuffers = 8192;  // of a port whose other side is this machine's kernel
constexpr unsigned kOwnBuffers = 16384;

struct Options {
  std::vector<std::string> ports;
  unsigned workers = 1;
  std::vector<std::string> idle = {"adaptive"};
  std::string socket = "/run/headgate/dataplane.sock";
  std::string socket_group;
  std::string state_dir = "/run/headgate";
  std::string access_log;
  std::uint32_t flows = 1 << 18;
  std::uint32_t connections = 1 << 15;
  unsigned memory_mb = 1024;
  unsigned buffers = 32768;
  bool no_huge = false;
  std::vector<unsigned> cpus;
};

int say(const Error& error) {
  std::fprintf(stderr, "headgate-dataplane: %s\n", error.message.c_str());
  return 1;
}

int parse_command_line(int argc, char** argv, Options& options) {
  CLI::App app{"Headgate's dataplane: forwards packets with the snapshot that the control plane pushes."};
  app.add_option("--port", options.ports,
                 "NAME=KIND[:DEVICE][,key=value...], for instance front=af_xdp:eth0,queues=2; several")
      ->required()
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option("--workers", options.workers, "threads that forward")->check(CLI::Range(1, 16))->capture_default_str();
  app.add_option("--cpus", options.cpus, "processors of the workers, in order; default: 0, 1, ...")->delimiter(',');
  app.add_option(
         "--idle", options.idle,
         "adaptive: sleep when nothing comes; poll: spin. One word for all workers, or one for each: poll,adaptive")
      ->delimiter(',')
      ->check(CLI::IsMember({"adaptive", "poll"}))
      ->capture_default_str();
  app.add_option("--socket", options.socket, "Unix socket of the API")->capture_default_str();
  app.add_option("--socket-group", options.socket_group,
                 "group that may use the API, for a control plane under another user; default: the dataplane's own");
  app.add_option("--state-dir", options.state_dir, "where the accepted snapshot is kept")->capture_default_str();
  app.add_option("--access-log", options.access_log,
                 "file for the access lines of HTTP services that ask for them; moved to FILE.1 at 16 MiB. Default: "
                 "access.log in the state directory");
  app.add_option("--flows", options.flows, "flows per worker; about 160 bytes each")
      ->check(CLI::Range(1024, 100'000'000))
      ->capture_default_str();
  app.add_option(
         "--connections", options.connections,
         "TCP connections that may end in each worker, two for a proxied session; about 700 bytes each when used. "
         "0: nothing is proxied")
      ->check(CLI::Range(0, 4'000'000))
      ->capture_default_str();
  app.add_option("--buffers", options.buffers, "packet buffers per port; a tap port has at most 8192")
      ->check(CLI::Range(4096, 1 << 20))
      ->capture_default_str();
  app.add_option("--memory", options.memory_mb, "MB for packet buffers")
      ->check(CLI::Range(64, 1 << 20))
      ->capture_default_str();
  app.add_flag("--no-huge", options.no_huge, "ordinary memory instead of hugepages (lab, tests)");
  try {
    app.parse(argc, argv);
    if (options.idle.size() != 1 && options.idle.size() != options.workers) {
      throw CLI::ValidationError("--idle", "has " + std::to_string(options.idle.size()) + " words for " +
                                               std::to_string(options.workers) + " workers; give one, or one for each");
    }
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : 1;
  }
  return -1;
}

// One dataplane per state directory: the lock dies with its process.
Result<int> lock_state_dir(const std::string& directory) {
  if (mkdir(directory.c_str(), 0750) != 0 && errno != EEXIST) {
    return fail(ErrorCode::permission_denied,
                "cannot make the state directory " + directory + ": " + std::strerror(errno));
  }
  const std::string path = directory + "/dataplane.lock";
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0)
    return fail(ErrorCode::permission_denied,
                "cannot write in the state directory " + directory + ": " + std::strerror(errno));
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    return fail(ErrorCode::already_exists, "another dataplane runs with the state directory " + directory +
                                               "; stop it, or give this one another --state-dir");
  }
  return fd;
}

// -1, which chown(2) takes for "leave it", without a name.
Result<gid_t> find_group(const std::string& name) {
  if (name.empty()) return static_cast<gid_t>(-1);
  errno = 0;
  if (const group* entry = getgrnam(name.c_str())) return entry->gr_gid;
  return fail(ErrorCode::not_found, "--socket-group: there is no group \"" + name +
                                        "\"; `getent group` lists them, `groupadd --system` makes one");
}

// Worker i is lcore i + 1 on its processor; the main thread and gRPC's float over all.
std::string lcore_mapping(const Options& options) {
  const long online = sysconf(_SC_NPROCESSORS_ONLN);
  std::string mapping = "0@(0-" + std::to_string(online - 1) + ")";
  for (unsigned i = 0; i < options.workers; ++i) {
    const unsigned cpu = i < options.cpus.size() ? options.cpus[i] : i % static_cast<unsigned>(online);
    mapping += "," + std::to_string(i + 1) + "@" + std::to_string(cpu);
  }
  return mapping;
}

std::vector<headgate::worker::Idle> idle_of_workers(const Options& options) {
  std::vector<headgate::worker::Idle> idle;
  for (unsigned i = 0; i < options.workers; ++i) {
    const std::string& word = options.idle[options.idle.size() == 1 ? 0 : i];
    idle.push_back(word == "poll" ? headgate::worker::Idle::poll : headgate::worker::Idle::adaptive);
  }
  return idle;
}

// `room`: of a buffer, headroom included; the headroom of 128 bytes holds every tunnel header.
rte_mempool* make_pool(const std::string& name, unsigned buffers, std::uint16_t room) {
  return rte_pktmbuf_pool_create(name.c_str(), buffers, 256, headgate::proxy::kPrivateSize, room, SOCKET_ID_ANY);
}

// For what a port receives: one buffer holds a frame of the port's MTU.
Result<rte_mempool*> make_rx_pool(const headgate::port::PortSpec& spec, unsigned buffers) {
  const auto room = headgate::port::buffer_room_for(spec, headgate::proxy::kPrivateSize);
  if (!room) return tl::unexpected(room.error());
  if (rte_mempool* pool = make_pool("rx-" + spec.name, buffers, *room)) return pool;
  return fail(ErrorCode::exhausted, "no memory for " + std::to_string(buffers) + " packet buffers of " +
                                        std::to_string(*room) + " bytes for port " + spec.name +
                                        "; raise --memory or lower --buffers");
}

struct Opened {
  std::vector<headgate::app::BoxPort> ports;
  std::vector<headgate::worker::PortFacts> facts;
};

Result<Opened> open_ports(const std::vector<headgate::port::PortSpec>& specs, const Options& options,
                          const headgate::BucketMap& map) {
  Opened opened;
  for (const auto& spec : specs) {
    const bool kernels = spec.kind == headgate::port::PortKind::tap;
    const auto pool = make_rx_pool(spec, kernels ? std::min(options.buffers, kKernelBuffers) : options.buffers);
    if (!pool) return tl::unexpected(pool.error());
    rte_mempool* const pools[] = {*pool};
    auto port = headgate::port::Port::open(spec, pools, {.workers = options.workers, .buckets = map});
    if (!port) return tl::unexpected(port.error());
    headgate::worker::PortFacts facts{.mac = (*port)->mac(),
                                      .nic_steers = (*port)->rss_state().programmed,
                                      .tx_queues = (*port)->queues(),
                                      .chains = (*port)->offloads().multi_segment};
    opened.ports.push_back({.port = std::move(*port), .name = spec.name});
    opened.facts.push_back(facts);
    spdlog::info("port {}: {} on {}, {} queues, mac {}", spec.name, headgate::port::to_string(spec.kind), spec.device,
                 facts.tx_queues, to_string(facts.mac));
  }
  // A port that DPDK owns whole and its way to the kernel.
  const std::size_t physical = opened.ports.size();
  for (std::size_t i = 0; i < physical; ++i) {
    if (specs[i].exception.empty()) continue;
    const std::string name = specs[i].name + "-exception";
    headgate::port::PortSpec as_owner;  // frames of the owner's size may come from the kernel as well
    as_owner.name = name;
    as_owner.mtu = opened.ports[i].port->mtu();
    const auto pool = make_rx_pool(as_owner, kKernelBuffers);
    if (!pool) return tl::unexpected(pool.error());
    rte_mempool* const pools[] = {*pool};
    auto port = headgate::exception::open_for(*opened.ports[i].port, pools);
    if (!port) return tl::unexpected(port.error());
    const auto index = static_cast<std::uint16_t>(opened.ports.size());
    opened.ports[i].exception = opened.facts[i].exception = index;
    opened.facts.push_back({.mac = (*port)->mac(),
                            .physical = static_cast<std::uint16_t>(i),
                            .tx_queues = (*port)->queues(),
                            .chains = (*port)->offloads().multi_segment});
    opened.ports.push_back({.port = std::move(*port), .name = name, .physical = static_cast<std::uint16_t>(i)});
    spdlog::info("port {}: everything that is not ours goes to the kernel by {}", specs[i].name, specs[i].exception);
  }
  return opened;
}

// What payload may wait in all workers together: half of one port's buffers, since all of it may have come by one port,
// which has to go on receiving.
Result<headgate::worker::ProxyConfig> proxy_sizes(const Options& options) {
  headgate::worker::ProxyConfig config{.connections = options.connections};
  config.memory = std::uint64_t{options.buffers} * RTE_MBUF_DEFAULT_BUF_SIZE / 2 / options.workers;
  config.own_buffers = kOwnBuffers / 2 / options.workers;  // adverts and headers have the other half
  if (getrandom(&config.secret, sizeof config.secret, 0) != sizeof config.secret ||
      getrandom(&config.cookie_key, sizeof config.cookie_key, 0) != sizeof config.cookie_key)
    return fail(ErrorCode::internal, "no random numbers from the kernel");
  return config;
}

int run(const Options& options) {
  std::vector<headgate::port::PortSpec> specs;
  headgate::port::EalOptions eal{
      .lcores = lcore_mapping(options), .memory_mb = options.memory_mb, .hugepages = !options.no_huge};
  for (const std::string& text : options.ports) {
    const auto spec = headgate::port::parse_port_spec(text);
    if (!spec) return say(spec.error());
    if (spec->kind == headgate::port::PortKind::pci) eal.pci_devices.push_back(spec->device);
    specs.push_back(*spec);
  }
  const auto group = find_group(options.socket_group);
  if (!group) return say(group.error());
  const auto lock = lock_state_dir(options.state_dir);
  if (!lock) return say(lock.error());

  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // before any thread: all inherit it
  const int signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);

  if (const auto started = headgate::port::init_eal(eal); !started) return say(started.error());
  std::uint64_t seed = 0;
  if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
    return say({ErrorCode::internal, "no random numbers from the kernel"});

  const headgate::BucketMap map = headgate::BucketMap::equal_shares(options.workers);
  const headgate::worker::Steering steering(headgate::kDefaultRssKey, map);
  auto opened = open_ports(specs, options, map);
  if (!opened) return say(opened.error());
  // Headers of segments, a clone for each part of a payload, copies for ports that take no chains (a whole frame each),
  // and what workers say: at most what the ports' transmit rings hold, some thousands. As many again are for heads and
  // answers that wait in connections (ProxyConfig::own_buffers).
  std::uint16_t own_room = RTE_MBUF_DEFAULT_BUF_SIZE;
  for (const auto& spec : specs)
    own_room = std::max(own_room, headgate::port::buffer_room_for(spec, headgate::proxy::kPrivateSize).value_or(0));
  rte_mempool* own_pool = make_pool("own", kOwnBuffers, own_room);
  if (own_pool == nullptr)
    return say({ErrorCode::exhausted, "no memory for the workers' own packet buffers; raise --memory"});

  const auto proxy = proxy_sizes(options);
  if (!proxy) return say(proxy.error());
  std::vector<headgate::port::Port*> ports;
  for (const auto& port : opened->ports) ports.push_back(port.port.get());
  auto fleet = std::make_unique<headgate::app::Fleet>(headgate::app::FleetOptions{.workers = options.workers,
                                                                                  .flows = options.flows,
                                                                                  .idle = idle_of_workers(options),
                                                                                  .seed = seed,
                                                                                  .proxy = *proxy},
                                                      ports, opened->facts, own_pool, steering);
  fleet->start();
  headgate::app::Box box(std::move(opened->ports), std::move(fleet), own_pool, options.state_dir, seed);
  box.start_from_kept();

  const headgate::app::AccessWriter access_writer(
      box.fleet(), options.access_log.empty() ? options.state_dir + "/access.log" : options.access_log);
  auto server = headgate::app::ApiServer::start(box, options.socket, *group);
  if (!server) return say(server.error());
  spdlog::info("ready: {} workers, {} flows each, API on {}", options.workers, options.flows, options.socket);

  headgate::app::say_ready();
  constexpr int kTendMs = 100;
  for (unsigned rounds = 0;;) {
    pollfd entry{signal_fd, POLLIN, 0};
    if (poll(&entry, 1, kTendMs) > 0) {
      signalfd_siginfo info{};
      if (read(signal_fd, &info, sizeof info) == sizeof info && info.ssi_signo != SIGHUP) break;
    }
    box.log_election();
    if (++rounds % (1000 / kTendMs) != 0) continue;
    box.tend();
    headgate::app::ping_watchdog(box.fleet());
  }
  spdlog::info("stopping");
  headgate::app::say_stopping();
  server->reset();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    Options options;
    if (const int code = parse_command_line(argc, argv, options); code >= 0) return code;
    spdlog::set_default_logger(spdlog::stderr_color_mt("dataplane"));
    spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e %^%l%$ %v");
    return run(options);
  } catch (const std::exception& error) {  // third-party code; our own does not throw
    std::fprintf(stderr, "headgate-dataplane: %s\n", error.what());
    return 1;
  }
}
