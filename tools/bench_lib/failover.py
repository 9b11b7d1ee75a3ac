"""How long a failover takes: a pair of ours and a pair of keepalived's in the same network, by turns, with the same faults.

A client sends an echo request every millisecond; the gap is the longest time between two answers. To ours it also sends UDP
through the box to a server and back, and the longer of the two gaps counts. A second probe, to a program that no fault touches,
runs beside: when it gaps too, the machine was busy with something else, and the run is made again.
"""
from __future__ import annotations

import contextlib
import math
import random
import signal
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterator

from lab_lib import addresses as at
from lab_lib.box import BoxOptions
from lab_lib.config import Backend, Config, Pool, Service
from lab_lib.faults import FAULTS
from lab_lib.keepalived import Instance, Keepalived
from lab_lib.measure import PROGRAM, Claims, Echo, Probes
from lab_lib.pair import Failover
from lab_lib.shell import Refused, wait_for
from lab_lib.site import Site, SiteOptions

from .share import favour

FAULT_NAMES = ("kill9", "sigstop", "cut", "switch", "control")
INTERVALS_MS = (10, 100)
BUSY_MS = 10        # a gap beside it that spoils a run
SPOILT_MAX = 0.05   # of all runs; above that the machine was too busy for figures to be relied on
TRIES_MAX = 20      # of one run
ECHO_PORT = 7007
SERVICE, VIP = 100, 200  # numbers on the front network, of ours and keepalived's
VRID = 61
KEEPALIVED_NUMBERS = {"ka-a": 41, "ka-b": 42}
ASKER = at.front(at.ROUTER_NUMBER)


@dataclass
class Row:
    who: str
    fault: str
    interval_ms: int
    gaps: list[float] = field(default_factory=list)
    dual: list[float] = field(default_factory=list)
    discarded: int = 0

    def json(self) -> dict[str, Any]:
        return {"who": self.who, "fault": self.fault, "interval_ms": self.interval_ms, "runs": len(self.gaps),
                "runs_discarded": self.discarded, "gap_ms_p50": round(statistics.median(self.gaps), 1),
                "gap_ms_p99": round(percentile(self.gaps, 99), 1), "dual_active_ms_max": round(max(self.dual), 2)}


