"""Short shows for people: each does one thing to the lab, shows what happens, and puts it back."""
from __future__ import annotations

import dataclasses
import hashlib
import signal
import time
from collections import Counter
from typing import Callable

from . import addresses as at
from .config import ACCESSES, THREE_BACKENDS, Config
from .failover_demo import failover
from .shell import Refused, wait_for
from .site import Site

WEB = at.url(at.front(100))


def counted(answers: list[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(Counter(answers).items()))


def weights(site: Site) -> None:
    """Weights 3:2:1: six, four and two of twelve requests, in smooth order"""
    backends = tuple(dataclasses.replace(backend, weight=weight) for backend, weight in zip(THREE_BACKENDS, (3, 2, 1)))
    site.reload(Config().with_pool(backends=backends))
    answers = site.answers(WEB, 12)
    print(f"{' '.join(answers)}\n{counted(answers)}")


def modes(site: Site) -> None:
    """Every mode and family answers; what the server sees as its client"""
    for access in ACCESSES:
        for family in access.families:
            address = at.front(access.number, family)
            client = site.curl(at.url(address, "/client"), check=False).stdout.strip() or "no answer"
            print(f"{access.mode:9} {access.encapsulation:5} {address:20} the server saw {client}")


def kill_web(site: Site) -> None:
    """Kill an nginx: it leaves the rotation; start it: it returns"""
    try:
        site.processes.stop("web2", "nginx", signal.SIGKILL)
        killed = time.monotonic()
        wait_for(lambda: "none" not in site.answers(WEB, 6), "the health check to notice", 15)
        print(f"web2 killed; out after {time.monotonic() - killed:.1f} s; then: {counted(site.answers(WEB, 12))}")
    finally:
        if site.processes.pid("web2", "nginx") is None:
            site.servers.start_nginx("web2")
    wait_for(site.backends_up, "the health check to notice", 15)
    print(f"web2 started again: {counted(site.answers(WEB, 12))}")


def kill_controlplane(site: Site) -> None:
    """Kill the control plane: traffic goes on; it comes back with the same generation"""
    kill_daemon(site, "headgate-controlplane")


def kill_dataplane(site: Site) -> None:
    """Kill the dataplane: the supervisor starts it, it forwards from the kept snapshot"""
    kill_daemon(site, "headgate-dataplane")


def kill_daemon(site: Site, name: str) -> None:
    before = site.box.running().generation
    pid = site.box.signal(name, signal.SIGKILL)
    killed = time.monotonic()
    wait_for(lambda: site.curl(WEB, check=False, timeout=0.3).returncode == 0, "an answer", 15, 0.02)
    print(f"{name} (pid {pid}) killed; a new connection was answered {time.monotonic() - killed:.2f} s later")
    new = site.box.wait_new_pid(name, pid)
    running = wait_for(site.box.running_or_none, "the dataplane's API", 15)
    print(f"it runs again as pid {new}; generation {before} before, {running.generation} now")


def download(site: Site) -> None:
    """A download of 200 MB through every mode, and its SHA-256"""
    expected = site.servers.blob_sha256("200m")
    for access in ACCESSES:
        for family in access.families:
            address = at.front(access.number, family)
            digest = hashlib.sha256()
            started = time.monotonic()
            transfer = site.popen("client", "curl", "-sS", "--max-time", "120", at.url(address, "/blob/200m"), text=False)
            assert transfer.stdout is not None
            while data := transfer.stdout.read(1 << 20):
                digest.update(data)
            transfer.wait()
            verdict = "equal" if digest.hexdigest() == expected else "DIFFERENT"
            print(f"{access.mode:9} {access.encapsulation:5} {address:20} {200 / (time.monotonic() - started):5.0f} MB/s, {verdict}")


def explain(site: Site) -> None:
    """Ask the box what it would do with a packet, and why"""
    for port in ("80", "81"):
        print(f"$ headgate explain tcp 192.0.2.10:40000 192.0.2.100:{port}")
        print(site.box.cli("explain", "tcp", "192.0.2.10:40000", f"192.0.2.100:{port}", check=False).stdout)


DEMOS: dict[str, Callable[[Site], None]] = {
    "weights": weights, "modes": modes, "kill-web": kill_web, "kill-controlplane": kill_controlplane,
    "kill-dataplane": kill_dataplane, "download": download, "explain": explain,
    "failover": failover,
}


def list_demos() -> None:
    for key, show in DEMOS.items():
        print(f"  tools/lab demo {key:18} {show.__doc__}")


def run_demo(site: Site, name: str) -> None:
    """Whatever happens, also Ctrl-C, the operator's own configuration runs afterwards."""
    if name not in DEMOS:
        raise Refused(f"there is no demo {name}; there are: {', '.join(DEMOS)}")
    print(f"{DEMOS[name].__doc__}.")
    own = {box: box.config_file.read_text() for box in site.boxes}
    try:
        DEMOS[name](site)
    finally:
        site.run_texts(own)
