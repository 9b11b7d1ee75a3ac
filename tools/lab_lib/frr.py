"""FRR's vrrpd 8.4.4, Debian's, on a host of its own, with zebra under it: a peer for our box."""
from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

from . import addresses as at
from .keepalived import INTERFACE, Instance
from .network import Network
from .processes import Processes
from .shell import run, wait_for

PROGRAMS = Path("/usr/lib/frr")
USER = "frr"  # of its package; it insists on the group of vtysh, which root is not in


class Frr:
    """It must be given a macvlan for each virtual router, made before it starts, and puts it up and down (protodown)."""

    def __init__(self, network: Network, processes: Processes, run_dir: Path, host: str) -> None:
        self.network, self.processes, self.host = network, processes, host
        self.home = run_dir / host

    def connect(self, bridge: str, network: str, number: int) -> None:
        self.network.add(self.host)
        self.network.plug(self.host, INTERFACE, bridge)
        self.network.address(self.host, INTERFACE, network, number)
        self.network.sysctl(self.host, **{"net.ipv4.conf.all.arp_ignore": "1", "net.ipv4.conf.all.arp_announce": "2",
                                          "net.ipv4.conf.default.ignore_routes_with_linkdown": "1",
                                          "net.ipv6.conf.default.ignore_routes_with_linkdown": "1",
                                          "net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1"})

    def start(self, *instances: Instance) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        shutil.chown(self.home, USER, USER)
        for instance in instances:
            self.make_device(instance)
        (self.home / "zebra.conf").write_text("")
        (self.home / "vrrpd.conf").write_text(f"interface {INTERFACE}\n" + "".join(map(self.text, instances)))
        (self.home / "zserv.api").unlink(missing_ok=True)  # of one before: vrrpd would try it once, and again after 10 s
        self.run("zebra")
        wait_for((self.home / "zserv.api").exists, f"zebra ({self.processes.log(self.host, 'zebra')})")
        self.run("vrrpd")
        wait_for(self.routers, f"vrrpd ({self.processes.log(self.host, 'vrrpd')})")

    def run(self, name: str) -> None:
        self.processes.start(self.network.namespace(self.host), self.host, name, str(PROGRAMS / name), "--vty_socket", str(self.home), "-z",
                             str(self.home / "zserv.api"), "-i", str(self.home / f"{name}.pid"), "-f", str(self.home / f"{name}.conf"),
                             "-u", USER, "-g", USER, "-P", "0", "--log", "stdout")

    def make_device(self, instance: Instance) -> None:
        device = f"v{instance.family}-{instance.vrid}"
        mac = f"00:00:5e:00:0{1 if instance.family == 4 else 2}:{instance.vrid:02x}"
        ip = lambda *words: self.network.ip(self.host, *words)
        run("ip", "-n", self.network.namespace(self.host), "link", "del", device, check=False)
        ip("link", "add", device, "link", INTERFACE, "type", "macvlan", "mode", "bridge")
        ip("link", "set", device, "address", mac)
        ip("link", "set", device, "addrgenmode", "random")
        for address in instance.addresses:
            ip("addr", "add", f"{address}/{at.length(instance.family)}", "dev", device, *(["nodad"] if instance.family == 6 else []))
        ip("link", "set", device, "up")

    def text(self, instance: Instance) -> str:
        word = "ip" if instance.family == 4 else "ipv6"
        lines = [f"version {instance.version}", f"priority {instance.priority}", f"advertisement-interval {instance.interval_ms}",
                 *(f"{word} {address}" for address in instance.addresses)]
        text = "".join(f" vrrp {instance.vrid} {line}\n" for line in lines)
        return text if instance.preempt else f"{text} no vrrp {instance.vrid} preempt\n"

    def routers(self) -> list[dict[str, Any]]:
        """What it says of its virtual routers; none while it does not answer."""
        done = run("vtysh", "--vty_socket", str(self.home), "-d", "vrrpd", "-c", "show vrrp json", check=False)
        return json.loads(done.stdout) if done.returncode == 0 and done.stdout.startswith("[") else []

    def state(self, family: int) -> str:
        """Master, Backup, Initialize."""
        routers = self.routers()
        return routers[0][f"v{family}"]["status"] if routers else ""

    def kill(self, number: int) -> None:
        pid = self.processes.pid(self.host, "vrrpd")
        if pid is not None:
            os.killpg(pid, number)

    def stop(self, how: int = signal.SIGTERM) -> None:
        self.processes.stop(self.host, "vrrpd", how)
        self.processes.stop(self.host, "zebra", how)
