"""The site of tools/bench http: what is measured has processor 0, client and servers have processor 1.

    client eth0 --- eth-front box eth-servers --- eth0 servers (nginx on three addresses)
           eth-direct -------------------------- eth-direct

There is no bridge: nothing lies between the box and its peers, and on the direct way nothing between these. Frames are as on a
wire: complete checksums, no segments above the MTU. The NAPI of the box's interfaces is a thread on the box's processor, so that what
arrives there is worked on there and not on the sender's; veth has NAPI when it has GRO, as a NIC does. These threads go before
programs, as interrupts do: else the scheduler lets a program that is busy keep its own packets waiting for milliseconds.
"""
from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import Iterator

from lab_lib import addresses as at
from lab_lib.box import BoxOptions, Box
from lab_lib.config import Backend, Config, Pool, Service
from lab_lib.network import Network
from lab_lib.processes import Processes
from lab_lib.shell import Refused, run, wait_for
from lab_lib.site import check_machine, exclusive

from . import machine

BOX_CPU, PEERS_CPU = 0, 1
NAPI_PRIORITY = 1  # real-time: before any program, as a NIC's interrupt is
RUN_DIR = Path("/run/headgate-bench-http")
BOX = at.BOX_A.name
SERVICE, PORT = 100, 80
DIRECT_CLIENT, DIRECT_SERVERS = "10.99.0.1", "10.99.0.2"
SMALL, LARGE = "/1k", "/large"
LARGE_BYTES = 1 << 30
DESCRIPTORS = 20000
CLIENT = "headgate-bench-http"
PROGRAMS = ("headgate-dataplane", "headgate-controlplane", "headgate-supervisor", "headgate", CLIENT)

NGINX = """\
daemon off;
user root;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {home}/nginx.pid;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  default_type application/octet-stream;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  server {{ listen 80 backlog=4096; root {home}/files; open_file_cache max=16; }}
}}
"""


def prefer(thread: int) -> None:
    """All that takes part has the same priority, above other work on this machine, which blurs figures less then."""
    os.setpriority(os.PRIO_PROCESS, thread, -20)


def configuration() -> Config:
    """Ours. What it says to backends and logs is the default: X-Forwarded-For and -Proto, no access log."""
    backends = tuple(Backend(name, families=(4,)) for name in at.WEB_SERVERS)
    return Config(pools=(Pool("web", backends=backends, health_check=False),),
                  services=(Service("web", SERVICE, port=PORT, protocol="HTTP", families=(4,)),))


def haproxy_configuration() -> str:
    """The same: one thread, each request to the next server, kept connections on both sides, shared between clients."""
    return "\n".join((
        "global", "  nbthread 1", "  maxconn 8000",
        "defaults", "  mode http", "  timeout connect 5s", "  timeout client 60s", "  timeout server 60s", "  http-reuse always",
        "frontend web", f"  bind {at.front(SERVICE)}:{PORT}", "  default_backend web",
        "backend web", "  balance roundrobin", "  option forwardfor", "  http-request set-header X-Forwarded-Proto http",
        *(f"  server {name} {at.web(name)}:80" for name in at.WEB_SERVERS))) + "\n"


