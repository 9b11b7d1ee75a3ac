"""The command line of tools/bench."""
from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Callable

from lab_lib.shell import REPOSITORY, CommandFailed, Refused

from . import control, failover, http, lab, testpmd
from .share import favour

PRESET = "release"
WORKER_BENCH = REPOSITORY / "build" / PRESET / "bin" / "headgate-bench-forward"
TCP_BENCH = REPOSITORY / "build" / PRESET / "bin" / "headgate-bench-tcp"
LAB_TARGETS = ("headgate-dataplane", "headgate-controlplane", "headgate-supervisor", "headgate")
FAILOVER_TARGETS = (*LAB_TARGETS, "headgate-bench-failover")
HTTP_TARGETS = (*LAB_TARGETS, "headgate-bench-http")
CONTROL_TARGETS = ("headgate-dataplane", "headgate-controlplane", "headgate", "headgate-bench-targets")
WHATS = ("forward", "connections", "memory", "tcp", "http", "lab", "control", "failover", "all")
EPILOG = """\
forward      a worker on memory, 64-byte frames, a random flow per packet: each mode, 1 k to 10 M flows; testpmd on null
             ports; two workers beside one
connections  new TCP flows per second of one core
memory       what 1 M flows keep resident; a snapshot of 1,000 services applied under traffic
tcp          the TCP engine on plain memory: a segment with 1 k, 100 k and 1 M connections, accept and close, what an idle
             connection keeps resident
http         our HTTP/1.1 proxy and HAProxy by turns on one core: cycles per request of the whole machine above those of the same
             load without a box, at a fixed rate (keep-alive, a connection per request) and for one large download; latency
             at half of HAProxy's saturation (needs root)
lab          wrk and iperf3 through the box over AF_XDP, and through testpmd as a plain wire in its place (needs root)
control      the control plane with 1,000 services and 10,000 backends probed every second: processor time and jitter of
             probing, verdict to worker, commit, every show, start of the console; HAProxy's probes beside (needs root)
failover     a pair of ours and a pair of keepalived's by turns, with the same faults at 10 and 100 ms adverts: the gap that a
             client sees, and for how long both boxes claimed the address (needs root)
all          all of these

Cycles are those of the time-stamp counter, spent by the thread itself. Medians. One processor is for what is measured,
the other for everything else: a machine that does other work gives worse figures, `quietest` shows by how much.
"""


def main() -> int:
    arguments = parser().parse_args()
    result: dict[str, Any] = {}
    try:
        if not arguments.no_build:
            build(arguments.what)
        if arguments.what in ("forward", "all"):
            result |= worker_bench("forward", arguments.quick)
            result["testpmd"] = null_ports(2 if arguments.quick else 8)
            worker_bench("workers", arguments.quick)
        if arguments.what in ("connections", "all"):
            result |= worker_bench("connections", arguments.quick)
        if arguments.what in ("memory", "all"):
            worker_bench("memory", arguments.quick)
            worker_bench("snapshot", arguments.quick)
        if arguments.what in ("tcp", "all"):
            result |= measured([str(TCP_BENCH)], arguments.quick)
        if arguments.what in ("http", "all"):
            result["http"] = http.measure(PRESET, arguments.quick)
        if arguments.what in ("lab", "all"):
            result["lab"] = lab.compare(rounds=2 if arguments.quick else 5, seconds=3 if arguments.quick else 8)
        if arguments.what in ("control", "all"):
            result["control"] = control.measure(PRESET, arguments.quick)
        if arguments.what in ("failover", "all"):
            result["failover"] = failover.measure(PRESET, *failover_extent(arguments))
        if arguments.json:
            arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    except (Refused, CommandFailed, TimeoutError, OSError) as failure:
        print(f"tools/bench: {failure}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as failure:
        print(f"tools/bench: {Path(failure.cmd[0]).name} ended with {failure.returncode}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("tools/bench: interrupted", file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="tools/bench", description="The figures of Headgate, beside testpmd in the same run.",
                                  epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("what", nargs="?", default="all", choices=WHATS)
    top.add_argument("--quick", action="store_true", help="fewer rounds: each part about a minute")
    top.add_argument("--json", metavar="FILE", type=Path, help="write the figures there too")
    top.add_argument("--runs", type=int, help="failover: runs of each kind (default 20, with --quick 4; the target is over 200)")
    top.add_argument("--faults", type=names_of(failover.FAULT_NAMES), help="failover: some of " + ",".join(failover.FAULT_NAMES))
    top.add_argument("--intervals", type=lambda text: [int(word) for word in text.split(",")], metavar="MS,...",
                     help="failover: between adverts (default 10,100)")
    top.add_argument("--no-build", action="store_true", help="measure what is built already")
    return top


def names_of(known: tuple[str, ...]) -> Callable[[str], list[str]]:
    """Reads a list of some of these."""
    def read(text: str) -> list[str]:
        names = text.split(",")
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"there is no {unknown[0]}; there are: {', '.join(known)}")
        return names
    return read


def failover_extent(arguments: argparse.Namespace) -> tuple[int, list[str], list[int]]:
    """Runs, faults and intervals."""
    runs = arguments.runs or (4 if arguments.quick else 20)
    intervals = [10] if arguments.quick and not arguments.intervals else arguments.intervals or list(failover.INTERVALS_MS)
    return runs, arguments.faults or list(failover.FAULT_NAMES), intervals


def build(what: str) -> None:
    targets = {*(LAB_TARGETS if what in ("lab", "all") else ()), *(CONTROL_TARGETS if what in ("control", "all") else ()),
               *(HTTP_TARGETS if what in ("http", "all") else ()),
               *(FAILOVER_TARGETS if what in ("failover", "all") else ()),
               *((WORKER_BENCH.name,) if what in ("forward", "connections", "memory", "all") else ()),
               *((TCP_BENCH.name,) if what in ("tcp", "all") else ())}
    subprocess.run(["cmake", "--preset", PRESET], cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", "--preset", PRESET, "--target", *targets], cwd=REPOSITORY, check=True,
                   stdout=subprocess.DEVNULL)


def worker_bench(what: str, quick: bool) -> dict[str, Any]:
    """One part of the worker's bench."""
    return measured([str(WORKER_BENCH), what], quick)


def measured(command: list[str], quick: bool) -> dict[str, Any]:
    """Runs a program that prints its own table, and returns its JSON."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "result.json"
        cpu = str(max(os.sched_getaffinity(0)))
        command = [*command, "--json", str(file), "--cpu", cpu, *(["--quick"] if quick else [])]
        with subprocess.Popen(command, start_new_session=True) as process:
            favour(process.pid)
            try:
                code = process.wait()
            finally:
                process.kill()
        if code != 0:
            raise subprocess.CalledProcessError(code, command)
        text = file.read_text()
    return json.loads(text) if text else {}


def null_ports(seconds: int) -> dict[str, float]:
    rates = {mode: testpmd.null_ports(mode, seconds) for mode in ("io", "macswap", "csum")}
    print("testpmd, two null ports, one core: " + ", ".join(f"{mode} {rate} Mpps" for mode, rate in rates.items()), flush=True)
    return rates


if __name__ == "__main__":
    raise SystemExit(main())
