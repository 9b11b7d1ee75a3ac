"""HTTP services as clients meet them: the lab's web-http, with real curl and nginx, configured by the console."""
from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import tarfile
import time
from pathlib import Path
from typing import Any, Iterator

import pytest
from lab_lib import addresses as at
from lab_lib.shell import wait_for
from lab_lib.site import Site

from helpers import script

HTTP = f"http://{at.front(100)}:8080"
HTTP6 = f"http://[{at.front(100, 6)}]:8080"
RELAYED = f"http://{at.front(100)}:8081"
PYTHON = "/usr/bin/python3"


def set_http(site: Site, *lines: str) -> None:
    script(site, *(f"set service web-http http {line}" for line in lines), "commit")


def take_back(site: Site) -> None:
    script(site, "delete service web-http http", "commit", check=False)


def says(site: Site, data: str) -> str:
    """What comes back on one connection for these bytes, until the box closes."""
    code = ("import socket, sys\nc = socket.create_connection((sys.argv[1], 8080), 5)\nc.settimeout(10)\n"
            "c.sendall(sys.argv[2].encode().decode('unicode_escape').encode('latin1'))\n"
            "data = b''\nwhile part := c.recv(65536):\n  data += part\nprint(data.decode('latin1'))\n")
    return site.exec("client", PYTHON, "-c", code, at.front(100), data).stdout


def test_requests_of_one_connection_alternate_over_backends(site: Site) -> None:
    for base in (HTTP, HTTP6):
        done = site.exec("client", "curl", "-sS", "--max-time", "20", "-w", "%{num_connects}\\n", *[f"{base}/"] * 6)
        words = done.stdout.split()
        names, connects = words[::2], words[1::2]
        assert connects == ["1", "0", "0", "0", "0", "0"]
        assert sorted(names) == sorted([*at.WEB_SERVERS] * 2)
        assert all(names[i] != names[i + 1] for i in range(5))


def test_bodies_arrive_whole_both_ways(site: Site) -> None:
    def digest(host: str, url: str) -> str:
        return site.exec(host, "sh", "-c", f"curl -sS --max-time 60 '{url}' | sha256sum").stdout.split()[0]

    expected = digest("net", at.url(at.web("web1"), "/blob/20m"))
    assert digest("client", f"{HTTP}/blob/20m") == expected
    assert digest("client", f"{RELAYED}/blob/20m") == expected
    # An upload of known and one of unknown length (chunked).
    make = f"curl -sS --max-time 60 {at.url(at.web('web1'), '/blob/5m')} > /tmp/hg-upload"
    for how in ("-H 'Expect:' --data-binary @/tmp/hg-upload", "-H 'Transfer-Encoding: chunked' --data-binary @/tmp/hg-upload"):
        site.exec("net", "sh", "-c", make)
        answer = site.exec("client", "sh", "-c", f"curl -sS --max-time 60 {how} {HTTP}/upload; rm -f /tmp/hg-upload").stdout
        assert digest("net", at.url(at.web("web1"), "/blob/5m")) in answer


def test_an_ambiguous_request_is_refused_and_reaches_no_backend(site: Site) -> None:
    answer = says(site, "POST / HTTP/1.1\\r\\nHost: a\\r\\nContent-Length: 3\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n\\r\\n")
    assert answer.startswith("HTTP/1.1 400 ") and "Connection: close" in answer
    assert says(site, "GET / HTTP/1.1\\r\\nHost: a\\r\\nHost: b\\r\\n\\r\\n").startswith("HTTP/1.1 400 ")
    assert says(site, "CONNECT a:80 HTTP/1.1\\r\\nHost: a:80\\r\\n\\r\\n").startswith(("HTTP/1.1 405 ", "HTTP/1.1 501 ", "HTTP/1.1 400 "))
    # Pipelined ones are answered in order.
    two = says(site, "GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\nGET /none HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n")
    assert two.index("HTTP/1.1 200 ") < two.index("HTTP/1.1 404 ")


def test_routes_come_with_a_commit_and_connections_stay(site: Site) -> None:
    code = ("import http.client, sys, time\nc = http.client.HTTPConnection(sys.argv[1], 8080, timeout=10)\nc.connect()\n"
            "port = c.sock.getsockname()[1]\nend = time.monotonic() + 20\nseen = set()\n"
            "while time.monotonic() < end and 302 not in seen:\n  c.request('GET', '/old/x?q=1')\n  r = c.getresponse(); r.read()\n"
            "  seen.add(r.status)\n  place = r.getheader('Location')\n  same = c.sock is not None and c.sock.getsockname()[1] == port\n"
            "  time.sleep(0.05)\nprint(sorted(seen), place, same)\n")
    process = site.popen("client", PYTHON, "-c", code, at.front(100), stdout=-1)
    time.sleep(0.5)
    try:
        set_http(site, "route old path_prefix /old", "route old redirect status 302", "route old redirect path /new")
        assert process.communicate(timeout=30)[0].split("\n")[0] == f"[302, 404] {HTTP}/new True"
    finally:
        process.kill()
        take_back(site)


