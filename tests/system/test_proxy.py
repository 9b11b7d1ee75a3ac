"""TCP_PROXY services as clients meet them: connections end in the box, and go on to nginx and to plain sockets. The dataplane runs
alone (bare.py).
"""
from __future__ import annotations

import hashlib
import subprocess
import time
from typing import Any, Iterator

import pytest
from lab_lib import addresses as at
from lab_lib.shell import wait_for
from lab_lib.site import Site

from bare import apply, bare_site, networks

PROXY = at.front(120)
TEN_MB = 10_000_000
SNAPSHOT = networks() + """
pool { id: 1 name: "web" algorithm: ROUND_ROBIN
  backend { id: 11 name: "web1" address: "10.10.0.21" weight: 1 }
  backend { id: 12 name: "web2" address: "10.10.0.22" weight: 1 }
  backend { id: 13 name: "web3" address: "10.10.0.23" weight: 1 } }
pool { id: 2 name: "plain" algorithm: ROUND_ROBIN
  backend { id: 21 name: "plain1" address: "10.10.0.21" port: 9001 weight: 1 } }
service { id: 1 name: "web" address: "192.0.2.120" port: 80 protocol: TCP_PROXY mode: FULL_NAT pool_id: 1
          proxy { connect_timeout_ms: 500 } }
service { id: 2 name: "plain" address: "192.0.2.120" port: 9000 protocol: TCP_PROXY mode: FULL_NAT pool_id: 2
          proxy { SETTINGS } }
pool { id: 3 name: "http" algorithm: ROUND_ROBIN
  backend { id: 31 name: "web1" address: "10.10.0.21" port: 80 weight: 1 }
  backend { id: 32 name: "web2" address: "10.10.0.22" port: 80 weight: 1 } }
service { id: 3 name: "http" address: "192.0.2.120" port: 8080 protocol: HTTP mode: FULL_NAT pool_id: 3
  http { cookie { name: "SRV" } route { id: 1 name: "old" path_prefix: "/old" redirect { status: 302 path: "/new" } } } }
cookie_key: "0123456789abcdef"
"""


def snapshot(settings: str = "") -> str:
    return SNAPSHOT.replace("SETTINGS", settings)


@pytest.fixture(scope="module", params=["af_xdp", "af_packet"])
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    with bare_site(request, snapshot(), box={"port_kind": request.param}) as site:
        wait_for(lambda: site.curl(at.url(PROXY), check=False, timeout=1).returncode == 0, "the first answer", 20, 0.2)
        yield site


