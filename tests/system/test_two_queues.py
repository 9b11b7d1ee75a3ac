"""Two workers, each with a receive queue of its own on every port."""
from __future__ import annotations

from lab_lib import addresses as at
from lab_lib.site import Site

from helpers import Download, spread

SITE = {"box": {"workers": 2, "queues": 2}}


def test_both_queues_receive_and_clients_see_one_box(site: Site) -> None:
    counts = spread(site.answers(at.url(at.front(100)), 60))
    assert set(counts) == set(at.WEB_SERVERS) and all(abs(count - 20) <= 2 for count in counts.values()), counts
    ports = {port.name: port for port in site.box.api.call("Stats").port}
    assert ports["front"].queues == ports["servers"].queues == 2
    packets = {worker.worker: worker.packets for worker in site.box.api.call("Stats").worker}
    assert len(packets) == 2 and min(packets.values()) > 50, packets


def test_a_download_arrives_whole(site: Site) -> None:
    expected = site.servers.blob_sha256("50m")
    for family in (4, 6):
        with Download(site, at.url(at.front(100, family), "/blob/50m")) as download:
            result = download.finish()
        assert (result["error"], result["sha256"]) == ("", expected)
