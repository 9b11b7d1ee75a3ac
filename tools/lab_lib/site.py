"""A whole site: client, router, one box or two, and web servers. tools/lab keeps one for people, tests/system makes its own."""
from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterator, TextIO

from . import addresses as at
from .box import DAEMONS, Box, BoxOptions, exception_interface
from .config import Config
from .network import Network
from .pair import CALM_MS
from .processes import Processes
from .servers import Servers
from .shell import Refused, run, wait_for
from .wire import PROGRAM as WIRE
from .wire import Wire

HUGEPAGES = Path("/proc/sys/vm/nr_hugepages")


@dataclass(frozen=True)
class SiteOptions:
    prefix: str = "hg"
    run_dir: Path = Path("/run/headgate-lab")
    box: BoxOptions = field(default_factory=BoxOptions)  # of each
    pair: bool = False              # two boxes, whose addresses are in a group
    group: bool = False             # a lone box whose addresses are in a group too, beside a stranger's VRRP router
    wires: bool = False             # every link of a box is a Wire, which can be made bad
    seed: int = 1                   # of the wires' chance
    mtu: int = 1500                 # of all links
    far: bool = False               # a client behind the client, over a link of 1300 bytes
    client_servers: bool = False    # the client runs nginx and DNS too, for the servers' own traffic

    def save(self) -> None:
        values = dataclasses.asdict(self) | {"run_dir": str(self.run_dir)}
        (self.run_dir / "site.json").write_text(json.dumps(values, indent=2) + "\n")

    @staticmethod
    def load(run_dir: Path) -> SiteOptions | None:
        """What the site in `run_dir` was made with; None when there is none."""
        try:
            values = json.loads((run_dir / "site.json").read_text())
        except (OSError, ValueError):
            return None
        return known(SiteOptions, values | {"run_dir": run_dir, "box": known(BoxOptions, values["box"])})


def known(kind: Any, values: dict[str, Any]) -> Any:
    """An instance of a dataclass from those values that it has fields for: another version may have written more."""
    names = {entry.name for entry in dataclasses.fields(kind)}
    return kind(**{name: value for name, value in values.items() if name in names})


