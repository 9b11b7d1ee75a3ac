"""HTTP services between clients and servers of other people: curl, wrk, h2load, ab and python3-requests in front; nginx, Apache and Node
behind; WebSocket; much data with bounded memory; and a backend that does everything wrong (nasty_server.py).
"""
from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from typing import Callable, Iterator

import pytest
from lab_lib import addresses as at
from lab_lib.shell import wait_for
from lab_lib.site import Site

from bare import bare_site, networks
from helpers import HERE, PYTHON, RequestLoad
from memory import MB, Memory
from results import Table

NUMBER = 120
# Name, host, port of the server; the service has the same port, but for nginx.
BACKENDS = {"nginx": ("web1", 80), "apache": ("web2", 8002), "node": ("web3", 8003), "nasty": ("web2", 8004), "websocket": ("web3", 8005)}
PORTS = {name: 8001 if name == "nginx" else port for name, (_, port) in BACKENDS.items()}
REQUESTS, AT_ONCE = 600, 10
RESPONSE_TIMEOUT_S = 1
SIZES = {"quick": "64m", "default": "200m", "full": "1g"}  # of what is uploaded and downloaded
GROWTH_MB = 48  # of the dataplane's resident memory: far less than what passes through it

SERVICE = """
pool {{ id: {id} name: "{name}" algorithm: ROUND_ROBIN backend {{ id: {id} name: "{host}" address: "{address}" port: {behind} weight: 1 }} }}
service {{ id: {id} name: "{name}" address: "{front}" port: {port} protocol: HTTP mode: FULL_NAT pool_id: {id}
          http {{ access_log: true response_timeout_s: {timeout} }} }}
"""
APACHE = """\
ServerRoot {home}
ServerName web2
PidFile {home}/apache.pid
ErrorLog {home}/error.log
User www-data
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so
Listen {port}
DocumentRoot {home}/www
MaxKeepAliveRequests 0
KeepAliveTimeout 60
"""

CLIENTS = Table("HTTP clients and backends", ("client", "backend", "requests", "failed", "per second"))
NASTY = Table("Backends that misbehave", ("what the backend does", "client got", "termination"))
BULK = Table("Much data, bounded memory", ("what", "bytes", "MB/s", "resident MB before", "most", "engine's memory MB, most", "of"))


def snapshot() -> str:
    return networks() + "".join(
        SERVICE.format(id=number, name=name, host=host, address=at.web(host), behind=port, front=at.front(NUMBER), port=PORTS[name],
                       timeout=RESPONSE_TIMEOUT_S if name == "nasty" else 30)
        for number, (name, (host, port)) in enumerate(BACKENDS.items(), 1))


def url(backend: str, path: str = "/") -> str:
    return at.url(at.front(NUMBER), path, PORTS[backend])


def start_apache(site: Site) -> None:
    home = site.run_dir / "apache"
    (home / "www").mkdir(parents=True)
    (home / "www" / "index.html").write_text("apache\n")
    (home / "apache.conf").write_text(APACHE.format(home=home, port=BACKENDS["apache"][1]))
    site.servers.spawn("web2", "apache", "apache2", "-D", "FOREGROUND", "-f", str(home / "apache.conf"))


@pytest.fixture(scope="module")
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    with bare_site(request, snapshot()) as site:
        start_apache(site)
        for name, program in (("node", ("node", str(HERE / "node_server.js"))), ("nasty", (PYTHON, str(HERE / "nasty_server.py"))),
                              ("websocket", (PYTHON, str(HERE / "websocket_peer.py"), "serve"))):
            host, port = BACKENDS[name]
            site.servers.spawn(host, name, *program, str(port))
        for host, port in BACKENDS.values():
            site.servers.wait_listening(host, f":{port} ")
        for name in ("nginx", "apache", "node"):
            wait_for(lambda: site.curl(url(name), check=False, timeout=1).returncode == 0, f"the first answer of {name}", 20, 0.2)
        yield site


# -- clients -------------------------------------------------------------------------------------------------------------


def curl(site: Site, address: str) -> tuple[int, int, float]:
    """Requests made, failed, and per second: on one connection."""
    done = site.exec("client", "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code} %{num_connects} %{time_total}\\n",
                     f"{address}?[1-{REQUESTS}]", timeout=60)
    lines = [line.split() for line in done.stdout.splitlines()]
    good = [line for number, line in enumerate(lines) if line[:2] == ["200", "0" if number else "1"]]
    return len(lines), len(lines) - len(good), len(lines) / sum(float(line[2]) for line in lines)


def found(pattern: str, text: str) -> float:
    match = re.search(pattern, text)
    assert match is not None, text
    return float(match[1])


