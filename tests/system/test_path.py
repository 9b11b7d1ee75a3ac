"""The path between: traceroute, path MTU, fragments and ICMP errors, with a client behind a router and a small link."""
from __future__ import annotations

import json

import pytest
from lab_lib import addresses as at
from lab_lib.site import Site

from helpers import Download, sniffing, udp_echo

SITE = {"far": True}
FAMILIES = pytest.mark.parametrize("family", [4, 6])
SMALL_LINK = 1300


@FAMILIES
def test_traceroute_by_tcp_ends_at_the_service_address(site: Site, family: int) -> None:
    done = site.exec("far", "traceroute", f"-{family}", "-n", "-q1", "-w2", "-m5", "-T", "-p80", at.front(100, family))
    hops = [line.split()[1] for line in done.stdout.splitlines()[1:]]
    assert hops[0] == at.far(1, family)
    assert hops[-1] == at.front(100, family), done.stdout


@FAMILIES
def test_traceroute_by_udp_ends_at_the_service_address(site: Site, family: int) -> None:
    done = site.exec("far", "traceroute", f"-{family}", "-n", "-q1", "-w2", "-m5", at.front(100, family))
    assert done.stdout.splitlines()[-1].split()[1] == at.front(100, family), done.stdout


@FAMILIES
def test_tracepath_finds_the_small_link(site: Site, family: int) -> None:
    done = site.exec("client", "tracepath", f"-{family}", "-n", "-m5", at.front(100, family), check=False, timeout=30)
    assert at.front(100, family) in done.stdout and "pmtu 1500" in done.stdout, done.stdout


@FAMILIES
@pytest.mark.parametrize("number", [100, 101], ids=["full_nat", "nat"])
def test_a_server_learns_of_a_small_link_by_the_translated_icmp_error(site: Site, number: int, family: int) -> None:
    """The far client offers full-size segments over a link of 1300 bytes: without the router's error nothing large arrives."""
    expected = site.servers.blob_sha256("3m")
    with Download(site, at.url(at.front(number, family), "/blob/3m"), host="far") as download:
        result = download.finish(40)
    assert (result["error"], result["sha256"]) == ("", expected), result


@FAMILIES
@pytest.mark.parametrize("number", [100, 101, 102, 103, 104], ids=["full_nat", "nat", "dsr", "ipip", "gue"])
def test_a_fragmented_datagram_is_echoed(site: Site, number: int, family: int) -> None:
    """Fragments small enough for the outer headers of a tunnel."""
    payload = "0123456789" * 400
    host = at.front(number, family)
    site.network.ip("client", f"-{family}", "route", "add", host, "dev", "eth0", "mtu", "1400")
    try:
        assert udp_echo(site, host, payload) == payload
    finally:
        site.network.ip("client", f"-{family}", "route", "del", host)


@pytest.mark.parametrize("number", [103, 104], ids=["ipip", "gue"])
def test_a_client_learns_by_icmp_that_a_tunnel_takes_less(site: Site, number: int) -> None:
    """The first datagram of full-size fragments is answered with packet too big, the next one fits."""
    payload = "0123456789" * 400
    assert payload in [udp_echo(site, at.front(number, 6), payload) for _ in range(3)]


FRAGMENTS = """
import json, sys
from scapy.all import ICMP, IP, UDP, AsyncSniffer, Raw, conf, fragment, send
conf.verb = 0
target, order = sys.argv[1], sys.argv[2]
payload = bytes(range(256)) * 12
pieces = fragment(IP(dst=target, id=4711) / UDP(sport=45454, dport=7) / Raw(payload), fragsize=800)
if order == "reversed":
    pieces.reverse()
elif order == "without_first":
    pieces = pieces[1:]
elif order == "twice":
    pieces = [piece for piece in pieces for _ in (0, 1)]
sniffer = AsyncSniffer(iface="eth0", filter=f"src host {target} and (udp or ip[6:2] & 0x1fff != 0)", timeout=2, started_callback=lambda: send(pieces))
sniffer.start()
sniffer.join()
print(json.dumps(sum(len(bytes(packet[IP].payload)) for packet in sniffer.results)))
"""


@pytest.mark.parametrize("order,answered", [("in order", True), ("reversed", True), ("twice", True), ("without_first", False)])
def test_fragments_in_any_order_follow_their_first_one(site: Site, order: str, answered: bool) -> None:
    done = site.exec("client", "/usr/bin/python3", "-c", FRAGMENTS, at.front(100), order, timeout=30)
    echoed = json.loads(done.stdout.splitlines()[-1])
    assert (echoed >= 256 * 12 + 8) is answered, echoed


@FAMILIES
@pytest.mark.parametrize("number", [100, 101], ids=["full_nat", "nat"])
def test_an_icmp_error_of_the_client_reaches_the_server_it_quotes(site: Site, number: int, family: int) -> None:
    """Nobody on the client listens for the echo: its kernel says port unreachable, quoting the service address. (Closing a
    socket after sending is a race with the echo, which a busy machine loses.)"""
    script = f"""
import socket, struct
raw = socket.socket(socket.AF_INET{6 if family == 6 else ''}, socket.SOCK_RAW, socket.IPPROTO_UDP)
if {family} == 6:
    raw.setsockopt(socket.IPPROTO_IPV6, 7, 6)  # IPV6_CHECKSUM: the kernel writes it at offset 6
for port in range(45460, 45466):
    raw.sendto(struct.pack("!HHHH", port, 7, 9, 0) + b"x", ("{at.front(number, family)}", 0))
"""
    expression = "icmp[0] = 3 and icmp[1] = 3" if family == 4 else "icmp6 and ip6[40] = 1"
    with sniffing(site, "web1", "eth0", expression, until="unreachable") as seen:
        site.exec("client", "/usr/bin/python3", "-c", script)
    assert any("unreachable" in line and at.web("web1", family) in line for line in seen), seen
