"""Every kind of probe against a real server, healthy and not, through the real control plane.

Each case is a pool with one backend and a service of its own, so all of them run at once. What a case expects is the verdict,
and for a bad one words of the cause that an operator reads in `show backends`.
"""
from __future__ import annotations

import contextlib
import json
import os
import signal
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator

import pytest

from lab_lib import addresses as at
from lab_lib.config import Config
from lab_lib.servers import DIRECT_TABLE
from lab_lib.shell import run, wait_for
from lab_lib.site import Site

FILES = Path(f"/run/headgate-probes-{os.getpid()}")
SOUND, WRONG_NAME, EXPIRED, CLOSED = 8443, 8444, 8445, 9
AGENT, SLOW, GARBAGE, ENDLESS = 9777, 9001, 9002, 9003
GOOD_NAME = "www.example.test"
PROGRAM = FILES / "check"
PASSWORD = "probe-s3cret"


@dataclass(frozen=True)
class Case:
    name: str
    check: str
    fails_with: str = ""  # words of the cause; empty: the backend stays up
    via: str = "KERNEL"
    mode: str = "FULL_NAT"
    address: str = at.web("web1")
    port: int = 80
    protocol: str = "TCP"
    interval_ms: int = 400

    def text(self, number: int) -> str:
        backend = f'backend {{ name: "{self.name}" address: "{self.address}" }}'
        return textwrap.dedent(f"""\
            pool {{
              name: "{self.name}"
              {backend}
              health_check {{ {self.check} interval_ms: {self.interval_ms} timeout_ms: 350 rise: 1 fall: 2 via: {self.via} }}
            }}
            service {{ name: "{self.name}" address: "{at.front(number)}" port: {self.port} protocol: {self.protocol} mode: {self.mode} pool: "{self.name}" }}
            """)


def https(port: int, more: str = "", tls: str = "", host: str = GOOD_NAME) -> str:
    return f'http {{ port: {port} host: "{host}" {more} tls {{ {tls} }} }}'


TRUSTED = f'ca_file: "{FILES}/ca.pem"'
MISSING = at.servers(99)  # nobody has this address

