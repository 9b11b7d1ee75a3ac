"""The servers of a site: on each host nginx, a UDP echo, a DNS server, and a decapsulator for tunnels."""
from __future__ import annotations

import sys
from pathlib import Path

from . import addresses as at
from .blob_server import ensure, sha256
from .config import ACCESSES
from .network import Network
from .processes import Processes
from .shell import REPOSITORY, run, wait_for

PYTHON = "/usr/bin/python3"
DIRECT_NUMBERS = sorted({access.number for access in ACCESSES if access.direct})
DIRECT_TABLE = "100"
BIG_NAME_STRINGS = 12  # of 240 bytes each: an answer of about 3 kB, which needs fragments

NGINX = """\
daemon off;
user root;
worker_processes 1;
worker_rlimit_nofile 65536;
pid {home}/nginx.pid;
error_log {home}/error.log;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  default_type text/plain;
  sendfile on;
  keepalive_requests 100000000;
  client_max_body_size 2g;
  client_body_temp_path {home}/body;
  proxy_temp_path {home}/proxy;
  fastcgi_temp_path {home}/fastcgi;
  uwsgi_temp_path {home}/uwsgi;
  scgi_temp_path {home}/scgi;
  server {{
    listen 80 backlog=4096;
    listen [::]:80 ipv6only=on backlog=4096;
    add_header X-Backend {name} always;
    location = / {{ return 200 "{name}\\n"; }}
    location = /client {{ return 200 "$remote_addr\\n"; }}
    location /blob/ {{ proxy_pass http://unix:{blob_socket}; }}
    location /files/ {{ internal; alias {blobs}/; }}
    location = /upload {{ proxy_pass http://unix:{blob_socket}; proxy_request_buffering off; }}
  }}
}}
"""


class Servers:
    def __init__(self, network: Network, processes: Processes, run_dir: Path) -> None:
        self.network = network
        self.processes = processes
        self.run_dir = run_dir
        self.blobs = run_dir / "blobs"
        self.blob_socket = run_dir / "blobs.sock"

    # -- network of a web server -----------------------------------------------------------------------------------------

    def connect(self, name: str) -> None:
        """Puts a web server on the servers' network, its gateway being the box (NAT), with the service addresses of the
        direct modes on `lo`, from which it answers through the router."""
        self.network.plug(name, "eth0", "br-servers")
        self.network.address(name, "eth0", "servers", at.web_number(name))
        self.network.sysctl(name, **{"net.ipv4.conf.all.arp_ignore": "1", "net.ipv4.conf.all.arp_announce": "2"})
        for family, option in ((4, "-4"), (6, "-6")):
            self.network.ip(name, option, "route", "add", "default", "via", at.servers(at.GATEWAY_NUMBER, family))
            self.route_direct_answers(name, family)
            for number in DIRECT_NUMBERS:
                address, host_length = at.front(number, family), 32 if family == 4 else 128
                self.network.ip(name, option, "addr", "add", f"{address}/{host_length}", "dev", "lo")
                self.network.ip(name, option, "rule", "add", "from", address, "lookup", DIRECT_TABLE)

    def route_direct_answers(self, name: str, family: int) -> None:
        """Through the router to clients; without it to the box, whose probes are answered from service addresses too. (An IPv6
        router would send a redirect for each: Linux has no switch for these.)"""
        direct = ("table", DIRECT_TABLE)
        self.network.ip(name, f"-{family}", "route", "replace", at.SERVERS[0 if family == 4 else 1], "dev", "eth0", *direct)
        self.network.ip(name, f"-{family}", "route", "replace", "default", "via", at.servers(at.ROUTER_NUMBER, family), *direct)

    # -- programs --------------------------------------------------------------------------------------------------------

    def start_blobs(self) -> None:
        """The maker of /blob/SIZE; needs no network, so it lives in the router's namespace."""
        self.processes.start(self.network.namespace("net"), "net", "blobs", PYTHON, str(Path(__file__).parent / "blob_server.py"),
                             str(self.blob_socket), str(self.blobs))

    def start(self, name: str) -> None:
        """Everything that a web server runs."""
        addresses = [at.web(name, 4), at.web(name, 6)]
        self.start_nginx(name)
        self.start_dns(name, addresses)
        direct = [at.front(number, family) for number in DIRECT_NUMBERS for family in (4, 6)]
        self.spawn(name, "echo", PYTHON, str(Path(__file__).parent / "echo_server.py"), *addresses, *direct)
        self.spawn(name, "decap", PYTHON, str(REPOSITORY / "tests/system/decap.py"), "decap0")

    def start_nginx(self, name: str) -> None:
        home = self.run_dir / name
        home.mkdir(parents=True, exist_ok=True)
        config = home / "nginx.conf"
        config.write_text(NGINX.format(home=home, name=name, blobs=self.blobs, blob_socket=self.blob_socket))
        self.spawn(name, "nginx", "nginx", "-p", str(home), "-e", str(home / "error.log"), "-c", str(config))

    def start_dns(self, name: str, addresses: list[str]) -> None:
        big = ",".join(["x" * 240] * BIG_NAME_STRINGS)
        self.spawn(name, "dnsmasq", "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
                   "--user=root", "--pid-file=", "--log-facility=-", "--edns-packet-max=4096",
                   f"--txt-record=whoami.lab,{name}", f"--txt-record=big.lab,{big}",
                   f"--host-record=whoami.lab,{','.join(addresses)}")

    def spawn(self, host: str, name: str, *command: str) -> None:
        self.processes.start(self.network.namespace(host), host, name, *command)

    def wait_ready(self, name: str) -> None:
        self.wait_listening(name, ":80 ", ":53 ", ":7 ")
        self.wait_decap(name)

    def wait_listening(self, name: str, *ports: str) -> None:
        namespace = self.network.namespace(name)

        def listening() -> bool:
            sockets = run("ip", "netns", "exec", namespace, "ss", "-Hltun").stdout
            return all(port in sockets for port in ports)

        wait_for(listening, f"the servers of {name} to listen (logs: {self.processes.logs}/{name}.*)")

    def wait_decap(self, name: str) -> None:
        namespace = self.network.namespace(name)
        wait_for(lambda: "UP" in run("ip", "-n", namespace, "link", "show", "dev", "decap0", check=False).stdout,
                 f"the decapsulator of {name}")

    # -- contents --------------------------------------------------------------------------------------------------------

    def blob_sha256(self, size: str) -> str:
        return sha256(self.blobs, size)

    def blob_file(self, size: str) -> Path:
        return ensure(self.blobs, size)


if sys.version_info < (3, 11):
    raise SystemExit("the lab needs Python 3.11, the one of Debian 12: run it with /usr/bin/python3")
