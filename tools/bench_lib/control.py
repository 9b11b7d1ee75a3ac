"""The control plane at its full size: 1,000 services, 10,000 backends, each probed by http: every second where probing is measured,
then at the default interval.

What is asked of it is in TARGETS. Times of day are wall time of the real programs; what probing costs is processor time.
"""
from __future__ import annotations

import math
import os
import pty
import re
import select
import shutil
import signal
import statistics
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from lab_lib.shell import Refused, wait_for

from . import machine
from .control_site import BACKENDS, BACKENDS_PER_POOL, FIRST, INTERVAL_MS, SERVICES, ControlSite, address, configuration, site
from .share import favour

CALM_MS = 2000  # the default of health_check.interval_ms
STORM = 5000  # backends that fail together
SPARE_MS = 30  # after a verdict: until its update is acknowledged and counted, with much to spare
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Target:
    key: str
    what: str
    most: float
    unit: str


TARGETS = (
    Target("probe_core_share", f"probing {BACKENDS} backends by http every second: share of one core", 1, ""),
    Target("probe_jitter", "probe jitter, p99, as a part of the interval", 0.05, ""),
    Target("verdict_to_worker_ms", "verdict to worker, one change, p99", 20, "ms"),
    Target("verdict_5000_ms", f"verdict to worker, {STORM} changes, worst", 200, "ms"),
    Target("commit_ms", f"commit of a {SERVICES}-service change, until workers run it, median", 1000, "ms"),
    Target("show_ms", "the slowest show, median", 100, "ms"),
    Target("prompt_ms", "console start to prompt, median", 50, "ms"),
)


@dataclass(frozen=True)
class Rounds:
    probing_s: int
    flips: int
    storms: int
    commits: int
    shows: int
    prompts: int
    reference_s: int


FULL = Rounds(probing_s=30, flips=200, storms=3, commits=7, shows=5, prompts=10, reference_s=20)
QUICK = Rounds(probing_s=10, flips=60, storms=1, commits=3, shows=3, prompts=5, reference_s=8)


def measure(preset: str, quick: bool) -> dict[str, Any]:
    rounds = QUICK if quick else FULL
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # cleans up on that too
    with machine.awake(), site(preset) as made:
        say(f"{SERVICES} services and {BACKENDS} backends run; load average {os.getloadavg()[0]:.1f}")
        result = probing(made, rounds.probing_s)
        result |= storm(made, rounds.storms)  # before anything else changes a state: only then is the worst its own
        calm_down(made)
        result |= flips(made, rounds.flips)
        result |= shows(made, rounds.shows)
        result |= prompts(made, rounds.prompts)
        result |= commits(made, rounds.commits)
        if rounds.reference_s:
            result |= reference(made, rounds.reference_s)
    table(result)
    return result


def say(text: str) -> None:
    print(f"control: {text}", flush=True)


def table(result: dict[str, Any]) -> None:
    width = max(len(target.what) for target in TARGETS)
    for target in TARGETS:
        figure = result[target.key]
        verdict = "met" if figure < target.most else "NOT MET"
        print(f"{target.what:{width}}  {figure:>9} {target.unit:2}  under {target.most:>4g} {target.unit:2}  {verdict}", flush=True)


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, math.ceil(share * len(values)) - 1)]


# -- probing -----------------------------------------------------------------------------------------------------------------