class Site:
    def __init__(self, options: SiteOptions) -> None:
        self.options = options
        self.run_dir = options.run_dir
        self.network = Network(options.prefix, options.run_dir, options.mtu)
        self.processes = Processes(options.run_dir)
        self.servers = Servers(self.network, self.processes, options.run_dir)
        self.boxes = [Box(self.network, self.processes, options.run_dir, options.box, place, options.pair or options.group)
                      for place in (at.PAIR if options.pair else at.PAIR[:1])]
        self.box = self.boxes[0]
        self.web_servers = at.WEB_SERVERS

    # -- the whole -------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Refuses with one sentence when this machine or account cannot hold a site."""
        check_machine()
        self.network.check_free(self.hosts())

    def hosts(self) -> list[str]:
        return ["net", "client", *(box.host for box in self.boxes), *self.web_servers, *(["far"] if self.options.far else [])]

    def up(self, config: Config, start_box: bool = True) -> None:
        """Builds and starts everything and waits until it is ready. Requires: nothing of this site exists (down)."""
        self.check()
        self.run_dir.mkdir(parents=True, exist_ok=True)
        self.options.save()
        self.build_network()
        self.servers.start_blobs()
        for name in self.web_servers:
            self.servers.start(name)
        if self.options.client_servers:
            self.servers.start_nginx("client")
            self.servers.start_dns("client", [at.front(at.CLIENT_NUMBER, 4), at.front(at.CLIENT_NUMBER, 6)])
            self.servers.wait_listening("client", ":80 ", ":53 ")
        for name in self.web_servers:
            self.servers.wait_ready(name)
        if start_box:
            self.start_box(config)

    def start_box(self, config: Config) -> None:
        """All boxes, and waits until they serve."""
        if self.options.box.hugepages:
            self.reserve_hugepages()
        for box in self.boxes:
            box.start(config)
        for box in self.boxes:
            if box.options.owns_ports:
                self.address_exception_devices(box)
        if self.options.pair:
            self.pair_boxes()
        self.wait_ready(config)

    def pair_boxes(self) -> None:
        """As two operators do: a code from one console, typed on the other."""
        for box in self.boxes:
            box.wait_console()
        first, second = self.boxes
        code = first.cli("failover", "pair").stdout.split()[0]
        second.cli("failover", "pair", code)
        wait_for(self.agreed, "the boxes to agree on their configuration", 20)

    def reload(self, config: Config) -> None:
        self.run_texts({box: box.file_text(config) for box in self.boxes})

    def run_texts(self, texts: dict[Box, str]) -> None:
        """Has the boxes run other files. In a pair a commit on the first goes to both, and the other's file is for its next start."""
        first, *others = self.boxes
        before = {box: box.revision_that_runs() for box in others}
        changed = first.config_file.read_text() != texts[first]
        for box, text in texts.items():
            box.write_text(text)
        if not changed or not first.reload_file():
            return
        for box in others:
            wait_for(lambda: box.revision_that_runs() > before[box], f"the commit of {first.host} on {box.host}")

    def address_exception_devices(self, box: Box) -> None:
        """The kernel's addresses, on the devices that the dataplane makes."""
        for network in ("front", "servers"):
            interface = exception_interface(network)
            exists = lambda: run("ip", "-n", self.network.namespace(box.host), "link", "show", interface, check=False).returncode == 0
            try:
                wait_for(exists, f"the exception device {interface}", 10)
            except TimeoutError as error:
                raise TimeoutError(f"{error}\n{self.log_tails()}") from None
            self.network.address(box.host, interface, network, box.place.kernel_number)

    def wait_ready(self, config: Config, timeout: float = 20) -> None:
        service = next(entry for entry in config.services if entry.protocol == "TCP")
        target = at.url(service.address(service.families[0]), port=service.port)
        if self.box.in_group:  # a box listens first
            timeout += config.failover.startup_wait_ms / 1000
        try:
            wait_for(lambda: self.curl(target, check=False, timeout=1).returncode == 0, f"the first answer from {target}", timeout, 0.1)
            wait_for(self.backends_up, "every backend to be up", timeout)
            if self.options.pair:
                self.wait_settled(timeout)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.log_tails()}") from None

    def settled(self, calm_ms: int = 0) -> tuple[Box, Box] | None:
        """The active box of a pair and the backup, once they have been that for so long."""
        states = {box.role(): (box, box.group_state()) for box in self.boxes}
        if set(states) != {"active", "backup"} or any(state is None or state.since_ms_ago < calm_ms for _, state in states.values()):
            return None
        return states["active"][0], states["backup"][0]

    def wait_settled(self, timeout: float = 20, calm_ms: int = 0) -> tuple[Box, Box]:
        try:
            return wait_for(lambda: self.settled(calm_ms), "one active box and one backup", timeout)
        except TimeoutError as late:
            roles = ", ".join(f"{box.host} is {box.role() or 'silent'}" for box in self.boxes)
            raise TimeoutError(f"{late}; {roles}") from None

    def wait_whole(self, timeout: float = 30, calm_ms: int = CALM_MS) -> tuple[Box, Box]:
        """Nothing of an earlier fault is left: both boxes run all they should, and agree. The active box and the backup."""
        pair = self.wait_settled(timeout, calm_ms)
        wait_for(self.backends_up, "every backend up on both boxes", timeout)
        wait_for(lambda: all(all(map(box.daemon_pid, DAEMONS)) and box.revision_that_runs() for box in self.boxes),
                 "all daemons", timeout)
        wait_for(self.agreed, "one configuration on both boxes", timeout)
        return pair

    def agreed(self) -> bool:
        return all("configuration: agreed" in " ".join(box.cli("show", "failover", "peer", check=False).stdout.split())
                   for box in self.boxes)

    def log_tails(self) -> str:
        return "\n".join(f"The last lines of the log of {box.host}:\n{box.log_tail()}" for box in self.boxes)

    def backends_up(self) -> bool:
        """On every box."""
        return all((running := box.running_or_none()) is not None and all(backend.health == 0 for backend in running.backend)
                   for box in self.boxes)

    def down(self) -> None:
        """Removes everything of this site, whatever state it is in."""
        for box in self.boxes:
            if box._api is not None or self.processes.pid(box.host, "supervisor"):
                box.stop()
        self.network.remove()
        self.give_hugepages_back()
        for host, name in self.processes.names():  # none is left, except one that died before it entered its namespace
            self.processes.stop(host, name, how=signal.SIGKILL)
        shutil.rmtree(self.run_dir, ignore_errors=True)

    def reserve_hugepages(self) -> None:
        """As many 2 MB pages as the dataplane needs, beside those that the machine has; the old number is kept on disk."""
        before = int(HUGEPAGES.read_text())
        wanted = before + len(self.boxes) * self.options.box.memory_mb // 2
        (self.run_dir / "hugepages").write_text(f"{before}\n")
        HUGEPAGES.write_text(f"{wanted}\n")
        if int(HUGEPAGES.read_text()) < wanted:
            raise Refused(f"the kernel could not reserve {wanted} hugepages of 2 MB: free memory, or leave --hugepages out")

    def give_hugepages_back(self) -> None:
        kept = self.run_dir / "hugepages"
        if kept.exists():
            HUGEPAGES.write_text(kept.read_text())

    def exists(self) -> bool:
        return bool(self.network.recorded())

    def exclusive(self, wait: float = 0) -> contextlib.AbstractContextManager[None]:
        """Holds the right to make and remove the site of this name."""
        return exclusive(self.run_dir, self.options.prefix, wait)

    # -- the network -----------------------------------------------------------------------------------------------------

    def build_network(self) -> None:
        net = self.network
        for host in self.hosts():
            net.add(host)
        net.sysctl("net", **{"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1",
                             "net.ipv4.conf.all.send_redirects": "0", "net.ipv4.conf.default.send_redirects": "0"})
        for network in ("front", "servers"):
            net.bridge(f"br-{network}")
            net.address("net", f"br-{network}", network, at.ROUTER_NUMBER)
        net.plug("client", "eth0", "br-front")
        net.address("client", "eth0", "front", at.CLIENT_NUMBER)
        for box in self.boxes:
            self.connect_box(box)
        if self.options.pair:
            self.build_ha_link()
        for name in self.web_servers:
            self.servers.connect(name)
        # The servers' own traffic with their own addresses (egress ROUTE): its answers go back to the box.
        for family, prefix in zip((4, 6), at.SERVERS):
            net.ip("client", f"-{family}", "route", "add", prefix, "via", at.front(at.GATEWAY_NUMBER, family))
        if self.options.far:
            self.build_far()

    def connect_box(self, box: Box) -> None:
        net = self.network
        for interface, bridge, network in (("eth-front", "br-front", "front"), ("eth-servers", "br-servers", "servers")):
            self.plug_box(box, interface, bridge)
            if box.options.owns_ports:  # the kernel lives on the exception device and must not hear this one
                net.sysctl(box.host, **{f"net.ipv4.conf.{interface}.arp_ignore": "8", f"net.ipv4.conf.{interface}.rp_filter": "1",
                                        f"net.ipv6.conf.{interface}.disable_ipv6": "1"})
            else:
                net.address(box.host, interface, network, box.place.kernel_number)

    def plug_box(self, box: Box, interface: str, bridge: str) -> None:
        if not self.options.wires:
            self.network.plug(box.host, interface, bridge)
            return
        ends = self.network.plug_by_wire(box.host, interface, bridge)
        self.wire(box, bridge).start(self.network, self.processes, box.bin / WIRE, ends, self.options.seed)

    def wire(self, box: Box, bridge: str) -> Wire:
        """The link of a box to br-front, br-servers or br-ha. Requires: options.wires."""
        return Wire(self.run_dir, box.host, bridge)

    def build_ha_link(self) -> None:
        """A bridge, not a cable: it can be cut without a word too."""
        net = self.network
        net.bridge("br-ha")
        for box in self.boxes:
            self.plug_box(box, "eth-ha", "br-ha")
            net.ip(box.host, "addr", "add", f"{at.ha(box.place.ha_number)}/24", "dev", "eth-ha")

    def build_far(self) -> None:
        """A client behind the client. The link between them takes 1300 bytes, and the far client still offers full-size
        segments, so that servers learn of the small link only by ICMP errors that the box must translate."""
        net = self.network
        net.link("far", "eth0", "client", "eth-far", mtu=1300)
        net.address("far", "eth0", "far", at.FAR_NUMBER)
        net.address("client", "eth-far", "far", 1)
        net.sysctl("client", **{"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1"})
        for family, segment, prefix in ((4, 1460, at.FAR[0]), (6, 1440, at.FAR[1])):
            net.ip("far", f"-{family}", "route", "add", "default", "via", at.far(1, family), "advmss", str(segment))
            net.ip("net", f"-{family}", "route", "add", prefix, "via", at.front(at.CLIENT_NUMBER, family))

    # -- as the people of the site ---------------------------------------------------------------------------------------

    def exec(self, host: str, *command: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return run("ip", "netns", "exec", self.network.namespace(host), *command, **options)

    def popen(self, host: str, *command: str, **options: Any) -> subprocess.Popen[str]:
        """A program whose output the caller reads; the caller ends it."""
        defaults: dict[str, Any] = dict(stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return subprocess.Popen(["ip", "netns", "exec", self.network.namespace(host), *command], **(defaults | options))

    def curl(self, url: str, *arguments: str, host: str = "client", check: bool = True,
             timeout: float = 5) -> subprocess.CompletedProcess[str]:
        return self.exec(host, "curl", "-sS", "--max-time", f"{timeout:g}", *arguments, url, check=check, timeout=timeout + 10)

    def answers(self, url: str, count: int, host: str = "client") -> list[str]:
        """Who answered each of `count` new connections, in order."""
        script = f"for i in $(seq {count}); do curl -sS --max-time 5 '{url}' || echo none; done"
        return self.exec(host, "bash", "-c", script, timeout=count * 5 + 10).stdout.split()


@contextlib.contextmanager
def exclusive(run_dir: Path, name: str, wait: float = 0) -> Iterator[None]:
    """Holds the right to make and remove what is recorded in `run_dir`. The file is outside the directory, which goes."""
    path = run_dir.with_suffix(".lock")
    try:
        file = wait_for(lambda: try_lock(path), "the lock", timeout=wait, interval=0.05)
    except TimeoutError:
        raise Refused(f"another process is at work on the site {name} ({path}): wait for it") from None
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # before the lock goes: who waits finds that it is not the file any more
        file.close()


def try_lock(path: Path) -> TextIO | None:
    """The file, locked; None while another has it, also when that one has just removed it."""
    file = open(path, "w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(file.fileno()), path.stat()):
            return file
    except (BlockingIOError, FileNotFoundError):
        pass
    file.close()
    return None


def check_machine() -> None:
    if os.geteuid() != 0:
        raise Refused("namespaces, TAP devices and AF_XDP need root: run this with sudo")
    if not Path("/dev/net/tun").exists():
        raise Refused("/dev/net/tun does not exist: load the module (modprobe tun), or give this container the device")
    for program in ("ip", "ethtool", "nginx", "socat", "dnsmasq", "curl", "dig", "openssl"):
        if shutil.which(program) is None:
            raise Refused(f"the program {program} is missing: run tools/setup")
