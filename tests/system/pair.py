"""What several tests do with a pair of boxes: probes every millisecond, who claims the address, and what the boxes say."""
from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass
from typing import Any, Iterator

from lab_lib import addresses as at
from lab_lib.box import Box
from lab_lib.config import DEFAULT_SERVICES, Config, Service
from lab_lib.measure import PROGRAM, Claims, Echo, Gap, Probes
from lab_lib.pair import Failover
from lab_lib.site import Site

ECHO_PORT = 7007  # our own echo: socat's forks for each datagram
SERVICE = at.front(100)
ASKER = at.front(at.ROUTER_NUMBER)


def pair_config(**failover: Any) -> Config:
    """A box listens for a second only before it may be active: tests wait for that often."""
    echo = Service("fast-echo", 100, port=ECHO_PORT, protocol="UDP")
    return Config(services=(*DEFAULT_SERVICES, echo), failover=Failover(**({"startup_wait_ms": 1000} | failover)))


@dataclass
class Watch:
    """The service as a client sees it, and who claims its address; `beside` is a path that no fault touches."""
    probes: Probes
    claims: Claims

    def mark(self) -> None:
        self.probes.mark()
        self.claims.mark()

    def gap(self) -> Gap:
        """The longer one of ping's and of UDP through the box."""
        gaps = self.probes.gaps()
        return max(gaps["ping"], gaps["forward"], key=lambda gap: gap.ms)

    def busy_ms(self) -> float:
        """For how long this machine did something else: what a gap may be longer by."""
        return self.probes.gaps()["beside"].ms

    def lost(self) -> int:
        """Probes without an answer, but for those under way: what is lost stays without one, however often we look."""
        least = self.unanswered()
        for _ in range(10):
            if least == 0:
                break
            time.sleep(0.05)
            least = min(least, self.unanswered())
        return least

    def unanswered(self) -> int:
        return max(max(gap.sent - gap.answered - 5, 0) for name, gap in self.probes.gaps().items() if name != "beside")


@contextlib.contextmanager
def watching(site: Site) -> Iterator[Watch]:
    program = site.box.bin / PROGRAM
    with contextlib.ExitStack() as stack:
        for server in site.web_servers:
            stack.enter_context(Echo(site.network, server, program, at.web(server), ECHO_PORT))
        stack.enter_context(Echo(site.network, "net", program, ASKER, ECHO_PORT))
        targets = [f"ping=icmp:{SERVICE}", f"forward=udp:{SERVICE}:{ECHO_PORT}", f"beside=udp:{ASKER}:{ECHO_PORT}"]
        hosts = [box.host for box in site.boxes]
        yield Watch(stack.enter_context(Probes(site.network, program, *targets)),
                    stack.enter_context(Claims(site.network, program, SERVICE, "br-front", ASKER, hosts)))


def other(site: Site, box: Box) -> Box:
    return next(entry for entry in site.boxes if entry is not box)


def transitions(site: Site) -> dict[str, int]:
    """Changes of role so far, by box."""
    return {box.host: box.group_state().transitions for box in site.boxes}


def causes(box: Box) -> list[str]:
    """Of its changes of role, the newest last."""
    return [change.cause for change in box.group_state().change]


def shown(box: Box) -> Any:
    """`show failover` as data."""
    return json.loads(box.cli("show", "failover", "--json").stdout)
