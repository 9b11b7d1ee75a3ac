"""What clients notice of a failover, and who claims an address meanwhile: tests/bench/failover_main.cc, running beside.

Times are the kernel's, of answers and frames. A gap counts from the last answer to the next, so 1 ms is none.
"""
from __future__ import annotations

import contextlib
import json
import select
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator

from .network import Network
from .shell import Refused

PROGRAM = "headgate-bench-failover"


@dataclass(frozen=True)
class Gap:
    ms: float       # the longest silence of the window
    at_ms: float    # when it began, after the mark
    sent: int
    answered: int
    late: int       # answered after 100 ms: no answers


@dataclass(frozen=True)
class Overlap:
    ms: float                       # two claimed the address at once for so long
    claims: dict[str, int]          # frames by port


class Beside:
    """A program that answers each line of its stdin with one line. Leave it by stop(), or use it in a `with`."""

    def __init__(self, network: Network, host: str, program: Path, *words: str) -> None:
        if not program.exists():
            raise Refused(f"{program} does not exist: build the target {PROGRAM}")
        self.process = subprocess.Popen(["ip", "netns", "exec", network.namespace(host), str(program), *words], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, bufsize=1, start_new_session=True)

    def ask(self, words: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(words + "\n")
        self.process.stdin.flush()
        return self.line()

    def line(self) -> str:
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], 20)[0]:
            raise TimeoutError(f"{PROGRAM} says nothing")
        line = self.process.stdout.readline()
        if not line:
            raise Refused(f"{PROGRAM} ended with {self.process.wait()}")
        return line.strip()

    def obey(self, words: str) -> None:
        answer = self.ask(words)
        if answer != "ok":
            raise Refused(f"{PROGRAM}: {answer}")

    def mark(self) -> None:
        """A new window begins."""
        self.obey("mark")

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Probes(Beside):
    """Echo requests every millisecond from a host to targets: NAME=icmp:ADDRESS or NAME=udp:ADDRESS:PORT."""

    def __init__(self, network: Network, program: Path, *targets: str, host: str = "client") -> None:
        super().__init__(network, host, program, "probe", *targets)
        self.mark()

    def gaps(self) -> dict[str, Gap]:
        """Of the window so far, by target."""
        return {entry["name"]: Gap(entry["gap_ms"], entry["gap_at_ms"], entry["sent"], entry["answered"], entry["late"])
                for entry in json.loads(self.ask("report"))}


class Echo(Beside):
    """Sends UDP datagrams back."""

    def __init__(self, network: Network, host: str, program: Path, address: str, port: int) -> None:
        super().__init__(network, host, program, "echo", address, str(port))
        if (answer := self.line()) != "ok":
            raise Refused(f"{PROGRAM}: {answer}")


class Claims(Beside):
    """Who claims an IPv4 address at the ports of these hosts at a bridge."""

    def __init__(self, network: Network, program: Path, address: str, bridge: str, asker: str, hosts: list[str]) -> None:
        self.ports = {host: network.bridge_port(host, bridge) for host in hosts}
        super().__init__(network, "net", program, "claims", address, bridge, asker, *self.ports.values())
        self.mark()

    def ignore(self, host: str, ignored: bool) -> None:
        """What a host that is cut off claims reaches nobody."""
        self.obey(f"{'ignore' if ignored else 'heed'} {self.ports[host]}")

    def overlap(self) -> Overlap:
        """Of the window so far."""
        said: dict[str, Any] = json.loads(self.ask("report"))
        return Overlap(said["overlap_ms"], {host: said["ports"][port]["claims"] for host, port in self.ports.items()})


@contextlib.contextmanager
def all_of(*running: Beside) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for one in running:
            stack.enter_context(one)
        yield
