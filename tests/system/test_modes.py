"""Every mode, encapsulation and family, with TCP, UDP, DNS and ping."""
from __future__ import annotations

import ipaddress

import pytest
from lab_lib import addresses as at
from lab_lib.config import Access
from lab_lib.site import Site

from helpers import WAY_NAMES, WAYS, dns_name, ping, spread, udp_echo

every_way = pytest.mark.parametrize("access,family", WAYS, ids=WAY_NAMES)


@every_way
def test_http_reaches_each_backend_evenly(site: Site, access: Access, family: int) -> None:
    answers = spread(site.answers(at.url(at.front(access.number, family)), 12))
    assert answers == {"web1": 4, "web2": 4, "web3": 4}


@every_way
def test_the_server_sees_the_right_client(site: Site, access: Access, family: int) -> None:
    seen = site.curl(at.url(at.front(access.number, family), "/client")).stdout.strip()
    if access.mode == "FULL_NAT":
        assert ipaddress.ip_address(seen) in ipaddress.ip_network(at.LOCAL[0 if family == 4 else 1])
    else:
        assert seen == at.front(at.CLIENT_NUMBER, family)


@every_way
def test_udp_echo_comes_back(site: Site, access: Access, family: int) -> None:
    assert udp_echo(site, at.front(access.number, family), f"hello {access.name}\n") == f"hello {access.name}\n"


@every_way
def test_dns_is_answered_by_every_server(site: Site, access: Access, family: int) -> None:
    names = [dns_name(site, at.front(access.number, family)) for _ in range(6)]
    assert spread(names) == {"web1": 2, "web2": 2, "web3": 2}


@every_way
def test_ping_is_answered(site: Site, access: Access, family: int) -> None:
    assert ping(site, at.front(access.number, family)) == 3


@every_way
def test_an_upload_of_full_segments_arrives_whole(site: Site, access: Access, family: int) -> None:
    """Towards a tunnel these packets are too large: MSS clamping or ICMP too-big must make them fit."""
    url = at.url(at.front(access.number, family), "/upload")
    answer = site.curl(url, "--data-binary", f"@{site.servers.blob_file('3m')}", timeout=20).stdout.strip()
    assert answer == site.servers.blob_sha256("3m")


def test_the_kernel_of_the_box_answers_on_its_own_address_beside_the_dataplane(site: Site) -> None:
    assert ping(site, at.front(at.BOX_NUMBER)) == 3
    assert ping(site, at.front(at.BOX_NUMBER, 6)) == 3