def test_the_access_log_tells_of_each_request(site: Site) -> None:
    log = site.box.home / "access.log"
    set_http(site, "access_log true")
    try:
        site.curl(f"{HTTP}/seen-by-the-log", check=False)
        wait_for(lambda: log.exists() and "/seen-by-the-log" in log.read_text(), "an access line", 5, 0.1)
        line = next(line for line in log.read_text().splitlines() if "/seen-by-the-log" in line)
        assert '"GET /seen-by-the-log HTTP/1.1" 404 ' in line and " complete " in line
        assert time.strftime("%d/%b/%Y", time.gmtime()) in line
    finally:
        take_back(site)


def test_no_backend_is_a_503_with_a_page_and_the_connection_stays(site: Site) -> None:
    for name in at.WEB_SERVERS:
        site.box.cli("backend", f"proxied/{name}", "disable")
    try:
        wait_for(lambda: site.curl(f"{HTTP}/", "-w", "%{http_code}", check=False).stdout.endswith("503"), "a 503", 5, 0.1)
        done = site.exec("client", "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code} %{num_connects}\\n", f"{HTTP}/", "-o", "/dev/null", f"{HTTP}/")
        assert done.stdout.split() == ["503", "1", "503", "0"]
    finally:
        for name in at.WEB_SERVERS:
            site.box.cli("backend", f"proxied/{name}", "enable")
    wait_for(lambda: site.curl(f"{HTTP}/", "-w", "%{http_code}", check=False).stdout.endswith("200"), "backends", 10, 0.1)


def http_stats(site: Site, service: str = "web-http/v4") -> Any:
    return next(entry for entry in site.box.api.call("Stats").service if entry.name == service)


def counted(site: Site, service: str = "web-http/v4") -> dict[str, int]:
    """All that is counted of one HTTP service, by name."""
    stats = http_stats(site, service)
    numbers = {entry.name: entry.count for entry in stats.http.counter}
    numbers |= {f"{kind}xx": count for kind, count in enumerate(stats.http.response) if kind}
    numbers |= {f"end_{entry.name}": entry.count for entry in stats.http.end}
    numbers |= {f"refused_{entry.name}": entry.count for entry in stats.http.refused}
    return numbers


def grown(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name, 0)}


def test_what_a_service_counts_is_what_its_clients_did(site: Site) -> None:
    def timed(name: str) -> int:
        return sum(getattr(http_stats(site).sessions, name).count)

    before, first_bytes, other = counted(site), timed("first_byte"), counted(site, "web-http/v6")
    site.exec("client", "curl", "-sS", "--max-time", "20", *[f"{HTTP}/"] * 5, f"{HTTP}/none")
    says(site, "GET / HTTP/1.1\\r\\nHost: a\\r\\nHost: b\\r\\n\\r\\n")
    more = grown(before, counted(site))
    assert {name: more.get(name, 0) for name in ("sessions", "requests", "2xx", "4xx", "end_complete", "end_refused", "refused_repeated_host")} == {
        "sessions": 2, "requests": 6, "2xx": 5, "4xx": 2, "end_complete": 6, "end_refused": 1, "refused_repeated_host": 1}, more
    assert more.get("dials", 0) + more.get("reuses", 0) == 6
    assert timed("first_byte") - first_bytes == 6, "the refused one asked no backend"
    assert http_stats(site).sessions.total.sum_us > 0
    assert grown(other, counted(site, "web-http/v6")) == {}, "IPv6 counts for itself"


