"""kill -9 of each daemon: what clients notice, and what the kernel says in the dataplane's absence (nothing)."""
from __future__ import annotations

import os
import signal
import time
from typing import Iterator

import pytest
from lab_lib import addresses as at
from lab_lib.shell import wait_for
from lab_lib.site import Site

from helpers import WEB, WEB6, Download, UdpLoad, sniffing, spread

CONTROLPLANE, DATAPLANE = "headgate-controlplane", "headgate-dataplane"
BACK_WITHIN_S = 3


def answers(site: Site, url: str = WEB) -> bool:
    return site.curl(url, check=False, timeout=0.5).returncode == 0


def running_generation(site: Site) -> int:
    """The generation that runs; 0 while the API does not answer."""
    running = site.box.running_or_none()
    return running.generation if running is not None else 0


@pytest.fixture(autouse=True)
def supervised(site: Site) -> Iterator[None]:
    """Whatever a test stopped goes on, and the next one starts from a whole box."""
    yield
    for pid in (site.processes.pid("box-a", "supervisor"), site.box.daemon_pid(CONTROLPLANE)):
        if pid is not None:
            os.kill(pid, signal.SIGCONT)
    wait_for(lambda: answers(site) and running_generation(site) and site.backends_up(), "a whole box", 30)


def test_killing_the_control_plane_costs_no_packet_and_no_flow(site: Site) -> None:
    before = site.box.running()
    expected = site.servers.blob_sha256("20m")
    load = UdpLoad(site, at.front(100), seconds=5)
    with Download(site, WEB + "blob/20m", limit_rate="5m") as download:
        old = site.box.signal(CONTROLPLANE, signal.SIGKILL)
        site.box.wait_new_pid(CONTROLPLANE, old)
        assert set(spread(site.answers(WEB, 12))) == set(at.WEB_SERVERS)  # not 4/4/4: the load takes turns too
        assert load.finish()["lost"] == 0
        result = download.finish()
    assert (result["error"], result["sha256"]) == ("", expected)
    after = site.box.running()
    assert (after.generation, after.digest, after.pid) == (before.generation, before.digest, before.pid)
    assert site.box.cli("show", "log").stdout.count("the control plane started with") >= 2, "what happened before is still told"


def test_without_its_dataplane_the_box_is_silent_for_service_addresses(site: Site) -> None:
    """The steering program outlives the process that loaded it, and sends packets without a socket nowhere."""
    supervisor = site.processes.pid("box-a", "supervisor")
    assert supervisor is not None
    os.kill(supervisor, signal.SIGSTOP)  # so that nobody starts the dataplane again
    for family in (4, 6):
        assert answers(site, at.url(at.front(100, family)))  # the client knows the box's MAC
    site.box.signal(DATAPLANE, signal.SIGKILL)
    services = " or ".join(f"src host {at.front(100, family)}" for family in (4, 6))
    with sniffing(site, "client", "eth0", f"({services}) or (arp and arp[6:2] = 2 and arp[14:4] = 0xc0000264)") as from_box:
        assert not answers(site, WEB)
        assert not answers(site, WEB6)
        assert site.exec("client", "ping", "-c2", "-i0.2", "-W1", at.front(100), check=False).returncode != 0
        site.exec("client", "bash", "-c", f"echo x > /dev/udp/{at.front(100)}/7; echo x > /dev/udp/{at.front(100)}/9")
        site.network.ip("client", "neigh", "flush", "dev", "eth0")
        assert not answers(site, WEB)
    assert from_box == []
    assert site.exec("client", "ping", "-c1", "-W2", at.front(at.BOX_NUMBER)).returncode == 0, "its own address still answers"


def test_a_killed_dataplane_forwards_again_within_3_s_from_the_kept_snapshot(site: Site) -> None:
    generation = site.box.running().generation
    old = site.box.signal(DATAPLANE, signal.SIGKILL)
    killed = time.monotonic()
    wait_for(lambda: answers(site), "the first answer", 15, interval=0.02)
    assert time.monotonic() - killed < BACK_WITHIN_S
    assert site.box.wait_new_pid(DATAPLANE, old) != old
    wait_for(lambda: running_generation(site) == generation, "the same generation")
    assert spread(site.answers(WEB, 12)) == {"web1": 4, "web2": 4, "web3": 4}


def test_a_killed_dataplane_forwards_again_while_the_control_plane_hangs(site: Site) -> None:
    site.box.signal(CONTROLPLANE, signal.SIGSTOP)
    site.box.signal(DATAPLANE, signal.SIGKILL)
    killed = time.monotonic()
    wait_for(lambda: answers(site), "the first answer", 15, interval=0.02)
    assert time.monotonic() - killed < BACK_WITHIN_S


def test_a_restarted_dataplane_knows_which_backends_are_dead(site: Site) -> None:
    """The kept snapshot follows states, so clients do not wait for a control plane that hangs."""
    site.processes.stop("web2", "nginx", signal.SIGKILL)
    try:
        wait_for(lambda: spread(site.answers(WEB, 12)) == {"web1": 6, "web3": 6}, "web2 out of rotation", 10)
        time.sleep(0.5)  # the file is written every 200 ms
        site.box.signal(CONTROLPLANE, signal.SIGSTOP)
        site.box.signal(DATAPLANE, signal.SIGKILL)
        wait_for(lambda: answers(site), "the first answer", 15, interval=0.02)
        assert spread(site.answers(WEB, 12)) == {"web1": 6, "web3": 6}
    finally:
        site.servers.start_nginx("web2")