def server(site: Site, code: str) -> subprocess.Popen[str]:
    """A program in web1's namespace; `s` is its listening socket on port 9001, `c` what it accepted. Its output is the answer."""
    text = ("import socket, struct, hashlib\ns = socket.create_server(('', 9001))\nprint('ready', flush=True)\n"
            "c, _ = s.accept()\n" + code)
    process = site.popen("web1", "/usr/bin/python3", "-c", text, stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def client(site: Site, code: str) -> str:
    text = f"import socket, struct, hashlib, time\nc = socket.create_connection(('{PROXY}', 9000), 5)\nc.settimeout(20)\n" + code
    return site.exec("client", "/usr/bin/python3", "-c", text).stdout


READ_ALL = "h = hashlib.sha256(); n = 0\nwhile b := c.recv(65536):\n  h.update(b); n += len(b)\nprint(n, h.hexdigest())\n"


def stats(site: Site, name: str) -> Any:
    return next(entry for entry in site.box.api.call("Stats").service if entry.name == name)


def test_pages_come_from_every_backend(site: Site) -> None:
    assert len(set(site.answers(at.url(PROXY), 6))) == 3


def test_ten_megabytes_are_equal_both_ways(site: Site) -> None:
    def digest(host: str, address: str) -> str:
        return site.exec(host, "sh", "-c", f"curl -sS --max-time 60 {at.url(address, '/blob/10m')} | sha256sum").stdout

    assert digest("client", PROXY) == digest("net", at.web("web1"))
    process = server(site, READ_ALL + "c.sendall(b'd' * 10_000_000); c.close()\n")
    said = client(site, "import random\nr = random.Random(1).randbytes(10_000_000)\nc.sendall(r)\nc.shutdown(socket.SHUT_WR)\n"
                        "print(hashlib.sha256(r).hexdigest())\n" + READ_ALL)
    sent, received = said.splitlines()
    got = process.communicate(timeout=30)[0].split()
    assert got == [str(TEN_MB), sent]
    assert received == f"{TEN_MB} {hashlib.sha256(b'd' * TEN_MB).hexdigest()}"


def test_a_half_closed_client_still_gets_the_answer(site: Site) -> None:
    process = server(site, "data = b''\nwhile b := c.recv(100):\n  data += b\nc.sendall(b'you said ' + data); c.close()\n")
    answer = site.exec("client", "socat", "-t10", "-", f"TCP:{PROXY}:9000", stdin="hello").stdout
    process.wait(10)
    assert answer == "you said hello"


RESET = "c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)); c.close()\n"
SEE_RESET = "try:\n  print('end' if not c.recv(1) else 'data')\nexcept ConnectionResetError:\n  print('reset')\n"


def test_a_reset_is_carried_over_both_ways(site: Site) -> None:
    process = server(site, "c.recv(1)\n" + RESET)
    assert client(site, "c.sendall(b'x')\n" + SEE_RESET) == "reset\n"
    process.wait(10)
    process = server(site, "c.recv(1)\n" + SEE_RESET)
    client(site, "c.sendall(b'x')\ntime.sleep(0.3)\n" + RESET)
    assert process.communicate(timeout=10)[0] == "reset\n"


def test_another_backend_is_tried_when_one_is_down(site: Site) -> None:
    site.exec("web2", "ip", "addr", "del", f"{at.web('web2')}/24", "dev", "eth0")
    try:
        answers = [site.curl(at.url(PROXY), timeout=10).stdout for _ in range(6)]
        assert len(set(answers)) == 2
    finally:
        site.exec("web2", "ip", "addr", "add", f"{at.web('web2')}/24", "dev", "eth0")


def test_an_idle_session_ends(site: Site) -> None:
    apply(site, 2, snapshot("idle_timeout_s: 2"))
    process = server(site, SEE_RESET)
    began = time.monotonic()
    assert client(site, SEE_RESET) == "reset\n"
    assert 1.5 < time.monotonic() - began < 10
    assert process.communicate(timeout=10)[0] == "reset\n"


def test_a_session_is_listed_timed_and_can_be_ended(site: Site) -> None:
    def timed(name: str) -> int:
        return sum(getattr(stats(site, "plain").sessions, name).count)

    def resets() -> int:
        return next(entry for entry in site.box.api.call("Stats").backend if entry.id == 21).resets

    connects, totals, before = timed("connect"), timed("total"), resets()
    process = server(site, "c.recv(1)\n" + SEE_RESET)
    code = f"import socket\nc = socket.create_connection(('{PROXY}', 9000), 5)\nc.settimeout(20)\nc.sendall(b'x')\n" + SEE_RESET
    waiting = site.popen("client", "/usr/bin/python3", "-c", code, stdout=subprocess.PIPE)
    relaying = lambda: [entry for entry in site.box.api.call("ListConnections", service_id=2).connection if entry.stage == "relaying"]
    wait_for(relaying, "a session", 5, 0.05)
    session = relaying()[0]
    assert session.backend_id == 21 and session.client.own == f"{PROXY}:9000" and session.backend.peer == f"{at.web('web1')}:9001"
    assert session.address.startswith(at.front(at.CLIENT_NUMBER)) and session.client.state == "ESTABLISHED"
    for fields in ({"service_id": 1}, {"backend_id": 11}, {"client": "203.0.113.0/24"}, {"protocol": 4}, {"protocol": 2}):
        assert not site.box.api.call("ListConnections", **fields).connection, fields
    assert site.box.api.call("ClearSessions", service_id=1).cleared == 0
    assert site.box.api.call("ClearSessions", backend_id=21).cleared == 1
    assert waiting.communicate(timeout=10)[0] == "reset\n"
    assert process.communicate(timeout=10)[0] == "reset\n"
    wait_for(lambda: timed("total") == totals + 1, "the session's time", 3, 0.05)
    assert timed("connect") == connects + 1
    assert resets() == before, "an operator's end is no fault of the backend's"


def test_requests_are_counted_listed_and_explained(site: Site) -> None:
    url = f"http://{PROXY}:8080/"
    before = stats(site, "http").http.response[2]
    names = site.exec("client", "curl", "-sS", "--max-time", "10", *[url] * 4).stdout.split()
    assert sorted(names) == ["web1", "web1", "web2", "web2"]
    http = stats(site, "http").http
    assert http.response[2] == before + 4 and {entry.name: entry.count for entry in http.end}["complete"] >= 4
    assert sum(stats(site, "http").sessions.first_byte.count) >= 4
    kept = [entry for entry in site.box.api.call("ListConnections", service_id=3).connection if entry.stage == "kept"]
    assert {entry.backend.peer for entry in kept} == {f"{at.web(name)}:80" for name in ("web1", "web2")}

    def explained(**question: Any) -> tuple[Any, str]:
        reply = site.box.api.call("Explain", protocol="tcp", source=at.front(at.CLIENT_NUMBER), source_port=40000, destination=PROXY,
                                  destination_port=8080, http=question)
        return reply, "\n".join(f"{step.stage}: {step.text}" for step in reply.step)

    reply, text = explained(target="/x?y", header=["X-Forwarded-For: 6.6.6.6"])
    assert "sent: GET /x?y HTTP/1.1" in text and f"sent: X-Forwarded-For: {at.front(at.CLIENT_NUMBER)}" in text, text
    assert reply.backend_id in (31, 32) and site.curl(url).stdout.strip() == {31: "web1", 32: "web2"}[reply.backend_id]
    assert f"answer: 302 to http://{PROXY}:8080/new" in explained(target="/old/z")[1]
    assert "refused, above_root" in explained(target="/../z")[1]
    assert site.box.api.call("ClearSessions", service_id=3).unused_connections == 2
