"""The console as an operator types it: names of the configuration, and captures that can be read."""
from __future__ import annotations

import re
import threading
from typing import Iterator

import pytest
from lab_lib import addresses as at
from lab_lib.shell import wait_for
from lab_lib.site import Site

from helpers import WEB, WEB6, hold


@pytest.fixture(scope="module")
def held(site: Site) -> Iterator[None]:
    """Six connections of each family, so two to each backend."""
    holders = [hold(site, 6, family) for family in (4, 6)]
    yield
    for holder in holders:
        holder.communicate()


def flows(site: Site, *filters: str) -> list[list[str]]:
    """Client and backend of each TCP flow that `show flows` prints."""
    lines = site.box.cli("show", "flows", "--protocol", "tcp", "--limit", "1000", *filters).stdout.splitlines()[1:]
    return [[line.split()[1], line.split()[3]] for line in lines if "established" in line.lower()]


def test_a_service_name_means_both_families(site: Site, held: None) -> None:
    wait_for(lambda: len(flows(site, "--service", "web")) == 12, "twelve flows", 5)
    assert len(flows(site, "--service", "web/v6")) == 6


def test_a_backend_name_means_every_pool_and_family(site: Site, held: None) -> None:
    for name in ("web1", "web/web1"):
        found = flows(site, "--service", "web", "--backend", name)
        assert len(found) == 4, found
        assert {at.web("web1", 4) in backend for _, backend in found} == {True, False}
    assert len(flows(site, "--service", "web", "--backend", "web/v4/web1")) == 2
    assert flows(site, "--service", "web", "--backend", "web-v4/web1") == []


def test_clear_refuses_a_name_of_several_pools_and_takes_one(site: Site, held: None) -> None:
    refused = site.box.cli("clear", "flows", "--backend", "web1", check=False)
    assert refused.returncode == 1
    assert "several backends are named 'web1'" in refused.stderr
    assert all(entry in refused.stderr for entry in ("web/web1", "web-v4/web1", "web-v6/web1")), refused.stderr
    assert len(flows(site, "--service", "web")) == 12
    assert "flows cleared" in site.box.cli("clear", "flows", "--backend", "web/web1", "--protocol", "tcp").stdout
    assert len(flows(site, "--service", "web", "--backend", "web2")) == 4
    assert flows(site, "--service", "web", "--backend", "web1") == []


@pytest.mark.parametrize("url,ends", [(WEB, r"192\.0\.2\.10:\d+ > 192\.0\.2\.100:80"),
                                      (WEB6, r"\[2001:db8:1::10\]:\d+ > \[2001:db8:1::100\]:80")], ids=["v4", "v6"])
def test_a_capture_says_who_talks_to_whom(site: Site, url: str, ends: str) -> None:
    capture = threading.Thread(target=lambda: printed.append(
        site.box.cli("capture", "--port", "80", "--count", "1000", "--seconds", "2").stdout))
    printed: list[str] = []
    capture.start()
    while capture.is_alive():
        site.curl(url)
    syn = re.compile(r"\d\d:\d\d:\d\d\.\d{6} tcp " + ends + r" SYN \d+ bytes, front, worker 0: forwarded")
    assert any(syn.fullmatch(line) for line in printed[0].splitlines()), printed[0][-2000:]
