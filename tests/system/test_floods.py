"""Attacks on proxied services, while good clients work: none of them may fail, and memory stays in its bounds.

SYN, RST, FIN, ACK and data floods with spoofed sources, resets in a good client's name, clients with closed windows by the thousand,
clients that send a byte a segment, and Debian's slowhttptest in its three kinds.
"""
from __future__ import annotations

import contextlib
import json
import subprocess
import time
from typing import Iterator

import pytest
from lab_lib import addresses as at
from lab_lib.shell import wait_for
from lab_lib.site import Site

from bare import bare_site, networks
from helpers import HERE, PYTHON, Download, RequestLoad
from memory import Memory
from results import Table

NUMBER, HTTP_PORT, RELAY_PORT = 120, 8080, 8081
ADDRESS = at.front(NUMBER)
SPOOFED = "198.18.0.0/15"
RATE = 10_000                     # segments a second
FLOOD_S = {"quick": 2, "default": 2, "full": 15}
ZERO_WINDOWS = {"quick": 500, "default": 1000, "full": 1000}
SLOW = {"quick": 200, "default": 200, "full": 1000}
REQUEST_TIMEOUT_MS = 3000
GROWTH_MB = 64                    # of resident memory: tables of half-open and TIME-WAIT entries, buffers touched for the first time
SLOWEST_MS = 3000                 # of a good request: a SYN that is lost is sent again after a second

SNAPSHOT = networks() + f"""
route {{ prefix: "0.0.0.0/0" next_hop {{ gateway: "192.0.2.254" interface: "front" }} }}
pool {{ id: 1 name: "web" algorithm: ROUND_ROBIN
  backend {{ id: 11 name: "web1" address: "10.10.0.21" port: 80 weight: 1 }}
  backend {{ id: 12 name: "web2" address: "10.10.0.22" port: 80 weight: 1 }} }}
service {{ id: 1 name: "http" address: "{ADDRESS}" port: {HTTP_PORT} protocol: HTTP mode: FULL_NAT pool_id: 1
          http {{ request_timeout_ms: {REQUEST_TIMEOUT_MS} response_timeout_s: 5 }} }}
service {{ id: 2 name: "relay" address: "{ADDRESS}" port: {RELAY_PORT} protocol: TCP_PROXY mode: FULL_NAT pool_id: 1 }}
"""
HTTP, RELAY = at.url(ADDRESS, "/", HTTP_PORT), at.url(ADDRESS, "/", RELAY_PORT)

TABLE = Table("Attacks, and good clients beside them",
              ("attack", "how much", "good requests", "failed", "slowest ms", "memory grew MB", "engine MB, most", "of", "half open", "what the box did"))


@pytest.fixture(scope="module")
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    with bare_site(request, SNAPSHOT, box={"buffers": 32768}) as site:  # the default of the dataplane, which bounds what may wait
        for host in ("net", "client"):  # nobody there answers, and nobody says so
            site.network.ip(host, "route", "add", "blackhole", SPOOFED)
        for url in (HTTP, RELAY):
            wait_for(lambda: site.curl(url, check=False, timeout=1).returncode == 0, "the first answer", 20, 0.2)
        yield site


def counters(site: Site) -> dict[str, int]:
    """Of the TCP engine, and how HTTP requests ended; without those that are 0."""
    stats = site.box.api.call("Stats")
    engine = {entry.name: entry.count for worker in stats.worker for entry in worker.tcp}
    return engine | {f"end_{entry.name}": entry.count for service in stats.service for entry in service.http.end}


@contextlib.contextmanager
def good_clients(site: Site, attack: str) -> Iterator[dict]:
    """Short requests by both services and a long download, while the block lasts; none fails. What the block puts into the dictionary
    goes into the table."""
    told = {"much": "", "did": ()}
    before = counters(site)
    download = Download(site, at.url(ADDRESS, "/blob/200m", RELAY_PORT), limit_rate="2m")
    load = RequestLoad(site, [HTTP, RELAY], rate=30)
    with download, Memory(site) as memory:
        yield told
        result = load.finish()
        lasted = download.process.poll() is None
    after = counters(site)
    did = ", ".join(f"{after.get(name, 0) - before.get(name, 0)} {name}" for name in told["did"])
    TABLE.add(attack, told["much"], result["made"], len(result["failed"]), result["slowest_ms"], memory.grown, memory.engine, memory.engine_max,
              memory.half_open, did)
    assert not result["failed"], result
    assert lasted, "the download broke off"
    assert result["slowest_ms"] < SLOWEST_MS, result
    assert memory.engine <= memory.engine_max and memory.grown < GROWTH_MB, vars(memory)