def wrk(site: Site, address: str) -> tuple[int, int, float]:
    text = site.exec("client", "wrk", "-t1", f"-c{AT_ONCE}", "-d1s", address, timeout=60).stdout
    failed = "Socket errors" in text or "Non-2xx" in text
    return int(found(r"(\d+) requests in", text)), int(failed), found(r"Requests/sec:\s+([\d.]+)", text)


def h2load(site: Site, address: str) -> tuple[int, int, float]:
    text = site.exec("client", "h2load", "--h1", f"-n{REQUESTS}", f"-c{AT_ONCE}", address, timeout=60).stdout
    good = int(found(r"(\d+) 2xx", text))
    return REQUESTS, REQUESTS - min(good, int(found(r"(\d+) succeeded", text))), found(r"([\d.]+) req/s", text)


def ab(site: Site, address: str) -> tuple[int, int, float]:
    text = site.exec("client", "ab", "-q", "-k", "-n", str(REQUESTS), "-c", str(AT_ONCE), address, timeout=60).stdout
    failed = int(found(r"Failed requests:\s+(\d+)", text)) + ("Non-2xx" in text)
    assert found(r"Keep-Alive requests:\s+(\d+)", text) == REQUESTS, text
    return int(found(r"Complete requests:\s+(\d+)", text)), failed, found(r"Requests per second:\s+([\d.]+)", text)


REQUESTS_CODE = """
import requests, sys, time
session, began, failed = requests.Session(), time.monotonic(), 0
for number in range(int(sys.argv[2])):
    answer = session.get(sys.argv[1], timeout=10)
    failed += answer.status_code != 200 or not answer.text
print(failed, time.monotonic() - began)
"""


