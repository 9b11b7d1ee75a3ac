"""Many requests and much data at once, by the clients that people measure with: wrk and iperf3."""
from __future__ import annotations

import json
import re
from typing import Iterator

import pytest
from lab_lib import addresses as at
from lab_lib.config import Config, Service
from lab_lib.site import Site

from helpers import WEB, WEB6

IPERF_PORT = 5201
CONFIG = Config(services=(*Config().services, Service("iperf", 100, port=IPERF_PORT)))
FAMILIES = pytest.mark.parametrize("family", [4, 6])


def requests_by_server(site: Site) -> dict[str, int]:
    """Flows that each backend of pool `web` has been given so far."""
    stats = site.box.api.call("Stats")
    web = {pool.id for pool in stats.pool if pool.name.partition("/")[0] == "web"}
    total = {name: 0 for name in at.WEB_SERVERS}
    for backend in stats.backend:
        if backend.pool_id in web:
            total[backend.name] += backend.traffic.flows_total
    return total


@pytest.mark.parametrize("url", [WEB, WEB6], ids=["v4", "v6"])
def test_wrk_gets_an_answer_to_every_request_from_all_three_servers(site: Site, url: str) -> None:
    before = requests_by_server(site)
    # A connection for each request, so that each is balanced.
    done = site.exec("client", "wrk", "-t1", "-c30", "-d3s", "-H", "Connection: close", url, timeout=30)
    assert "Socket errors" not in done.stdout and "Non-2xx" not in done.stdout, done.stdout
    requests = re.search(r"(\d+) requests in", done.stdout)
    assert requests is not None and int(requests[1]) > 100, done.stdout
    after = requests_by_server(site)
    given = {name: after[name] - before[name] for name in after}
    assert sum(given.values()) >= int(requests[1])
    assert max(given.values()) - min(given.values()) <= 0.1 * sum(given.values()), given  # probes are flows too


@pytest.fixture(scope="module")
def iperf(site: Site) -> Iterator[None]:
    """A server on web1 alone can be asked: iperf3 opens two connections, which must meet at one server."""
    site.servers.spawn("web1", "iperf3", "iperf3", "-s", "-p", str(IPERF_PORT))
    site.servers.wait_listening("web1", f":{IPERF_PORT} ")
    only_web1 = tuple(backend for backend in CONFIG.pools[0].backends if backend.name == "web1")
    site.box.reload(CONFIG.with_pool(backends=only_web1))
    yield
    site.box.reload(CONFIG)
    site.processes.stop("web1", "iperf3")


@FAMILIES
@pytest.mark.parametrize("reverse", [False, True], ids=["up", "down"])
def test_iperf3_moves_data_without_an_error(site: Site, iperf: None, reverse: bool, family: int) -> None:
    done = site.exec("client", "iperf3", "-c", at.front(100, family), "-p", str(IPERF_PORT), "-t", "2", "-J", *(["-R"] if reverse else []),
                     check=False, timeout=30)
    result = json.loads(done.stdout)
    assert "error" not in result and done.returncode == 0, result.get("error")
    assert result["end"]["sum_received"]["bytes"] > 1_000_000
