"""The show of `tools/lab demo failover`: the active box dies in several ways under load, and the gap that a client notices."""
from __future__ import annotations

import signal
import time

from . import addresses as at
from .faults import FAULTS
from .measure import PROGRAM, Claims, Probes
from .pair import CALM_MS
from .shell import Refused, wait_for
from .site import Site

SHOWN = ("kill9", "sigstop", "cut", "switch")
SERVICE = at.front(100)
WEB = at.url(SERVICE)
CURL = "while :; do curl -s -o /dev/null --max-time 2 -w '%{{http_code}} %{{time_total}}\\n' {url}; done"


class Requests:
    """curl after curl on the client, each on a connection of its own."""

    def __init__(self, site: Site) -> None:
        self.process = site.popen("client", "bash", "-c", CURL.format(url=WEB), start_new_session=True)

    def finish(self) -> str:
        self.process.send_signal(signal.SIGTERM)  # bash ends after the curl it waits for
        output, _ = self.process.communicate(timeout=10)
        done = [line.split() for line in output.splitlines() if len(line.split()) == 2]
        good = [float(seconds) for code, seconds in done if code == "200"]
        slowest = max(good, default=0.0) * 1000
        return f"{len(done)} requests by curl, {len(done) - len(good)} failed, the slowest took {slowest:.0f} ms"


def failover(site: Site) -> None:
    """The active box is killed, stopped, cut off and switched under load: the gap a client notices"""
    if len(site.boxes) < 2:
        raise Refused("this lab has one box: tools/lab down; tools/lab up")
    program = site.box.bin / PROGRAM
    hosts = [box.host for box in site.boxes]
    with Probes(site.network, program, f"ping=icmp:{SERVICE}") as probes, \
            Claims(site.network, program, SERVICE, "br-front", at.front(at.ROUTER_NUMBER), hosts) as claims:
        for name in SHOWN:
            show_one(site, name, probes, claims)


def show_one(site: Site, name: str, probes: Probes, claims: Claims) -> None:
    fault = FAULTS[name]
    active, backup = site.wait_settled(calm_ms=CALM_MS)
    print(f"\n{active.host} is active. {fault.what[0].upper()}{fault.what[1:]} ...", flush=True)
    requests = Requests(site)
    try:
        time.sleep(1)
        probes.mark()
        claims.mark()
        if name == "cut":
            claims.ignore(active.host, True)  # it may go on for itself
        fault.strike(site, active)
        wait_for(lambda: backup.role() == "active", f"{backup.host} to take over", 10, 0.01)
        time.sleep(1)
        gap, overlap, cause = probes.gaps()["ping"], claims.overlap(), backup.group_state().cause
    finally:
        fault.mend(site, active)
        claims.ignore(active.host, False)
        said = requests.finish()
    print(f"  gap of a ping every millisecond: {gap.ms:.1f} ms ({gap.sent - gap.answered} of {gap.sent} lost); "
          f"both boxes active for {overlap.ms:.1f} ms\n  {said}\n  {backup.host}: {cause}", flush=True)
    started = time.monotonic()
    site.wait_settled()
    print(f"  {active.host} is back as the backup after {time.monotonic() - started:.1f} s", flush=True)

