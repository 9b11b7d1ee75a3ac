"""The web servers' own traffic in nat mode: they run curl and dig outward through the box."""
from __future__ import annotations

from typing import Callable

import pytest
from lab_lib import addresses as at
from lab_lib.config import Config
from lab_lib.site import Site

from helpers import dns_name, ping

SITE = {"client_servers": True}
SNAT_NUMBER = 120
FAMILIES = pytest.mark.parametrize("family", [4, 6])


def seen_by_client(site: Site, family: int) -> str:
    """The address from which web1 reaches the client's web server; empty when it does not."""
    url = at.url(at.front(at.CLIENT_NUMBER, family), "/client")
    return site.curl(url, host="web1", check=False, timeout=2).stdout.strip()


@FAMILIES
def test_by_default_it_is_dropped_and_counted(site: Site, family: int) -> None:
    before = site.box.api.drops()
    assert seen_by_client(site, family) == ""
    after = site.box.api.drops()
    assert any("egress" in reason and count > before.get(reason, 0) for reason, count in after.items()), after


@FAMILIES
def test_route_keeps_the_servers_address(site: Site, configure: Callable[[Config], None], family: int) -> None:
    configure(Config(egress="ROUTE"))
    assert seen_by_client(site, family) == at.web("web1", family)
    assert dns_name(site, at.front(at.CLIENT_NUMBER, family), host="web1") == "client"
    assert ping(site, at.front(at.CLIENT_NUMBER, family), host="web1") == 3


@FAMILIES
def test_snat_hides_it_behind_an_address_of_the_box(site: Site, configure: Callable[[Config], None], family: int) -> None:
    configure(Config(egress="SNAT", snat=(SNAT_NUMBER,)))
    assert seen_by_client(site, family) == at.front(SNAT_NUMBER, family)
    assert dns_name(site, at.front(at.CLIENT_NUMBER, family), host="web1") == "client"
    assert ping(site, at.front(at.CLIENT_NUMBER, family), host="web1") == 3