CASES = (
    Case("icmp", "icmp {}"),
    Case("icmp-dead", "icmp {}", "no answer in time|no route to host", address=MISSING),
    Case("icmp-path", "icmp {}", via="PATH"),
    Case("icmp-path-nat", "icmp {}", via="PATH", mode="NAT"),
    Case("icmp-path-dsr", "icmp {}", via="PATH", mode="DSR"),
    Case("icmp-path-dead", "icmp {}", "no answer in time|no route to host", via="PATH", address=MISSING),
    Case("udp", 'udp { port: 7 payload: "hello" expect: "hello" }'),
    Case("udp-other", 'udp { port: 7 payload: "hello" expect: "goodbye" }', 'not as expected: "hello"'),
    Case("udp-closed", 'udp { port: 9 payload: "hello" }', "connection refused"),
    Case("udp-path", 'udp { port: 7 payload: "hello" expect: "hello" }', via="PATH"),
    Case("udp-path-closed", 'udp { port: 9 payload: "hello" }', "connection refused", via="PATH"),
    Case("http", 'http { body: "web1" }'),
    Case("http-status", 'http { path: "/nothing" }', "status 404"),
    Case("http-wanted", 'http { path: "/nothing" status: "200,400-404" }'),
    Case("http-head", 'http { method: HEAD header: "X-Probe: yes" host: "www.example.test" }'),
    Case("http-body", 'http { body: "web7" }', 'the body is not as expected: "web1"'),
    Case("http-big", 'http { path: "/blob/4m" body: "never in there" }', "the first 65536 bytes"),
    Case("http-closed", f"http {{ port: {CLOSED} }}", "connection refused"),
    Case("http-slow", f"http {{ port: {SLOW} }}", "no answer in time"),
    Case("http-garbage", f"http {{ port: {GARBAGE} }}", "no HTTP answer"),
    Case("http-endless", f'http {{ port: {ENDLESS} body: "never" }}', "the first 65536 bytes|bytes of the answer"),
    Case("http-path", 'http { body: "web1" }', via="PATH"),
    Case("http-path-dsr", 'http { body: "web1" }', via="PATH", mode="DSR"),
    Case("http-path-status", 'http { path: "/nothing" }', "status 404", via="PATH"),
    Case("https", https(SOUND, 'body: "secure"', TRUSTED)),
    Case("https-path", https(SOUND, 'body: "secure"', TRUSTED), via="PATH"),
    Case("https-sni", https(SOUND, tls=f'sni: "{GOOD_NAME}" {TRUSTED}', host="elsewhere.test")),
    Case("https-name", https(WRONG_NAME, tls=TRUSTED), "certificate refused: hostname mismatch"),
    Case("https-expired", https(EXPIRED, tls=TRUSTED), "certificate refused: certificate has expired"),
    Case("https-unknown", https(SOUND), "certificate refused: unable to get local issuer certificate"),
    Case("https-trusting", https(EXPIRED, tls="verify: false")),
    Case("https-plain", https(80, tls="verify: false"), "TLS handshake: "),
    Case("mysql", f'mysql {{ port: 3306 user: "probe" password: "{PASSWORD}" }}'),
    Case("mysql-query", f'mysql {{ port: 3306 user: "probe" password: "{PASSWORD}" database: "site" query: "SELECT 1 FROM up" }}'),
    Case("mysql-rows", f'mysql {{ port: 3306 user: "probe" password: "{PASSWORD}" query: "SELECT seq FROM site.many" }}'),
    Case("mysql-megabytes", f'mysql {{ port: 3306 user: "probe" password: "{PASSWORD}" query: "SELECT REPEAT(\'x\', 200) FROM site.many" }}', interval_ms=60_000),  # cut short: aborted, by the server's count
    Case("mysql-denied", f'mysql {{ port: 3306 user: "probe" password: "{PASSWORD}-wrong" }}', "Access denied for user 'probe'"),
    Case("mysql-empty", f'mysql {{ port: 3306 user: "probe" password: "{PASSWORD}" query: "SELECT 1 FROM site.up WHERE 0" }}',
         "the query gave no row"),
    Case("mysql-error", f'mysql {{ port: 3306 user: "probe" password: "{PASSWORD}" query: "SELECT 1 FROM site.nothing" }}',
         "doesn't exist"),
    Case("mysql-closed", f'mysql {{ port: {CLOSED} user: "probe" }}', "connection refused"),
    Case("mysql-path", f'mysql {{ port: 3306 user: "probe" password: "{PASSWORD}" query: "SELECT 1" }}', via="PATH"),
    Case("dns", f'dns {{ port: 53 name: "whoami.lab" address: "{at.web("web1")}" }}'),
    Case("dns-txt", 'dns { port: 53 name: "whoami.lab" type: TXT }'),
    Case("dns-other", f'dns {{ port: 53 name: "whoami.lab" address: "{MISSING}" }}', f"without {MISSING}"),
    Case("dns-unknown", 'dns { port: 53 name: "nobody.lab" }', "answered "),
    Case("dns-closed", 'dns { port: 9 name: "whoami.lab" }', "connection refused"),
    Case("dns-path", 'dns { port: 53 name: "whoami.lab" }', via="PATH"),
    Case("external", f'external {{ program: "{PROGRAM}" argument: "works" }}'),
    Case("external-fails", f'external {{ program: "{PROGRAM}" argument: "fails" }}', "exit status 3: backend external-fails of pool"),
    Case("external-hangs", f'external {{ program: "{PROGRAM}" argument: "hangs" }}', "did not end in time"),
    Case("external-path", f'external {{ program: "{PROGRAM}" argument: "fetches" }}', via="PATH"),
)
NUMBERS = {case.name: 150 + place for place, case in enumerate(CASES)}  # of their service addresses
CONFIG = Config(extra="".join(case.text(NUMBERS[case.name]) for case in CASES))
START_BOX = False

CHECK_PROGRAM = """\
#!/bin/sh
case "$1" in
  works) exit 0 ;;
  fails) echo "backend $HEADGATE_BACKEND of pool $HEADGATE_POOL at $HEADGATE_ADDRESS:$HEADGATE_PORT"; exit 3 ;;
  hangs) sleep 600 ;;
  fetches) exec curl -sf -o /dev/null "http://$HEADGATE_ADDRESS:$HEADGATE_PORT/" ;;
esac
"""

HTTPS_SERVER = """  server {{ listen {port} ssl; ssl_certificate {certificate}.pem; ssl_certificate_key {home}/key.pem;
    location / {{ return 200 "secure\\n"; }} }}
"""