def test_the_console_and_prometheus_say_what_is_counted(site: Site) -> None:
    site.exec("client", "curl", "-sS", *[f"{HTTP}/"] * 3)
    numbers = counted(site)
    assert re.search(rf"^web-http/v4 +{numbers['requests']} +{numbers['2xx']} ", site.box.cli("show", "http").stdout, re.MULTILINE)
    said = site.box.cli("show", "services", "web-http").stdout
    assert "web-http/v6" in said and re.search(rf"^requests +{numbers['requests']}  ", said, re.MULTILINE), said
    assert re.search(r"^first byte +\d+ +\S+s +\S+s +\S+s +\S+s$", said, re.MULTILINE), said
    assert re.search(r"^segments_in +\S+  ", site.box.cli("show", "tcp").stdout, re.MULTILINE)
    metrics = site.curl("http://127.0.0.1:9101/metrics", host="box-a").stdout
    assert f'headgate_http_requests_total{{service="web-http/v4"}} {numbers["requests"]}\n' in metrics
    assert re.search(r'^headgate_service_first_byte_seconds_count\{service="web-http/v4"\} [1-9]', metrics, re.MULTILINE)
    assert re.search(r'^headgate_service_connect_seconds_bucket\{service="web-http/v4",le="\+Inf"\} [1-9]', metrics, re.MULTILINE)
    assert re.search(r'^headgate_tcp_segments_in_total\{worker="0"\} [1-9]', metrics, re.MULTILINE)


HOLD = ("import socket, sys, time\nc = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)\n"
        "c.sendall(b'GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n')\nwhile b'\\r\\n\\r\\n' not in c.recv(65536): pass\n"
        "print(c.getsockname()[1], flush=True)\nc.settimeout(30)\n"
        "try:\n  print('end' if not c.recv(1) else 'data')\nexcept ConnectionResetError:\n  print('reset')\n")