class HttpSite:
    """Requires: `site()` made it."""

    def __init__(self, run_dir: Path, preset: str) -> None:
        self.run_dir = run_dir
        self.network = Network("hgbh", run_dir)
        self.processes = Processes(run_dir)
        self.box = Box(self.network, self.processes, run_dir, BoxOptions(preset=preset))
        self.threads: list[int] = []    # that do the work of the network and the servers

    def check(self) -> None:
        check_machine()
        if len(os.sched_getaffinity(0)) < 2:
            raise Refused("this bench needs two processors: one for what is measured, one for everything else")
        for name in PROGRAMS:
            if not (self.box.bin / name).exists():
                raise Refused(f"{self.box.bin}/{name} does not exist: build it, or leave out --no-build")
        if shutil.which("haproxy") is None:
            raise Refused("haproxy is not installed: run tools/setup")
        self.network.check_free(["client", BOX, "servers"])

    def up(self) -> None:
        for host in ("client", BOX, "servers"):
            self.network.add(host)
            self.network.sysctl(host, **{"net.ipv4.ip_local_port_range": "1024 65535", "net.ipv4.tcp_tw_reuse": "1",
                                         "net.core.somaxconn": "8192", "net.ipv4.tcp_max_syn_backlog": "8192"})
        self.connect("client", "eth0", BOX, "eth-front")
        self.connect(BOX, "eth-servers", "servers", "eth0")
        self.connect("client", "eth-direct", "servers", "eth-direct")
        self.address("client", "eth0", at.front(at.CLIENT_NUMBER))
        self.address("client", "eth-direct", DIRECT_CLIENT)
        self.address("servers", "eth-direct", DIRECT_SERVERS)
        for name in at.WEB_SERVERS:
            self.address("servers", "eth0", at.web(name))
        self.address(BOX, "eth-front", at.front(at.BOX_NUMBER))
        self.address(BOX, "eth-servers", at.servers(at.BOX_NUMBER))
        self.start_servers()

    def connect(self, host: str, interface: str, peer_host: str, peer: str) -> None:
        self.network.link(host, interface, peer_host, peer)
        for where, name in ((host, interface), (peer_host, peer)):
            if where == BOX:
                self.thread_napi(name)

    def thread_napi(self, interface: str) -> None:
        before = machine.kernel_threads("napi/")
        self.sh(BOX, f"ethtool -K {interface} gro on && echo 1 > /sys/class/net/{interface}/threaded")
        made = wait_for(lambda: machine.kernel_threads("napi/") - before, f"the NAPI thread of {interface}")
        self.threads += made
        for thread in made:
            os.sched_setaffinity(thread, {BOX_CPU})
            os.sched_setscheduler(thread, os.SCHED_FIFO, os.sched_param(NAPI_PRIORITY))

    def address(self, host: str, interface: str, address: str, verb: str = "add") -> None:
        self.network.ip(host, "addr", verb, f"{address}/24", "dev", interface)

    def sh(self, host: str, command: str) -> str:
        return run("ip", "netns", "exec", self.network.namespace(host), "sh", "-c", command).stdout

    def start_servers(self) -> None:
        home = self.run_dir / "servers"
        (home / "files").mkdir(parents=True)
        (home / "files" / SMALL[1:]).write_bytes(b"x" * 1024)
        with open(home / "files" / LARGE[1:], "wb") as large:
            large.truncate(LARGE_BYTES)  # zeros, and no memory
        config = home / "nginx.conf"
        config.write_text(NGINX.format(home=home))
        pid = self.start("servers", "nginx", "nginx", "-p", str(home), "-e", str(home / "error.log"), "-c", str(config))
        self.wait_answer(DIRECT_SERVERS)
        self.threads += machine.children(pid)
        for thread in machine.children(pid):
            prefer(thread)

    def start(self, host: str, name: str, *command: str) -> int:
        return self.processes.start(self.network.namespace(host), host, name, *command)

    def wait_answer(self, address: str) -> None:
        words = ("ip", "netns", "exec", self.network.namespace("client"), "curl", "-sS", "--max-time", "1", f"http://{address}:{PORT}{SMALL}")
        try:
            wait_for(lambda: len(run(*words, check=False).stdout) == 1024, f"an answer of {address} (see {self.processes.logs})", 20)
        except TimeoutError as late:
            raise TimeoutError(f"{late}\n{self.box.log_tail()}") from None

    def down(self, keep_logs: bool = False) -> None:
        if self.box._api is not None or self.processes.pid(BOX, "supervisor"):
            self.box.stop()
        for host, name in self.processes.names():
            self.processes.stop(host, name)
        self.network.remove()
        if not keep_logs:
            shutil.rmtree(self.run_dir, ignore_errors=True)


class Direct:
    """Nobody between client and servers: what the load costs without a box."""
    name = "direct"
    address = DIRECT_SERVERS

    def __init__(self, made: HttpSite) -> None:
        self.made = made
        self.thread: int | None = None  # the one that does the box's work

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        yield

    def useful(self) -> float | None:
        """Seconds that its thread worked so far. None: whenever it ran."""
        return None


class Headgate(Direct):
    name = "headgate"
    address = at.front(SERVICE)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        box = self.made.box
        box.start(configuration())
        try:
            self.made.wait_answer(self.address)
            self.thread = machine.thread_named(box.daemon_pid("headgate-dataplane") or 0, "rte-worker")
            prefer(self.thread)
            yield
        finally:
            box.stop()

    def useful(self) -> float:
        return sum(worker.busy_ns for worker in self.made.box.api.call("Stats").worker) / 1e9


class Haproxy(Direct):
    """On the box's addresses, by the box's kernel."""
    name = "haproxy"
    address = at.front(SERVICE)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        made = self.made
        file = made.run_dir / "haproxy.cfg"
        file.write_text(haproxy_configuration())
        made.address(BOX, "eth-front", self.address)
        try:
            self.thread = made.start(BOX, "haproxy", "taskset", "-c", str(BOX_CPU), "haproxy", "-db", "-f", str(file))
            prefer(self.thread)
            made.wait_answer(self.address)
            yield
        finally:
            made.processes.stop(BOX, "haproxy")
            made.address(BOX, "eth-front", self.address, "del")


@contextlib.contextmanager
def site(preset: str) -> Iterator[HttpSite]:
    """Builds it, and leaves nothing of it; of one that failed the logs."""
    made = HttpSite(RUN_DIR, preset)
    with exclusive(RUN_DIR, "hgbh"):
        made.down()  # what a crash left
        made.check()
        processors, good = os.sched_getaffinity(0), False
        os.sched_setaffinity(0, {PEERS_CPU})  # inherited by all that is started from here; workers place themselves
        try:
            made.up()
            yield made
            good = True
        finally:
            os.sched_setaffinity(0, processors)
            made.down(keep_logs=not good)
