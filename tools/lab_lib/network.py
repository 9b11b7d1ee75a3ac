"""Namespaces, links and addresses of a site. Every namespace is recorded before it is made, so that a crash leaves nothing
that `remove` cannot find, and a namespace that is not in the record is never touched."""
from __future__ import annotations

from pathlib import Path

from . import addresses as at
from .processes import kill_all_in
from .shell import Refused, run


class Network:
    def __init__(self, prefix: str, run_dir: Path) -> None:
        self.prefix = prefix
        self.record = run_dir / "namespaces"

    def namespace(self, host: str) -> str:
        return f"{self.prefix}-{host.removeprefix(self.prefix + '-')}"

    def recorded(self) -> list[str]:
        return self.record.read_text().split() if self.record.exists() else []

    def check_free(self, hosts: list[str]) -> None:
        existing = {line.split()[0] for line in run("ip", "netns", "list").stdout.splitlines() if line}
        taken = sorted(existing & {self.namespace(host) for host in hosts} - set(self.recorded()))
        if taken:
            raise Refused(f"the namespace {taken[0]} exists and is not ours: remove it (ip netns del {taken[0]}) or rename it")

    def add(self, host: str) -> None:
        name = self.namespace(host)
        self.record.parent.mkdir(parents=True, exist_ok=True)
        with open(self.record, "a") as record:
            record.write(name + "\n")
        run("ip", "netns", "add", name)
        self.sysctl(host, **{"net.ipv6.conf.all.accept_dad": "0", "net.ipv6.conf.default.accept_dad": "0",
                             "net.ipv6.conf.default.accept_ra": "0", "net.ipv4.conf.all.rp_filter": "0",
                             "net.ipv4.conf.default.rp_filter": "0", "net.ipv4.ip_forward": "0",
                             # Tests look for ICMP errors; whether one is sent must not depend on the test before.
                             "net.ipv4.icmp_ratelimit": "0", "net.ipv6.icmp.ratelimit": "0"})
        self.ip(host, "link", "set", "lo", "up")

    def remove(self) -> None:
        """Ends every process in the recorded namespaces and removes them, and with them their links."""
        existing = {line.split()[0] for line in run("ip", "netns", "list").stdout.splitlines() if line}
        for name in self.recorded():
            if name in existing:
                kill_all_in(name)
                run("ip", "netns", "del", name)
                existing.discard(name)
        self.record.unlink(missing_ok=True)

    def ip(self, host: str, *arguments: str) -> str:
        return run("ip", "-n", self.namespace(host), *arguments).stdout

    def sysctl(self, host: str, **values: str) -> None:
        settings = [f"{name}={value}" for name, value in values.items()]
        run("ip", "netns", "exec", self.namespace(host), "sysctl", "-qw", *settings)

    def bridge(self, name: str, number: int, network: str) -> None:
        """A bridge in `net` that has the router's addresses of this network."""
        self.ip("net", "link", "add", name, "type", "bridge", "mcast_snooping", "0")
        self.ip("net", "link", "set", name, "up")
        self.address("net", name, network, number)

    def address(self, host: str, interface: str, network: str, number: int) -> None:
        text = getattr(at, network)
        for family in (4, 6):
            nodad = ["nodad"] if family == 6 else []
            self.ip(host, "addr", "add", f"{text(number, family)}/{at.length(family)}", "dev", interface, *nodad)

    def link(self, host: str, interface: str, peer_host: str, peer: str, mtu: int = 1500) -> None:
        """A veth pair with one queue at each end: DPDK's AF_XDP driver sees no more of them."""
        count = ["numrxqueues", "1", "numtxqueues", "1"]
        self.ip(host, "link", "add", "name", interface, "mtu", str(mtu), *count, "type", "veth",
                "peer", "name", peer, "netns", self.namespace(peer_host), "mtu", str(mtu), *count)
        for where, name in ((host, interface), (peer_host, peer)):
            # Frames must be as on a wire: complete checksums, no segments larger than the MTU.
            run("ip", "netns", "exec", self.namespace(where), "ethtool", "-K", name,
                "tx", "off", "rx", "off", "tso", "off", "gso", "off", "gro", "off")
            self.ip(where, "link", "set", name, "up")

    def plug(self, host: str, interface: str, bridge: str) -> None:
        """Connects `interface` of a host with a bridge."""
        peer = f"{bridge.removeprefix('br-')[:5]}-{host}"
        self.link(host, interface, "net", peer)
        self.ip("net", "link", "set", peer, "master", bridge)
