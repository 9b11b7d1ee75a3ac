"""A dead backend leaves the rotation and returns; nobody else notices."""
from __future__ import annotations

import signal
import time

from lab_lib.config import DEFAULT_POOLS
from lab_lib.shell import wait_for
from lab_lib.site import Site

from helpers import WEB, Download, spread, wait_in

POOL = DEFAULT_POOLS[0]
# fall x interval, and the time of the last probe itself, its timeout, and the push
OUT_WITHIN_S = POOL.fall * POOL.interval_ms / 1000 + 0.5


def test_a_killed_nginx_is_out_in_time_and_returns(site: Site) -> None:
    expected = site.servers.blob_sha256("4m")
    downloads = [Download(site, WEB + "blob/4m", limit_rate="1m") for _ in range(3)]  # one on each backend
    try:
        site.processes.stop("web2", "nginx", signal.SIGKILL)
        killed = time.monotonic()
        wait_for(lambda: "none" not in site.answers(WEB, 6), "web2 out of rotation", 10, interval=0)
        assert time.monotonic() - killed < OUT_WITHIN_S + 0.5
        assert spread(site.answers(WEB, 12)) == {"web1": 6, "web3": 6}
        results = [download.finish() for download in downloads]
        assert sorted(result["sha256"] == expected for result in results) == [False, True, True], results
        site.servers.start_nginx("web2")
        wait_in(site, "web2")
        wait_for(site.backends_up, "every backend up")
        assert spread(site.answers(WEB, 12)) == {"web1": 4, "web2": 4, "web3": 4}
    finally:
        for download in downloads:
            download.__exit__()
        if site.processes.pid("web2", "nginx") is None:
            site.servers.start_nginx("web2")


def test_a_server_that_cannot_be_reached_is_out_too(site: Site) -> None:
    site.network.ip("web3", "link", "set", "eth0", "down")
    try:
        wait_for(lambda: not site.backends_up(), "web3 down", 10)
        wait_for(lambda: spread(site.answers(WEB, 12)) == {"web1": 6, "web2": 6}, "only web1 and web2", 20)
    finally:
        site.network.ip("web3", "link", "set", "eth0", "up")
        restore_web3_routes(site)
    wait_in(site, "web3", timeout=20)


def restore_web3_routes(site: Site) -> None:
    """The kernel removed them with the link."""
    from lab_lib import addresses as at
    site.network.ip("web3", "-6", "addr", "replace", f"{at.web('web3', 6)}/64", "dev", "eth0", "nodad")
    for family in (4, 6):
        site.network.ip("web3", f"-{family}", "route", "replace", "default", "via", at.servers(at.GATEWAY_NUMBER, family))
        site.servers.route_direct_answers("web3", family)
