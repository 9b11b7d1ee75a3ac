"""A link of the lab that can be made bad: tests/wire between a host and its bridge. Seeded loss, delay, jitter, duplication and
cuts of one direction, by words of tests/wire/direction.h. `ab` is from the host to the bridge."""
from __future__ import annotations

import socket
from pathlib import Path

from .network import Network
from .processes import Processes
from .shell import Refused, wait_for

PROGRAM = "headgate-wire"


class Wire:
    def __init__(self, run_dir: Path, host: str, bridge: str) -> None:
        self.name = f"wire-{Network.bridge_port(host, bridge)}"
        self.control = run_dir / f"{self.name}.sock"

    def start(self, network: Network, processes: Processes, program: Path, ends: tuple[str, str], seed: int) -> None:
        if not program.exists():
            raise Refused(f"{program} does not exist: build the target {PROGRAM}")
        for end in ends:  # the kernel of `net` must take no part
            network.sysctl("net", **{f"net.ipv4.conf.{end}.arp_ignore": "8", f"net.ipv6.conf.{end}.disable_ipv6": "1"})
        processes.start(network.namespace("net"), "net", self.name, str(program), *ends, "--control", str(self.control),
                        "--seed", str(seed))
        wait_for(self.control.exists, f"{self.name} ({processes.log('net', self.name)})")

    def say(self, words: str) -> str:
        """What it answers. Raises Refused for words that it does not know."""
        own = self.control.with_suffix(".answer")
        own.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.bind(str(own))
            channel.settimeout(5)
            channel.sendto(words.encode(), str(self.control))
            answer = channel.recv(4096).decode()
        own.unlink()
        if words != "stats" and answer != "ok":
            raise Refused(f"{self.name}: {answer}")
        return answer
