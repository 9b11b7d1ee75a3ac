"""Our HTTP/1.1 proxy beside Debian's HAProxy: same machine, same interfaces, same core, the same requests at the same times.

What a request costs is counted on the whole machine, because half of what a proxy costs is not in its process: interrupts, NAPI
threads, and what its packets make the peers' kernels do. In a run with a fixed rate below saturation

    cost = busy time of all processors - busy time of them under the same load without a box, per request

in cycles of the time-stamp counter. Busy is what is not idle (machine.py), so everything is in it, also what nobody would have thought
of; the column `threads` is the part of it that ran in threads of which we know. Our worker looks for packets when there are none; that is
waiting and not work, so its thread's run time is replaced by the time of the rounds that moved a packet (`busy_ns`), with the system
calls of these rounds. While another thread preempts it there, that time counts twice, against us, up to all that the worker ran. What falling asleep and waking up cost
is waiting too; the column `waiting` is all that was left out. The worker is adaptive: one that polls would keep the NAPI threads off
their common core. The load without a box has a connection to the server for each client connection, in `close` a new one for each
request, where proxies have few and keep them; what that saves the servers is to the box's credit.

The rate is half of what HAProxy does at most on this machine, found out first; latencies are of the same runs. `bulk` is one client
that reads one large answer as fast as it comes.
"""
from __future__ import annotations

import json
import select
import signal
import statistics
import subprocess
import time
from dataclasses import dataclass, field
from typing import Any

from lab_lib.shell import Refused

from . import machine
from .http_site import BOX_CPU, CLIENT, LARGE, PORT, SMALL, Direct, Haproxy, Headgate, HttpSite, prefer, site

CONNECTIONS = 64
LOAD = 0.5          # of HAProxy's saturation
WARM_UP_S = 0.5
OTHER_WORK_MAX = 0.05  # of a processor; more is counted to whoever is measured meanwhile
KIBIBYTE = 1024


@dataclass(frozen=True)
class Case:
    name: str
    unit: str                   # what a cost is of
    options: tuple[str, ...]
    fixed_rate: bool = True


CASES = (Case("keepalive", "request", ("--path", SMALL, "--connections", str(CONNECTIONS))),
         Case("close", "request", ("--path", SMALL, "--connections", "1000", "--close")),
         Case("bulk", "KiB", ("--path", LARGE, "--connections", "1"), fixed_rate=False))
CONTESTANTS = (Direct, Headgate, Haproxy)


@dataclass(frozen=True)
class Extent:
    rounds: int
    seconds: float              # of a load
    saturation_s: float


FULL = Extent(rounds=7, seconds=6, saturation_s=4)
QUICK = Extent(rounds=2, seconds=3, saturation_s=2)


@dataclass(frozen=True)
class Run:
    """One load through one contestant. Costs are cycles per unit of the case."""
    machine: float              # all that all processors did, our worker's waiting left out
    waiting: float
    threads: float              # what of it the threads did that should: of the network, client, servers and box
    box_core: float             # the part of `machine` on the box's core
    share: float                # of the box's core that was busy, waiting included
    units: float                # per second
    figures: dict[str, Any]     # the client's


@dataclass
class Row:
    """What the rounds gave, by contestant."""
    case: Case
    runs: dict[str, list[Run]] = field(default_factory=dict)

    def median(self, who: str, of: str) -> float:
        return statistics.median(getattr(run, of) for run in self.runs[who])

    def figure(self, who: str, key: str) -> float:
        return statistics.median(run.figures[key] for run in self.runs[who])

    def cost(self, who: str) -> float:
        """The median over rounds, each beside its own round's load without a box."""
        return statistics.median(run.machine - direct.machine for run, direct in zip(self.runs[who], self.runs[Direct.name]))


def measure(preset: str, quick: bool) -> list[dict[str, Any]]:
    extent = QUICK if quick else FULL
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # cleans up on that too
    with machine.awake(), site(preset) as made:
        before = other_work()
        rates = saturation(made, extent)
        rows = [Row(case) for case in CASES]
        for number in range(extent.rounds):
            for kind in CONTESTANTS:
                who = kind(made)
                with who.running():
                    for row in rows:
                        rate = rates[row.case.name] * LOAD if row.case.fixed_rate else 0
                        row.runs.setdefault(who.name, []).append(load(made, who, row.case, extent.seconds, rate))
            say(f"round {number + 1} of {extent.rounds}: " + "; ".join(f"{row.case.name} {costs(row)}" for row in rows))
        others = max(before, other_work())
    for row in rows:
        show(row)
    if others > OTHER_WORK_MAX:
        say(f"other work took {others:.0%} of a processor while nothing was measured: these figures are worth little, run again on a "
            "machine that has nothing else to do")
    return [as_json(row) | {"other_work": round(others, 3)} for row in rows]


def say(text: str) -> None:
    print(f"http: {text}", flush=True)


def other_work() -> float:
    """What goes on here besides, as a part of one processor."""
    before = machine.now([])
    time.sleep(1)
    span = machine.between(before, machine.now([]))
    return sum(span.busy.values()) / span.seconds


def costs(row: Row) -> str:
    direct = row.runs[Direct.name][-1].machine
    return " / ".join(f"{row.runs[kind.name][-1].machine - direct:.0f}" for kind in (Headgate, Haproxy)) + f" cycles a {row.case.unit}"


