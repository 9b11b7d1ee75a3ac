"""A dead backend leaves the rotation and returns; nobody else notices."""
from __future__ import annotations

import json
import signal
import time

from lab_lib import addresses as at
from lab_lib.config import DEFAULT_POOLS
from lab_lib.shell import wait_for
from lab_lib.site import Site

from helpers import WEB, Download, script, spread, wait_in

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


def test_a_backend_behind_a_wrong_next_hop_goes_down(site: Site) -> None:
    """web3 has one more address, and is the router to it. Another gateway, which nobody is, and the way is wrong."""
    host, dead = "198.51.100.3", at.servers(99)
    site.network.ip("web3", "addr", "add", f"{host}/32", "dev", "lo")
    gateway = lambda address: f"set route {host}/32 next_hop 1 gateway {address}"
    state = lambda: site.box.cli("show", "backends", "--json").stdout
    try:
        script(site, gateway(at.web("web3")), f"set pool behind backend there address {host}", "set pool behind backend there port 80",
               "set pool behind health_check http", "set pool behind health_check interval_ms 500", "set service behind address 192.0.2.130",
               "set service behind port 80", "set service behind protocol tcp", "set service behind pool behind", "commit")
        there = lambda: next(entry for entry in json.loads(state())["backend"] if entry["name"] == "there")
        wait_for(lambda: there()["health"] == "up", "the backend behind web3 up", 10)
        assert site.answers("http://192.0.2.130/", 1) == ["web3"]
        script(site, gateway(dead), "commit")
        wait_for(lambda: there()["health"] == "down" and not there()["up"], "the backend behind nobody down", 15)
        assert there()["cause"], there()
        script(site, gateway(at.web("web3")), "commit")
        wait_for(lambda: there()["health"] == "up", "the backend up again", 15)
        assert site.answers("http://192.0.2.130/", 1) == ["web3"]
    finally:
        script(site, "delete service behind", "delete pool behind", f"delete route {host}/32", "commit", check=False)
        site.network.ip("web3", "addr", "del", f"{host}/32", "dev", "lo")


def restore_web3_routes(site: Site) -> None:
    """The kernel removed them with the link."""
    site.network.ip("web3", "-6", "addr", "replace", f"{at.web('web3', 6)}/64", "dev", "eth0", "nodad")
    for family in (4, 6):
        site.network.ip("web3", f"-{family}", "route", "replace", "default", "via", at.servers(at.GATEWAY_NUMBER, family))
        site.servers.route_direct_answers("web3", family)
