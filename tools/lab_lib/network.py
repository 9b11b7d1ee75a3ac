"""Namespaces, links and addresses of a site. Every namespace is recorded before it is made, so that a crash leaves nothing
that `remove` cannot find, and a namespace that is not in the record is never touched."""
from __future__ import annotations

import zlib
from pathlib import Path

from . import addresses as at
from .processes import kill_all_in
from .shell import Refused, run


class Network:
    def __init__(self, prefix: str, run_dir: Path, mtu: int = 1500) -> None:
        self.prefix = prefix
        self.mtu = mtu  # of links that are not given one
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

    def bridge(self, name: str) -> None:
        """With a MAC of its own: the kernel would take the lowest of its ports, and another one when that host is cut off, so that
        all others would send to a router that is no more, for a second."""
        mac = bytes([2, 0]) + zlib.crc32(name.encode()).to_bytes(4, "big")
        self.ip("net", "link", "add", name, "address", mac.hex(":"), "type", "bridge", "mcast_snooping", "0")
        self.ip("net", "link", "set", name, "up")

    def address(self, host: str, interface: str, network: str, number: int) -> None:
        text = getattr(at, network)
        for family in (4, 6):
            nodad = ["nodad"] if family == 6 else []
            self.ip(host, "addr", "add", f"{text(number, family)}/{at.length(family)}", "dev", interface, *nodad)

    def link(self, host: str, interface: str, peer_host: str, peer: str, mtu: int = 0) -> None:
        """A veth pair with one queue at each end: DPDK's AF_XDP driver sees no more of them."""
        mtu = mtu or self.mtu
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
        self.link(host, interface, "net", self.bridge_port(host, bridge))
        self.join(host, bridge)

    def plug_by_wire(self, host: str, interface: str, bridge: str) -> tuple[str, str]:
        """The same with a gap in between, in `net`: the interfaces at its ends, the host's first, for a Wire to join."""
        port = self.bridge_port(host, bridge)
        ends = (f"a-{port}", f"b-{port}")
        self.link(host, interface, "net", ends[0])
        self.link("net", ends[1], "net", port)
        self.join(host, bridge)
        return ends

    @staticmethod
    def bridge_port(host: str, bridge: str) -> str:
        """The name of a host's port at a bridge, in `net`."""
        return f"{bridge.removeprefix('br-')[:5]}-{host}"

    def join(self, host: str, bridge: str) -> None:
        self.ip("net", "link", "set", self.bridge_port(host, bridge), "master", bridge)

    def detach(self, host: str, bridge: str) -> None:
        """Cuts a host off without a word: the link stays up at both ends. join() heals it."""
        self.ip("net", "link", "set", self.bridge_port(host, bridge), "nomaster")
