"""Real clients through the box over AF_XDP, and through testpmd in its place: same interfaces, same core, both polling.

The box's worker and testpmd's forwarding core have processor 0; clients, servers and everything else processor 1. The two
alternate, so that what the machine does meanwhile meets both.
"""
from __future__ import annotations

import contextlib
import json
import os
import re
import statistics
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator

from lab_lib import addresses as at
from lab_lib.box import HOST as BOX
from lab_lib.box import BoxOptions
from lab_lib.config import Backend, Config, Pool, Service
from lab_lib.shell import Refused, wait_for
from lab_lib.site import Site, SiteOptions

from . import testpmd
from .share import favour

WORKER_CPU, OTHERS_CPU = 0, 1
SERVER = "web1"
SERVICE_NUMBER = 100
IPERF_PORT = 5201
CLIENT_ON_WIRE = 10  # the client's number on the servers' network when a wire joins the two


@dataclass(frozen=True)
class Rates:
    requests: float  # per second
    bits: float      # per second, TCP payload


def compare(rounds: int, seconds: int) -> dict[str, float]:
    if len(os.sched_getaffinity(0)) < 2:
        raise Refused("the lab's bench needs two processors: one for what is measured, one for everything else")
    site = Site(SiteOptions(prefix="hgb", run_dir=Path("/run/headgate-bench"), box=BoxOptions(idle="poll")))
    os.sched_setaffinity(0, {OTHERS_CPU})  # inherited by all that the site starts; workers place themselves
    with site.exclusive():
        site.down()  # what a crash left
        try:
            site.up(config(), start_box=False)
            site.servers.spawn(SERVER, "iperf3", "iperf3", "-s", "-p", str(IPERF_PORT))
            site.servers.wait_listening(SERVER, f":{IPERF_PORT} ")
            # On the wire the server is a neighbor of the client; the route is narrower than the lab's own.
            site.network.ip("client", "addr", "add", f"{at.servers(CLIENT_ON_WIRE)}/32", "dev", "eth0")
            site.network.ip("client", "route", "add", f"{at.web(SERVER)}/32", "dev", "eth0", "src", at.servers(CLIENT_ON_WIRE))
            return measure(site, rounds, seconds)
        finally:
            site.down()


def measure(site: Site, rounds: int, seconds: int) -> dict[str, float]:
    boxes: list[Rates] = []
    wires: list[Rates] = []
    for _ in range(rounds):
        with wire(site):
            wires.append(rates(site, at.web(SERVER), seconds))
        with box(site):
            boxes.append(rates(site, at.front(SERVICE_NUMBER), seconds))
        print(f"lab: wire {show(wires[-1])}; box {show(boxes[-1])}", flush=True)
    http = median_ratio([rate.requests for rate in boxes], [rate.requests for rate in wires])
    tcp = median_ratio([rate.bits for rate in boxes], [rate.bits for rate in wires])
    print(f"lab: the box does {http:.1%} of the plain wire's requests, {tcp:.1%} of its TCP throughput", flush=True)
    return {"http_ratio": round(http, 3), "tcp_ratio": round(tcp, 3)}


def show(rate: Rates) -> str:
    return f"{rate.requests:.0f} requests/s, {rate.bits / 1e9:.2f} Gbit/s"


def median_ratio(box: list[float], wire: list[float]) -> float:
    return statistics.median(box) / statistics.median(wire)


def config() -> Config:
    """One server, as at the end of the wire."""
    return Config(pools=(Pool("web", backends=(Backend(SERVER),)),),
                  services=(Service("web", SERVICE_NUMBER), Service("iperf", SERVICE_NUMBER, port=IPERF_PORT)))


@contextlib.contextmanager
def box(site: Site) -> Iterator[None]:
    site.start_box(config())
    favour(site.processes.pid(BOX, "supervisor") or 0)
    try:
        yield
    finally:
        site.box.stop()


@contextlib.contextmanager
def wire(site: Site) -> Iterator[None]:
    devices = [f"net_af_xdp{i},iface={name}" for i, name in enumerate(("eth-front", "eth-servers"))]
    log = open(site.run_dir / "testpmd.log", "w+")
    # A session of its own, as the box's daemons have: the scheduler shares processors out by session (autogroup).
    process = site.popen(BOX, *testpmd.command(WORKER_CPU, OTHERS_CPU, devices, "io", stats=False), stdin=subprocess.PIPE, stdout=log,
                         start_new_session=True)
    favour(process.pid)
    try:
        target = at.url(at.web(SERVER))
        wait_for(lambda: site.curl(target, check=False, timeout=1).returncode == 0, f"an answer over the wire ({log.name})", 20)
        yield
    finally:
        process.communicate("stop\nquit\n", timeout=20)
        log.close()


def rates(site: Site, address: str, seconds: int) -> Rates:
    wrk = site.exec("client", "wrk", "-t1", "-c32", f"-d{seconds}s", at.url(address), timeout=seconds + 30).stdout
    requests = re.search(r"Requests/sec:\s+([\d.]+)", wrk)
    iperf = json.loads(site.exec("client", "iperf3", "-c", address, "-p", str(IPERF_PORT), "-t", str(seconds), "-J",
                                 timeout=seconds + 30).stdout)
    if requests is None or "end" not in iperf:
        raise Refused(f"no figures through {address}: {wrk} {iperf}")
    return Rates(float(requests[1]), iperf["end"]["sum_received"]["bits_per_second"])
