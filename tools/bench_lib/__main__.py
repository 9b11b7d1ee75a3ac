"""The command line of tools/bench."""
from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from lab_lib.shell import REPOSITORY, CommandFailed, Refused

from . import control, lab, testpmd
from .share import favour

PRESET = "release"
WORKER_BENCH = REPOSITORY / "build" / PRESET / "bin" / "headgate-bench-forward"
LAB_TARGETS = ("headgate-dataplane", "headgate-controlplane", "headgate-supervisor", "headgate")
CONTROL_TARGETS = ("headgate-dataplane", "headgate-controlplane", "headgate", "headgate-bench-targets")
EPILOG = """\
forward      a worker on memory, 64-byte frames, a random flow per packet: each mode, 1 k to 10 M flows; testpmd on null
             ports; two workers beside one
connections  new TCP flows per second of one core
memory       what 1 M flows keep resident; a snapshot of 1,000 services applied under traffic
lab          wrk and iperf3 through the box over AF_XDP, and through testpmd as a plain wire in its place (needs root)
control      the control plane with 1,000 services and 10,000 backends probed every second: processor time and jitter of
             probing, verdict to worker, commit, every show, start of the console; HAProxy's probes beside (needs root)
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
        if arguments.what in ("lab", "all"):
            result["lab"] = lab.compare(rounds=2 if arguments.quick else 5, seconds=3 if arguments.quick else 8)
        if arguments.what in ("control", "all"):
            result["control"] = control.measure(PRESET, arguments.quick)
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
    top.add_argument("what", nargs="?", default="all", choices=("forward", "connections", "memory", "lab", "control", "all"))
    top.add_argument("--quick", action="store_true", help="fewer rounds: each part about a minute")
    top.add_argument("--json", metavar="FILE", type=Path, help="write forward, testpmd, connections, lab and control there too")
    top.add_argument("--no-build", action="store_true", help="measure what is built already")
    return top


def build(what: str) -> None:
    targets = {*(LAB_TARGETS if what in ("lab", "all") else ()), *(CONTROL_TARGETS if what in ("control", "all") else ()),
               *((WORKER_BENCH.name,) if what not in ("lab", "control") else ())}
    subprocess.run(["cmake", "--preset", PRESET], cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", "--preset", PRESET, "--target", *targets], cwd=REPOSITORY, check=True,
                   stdout=subprocess.DEVNULL)


def worker_bench(what: str, quick: bool) -> dict[str, Any]:
    """Runs one part of the worker's bench, which prints its own table, and returns its JSON."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "result.json"
        cpu = str(max(os.sched_getaffinity(0)))
        command = [str(WORKER_BENCH), what, "--json", str(file), "--cpu", cpu, *(["--quick"] if quick else [])]
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
