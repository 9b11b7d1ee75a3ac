"""What can happen to a box of a pair. Demos, system tests and the bench share this."""
from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import Callable

from .box import Box
from .pair import GROUP
from .shell import run
from .site import Site

DATAPLANE, CONTROLPLANE = "headgate-dataplane", "headgate-controlplane"
BRIDGES = ("br-front", "br-servers", "br-ha")


@dataclass(frozen=True)
class Fault:
    name: str
    what: str
    strike: Callable[[Site, Box], object]
    mend: Callable[[Site, Box], object] = lambda site, box: None
    moves: bool = True      # the group goes to the other box


def cut(site: Site, box: Box, bridges: tuple[str, ...] = BRIDGES) -> None:
    """Without a word: its links stay up. One call, so that all go at once."""
    batch(site, box, bridges, "nomaster")


def heal(site: Site, box: Box, bridges: tuple[str, ...] = BRIDGES) -> None:
    batch(site, box, bridges, "master {bridge}")


def batch(site: Site, box: Box, bridges: tuple[str, ...], words: str) -> None:
    lines = [f"link set {site.network.bridge_port(box.host, bridge)} {words.format(bridge=bridge)}\n" for bridge in bridges]
    run("ip", "-n", site.network.namespace("net"), "-batch", "-", stdin="".join(lines))


def stop(box: Box, name: str) -> None:
    box.signal(name, signal.SIGSTOP)


def go_on(box: Box, name: str) -> None:
    pid = box.daemon_pid(name)
    if pid is not None:
        os.kill(pid, signal.SIGCONT)


FAULTS = {fault.name: fault for fault in (
    Fault("kill9", "the active dataplane is killed (kill -9)", lambda site, box: box.signal(DATAPLANE, signal.SIGKILL)),
    Fault("sigstop", "it is stopped (SIGSTOP), and goes on later", lambda site, box: stop(box, DATAPLANE),
          lambda site, box: go_on(box, DATAPLANE)),
    Fault("cut", "the active box is cut off from every network without a word", cut, heal),
    Fault("switch", "a planned switch on the console", lambda site, box: box.cli("failover", "switch", GROUP)),
    Fault("control", "the active box's control plane is killed (kill -9)", lambda site, box: box.signal(CONTROLPLANE, signal.SIGKILL),
          moves=False),
    Fault("control-stop", "the active box's control plane is stopped (SIGSTOP), and goes on later",
          lambda site, box: stop(box, CONTROLPLANE), lambda site, box: go_on(box, CONTROLPLANE), moves=False),
)}
