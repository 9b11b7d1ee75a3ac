"""keepalived 2.2.7, Debian's, on a host of its own: what people use instead, and a peer for our box."""
from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

from . import addresses as at
from .network import Network
from .processes import Processes
from .shell import run, wait_for

INTERFACE = "eth0"


@dataclass(frozen=True)
class Instance:
    """One virtual router. IPv6: its first address is link-local. `interval_ms`: in version 2 whole seconds."""
    vrid: int
    addresses: tuple[str, ...]
    priority: int = 100
    interval_ms: int = 100
    version: int = 3
    preempt: bool = False

    @property
    def family(self) -> int:
        return 6 if ":" in self.addresses[0] else 4

    @property
    def device(self) -> str:
        return f"vrrp{self.family}.{self.vrid}"

    def text(self) -> str:
        masked = [f"{address}/{at.length(self.family) if not address.startswith('fe80') else 64}" for address in self.addresses]
        lines = ["state BACKUP", f"interface {INTERFACE}", f"use_vmac {self.device}", f"virtual_router_id {self.vrid}",
                 f"version {self.version}", f"priority {self.priority}", f"advert_int {self.interval_ms / 1000:g}",
                 *([] if self.preempt else ["nopreempt"]), "virtual_ipaddress {", *(f"  {address}" for address in masked), "}"]
        return f"vrrp_instance {self.device} {{\n" + "".join(f"  {line}\n" for line in lines) + "}\n"


class Keepalived:
    """Real-time priority, as ours has it: without it 10 ms adverts are false alarms on a busy machine. And a second of it instead of
    10 ms: a keepalived that is not lucky with the processor while it announces is killed by the kernel."""

    GLOBAL = "global_defs {\n  vrrp_rt_priority 50\n  vrrp_rlimit_rttime 1000000\n  vrrp_no_swap\n}\n"

    def __init__(self, network: Network, processes: Processes, run_dir: Path, host: str) -> None:
        self.network, self.processes, self.host = network, processes, host
        self.home = run_dir / host

    def connect(self, bridge: str, network: str, number: int) -> None:
        """On a new host. The sysctls: else the parent answers ARP for addresses of the virtual MAC's device."""
        self.network.add(self.host)
        self.network.plug(self.host, INTERFACE, bridge)
        self.network.address(self.host, INTERFACE, network, number)
        self.network.sysctl(self.host, **{"net.ipv4.conf.all.arp_ignore": "1", "net.ipv4.conf.all.arp_announce": "2",
                                          f"net.ipv4.conf.{INTERFACE}.arp_ignore": "1", "net.ipv6.conf.all.forwarding": "1"})

    def start(self, *instances: Instance) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        config = self.home / "keepalived.conf"
        config.write_text(self.GLOBAL + "".join(instance.text() for instance in instances))
        self.remove_remains(*instances)
        pids = [str(self.home / f"{name}.pid") for name in ("keepalived", "vrrp")]
        self.processes.start(self.network.namespace(self.host), self.host, "keepalived", "keepalived", "--dont-fork", "--log-console",
                             "--log-detail", "--vrrp", "-f", str(config), "-p", pids[0], "-r", pids[1])

    def remove_remains(self, *instances: Instance) -> None:
        """Of one that was killed: it leaves its addresses in the kernel, and its pid files."""
        for file in self.home.glob("*.pid"):
            file.unlink()
        for instance in instances:
            run("ip", "-n", self.network.namespace(self.host), "link", "del", instance.device, check=False)

    def kill(self, number: int) -> None:
        """To all of its processes."""
        pid = self.processes.pid(self.host, "keepalived")
        if pid is not None:
            os.killpg(pid, number)

    def stop(self, how: int = signal.SIGTERM) -> None:
        self.processes.stop(self.host, "keepalived", how)

    def holds(self, address: str) -> bool:
        return f" {address}/" in self.network.ip(self.host, "addr", "show")

    def wait_active(self, address: str, timeout: float = 20) -> None:
        wait_for(lambda: self.holds(address), f"keepalived on {self.host} to hold {address}", timeout, 0.02)

    def log(self) -> str:
        path = self.processes.log(self.host, "keepalived")
        return path.read_text(errors="replace") if path.exists() else ""

    def states(self) -> list[str]:
        """MASTER, BACKUP ... in the order in which it entered them."""
        return [line.rpartition("Entering ")[2].split()[0] for line in self.log().splitlines() if "Entering " in line]
