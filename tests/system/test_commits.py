"""Random commits under load: no packet and no connection is lost. HEADGATE_SEED replays a walk."""
from __future__ import annotations

import contextlib
import os
import random
import time
from typing import Callable, Iterator

import pytest

from lab_lib import addresses as at
from lab_lib.api import ManagementApi
from lab_lib.config import Access
from lab_lib.site import Site

from config_walk import ConfigWalk
from helpers import Download, RequestLoad, UdpLoad, access

COMMITS = {"quick": 40, "default": 40, "full": 1000}
PER_SECOND = 10                 # so that the load lasts as long as the commits, however fast they are
RATE_KB = 500                   # of each download
SETUP_S = 8                     # until all that is to last has begun
WAYS = [("web", 4), ("web-nat", 6), ("web-dsr", 4), ("web-ipip", 6), ("web-gue", 4)]  # each mode once
COMMITTED, UNCHANGED = 0, 4     # CommitReply.Outcome


@pytest.fixture
def management(site: Site) -> Iterator[ManagementApi]:
    """What a test committed is taken back."""
    api = ManagementApi(site.box.management, site.box.home / "python")
    before = api.configuration().text
    yield api
    assert api.commit(before).outcome in (COMMITTED, UNCHANGED)
    api.close()


def download_on_every_backend(site: Site, way: Access, family: int, size: str) -> list[Download]:
    address = at.front(way.number, family)
    downloads = [Download(site, at.url(address, f"/blob/{size}"), limit_rate=f"{RATE_KB}k") for _ in at.WEB_SERVERS]
    services = {entry.id: entry.name.partition("/")[0] for entry in site.box.api.call("Stats").service}
    flows = [flow for flow in site.box.api.call("ListFlows", limit=10_000).flow
             if services.get(flow.service_id) == way.name and ("[" in flow.client) == (family == 6) and flow.state == "established"]
    assert len({flow.backend_id for flow in flows}) == len(at.WEB_SERVERS), [flow.backend for flow in flows]
    return downloads


def without_backend(site: Site) -> int:
    """Packets of clients that met a service where nobody served. The box's own count has probes to removed backends in it too."""
    traffic = {access(name).name for name, _ in WAYS}
    return sum(drop.packets for service in site.box.api.call("Stats").service for drop in service.drop
               if drop.reason == "no_backend" and service.name.partition("/")[0] in traffic)


def retransmitted(site: Site) -> int:
    """TCP segments that the kernels of client and servers have sent again so far."""
    total = 0
    for host in ("client", *at.WEB_SERVERS):
        names, values = [line.split() for line in site.exec(host, "cat", "/proc/net/snmp").stdout.splitlines() if line.startswith("Tcp:")]
        total += int(dict(zip(names, values))["RetransSegs"])
    return total


def test_random_commits_under_load_cost_no_packet_and_no_connection(
        site: Site, management: ManagementApi, request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> None:
    seed = int(os.environ.get("HEADGATE_SEED", random.randrange(1 << 32)))
    commits = COMMITS[request.config.getoption("--tier")]
    seconds = commits / PER_SECOND
    size = f"{int((seconds + SETUP_S) * RATE_KB)}k"
    expected = site.servers.blob_sha256(size)
    walk = ConfigWalk(seed)
    log: list[str] = [f"HEADGATE_SEED={seed}"]
    with contextlib.ExitStack() as stack:
        downloads = {(name, family, number): stack.enter_context(download) for name, family in WAYS
                     for number, download in enumerate(download_on_every_backend(site, access(name), family, size))}
        echoes = {(name, family): UdpLoad(site, at.front(access(name).number, family), seconds + 3, rate=50) for name, family in WAYS}
        requests = RequestLoad(site, [at.url(at.front(access(name).number, family)) for name, family in WAYS])
        refused = without_backend(site)
        drops, again = site.box.api.drops(), retransmitted(site)
        begun, took = time.monotonic(), []
        for number in range(commits):
            log.append(f"{number}: {walk.step()}")
            asked = time.monotonic()
            reply = management.commit(walk.text())
            took.append(time.monotonic() - asked)
            assert reply.outcome in (COMMITTED, UNCHANGED), "\n".join([*log[:1], *log[-5:], str(reply)])
            time.sleep(max(0.0, begun + (number + 1) / PER_SECOND - time.monotonic()))
        spent = time.monotonic() - begun
        still = sum(download.process.poll() is None for download in downloads.values())
        asked_for = requests.finish()
        lost = {way: result for way, load in echoes.items() if (result := load.finish(timeout=seconds + 60))["lost"]}
        broken = {way: result for way, download in downloads.items()
                  if (result := download.finish())["error"] or result["sha256"] != expected}
        dropped = {reason: count - drops.get(reason, 0) for reason, count in site.box.api.drops().items() if count != drops.get(reason, 0)}
    figures = {"commits": commits, "per_second": round(commits / spent, 1), "commit_ms": round(1000 * sum(took) / len(took)),
               "commit_ms_max": round(1000 * max(took)), "downloads": len(downloads), "broken": len(broken), "requests": asked_for["made"],
               "requests_failed": len(asked_for["failed"]), "slowest_ms": round(asked_for["slowest_ms"]), "datagrams_lost": lost,
               "segments_again": retransmitted(site) - again, "dropped": dropped}
    print(figures)
    for name, value in figures.items():
        record_property(name, value)
    said = "\n".join([*log[:1], str(figures), *log[-10:]])
    assert still == len(downloads), "downloads ended before the last commit\n" + said
    assert not broken, f"{broken}\n{said}"
    assert not lost, said
    assert not asked_for["failed"], f"{asked_for['failed']}\n{said}"
    assert without_backend(site) == refused, "nobody served, though one backend of each pool always could\n" + said