def python_requests(site: Site, address: str) -> tuple[int, int, float]:
    failed, seconds = site.exec("client", PYTHON, "-c", REQUESTS_CODE, address, str(REQUESTS // 3), timeout=60).stdout.split()
    return REQUESTS // 3, int(failed), REQUESTS // 3 / float(seconds)


@pytest.mark.parametrize("backend", ["nginx", "apache", "node"])
@pytest.mark.parametrize("client", [curl, wrk, h2load, ab, python_requests], ids=lambda client: client.__name__)
def test_each_client_gets_an_answer_to_each_request(site: Site, client: Callable, backend: str) -> None:
    made, failed, rate = client(site, url(backend))
    CLIENTS.add(client.__name__, backend, made, failed, rate)
    assert failed == 0 and made >= REQUESTS // 3


def test_websocket_messages_are_echoed(site: Site) -> None:
    address = url("websocket").replace("http:", "ws:")
    done = site.exec("client", PYTHON, str(HERE / "websocket_peer.py"), "talk", address, timeout=90)
    said = json.loads(done.stdout)
    CLIENTS.add("websockets", "websockets", 1, 0, 0.0)
    assert said == {"greeting": "hello", "text": True, "empty": True, "binary": True, "fragments": True, "ping": True, "order": True,
                    "close": [4321, "enough"]}


# -- much data -----------------------------------------------------------------------------------------------------------


def in_bounds(what: str, memory: Memory, moved: int, seconds: float) -> None:
    BULK.add(what, moved, moved / MB / seconds, memory.before, memory.most, memory.engine, memory.engine_max)
    assert memory.engine <= memory.engine_max
    assert memory.grown < GROWTH_MB, f"{memory.before:.0f} MB became {memory.most:.0f} MB"


def test_much_data_goes_down_in_bounded_memory(site: Site, request: pytest.FixtureRequest) -> None:
    size = SIZES[request.config.getoption("--tier")]
    site.curl(url("nginx", "/blob/1m"), "-o", "/dev/null")  # memory that is used once and kept
    expected, length = site.servers.blob_sha256(size), site.servers.blob_file(size).stat().st_size
    command = f"curl -sS --max-time 300 -w '%{{stderr}}%{{time_total}}' {url('nginx', f'/blob/{size}')} | sha256sum"
    with Memory(site) as memory:
        done = site.exec("client", "bash", "-c", command, timeout=320)
    assert done.stdout.split()[0] == expected
    in_bounds("download", memory, length, float(done.stderr))


def test_much_data_goes_up_in_bounded_memory(site: Site, request: pytest.FixtureRequest) -> None:
    size = SIZES[request.config.getoption("--tier")]
    file = site.servers.blob_file(size)
    with Memory(site) as memory:
        done = site.exec("client", "curl", "-sS", "--max-time", "300", "-w", "%{time_total}", "-T", str(file), url("node", "/up"), timeout=320)
    digest, seconds = done.stdout.split()
    assert digest == site.servers.blob_sha256(size)
    in_bounds("upload", memory, file.stat().st_size, float(seconds))


def test_a_slow_reader_does_not_make_the_box_hold_the_rest(site: Site) -> None:
    """Twenty clients that hardly read, from a server that sends as fast as it may."""
    address = url("node", f"/bytes/{200 * MB}")
    with Memory(site) as memory:
        slow = [site.popen("client", "curl", "-sS", "--limit-rate", "50k", "--max-time", "4", "-o", "/dev/null", address) for _ in range(20)]
        for client in slow:
            client.wait(20)
    in_bounds("20 slow readers", memory, 20 * 200_000, 4.0)
    assert site.curl(url("node")).stdout == "node\n"


# -- backends that misbehave ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Expected:
    status: str
    termination: str
    cut: bool = False  # the client is told by a reset that it does not have all


GATEWAY = Expected("502", "backend_malformed")
CLOSED = Expected("502", "backend_closed")
CUT = Expected("200", "backend_closed", cut=True)
NASTY_EXPECTED = {
    "close-at-once": CLOSED, "close-in-head": CLOSED, "reset-at-once": CLOSED,
    "close-in-body": CUT, "close-in-chunk": CUT, "close-without-last-chunk": CUT, "reset-in-body": CUT,
    "hang": Expected("504", "backend_timeout"), "hang-in-head": Expected("504", "backend_timeout"),
    "hang-in-body": Expected("200", "backend_timeout", cut=True),
    "twice": Expected("200", "complete"), "late": Expected("200", "complete"),
    "bad-chunk": Expected("200", "backend_malformed", cut=True),
    **dict.fromkeys(("garbage", "bare-lf", "two-lengths", "length-and-chunked", "status-999", "version-2", "header-without-colon",
                     "unasked-upgrade", "endless-headers", "endless-line", "endless-interim"), GATEWAY),
}


def access_lines(site: Site, path: str) -> list[str]:
    log = site.box.home / "access.log"
    return [line for line in log.read_text().splitlines() if f'"GET {path} ' in line] if log.exists() else []


def ask_nasty(site: Site, names: list[str]) -> dict[str, tuple[str, int]]:
    """Status and exit code of curl for each, all at once."""
    running = {name: site.popen("client", "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "20", url("nasty", f"/{name}"))
               for name in names}
    return {name: (process.communicate(timeout=30)[0], process.returncode) for name, process in running.items()}


def connections_of_nasty(site: Site) -> list[list[str]]:
    return json.loads(site.curl(url("nasty", "/report")).stdout)


def check_nasty(site: Site, name: str, status: str, code: int) -> None:
    expected = NASTY_EXPECTED[name]
    lines = wait_for(lambda: access_lines(site, f"/{name}"), f"the access line of /{name}", 5, 0.1)
    row = (name, status + (" and a cut connection" if code else ""), re.search(r"[\d-]+/[\d-]+/[\d-]+/[\d-]+ (\S+)", lines[-1])[1])
    if row not in NASTY.rows:
        NASTY.add(*row)
    # A reset may overtake what was sent before it, the status line too.
    assert (status == expected.status or expected.cut and status == "000") and bool(code) == expected.cut, f"/{name}: {status}, curl ended with {code}: {lines[-1]}"
    assert f" {expected.termination}" in lines[-1], lines[-1]


def test_what_a_nasty_backend_does_is_said_and_hurts_nobody_else(site: Site) -> None:
    names = [name for name in NASTY_EXPECTED if name != "late"]
    load = RequestLoad(site, [url("nasty", "/good"), url("nginx")], rate=50)
    for _ in range(2):
        for name, (status, code) in ask_nasty(site, names).items():
            check_nasty(site, name, status, code)
    others = load.finish()
    NASTY.note(f"beside them {others['made']} good requests, {len(others['failed'])} failed, the slowest took {others['slowest_ms']:.0f} ms")
    assert not others["failed"] and others["made"] > 20, others
    for paths in connections_of_nasty(site):
        assert all(path in ("/good", "/report") for path in paths[:-1]), f"a connection was used again: {paths}"


def test_bytes_that_nobody_asked_for_end_an_idle_connection(site: Site) -> None:
    (status, code), = ask_nasty(site, ["late"]).values()
    check_nasty(site, "late", status, code)
    time.sleep(0.3)  # the server says them 0.1 s after its answer
    assert site.curl(url("nasty", "/good")).stdout == "good\n"
    assert all("/late" not in paths[:-1] for paths in connections_of_nasty(site)), connections_of_nasty(site)