def saturation(made: HttpSite, extent: Extent) -> dict[str, float]:
    """Requests per second at most, of HAProxy; ours are for information."""
    found: dict[str, dict[str, float]] = {}
    for kind in (Haproxy, Headgate):
        who = kind(made)
        with who.running():
            for case in CASES:
                if case.fixed_rate:
                    run = load(made, who, case, extent.saturation_s, 0)
                    found.setdefault(who.name, {})[case.name] = run.units
                    say(f"{who.name} at most, {case.name}: {run.units:.0f} requests/s, its core {run.share:.0%} busy")
    return found[Haproxy.name]


# -- one load ------------------------------------------------------------------------------------------------------------------


def load(made: HttpSite, who: Direct, case: Case, seconds: float, rate: float) -> Run:
    command = ["ip", "netns", "exec", made.network.namespace("client"), str(made.box.bin / CLIENT), f"{who.address}:{PORT}",
               *case.options, "--seconds", f"{seconds:g}", "--warm-up", f"{WARM_UP_S:g}", "--rate", f"{rate:.1f}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            prefer(process.pid)
            # Our API is asked outside of the time that counts, since asking costs something, and its rate is taken.
            asked, useful = time.monotonic(), who.useful()
            threads = [*made.threads, process.pid, *([who.thread] if who.thread else [])]
            expect(process, "begin")
            first = machine.now(threads)
            expect(process, "end")
            last = machine.now(threads)
            if useful is not None:
                useful = ((who.useful() or 0) - useful) / (time.monotonic() - asked)
            figures = json.loads(line(process))
        finally:
            process.kill()
    if figures["failed"] or not (figures["requests"] or figures["bytes"]):
        raise Refused(f"{who.name}, {case.name}: {figures['failed']} requests failed ({figures['failure'] or 'none was made'})")
    span = machine.between(first, last)
    waiting = 0.0 if useful is None else max(0.0, span.threads[threads[-1]] - useful * span.seconds)
    return accounted(case, span, waiting, figures)


def expect(process: subprocess.Popen[str], word: str) -> None:
    if (said := line(process)) != word:
        raise Refused(f"{CLIENT} says {said!r} instead of {word!r}")


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    if not select.select([process.stdout], [], [], 60)[0]:
        raise TimeoutError(f"{CLIENT} says nothing")
    return process.stdout.readline().strip()


def accounted(case: Case, span: machine.Span, waiting: float, figures: dict[str, Any]) -> Run:
    units = figures["requests"] if case.unit == "request" else figures["bytes"] / KIBIBYTE
    cycles = figures["tsc_hz"] / units
    return Run(machine=(sum(span.busy.values()) - waiting) * cycles, threads=(sum(span.threads.values()) - waiting) * cycles,
               box_core=(span.busy[BOX_CPU] - waiting) * cycles, waiting=waiting * cycles, share=span.busy[BOX_CPU] / span.seconds,
               units=units / figures["seconds"], figures=figures)


# -- the table -----------------------------------------------------------------------------------------------------------------


def show(row: Row) -> None:
    case = row.case
    heads = f"{case.name:10} {'cost':>8} {'machine':>8} {'threads':>8} {'box core':>8} {'waiting':>8}"
    print(f"{heads} {'rate/s':>9} {'p50 us':>8} {'p99 us':>8}" if case.fixed_rate else f"{heads} {'Gbit/s':>9}",
          f"   cycles per {case.unit}", flush=True)
    for kind in CONTESTANTS:
        who = kind.name
        cells = f"  {who:8} {row.cost(who):8.0f} " + " ".join(f"{row.median(who, of):8.0f}" for of in ("machine", "threads", "box_core", "waiting"))
        print(f"{cells} {row.median(who, 'units'):9.0f} {row.figure(who, 'p50_us'):8.0f} {row.figure(who, 'p99_us'):8.0f}"
              if case.fixed_rate else f"{cells} {gigabits(row, who):9.2f}", flush=True)
    ours, theirs = row.cost(Headgate.name), row.cost(Haproxy.name)
    print("  no ratio: a box that costs nothing" if min(ours, theirs) <= 0 else f"  headgate costs {ours / theirs:.2f} of what haproxy costs",
          flush=True)


def gigabits(row: Row, who: str) -> float:
    return row.median(who, "units") * KIBIBYTE * 8 / 1e9


def as_json(row: Row) -> dict[str, Any]:
    ours, theirs = row.cost(Headgate.name), row.cost(Haproxy.name)
    result: dict[str, Any] = {"case": row.case.name, "cycles": round(ours), "haproxy_cycles": round(theirs),
                              "ratio": round(ours / theirs, 3) if min(ours, theirs) > 0 else None, "per": row.case.unit,
                              "waiting_cycles": round(row.median(Headgate.name, "waiting"))}
    for prefix, kind in (("", Headgate), ("haproxy_", Haproxy), ("direct_", Direct)):
        if row.case.fixed_rate:
            result |= {f"{prefix}p50_us": row.figure(kind.name, "p50_us"), f"{prefix}p99_us": row.figure(kind.name, "p99_us")}
        else:
            result[f"{prefix}gbit_s"] = round(gigabits(row, kind.name), 2)
    if row.case.fixed_rate:
        result["requests_per_s"] = round(row.median(Headgate.name, "units"))
    return result