@contextlib.contextmanager
def held(site: Site, port: int) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A client that has been served once and waits on; its process and its port."""
    process = site.popen("client", PYTHON, "-c", HOLD, at.front(100), str(port), stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield process, int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


def listed(site: Site, what: str, *filters: str) -> list[dict[str, Any]]:
    return json.loads(site.box.cli("show", what, *filters, "--json").stdout).get("connection", [])


def test_sessions_are_listed_by_filter(site: Site) -> None:
    with held(site, 8080) as (_, http_port), held(site, 8081) as (_, relay_port):
        mine = lambda entries, port: [entry for entry in entries if entry.get("address", "").endswith(f":{port}")]
        everything = listed(site, "sessions")
        http, relayed = mine(everything, http_port)[0], mine(everything, relay_port)[0]
        assert (http["protocol"], http["stage"], http["requests"]) == ("HTTP", "idle", 1)
        assert (relayed["protocol"], relayed["stage"]) == ("TCP_PROXY", "relaying")
        backend = relayed["backend"]["peer"].split(":")[0]
        name = next(name for name in at.WEB_SERVERS if at.web(name) == backend)
        for words, http_found, relay_found in (
                (("--protocol", "http"), 1, 0), (("--protocol", "tcp_proxy"), 0, 1), (("--service", "web-http"), 1, 0),
                (("--service", "web-proxy/v4"), 0, 1), (("--client", at.front(at.CLIENT_NUMBER)), 1, 1), (("--client", "203.0.113.0/24"), 0, 0),
                (("--client-port", str(http_port)), 1, 0), (("--backend", f"proxied/{name}"), 0, 1)):
            found = listed(site, "sessions", *words)
            assert (len(mine(found, http_port)), len(mine(found, relay_port))) == (http_found, relay_found), words
        # An HTTP session between two requests has no backend; the connection that served it is kept for the next one.
        rows = site.box.cli("show", "connections").stdout
        assert re.search(rf"^client +{at.front(at.CLIENT_NUMBER)}:{http_port} +ESTABLISHED +idle ", rows, re.MULTILINE), rows
        assert re.search(r"^backend +10\.10\.0\.2\d:80 +ESTABLISHED +kept ", rows, re.MULTILINE), rows
        assert re.search(rf"^backend +{backend}:80 +ESTABLISHED +relaying ", rows, re.MULTILINE), rows


def test_sessions_are_ended_by_filter_and_others_stay(site: Site) -> None:
    with held(site, 8080) as (first, first_port), held(site, 8080) as (second, second_port), held(site, 8081) as (relayed, _):
        before = counted(site)
        assert site.box.cli("clear", "sessions", check=False).returncode == 1, "not without a filter"
        assert site.box.cli("clear", "sessions", "--client-port", str(first_port)).stdout == "1 sessions cleared\n"
        assert first.communicate(timeout=10)[0] == "reset\n"
        assert site.box.cli("clear", "sessions", "--service", "web-proxy").stdout == "1 sessions cleared\n"
        assert relayed.communicate(timeout=10)[0] == "reset\n"
        assert second.poll() is None
        found = [entry["address"] for entry in listed(site, "sessions")]
        assert f"{at.front(at.CLIENT_NUMBER)}:{second_port}" in found and f"{at.front(at.CLIENT_NUMBER)}:{first_port}" not in found
        # Connections to a backend that wait for requests go with a filter that means them.
        assert "unused connections" in site.box.cli("clear", "sessions", "--service", "web-http").stdout
        assert second.communicate(timeout=10)[0] == "reset\n"
        kept = lambda: [entry for entry in listed(site, "connections", "--service", "web-http") if entry["stage"] == "kept"]
        wait_for(lambda: not kept(), "no kept connection", 3, 0.1)
        assert "1 sessions cleared of service web-proxy/v4 by root" in site.box.cli("show", "log").stdout
        assert grown(before, counted(site)).get("end_backend_closed", 0) == 0
    assert site.curl(f"{HTTP}/").returncode == 0


def explained(site: Site, *words: str) -> str:
    """What the console says, a step a line."""
    source = f"{at.front(at.CLIENT_NUMBER)}:40000"
    return site.box.cli("explain", "http", source, f"{at.front(100)}:8080", *words).stdout


def test_explain_says_what_then_happens_to_the_request(site: Site) -> None:
    set_http(site, "route old path_prefix /old", "route old redirect status 302", "route old redirect path /new",
             "route admin host admin.lab", "route admin status 403", "route beta header X-Beta", "route beta pool proxied",
             "request_header X-Real-IP value ${client_ip}")
    try:
        said = explained(site, "--path", "/old/x")
        assert "old takes it: path prefix /old" in said and f"302 to {HTTP}/new" in said, said
        assert site.curl(f"{HTTP}/old/x", "-w", "%{http_code} %{redirect_url}", "-o", "/dev/null").stdout == f"302 {HTTP}/new"
        assert "403, of the route" in explained(site, "--host", "admin.lab", "--method", "POST")
        assert site.curl(f"{HTTP}/", "-X", "POST", "-H", "Host: admin.lab", "-w", "%{http_code}", "-o", "/dev/null").stdout == "403"
        said = explained(site, "--header", "X-Beta: 1", "--header", "X-Real-IP: 6.6.6.6", "--path", "/a/../b?c")
        assert "beta takes it: header X-Beta" in said and 'path "/b", written anew from "/a/../b"' in said, said
        assert re.search(r"^sent +GET /b\?c HTTP/1.1$", said, re.MULTILINE) and "6.6.6.6" not in said, said
        assert re.search(rf"^sent +X-Real-IP: {at.front(at.CLIENT_NUMBER)}$", said, re.MULTILINE), said
        named = re.search(r"^backend +(web\d) \(10\.10\.0\.2\d\) would be chosen, by the pool's algorithm$", said, re.MULTILINE)
        assert named, said
        assert explained(site, "--header", "X-Beta: 1") == explained(site, "--header", "X-Beta: 1"), "asking changes nothing"
        # Round robin: who was named is who gets the next request.
        named = re.search(r"^backend +(web\d) ", explained(site), re.MULTILINE)
        assert named and site.curl(f"{HTTP}/").stdout.strip() == named[1]
        assert "refused, above_root" in explained(site, "--path", "/../x")
        assert "400" in says(site, "GET /../x HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n").split("\r\n")[0]
        rows = site.box.cli("show", "http", "routes", "web-http/v4").stdout
        assert [row.split()[1] for row in rows.splitlines()[1:]] == ["admin", "old", "beta", "(the"], rows
    finally:
        take_back(site)


def test_explain_names_the_backend_of_a_relayed_client_and_of_none(site: Site) -> None:
    source, to = f"{at.front(at.CLIENT_NUMBER)}:40000", f"{at.front(100)}:8081"
    assert re.search(r"^backend +web\d \(10\.10\.0\.2\d\) would be chosen", site.box.cli("explain", "tcp", source, to).stdout, re.MULTILINE)
    assert "explain http" in site.box.cli("explain", "tcp", source, f"{at.front(100)}:8080").stdout
    assert site.box.cli("explain", "tcp", source, to, "--path", "/x", check=False).returncode == 1


def backend(site: Site, name: str, pool: str = "proxied/v4") -> dict[str, Any]:
    entries = json.loads(site.box.cli("show", "backends", "--json").stdout)["backend"]
    return next(entry for entry in entries if (entry["pool"], entry["name"]) == (pool, name))


@pytest.mark.parametrize("how", ["refused", "reset"])
@pytest.mark.parametrize("base", [HTTP, RELAYED], ids=["http", "tcp_proxy"])
def test_traffic_takes_down_a_backend_that_its_probe_calls_well(site: Site, base: str, how: str) -> None:
    """Probes ask another port, which goes on to answer; clients meet a port that nobody listens on, or one that resets them."""
    reset = ("import socket, struct\ns = socket.create_server(('', 80), backlog=64)\nwhile True:\n  c, _ = s.accept()\n  c.recv(4096)\n"
             "  c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))\n  c.close()\n")
    for name in at.WEB_SERVERS:
        site.servers.spawn(name, "other", "socat", "TCP-LISTEN:8099,fork,reuseaddr", "SYSTEM:true")
        site.servers.wait_listening(name, ":8099 ")
    try:
        script(site, "delete pool proxied health_check", "set pool proxied health_check tcp port 8099", "set pool proxied health_check interval_ms 500",
               "set pool proxied passive failures 3", "set pool proxied passive hold_s 3", "commit")
        wait_for(lambda: backend(site, "web2")["last_success"] and backend(site, "web2")["up"], "a probe of web2", 10, 0.2)
        site.box.cli("clear", "sessions", "--service", "web-http")  # and kept connections to the server that goes
        site.processes.stop("web2", "nginx", signal.SIGKILL)
        if how == "reset":
            site.servers.spawn("web2", "resetter", PYTHON, "-c", reset)
            site.servers.wait_listening("web2", ":80 ")
        def asked() -> bool:
            site.answers(f"{base}/", 6)
            return not backend(site, "web2")["up"]
        wait_for(asked, "web2 out of rotation", 15, 0.05)
        assert "connects in a row were refused, unanswered or reset" in backend(site, "web2")["cause"]
        assert set(site.answers(f"{base}/", 6)) == {"web1", "web3"}
        if how == "reset":
            site.processes.stop("web2", "resetter")
        site.servers.start_nginx("web2")
        wait_for(lambda: "web2" in site.answers(f"{base}/", 6), "web2 back", 20, 0.2)
    finally:
        site.processes.stop("web2", "resetter")
        for name in at.WEB_SERVERS:
            site.processes.stop(name, "other")
        if site.processes.pid("web2", "nginx") is None:
            site.servers.start_nginx("web2")
        script(site, "delete pool proxied passive", "delete pool proxied health_check tcp", "set pool proxied health_check http port 80", "commit", check=False)


def cookie_of(site: Site, url: str) -> tuple[str, str]:
    """The cookie that keeps a client on its backend, and that backend."""
    done = site.curl(url, "-D", "-").stdout
    return re.search(r"^Set-Cookie: (SRV=[^;]+);", done, re.MULTILINE)[1], done.split()[-1]


def test_a_client_finds_its_backend_after_a_restart_of_either_daemon_and_the_key_shows_nowhere(site: Site, tmp_path: Path) -> None:
    set_http(site, "cookie name SRV")
    try:
        wait_for(lambda: "SRV=" in site.curl(f"{HTTP}/", "-D", "-").stdout, "a cookie", 5, 0.1)
        cookie, name = cookie_of(site, f"{HTTP}/")
        stays = lambda: set(site.curl(f"{HTTP}/", "-H", f"Cookie: {cookie}", check=False).stdout.strip() for _ in range(6)) == {name}
        assert stays()
        for daemon in ("headgate-dataplane", "headgate-controlplane"):
            pid = site.box.signal(daemon, signal.SIGKILL)
            site.box.wait_new_pid(daemon, pid)
            wait_for(lambda: site.curl(f"{HTTP}/", check=False, timeout=2).returncode == 0, f"answers after {daemon}", 20, 0.2)
            wait_for(stays, f"the client's backend after {daemon}", 10, 0.2)
        # The key: on disk for its owner alone, and in nothing that people are shown or send around.
        file = site.box.state / "ha" / "cookie.keys"
        assert file.stat().st_mode & 0o777 == 0o600
        keys = file.read_text().split()
        assert keys and all(re.fullmatch(r"[0-9a-f]{32}", key) for key in keys)
        bundle = tmp_path / "bundle.tar.gz"
        site.box.cli("support-bundle", str(bundle))
        with tarfile.open(bundle) as archive:
            texts = [archive.extractfile(member).read() for member in archive.getmembers() if member.isfile()]
        texts += [site.box.log_tail(100_000).encode(), site.box.cli("show", "configuration").stdout.encode()]
        assert len(texts) > 20
        for key in keys:
            for text in texts:
                assert key.encode() not in text and bytes.fromhex(key) not in text
    finally:
        take_back(site)
