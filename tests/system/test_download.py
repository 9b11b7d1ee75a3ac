"""Long transfers arrive whole in every mode, also while the configuration changes under them."""
from __future__ import annotations

import dataclasses

import pytest
from lab_lib import addresses as at
from lab_lib.config import THREE_BACKENDS, Access, Config
from lab_lib.site import Site

from helpers import WAY_NAMES, WAYS, Download

SAMPLED = {"web-v4", "web-nat-v6", "web-dsr-v4", "web-ipip-v6", "web-gue-v4"}  # each mode once; tier full runs all
STALL_MS = 100
SNAPSHOTS = 20


def sampled(names: set[str]) -> list:
    return [pytest.param(access, family, id=name, marks=[] if name in names else [pytest.mark.tier("full")])
            for (access, family), name in zip(WAYS, WAY_NAMES)]


@pytest.mark.parametrize("access,family", sampled(SAMPLED))
def test_200_mb_arrive_whole(site: Site, access: Access, family: int) -> None:
    expected = site.servers.blob_sha256("200m")
    with Download(site, at.url(at.front(access.number, family), "/blob/200m")) as download:
        result = download.finish()
    assert result["error"] == ""
    assert result["sha256"] == expected


@pytest.mark.parametrize("access,family", sampled({"web-v4", "web-nat-v6"}))
def test_20_snapshots_during_a_download_neither_reset_nor_stall_it(site: Site, access: Access, family: int) -> None:
    expected = site.servers.blob_sha256("100m")
    weights = [tuple(dataclasses.replace(backend, weight=weight) for backend in THREE_BACKENDS) for weight in (2, 1)]
    with Download(site, at.url(at.front(access.number, family), "/blob/100m"), limit_rate="20m") as download:
        for push in range(SNAPSHOTS):
            site.box.reload(Config().with_pool(backends=weights[push % 2]))
        assert download.process.poll() is None, "the download ended before the last snapshot"
        result = download.finish()
    assert result["error"] == ""
    assert result["sha256"] == expected
    assert result["stall_ms"] < STALL_MS + result["scheduling_ms"], result
