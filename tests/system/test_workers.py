"""Two workers on one queue: frames reach their owner by the ring, and clients see one box."""
from __future__ import annotations

import pytest
from lab_lib import addresses as at
from lab_lib.config import Access
from lab_lib.site import Site

from helpers import WAY_NAMES, WAYS, Download, dns_name, spread, udp_echo

SITE = {"box": {"workers": 2}}
WORKERS = 2


@pytest.mark.parametrize("access,family", WAYS, ids=WAY_NAMES)
def test_every_mode_serves(site: Site, access: Access, family: int) -> None:
    address = at.front(access.number, family)
    counts = spread(site.answers(at.url(address), 24))
    assert set(counts) == set(at.WEB_SERVERS)
    assert all(abs(count - 8) <= WORKERS for count in counts.values()), counts
    assert udp_echo(site, address, "two workers\n") == "two workers\n"
    assert dns_name(site, address) in at.WEB_SERVERS


def test_both_workers_forward(site: Site) -> None:
    site.answers(at.url(at.front(100)), 60)
    packets = {worker.worker: worker.packets for worker in site.box.api.call("Stats").worker}
    assert len(packets) == WORKERS and min(packets.values()) > 50, packets


def test_a_port_says_how_its_packets_find_their_worker(site: Site) -> None:
    ports = {port.name: port for port in site.box.api.call("Stats").port}
    assert ports["front"].steering == "software"  # AF_XDP on a veth has no RSS of ours


def test_a_download_arrives_whole(site: Site) -> None:
    expected = site.servers.blob_sha256("50m")
    for family in (4, 6):
        with Download(site, at.url(at.front(100, family), "/blob/50m")) as download:
            result = download.finish()
        assert (result["error"], result["sha256"]) == ("", expected)
