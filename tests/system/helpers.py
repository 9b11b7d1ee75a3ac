"""What several tests do with a site."""
from __future__ import annotations

import contextlib
import hashlib
import json
import signal
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Iterator

from lab_lib import addresses as at
from lab_lib.config import ACCESSES, Access
from lab_lib.shell import wait_for
from lab_lib.site import Site

PYTHON = "/usr/bin/python3"
HERE = Path(__file__).parent
WEB = at.url(at.front(100))
WEB6 = at.url(at.front(100, 6))

# (access, family) of every mode, encapsulation and family, with names for pytest.
WAYS = [(access, family) for access in ACCESSES for family in access.families]
WAY_NAMES = [f"{access.name}-v{family}" for access, family in WAYS]


def spread(answers: list[str]) -> dict[str, int]:
    return dict(Counter(answers))


def udp_echo(site: Site, address: str, payload: str, host: str = "client") -> str:
    family = "UDP6" if ":" in address else "UDP4"
    target = f"[{address}]" if ":" in address else address
    return site.exec(host, "socat", "-t2", "-T2", "-b65536", "-", f"{family}:{target}:7", stdin=payload, check=False).stdout


def dns_name(site: Site, address: str, host: str = "client") -> str:
    """The name of the web server that answers a DNS question to `address`."""
    done = site.exec(host, "dig", "+short", "+tries=2", "+time=2", "TXT", "whoami.lab", f"@{address}", check=False)
    return done.stdout.strip().strip('"')


def ping(site: Site, address: str, host: str = "client", count: int = 3) -> int:
    """How many of `count` echo requests were answered."""
    done = site.exec(host, "ping", "-n", "-c", str(count), "-i", "0.05", "-W", "2", address, check=False)
    return done.stdout.count("bytes from")


class Download:
    """A download that runs beside the test, with its SHA-256 and the longest time without a byte.

    Once made, the server has answered (or the download has failed): there is a connection that can be cut.
    """

    def __init__(self, site: Site, url: str, limit_rate: str = "", host: str = "client") -> None:
        limit = ["--limit-rate", limit_rate] if limit_rate else []
        self.process = site.popen(host, PYTHON, str(HERE / "download.py"), url, *limit)
        assert self.process.stdout is not None
        self.lines = [self.process.stdout.readline()]

    def finish(self, timeout: float = 180) -> dict:
        """sha256, bytes, seconds, stall_ms, scheduling_ms, error ("" when it went well)."""
        overdue = threading.Timer(timeout, self.process.kill)
        overdue.start()
        self.lines += self.process.stdout or []
        overdue.cancel()
        assert self.process.wait() == 0, self.lines
        return json.loads(self.lines[-1])

    def __enter__(self) -> Download:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


HOLD = """
import socket, sys
held = [socket.create_connection((sys.argv[1], 80), timeout=5) for _ in range(int(sys.argv[2]))]
print("held", flush=True)
sys.stdin.read()
"""


def hold(site: Site, count: int, family: int = 4) -> subprocess.Popen[str]:
    """Open connections to the web service; closing its stdin (communicate) ends them."""
    holder = site.popen("client", PYTHON, "-c", HOLD, at.front(100, family), str(count), stdin=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


class UdpLoad:
    """Numbered datagrams to the echo service at a steady rate; says how many did not come back."""

    def __init__(self, site: Site, address: str, seconds: float, rate: int = 100) -> None:
        self.process = site.popen("client", PYTHON, str(HERE / "udp_load.py"), address, str(seconds), str(rate))

    def finish(self, timeout: float = 120) -> dict:
        """sent, lost, longest_gap_ms."""
        output, _ = self.process.communicate(timeout=timeout)
        return json.loads(output.splitlines()[-1])


def script(site: Site, *commands: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Commands of the console's configure mode; nothing is committed unless they say so."""
    return site.exec("box-a", str(site.box.bin / "headgate"), "--management", str(site.box.management),
                     stdin="\n".join(("configure", *commands, "")), check=check)


class RequestLoad:
    """Short requests, each on a connection of its own, in turn to these URLs until finish()."""

    def __init__(self, site: Site, urls: list[str], rate: int = 20) -> None:
        self.process = site.popen("client", PYTHON, str(HERE / "request_load.py"), str(rate), *urls, stdin=subprocess.PIPE)

    def finish(self) -> dict:
        """made, failed (what went wrong, one sentence each), slowest_ms."""
        output, _ = self.process.communicate(timeout=60)
        return json.loads(output.splitlines()[-1])


@contextlib.contextmanager
def sniffing(site: Site, host: str, interface: str, expression: str, until: str = "") -> Iterator[list[str]]:
    """Runs tcpdump meanwhile; the list has its lines when the block has ended. `until`: words of a line to wait for then, for
    at most 5 seconds; without it there is nothing to wait for (the list must stay empty), and what is under way gets 0.2 s."""
    lines: list[str] = []
    dump = site.popen(host, "tcpdump", "-lnn", "--immediate-mode", "-i", interface, expression, stderr=subprocess.PIPE)
    assert dump.stdout is not None and dump.stderr is not None
    while "listening on" not in (line := dump.stderr.readline()):
        assert line, f"tcpdump does not accept: {expression}"
    reader = threading.Thread(target=lambda: lines.extend(line.rstrip("\n") for line in dump.stdout or [] if line.strip()))
    reader.start()
    try:
        yield lines
        if until:
            with contextlib.suppress(TimeoutError):  # the test says better what is missing
                wait_for(lambda: any(until in line for line in list(lines)), until, 5)
        else:
            time.sleep(0.2)
    finally:
        dump.send_signal(signal.SIGINT)
        reader.join(10)
        dump.communicate(timeout=10)


def wait_out(site: Site, name: str, url: str = WEB, timeout: float = 15) -> None:
    """Until no new connection reaches a web server."""
    wait_for(lambda: name not in site.answers(url, 6), f"{name} out of rotation", timeout)


def wait_in(site: Site, name: str, url: str = WEB, timeout: float = 15) -> None:
    wait_for(lambda: name in site.answers(url, 6), f"{name} back in rotation", timeout)


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def access(name: str) -> Access:
    return next(entry for entry in ACCESSES if entry.name == name)