def processor_time(pid: int) -> float:
    """Seconds of user and system so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def observe(made: ControlSite, pid: int, seconds: int) -> tuple[float, dict[str, Any]]:
    """The share of a core that a prober takes, and what its targets saw."""
    made.targets.say("forget")
    before, started = processor_time(pid), time.monotonic()
    time.sleep(seconds)
    share = (processor_time(pid) - before) / (time.monotonic() - started)
    return share, made.targets.report()


def probing(made: ControlSite, seconds: int) -> dict[str, Any]:
    time.sleep(3)  # the start is over: pages and connections are warm
    before = made.system().probes
    share, seen = observe(made, made.pid("controlplane"), seconds)
    after = made.system().probes
    failed = after.failed - before.failed + after.not_made - before.not_made
    rate = seen["probes"] / seconds
    say(f"{rate:.0f} probes/s of {seen['targets']} targets, {failed} failed; {share:.2f} of a core, {share / rate * 1e6:.0f} us a probe; "
        f"jitter p50 {seen['deviation_p50']:.2%}, p99 {seen['deviation_p99']:.2%}, max {seen['deviation_max']:.2%}")
    if seen["targets"] != BACKENDS or failed:
        raise Refused(f"{seen['targets']} of {BACKENDS} targets were probed, and {failed} probes of healthy ones failed")
    return {"probe_core_share": round(share, 3), "probe_jitter": seen["deviation_p99"]}


def calm_down(made: ControlSite) -> None:
    """From here on times are wall times of people and pushes. With a probe each second of each backend two processors, which play the
    servers too, are full, and such times say only that."""
    reply = made.api.call("Commit", timeout=60, text=configuration(interval_ms=CALM_MS))
    if not reply.runs:
        raise Refused(f"the longer interval did not come to run: {reply.cause}")
    time.sleep(2 * CALM_MS / 1000)
    say(f"from here on each backend is probed every {CALM_MS / 1000:g} s")


# -- from verdict to worker --------------------------------------------------------------------------------------------------


def storm(made: ControlSite, count: int) -> dict[str, Any]:
    """Half of the backends fail, and are well again."""
    before = made.system().push
    fresh = sum(bucket.count for bucket in before.delay) == 0
    for _ in range(count):
        made.targets.say(f"fail {FIRST} {FIRST + STORM}")
        wait_for(lambda: made.system().backends_down == STORM, f"{STORM} backends down", 30, 1)
        made.targets.say("well")
        wait_for(lambda: made.system().backends_down == 0, "all backends up", 30, 1)
    after = made.system().push
    # The worst since the start is that of the storms unless something changed before; then a bucket bounds it.
    worst = after.delay_max_us / 1000 if fresh or after.delay_max_us > before.delay_max_us else slowest_bucket(before, after)
    say(f"{STORM} backends down and up {count} times: {after.updates - before.updates} updates, worst {worst:.1f} ms"
        + ("" if fresh else " (bound of a bucket)"))
    return {"verdict_5000_ms": round(worst, 2)}


def slowest_bucket(before: Any, after: Any) -> float:
    """The upper bound of the slowest bucket that grew."""
    grown = [new.up_to_ms for old, new in zip(before.delay, after.delay) if new.count > old.count]
    return max((bound or math.inf for bound in grown), default=0)


def flips(made: ControlSite, count: int) -> dict[str, Any]:
    """One backend at a time fails, or is well again; the control plane says how long the workers took to know."""
    delays: list[float] = []
    together = 0
    events = made.api.events(timeout=count * 2 + 60, limit=1, follow=True)
    next(events)
    try:
        updates = made.system().push.updates
        for turn in range(count):
            number = FIRST + (turn // 2 * 7919) % BACKENDS
            made.targets.say("well" if turn % 2 else f"fail {number} {number + 1}")
            while not names_backend(next(events), number):
                pass
            time.sleep(SPARE_MS / 1000)
            push = wait_for(lambda: newer(made.system().push, updates), "the update of one backend", 5)
            together += push.updates - updates - 1
            updates = push.updates
            delays.append(push.delay_last_us / 1000)
            if turn % 20 == 0:
                check_dataplane(made, number)
    finally:
        events.cancel()
    worst = percentile(delays, 0.99)
    say(f"{count} changes, one at a time: verdict to worker p50 {statistics.median(delays):.2f} ms, p99 {worst:.2f} ms, "
        f"max {max(delays):.2f} ms; {together} other updates")
    return {"verdict_to_worker_ms": round(worst, 2)}


def newer(push: Any, updates: int) -> Any:
    return push if push.updates > updates else None


def names_backend(event: Any, number: int) -> bool:
    return event.kind == "health" and re.search(rf"\bb{number}\b", event.text) is not None


def check_dataplane(made: ControlSite, number: int) -> None:
    """The dataplane itself says that this backend is down, and no other."""
    messages = made.dataplane.messages
    down = [backend.name for backend in made.dataplane.call("Stats").backend if backend.health == messages.DOWN]
    if down != [f"b{number}"]:
        raise Refused(f"b{number} failed, and the dataplane has these down: {down[:10]}")


# -- the console -------------------------------------------------------------------------------------------------------------


def show_commands(made: ControlSite) -> list[list[str]]:
    """All that `show` has, as it says itself."""
    help_text = made.console("show", "--help").partition("Subcommands:")[2]
    names = re.findall(r"^  (\w+) ", help_text, re.MULTILINE)
    if "backends" not in names:
        raise Refused(f"headgate show --help lists no backends: {help_text}")
    return [[name] for name in names] + [["configuration", "set"]]


def shows(made: ControlSite, count: int) -> dict[str, Any]:
    medians = {}
    for words in show_commands(made):
        medians[" ".join(words)] = statistics.median(milliseconds(lambda: made.console("show", *words)) for _ in range(count))
    for name, median in sorted(medians.items(), key=lambda entry: -entry[1]):
        say(f"show {name:18} {median:7.1f} ms")
    return {"show_ms": round(max(medians.values()), 1)}


def milliseconds(action: Callable[[], Any]) -> float:
    started = time.monotonic()
    action()
    return (time.monotonic() - started) * 1000


def prompts(made: ControlSite, count: int) -> dict[str, Any]:
    median = statistics.median(start_to_prompt(made) for _ in range(count))
    say(f"console start to prompt {median:.1f} ms")
    return {"prompt_ms": round(median, 1)}


def start_to_prompt(made: ControlSite) -> float:
    ours, theirs = pty.openpty()
    started = time.monotonic()
    process = subprocess.Popen([str(made.bin / "headgate"), "--management", str(made.management)], stdin=theirs, stdout=theirs,
                               stderr=theirs, start_new_session=True, env=made.environment())
    favour(process.pid)
    os.close(theirs)
    try:
        screen = b""
        while b"> " not in screen:
            if not select.select([ours], [], [], 10)[0]:
                raise TimeoutError(f"the console shows no prompt: {screen!r}")
            screen += os.read(ours, 4096)
        return (time.monotonic() - started) * 1000
    finally:
        process.kill()
        process.wait()
        os.close(ours)


# -- commit ------------------------------------------------------------------------------------------------------------------


def commits(made: ControlSite, count: int) -> dict[str, Any]:
    """Every service gets another port, and every pool another weight. Through the API, and as an operator does it."""
    times, by_console = [], []
    for turn in range(count):
        text = configuration(2 * turn + 1, CALM_MS)
        started = time.monotonic()
        reply = made.api.call("Commit", timeout=60, text=text)
        times.append((time.monotonic() - started) * 1000)
        if reply.outcome != made.api.messages.CommitReply.COMMITTED or not reply.runs:
            raise Refused(f"the commit did not come to run: {reply.outcome} {[d.message for d in reply.diagnostic][:3]} {reply.cause}")
        file = made.home / "candidate.txtpb"
        file.write_text(configuration(2 * turn + 2, CALM_MS))
        by_console.append(milliseconds(lambda: made.console(stdin=f"configure\nload {file}\ncommit\n")))
    say(f"commit of {SERVICES} services: {listed(times)} ms; by the console with start, load and check {listed(by_console)} ms")
    return {"commit_ms": round(statistics.median(times), 1), "console_commit_ms": round(statistics.median(by_console), 1)}


def listed(values: list[float]) -> str:
    return " ".join(f"{value:.0f}" for value in values)


# -- the reference -----------------------------------------------------------------------------------------------------------


def reference(made: ControlSite, seconds: int) -> dict[str, Any]:
    """HAProxy probes the same targets as often. The box's own daemons are stopped before."""
    if shutil.which("haproxy") is None:
        say("haproxy is not installed: no reference")
        return {}
    made.processes.stop("box", "controlplane")
    made.processes.stop("box", "dataplane")
    file = made.run_dir / "haproxy.cfg"
    file.write_text(haproxy_configuration())
    pid = made.start("haproxy", "haproxy", "-db", "-f", str(file))
    try:
        wait_for(lambda: made.targets.report()["targets"] >= BACKENDS and made.pid("haproxy"), "a probe of HAProxy to each target", 30, 1)
        time.sleep(3)
        share, seen = observe(made, pid, seconds)
    except TimeoutError as error:
        say(f"HAProxy: {error}: no reference")
        return {}
    finally:
        made.processes.stop("box", "haproxy")
    rate = seen["probes"] / seconds
    say(f"HAProxy, one thread: {rate:.0f} probes/s of {seen['targets']} targets; {share:.2f} of a core, {share / rate * 1e6:.0f} us a probe; "
        f"jitter p50 {seen['deviation_p50']:.2%}, p99 {seen['deviation_p99']:.2%}")
    return {"haproxy_core_share": round(share, 3), "haproxy_jitter": seen["deviation_p99"]}


def haproxy_configuration() -> str:
    lines = ["global", "  nbthread 1", "  maxconn 1000", "defaults", "  mode http", "  timeout connect 900ms", "  timeout check 900ms",
             "  timeout client 10s", "  timeout server 10s", "frontend unused", "  bind 127.0.0.1:9999", "  default_backend pool0"]
    for index in range(SERVICES):
        lines += [f"backend pool{index}", "  option httpchk GET /", f"  default-server check inter {INTERVAL_MS} rise 1 fall 1"]
        numbers = range(FIRST + index * BACKENDS_PER_POOL, FIRST + (index + 1) * BACKENDS_PER_POOL)
        lines += [f"  server b{number} {address(number)}:80" for number in numbers]
    return "\n".join(lines) + "\n"