def flood(site: Site, kind: str, sources: str, port: int, seconds: float) -> int:
    done = site.exec("client", PYTHON, str(HERE / "flood.py"), kind, sources, ADDRESS, str(port), str(RATE), str(seconds), "1", timeout=seconds + 30)
    return int(done.stdout)


@pytest.mark.parametrize("kind,sources,port,did", [
    ("syn", SPOOFED, HTTP_PORT, ("syns", "cookies_sent", "cookies_accepted")), ("rst", SPOOFED, HTTP_PORT, ("drop_no_connection",)),
    ("fin", SPOOFED, RELAY_PORT, ("drop_no_connection", "resets_sent", "resets_limited")),
    ("mixed", SPOOFED, HTTP_PORT, ("cookies_bad", "resets_sent", "resets_limited")),
    ("mixed", f"{at.front(at.CLIENT_NUMBER)}/32", RELAY_PORT, ("challenges", "challenges_limited", "drop_bad_reset")),
], ids=["syn", "rst", "fin", "mixed", "mixed-in-a-good-clients-name"])
def test_good_clients_work_during_a_flood(site: Site, request: pytest.FixtureRequest, kind: str, sources: str, port: int,
                                          did: tuple[str, ...]) -> None:
    tier = request.config.getoption("--tier")
    with good_clients(site, f"{kind} flood from {sources}") as told:
        sent = flood(site, kind, sources, port, FLOOD_S[tier])
        told |= {"much": f"{sent} segments", "did": did}
    TABLE.note(f"tier {tier}: floods of {FLOOD_S[tier]} s at {RATE} a second, {ZERO_WINDOWS[tier]} closed windows, {SLOW[tier]} slow clients; "
               f"full: {FLOOD_S['full']} s, {ZERO_WINDOWS['full']}, {SLOW['full']}")
    if kind == "syn":
        assert counters(site)["cookies_sent"] > 0


@contextlib.contextmanager
def crowd(site: Site, kind: str, port: int, count: int, path: str) -> Iterator[dict]:
    """A crowd is there while the block lasts; the dictionary has what it says of itself afterwards."""
    said: dict = {}
    process = site.popen("client", PYTHON, str(HERE / "crowd.py"), kind, ADDRESS, str(port), str(count), path, stdin=subprocess.PIPE)
    try:
        assert process.stdout.readline() == "ready\n"
        yield said
        said |= json.loads(process.communicate(timeout=60)[0].splitlines()[-1])
    finally:
        process.kill()


@pytest.mark.parametrize("port", [HTTP_PORT, RELAY_PORT], ids=["http", "relay"])
def test_good_clients_work_beside_closed_windows(site: Site, request: pytest.FixtureRequest, port: int) -> None:
    count = ZERO_WINDOWS[request.config.getoption("--tier")]
    with good_clients(site, f"clients that do not read, port {port}") as told:
        with crowd(site, "zero-window", port, count, "/blob/1m") as said:
            time.sleep(4)  # for as long, good clients go on
        told |= {"much": f"{said['opened']} clients", "did": ("window_probes", "drop_no_memory")}
    assert said["refused"] == 0, said
    wait_for(lambda: sum(worker.tcp_memory for worker in site.box.api.call("Stats").worker) < 1 << 20, "memory to be given back", 20, 0.2)


def test_requests_of_one_byte_a_segment_are_answered(site: Site) -> None:
    with good_clients(site, "clients that send a byte a segment") as told:
        with crowd(site, "bytes", HTTP_PORT, 50, "/") as said:
            time.sleep(3)
        told |= {"much": f"{said['answered']} requests", "did": ("packed",)}
    assert said["answered"] > 50 and not said["failed"], said


SLOW_KINDS = {"headers": ("-H", "-i", "1"), "body": ("-B", "-i", "1"), "reading": ("-X", "-w", "10", "-y", "20", "-n", "1", "-z", "32", "-k", "3")}


@pytest.mark.parametrize("kind", SLOW_KINDS)
def test_good_clients_work_beside_slow_ones(site: Site, request: pytest.FixtureRequest, kind: str) -> None:
    """slowhttptest opens its connections in two seconds and goes on for some more."""
    count = SLOW[request.config.getoption("--tier")]
    path = {"reading": "/blob/100k", "body": "/upload"}.get(kind, "/")
    with good_clients(site, f"slowhttptest, {kind}") as told:
        done = site.exec("client", "slowhttptest", *SLOW_KINDS[kind], "-c", str(count), "-r", str(count // 2), "-l", "5", "-p", "2", "-u",
                         at.url(ADDRESS, path, HTTP_PORT), check=False, timeout=60)
        told |= {"much": f"{count} clients", "did": ("end_client_timeout", "end_client_stalled")}
    assert "YES" in done.stdout, done.stdout[-1500:]
