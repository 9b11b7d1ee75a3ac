"""What the machine did between two moments: how long each processor was busy, and how long single threads ran.

Idle times in /proc/stat and run times in /proc/*/schedstat are exact: the kernel takes them at each change, while its user and
system times are samples of the timer tick, which work that follows the timer can escape. Idle times are told in units of 10 ms.
"""
from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator

TICK = os.sysconf("SC_CLK_TCK")
IDLE, IOWAIT, STEAL = 4, 5, 8  # columns of a processor in /proc/stat


@dataclass(frozen=True)
class Moment:
    time: float
    idle: dict[int, float]      # seconds without work so far, by processor; what the hypervisor took counts as that
    threads: dict[int, float]   # seconds run so far, by thread


@dataclass(frozen=True)
class Span:
    seconds: float
    busy: dict[int, float]      # seconds, by processor
    threads: dict[int, float]


HALT_POLL_NS = Path("/sys/module/haltpoll/parameters/guest_halt_poll_ns")
AWAKE_NS = 200_000


@contextlib.contextmanager
def awake() -> Iterator[None]:
    """Idle processors look for work for a moment before they halt. To wake a halted virtual processor takes its waker an exit to the
    hypervisor, some 30 us, where a real machine writes to memory (mwait). A machine without that switch stays as it is."""
    try:
        before = HALT_POLL_NS.read_text()
        HALT_POLL_NS.write_text(str(AWAKE_NS))
    except OSError:
        yield
        return
    try:
        yield
    finally:
        HALT_POLL_NS.write_text(before)


def now(threads: list[int]) -> Moment:
    at = time.monotonic()
    idle = {}
    for line in Path("/proc/stat").read_text().splitlines():
        fields = line.split()
        if fields[0].startswith("cpu") and fields[0] != "cpu":
            idle[int(fields[0][3:])] = sum(int(fields[column]) for column in (IDLE, IOWAIT, STEAL)) / TICK
    return Moment(at, idle, {thread: run_time(thread) for thread in threads})


def between(first: Moment, last: Moment) -> Span:
    seconds = last.time - first.time
    return Span(seconds, {cpu: max(0.0, seconds - (idle - first.idle[cpu])) for cpu, idle in last.idle.items()},
                {thread: run - first.threads[thread] for thread, run in last.threads.items()})


def run_time(thread: int) -> float:
    return int(Path(f"/proc/{thread}/schedstat").read_text().split()[0]) / 1e9


def thread_named(pid: int, prefix: str) -> int:
    """The thread of a process whose name begins so. Requires: there is one."""
    return next(int(task.name) for task in Path(f"/proc/{pid}/task").iterdir() if (task / "comm").read_text().startswith(prefix))


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def kernel_threads(prefix: str) -> set[int]:
    """Kernel threads whose name begins so; one that ended meanwhile is none."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "comm").read_text().startswith(prefix):
                found.add(int(entry.name))
        except OSError:
            continue
    return found