# One port that says nothing, one that says what no protocol knows, one that never ends.
ODD_SERVERS = """
import socket, sys, threading
ODD = {int(sys.argv[1]): b"", int(sys.argv[2]): b"\\0\\1\\2 garbage\\r\\n" * 100,
       int(sys.argv[3]): b"HTTP/1.1 200 OK\\r\\n\\r\\n" + b"x" * 1000000}
def serve(connection, answer, endless):
    try:
        connection.recv(4096) if answer else connection.recv(1 << 20)
        connection.sendall(answer)
        while endless: connection.sendall(answer)
        connection.recv(4096)
    except OSError: pass
    finally: connection.close()
def listen(port, answer):
    server = socket.create_server(("", port))
    while True:
        connection = server.accept()[0]
        threading.Thread(target=serve, args=(connection, answer, port == int(sys.argv[3])), daemon=True).start()
for port, answer in ODD.items(): threading.Thread(target=listen, args=(port, answer)).start()
"""


def make_certificates() -> None:
    """An authority, and certificates of it: a sound one, one for another name, one of yesterday."""
    def openssl(*arguments: str) -> None:
        run("openssl", *arguments)

    key = str(FILES / "key.pem")
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
    openssl("req", "-x509", "-new", "-key", key, "-subj", "/CN=Probe test authority", "-days", "2", "-out", str(FILES / "ca.pem"))
    (FILES / "ca.conf").write_text(textwrap.dedent(f"""\
        [ca]
        default_ca = own
        [own]
        new_certs_dir = {FILES}
        database = {FILES}/index
        rand_serial = yes
        unique_subject = no
        default_md = sha256
        policy = any
        copy_extensions = copy
        certificate = {FILES}/ca.pem
        private_key = {key}
        [any]
        commonName = supplied
        """))
    (FILES / "index").touch()
    for name, host, begin, end in (("sound", GOOD_NAME, "", ""), ("wrong-name", "other.example.test", "", ""),
                                   ("expired", GOOD_NAME, "20200101000000Z", "20200102000000Z")):
        request = str(FILES / f"{name}.csr")
        openssl("req", "-new", "-key", key, "-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}", "-out", request)
        dates = ["-startdate", begin, "-enddate", end] if begin else ["-days", "1"]
        openssl("ca", "-batch", "-notext", "-config", str(FILES / "ca.conf"), *dates, "-in", request, "-out", str(FILES / f"{name}.pem"))


def start_https(site: Site) -> None:
    servers = "".join(HTTPS_SERVER.format(port=port, certificate=FILES / name, home=FILES)
                      for port, name in ((SOUND, "sound"), (WRONG_NAME, "wrong-name"), (EXPIRED, "expired")))
    home = FILES / "nginx"
    home.mkdir()
    temporary = "".join(f"  {kind}_temp_path {home}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (home / "nginx.conf").write_text(f"daemon off;\nuser root;\nworker_processes 1;\npid {home}/pid;\nerror_log {home}/error.log;\n"
                                     f"events {{ }}\nhttp {{\n  access_log off;\n{temporary}{servers}}}\n")
    site.servers.spawn("web1", "nginx-tls", "nginx", "-p", str(home), "-e", str(home / "error.log"), "-c", str(home / "nginx.conf"))


def start_mariadb(site: Site) -> None:
    data = FILES / "mysql"
    run("mariadb-install-db", "--no-defaults", f"--datadir={data}", "--user=root", "--auth-root-authentication-method=normal",
        "--skip-test-db", timeout=120)
    site.servers.spawn("web1", "mariadb", "mariadbd", "--no-defaults", f"--datadir={data}", "--user=root", "--bind-address=0.0.0.0",
                       f"--socket={FILES}/mysql.sock", f"--pid-file={FILES}/mysql.pid", "--skip-name-resolve",
                       "--innodb-buffer-pool-size=16M", "--innodb-log-file-size=8M", "--skip-log-bin")
    wait_for(lambda: sql("SELECT 1", check=False).returncode == 0, "MariaDB", 60)
    sql(f"CREATE DATABASE site; USE site; CREATE TABLE site.up (id INT) ENGINE=MEMORY; INSERT INTO site.up VALUES (1), (2);"
        f"CREATE TABLE site.many (seq INT) ENGINE=MEMORY; INSERT INTO site.many SELECT seq FROM seq_1_to_20000;"
        f"CREATE USER probe@'%' IDENTIFIED BY '{PASSWORD}'; GRANT SELECT ON site.* TO probe@'%'; FLUSH PRIVILEGES")


def sql(statements: str, check: bool = True) -> Any:
    return run("mariadb", "--no-defaults", f"--socket={FILES}/mysql.sock", "-N", "-B", "-e", statements, check=check)