def percentile(values: list[float], percent: float) -> float:
    """The nearest rank: a value that was measured."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


class Headgate:
    name = "headgate"
    faults = FAULT_NAMES
    hosts = ["box-a", "box-b"]
    address = at.front(SERVICE)
    targets = ("ping", "forward")

    def __init__(self, site: Site) -> None:
        self.site = site

    def configure(self, interval_ms: int) -> None:
        self.site.reload(config(interval_ms))
        self.wait_settled()

    def wait_settled(self) -> str:
        active, _ = self.site.wait_whole()
        return active.host

    def strike(self, fault: str, host: str) -> None:
        FAULTS[fault].strike(self.site, self.box(host))

    def mend(self, fault: str, host: str) -> None:
        FAULTS[fault].mend(self.site, self.box(host))

    def box(self, host: str):
        return next(box for box in self.site.boxes if box.host == host)


class KeepalivedPair:
    """Its dataplane is the kernel: kill9 and sigstop leave that running, and its addresses in it. There is no control plane apart."""
    name = "keepalived"
    faults = ("kill9", "sigstop", "cut", "switch")
    hosts = list(KEEPALIVED_NUMBERS)
    address = at.front(VIP)
    targets = ("keepalived",)

    def __init__(self, site: Site) -> None:
        self.site = site
        self.daemons = {host: Keepalived(site.network, site.processes, site.run_dir, host) for host in self.hosts}
        self.interval_ms = 0
        for host, number in KEEPALIVED_NUMBERS.items():
            self.daemons[host].connect("br-front", "front", number)

    def instance(self, host: str) -> Instance:
        priority = Failover().priorities[self.hosts.index(host)]  # as ours
        return Instance(VRID, (self.address,), priority, self.interval_ms)

    def configure(self, interval_ms: int) -> None:
        self.interval_ms = interval_ms
        for host, daemon in self.daemons.items():
            daemon.stop(signal.SIGKILL)
            daemon.start(self.instance(host))
        self.wait_settled()

    def wait_settled(self) -> str:
        def holder() -> str | None:
            states = {host: (daemon.states() or [""])[-1] for host, daemon in self.daemons.items()}
            return next(h for h, state in states.items() if state == "MASTER") if set(states.values()) == {"MASTER", "BACKUP"} else None
        return wait_for(holder, "one keepalived MASTER and one BACKUP", 20)

    def strike(self, fault: str, host: str) -> None:
        if fault == "cut":
            self.site.network.detach(host, "br-front")
        else:
            self.daemons[host].kill({"kill9": signal.SIGKILL, "sigstop": signal.SIGSTOP, "switch": signal.SIGTERM}[fault])

    def mend(self, fault: str, host: str) -> None:
        """It comes back as a backup; one that was killed or goes on leaves its address in the kernel otherwise."""
        daemon = self.daemons[host]
        daemon.stop(signal.SIGKILL)
        daemon.remove_remains(self.instance(host))
        if fault == "cut":
            self.site.network.join(host, "br-front")
        daemon.start(self.instance(host))


Contestant = Headgate | KeepalivedPair


def config(interval_ms: int) -> Config:
    """One server that answers; a box listens no longer than it must before it may be active."""
    web = Pool("web", backends=(Backend("web1"),))
    services = (Service("web", SERVICE), Service("echo", SERVICE, port=ECHO_PORT, protocol="UDP"))
    return Config(pools=(web,), services=services, failover=Failover(interval_ms=interval_ms, startup_wait_ms=1000))


@contextlib.contextmanager
def built(preset: str, interval_ms: int) -> Iterator[Site]:
    site = Site(SiteOptions(prefix="hgb", run_dir=Path("/run/headgate-bench"), pair=True, box=BoxOptions(preset=preset)))
    with site.exclusive():
        site.down()  # what a crash left
        try:
            site.up(config(interval_ms))
            for box in site.boxes:
                favour(site.processes.pid(box.host, "supervisor") or 0)
            yield site
        finally:
            site.down()


class Meter:
    """All that is measured with, running as long as the bench."""

    def __init__(self, site: Site, contestants: list[Contestant], stack: contextlib.ExitStack) -> None:
        program = site.box.bin / PROGRAM
        stack.enter_context(Echo(site.network, "web1", program, at.web("web1"), ECHO_PORT))
        stack.enter_context(Echo(site.network, "net", program, ASKER, ECHO_PORT))
        targets = [f"ping=icmp:{at.front(SERVICE)}", f"forward=udp:{at.front(SERVICE)}:{ECHO_PORT}",
                   f"keepalived=icmp:{at.front(VIP)}", f"beside=udp:{ASKER}:{ECHO_PORT}"]
        self.probes = stack.enter_context(Probes(site.network, program, *targets))
        self.claims = {who.name: stack.enter_context(Claims(site.network, program, who.address, "br-front", ASKER, who.hosts))
                       for who in contestants}


@dataclass(frozen=True)
class Outcome:
    gap_ms: float
    beside_ms: float
    dual_ms: float


def one_run(meter: Meter, who: Contestant, fault: str, interval_ms: int, chance: random.Random) -> Outcome:
    active = who.wait_settled()
    claims = meter.claims[who.name]
    meter.probes.mark()
    claims.mark()
    time.sleep(0.05 + chance.random() * interval_ms / 1000)  # any moment between two adverts
    if fault == "cut":
        claims.ignore(active, True)  # what it says from now on reaches nobody
    who.strike(fault, active)
    time.sleep(0.3 + 5 * interval_ms / 1000)
    gaps = meter.probes.gaps()
    if fault == "sigstop":  # whether the stopped one wakes up silent
        FAULTS["sigstop"].mend(who.site, who.box(active)) if isinstance(who, Headgate) else who.daemons[active].kill(signal.SIGCONT)
        time.sleep(0.2)
    overlap = claims.overlap()
    who.mend(fault, active)
    if fault == "cut":
        claims.ignore(active, False)
    gap = max(gaps[name].ms for name in who.targets)
    return Outcome(gap, gaps["beside"].ms, overlap.ms)


def good_run(meter: Meter, who: Contestant, row: Row, chance: random.Random) -> bool:
    """False: nothing but spoilt runs. keepalived, which has real-time priority, now and then spoils its own at 10 ms adverts."""
    for _ in range(TRIES_MAX):
        outcome = one_run(meter, who, row.fault, row.interval_ms, chance)
        if outcome.beside_ms <= BUSY_MS:
            row.gaps.append(outcome.gap_ms)
            row.dual.append(outcome.dual_ms)
            return True
        row.discarded += 1
    if not row.gaps:
        raise Refused(f"{TRIES_MAX} runs in a row were spoilt by other work on this machine: end that, or run again later")
    print(f"{who.name:11} {row.fault}: {TRIES_MAX} runs in a row were spoilt by other work on this machine; {len(row.gaps)} runs count",
          flush=True)
    return False


def measure(preset: str, runs: int, faults: list[str], intervals_ms: list[int]) -> list[dict[str, Any]]:
    chance = random.Random(1)
    rows: list[Row] = []
    with built(preset, intervals_ms[0]) as site, contextlib.ExitStack() as stack:
        contestants: list[Contestant] = [Headgate(site), KeepalivedPair(site)]
        meter = Meter(site, contestants, stack)
        print(f"{'who':11} {'fault':8} {'interval':>8} {'runs':>5} {'discarded':>9} {'gap p50':>8} {'gap p99':>8} {'dual active':>12}",
              flush=True)
        for interval_ms in intervals_ms:
            for who in contestants:
                who.configure(interval_ms)
            meter.probes.mark()
            wait_for(lambda: all(gap.answered > 100 for gap in meter.probes.gaps().values()), "answers to every probe")
            for fault in faults:
                takers = [(who, Row(who.name, fault, interval_ms)) for who in contestants if fault in who.faults]
                rows += [row for _, row in takers]
                going = takers
                for _ in range(runs):
                    going = [(who, row) for who, row in going if good_run(meter, who, row, chance)]
                for _, row in takers:
                    show(row.json())
    return [row.json() for row in rows]


def show(row: dict[str, Any]) -> None:
    spoilt = row["runs_discarded"] / (row["runs"] + row["runs_discarded"])
    warning = f"  {spoilt:.0%} of the runs were spoilt, more than {SPOILT_MAX:.0%}" if spoilt > SPOILT_MAX else ""
    print(f"{row['who']:11} {row['fault']:8} {row['interval_ms']:5} ms {row['runs']:5} {row['runs_discarded']:9} "
          f"{row['gap_ms_p50']:5.1f} ms {row['gap_ms_p99']:5.1f} ms {row['dual_active_ms_max']:9.2f} ms{warning}", flush=True)