@pytest.fixture(scope="module", autouse=True)
def servers(site: Site) -> Iterator[None]:
    run("rm", "-rf", str(FILES))
    FILES.mkdir()
    try:
        make_certificates()
        PROGRAM.write_text(CHECK_PROGRAM)
        PROGRAM.chmod(0o755)
        start_https(site)
        start_mariadb(site)
        for case in CASES:
            if case.mode == "DSR":
                site.network.ip("web1", "addr", "add", f"{at.front(NUMBERS[case.name])}/32", "dev", "lo")
                site.network.ip("web1", "rule", "add", "from", at.front(NUMBERS[case.name]), "lookup", DIRECT_TABLE)
        site.servers.spawn("web1", "odd", "/usr/bin/python3", "-c", ODD_SERVERS, str(SLOW), str(GARBAGE), str(ENDLESS))
        site.servers.wait_listening("web1", *(f":{port} " for port in (SOUND, EXPIRED, 3306, SLOW, GARBAGE, ENDLESS)))
        (site.box.home).mkdir(exist_ok=True)
        site.box.start(CONFIG)
        wait_for(lambda: len(backends(site)) >= len(CASES), "the control plane", 30, 0.2)
        yield
    finally:
        for name in ("nginx-tls", "mariadb", "odd"):
            site.processes.stop("web1", name, signal.SIGKILL)
        run("rm", "-rf", str(FILES))


def backends(site: Site) -> dict[str, dict[str, Any]]:
    """By pool, which has one backend in each family."""
    done = site.box.cli("--json", "show", "backends", check=False)
    entries = json.loads(done.stdout).get("backend", []) if done.returncode == 0 else []
    return {entry["pool"]: entry for entry in entries}


def words_of(backend: dict[str, Any]) -> str:
    return f"{backend.get('cause', '')} / {backend.get('last_error', '')}"


def is_as_expected(case: Case, backend: dict[str, Any]) -> bool:
    if not case.fails_with:
        return bool(backend.get("up") and backend.get("last_success"))
    return not backend.get("up", False) and any(words in words_of(backend) for words in case.fails_with.split("|"))


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_verdict_and_its_cause(site: Site, case: Case) -> None:
    with contextlib.suppress(TimeoutError):  # the assertion says better what is wrong
        wait_for(lambda: is_as_expected(case, backends(site).get(case.name, {})), case.name, 10, 0.2)
    backend = backends(site).get(case.name, {})
    assert is_as_expected(case, backend), f"{words_of(backend)}: {backend}"


def test_the_server_counts_no_aborted_client(site: Site) -> None:
    def aborted() -> int:
        return int(sql("SHOW GLOBAL STATUS LIKE 'Aborted_clients'").stdout.split()[1])

    def connections() -> int:
        return int(sql("SHOW GLOBAL STATUS LIKE 'Connections'").stdout.split()[1])

    wait_for(lambda: backends(site)["mysql-megabytes"].get("last_success"), "the one that is cut short", 20)
    before, since = aborted(), connections()
    wait_for(lambda: connections() > since + 40, "more probes", 30)
    assert aborted() == before


def test_the_password_is_in_no_log_and_no_output(site: Site) -> None:
    for shown in (site.box.cli("show", "configuration").stdout, site.box.cli("show", "backends").stdout,
                  site.processes.log("box-a", "supervisor").read_text(errors="replace")):
        assert PASSWORD not in shown


def test_a_dsr_backend_without_the_service_address_goes_down_and_returns(site: Site) -> None:
    address = f"{at.front(NUMBERS['http-path-dsr'])}/32"
    site.network.ip("web1", "addr", "del", address, "dev", "lo")
    wait_for(lambda: not backends(site)["http-path-dsr"].get("up", False), "the backend down", 20, 0.2)
    site.network.ip("web1", "addr", "add", address, "dev", "lo")
    wait_for(lambda: backends(site)["http-path-dsr"].get("up", False), "the backend up", 20, 0.2)


def test_a_server_that_stops_goes_down_and_returns(site: Site) -> None:
    kinds = ("https", "https-path")
    pid = site.processes.pid("web1", "nginx-tls")
    assert pid is not None
    os.killpg(pid, signal.SIGSTOP)  # it hangs: the kernel still accepts for it
    try:
        wait_for(lambda: not any(backends(site)[kind].get("up", False) for kind in kinds), "them down", 20, 0.2)
        assert "no answer in time" in backends(site)["https"]["cause"]
    finally:
        os.killpg(pid, signal.SIGCONT)
    wait_for(lambda: all(backends(site)[kind].get("up", False) for kind in kinds), "them up", 20, 0.2)
