"""Two control planes on loopback, each under a supervisor of its own, become a pair and stay one. The programs as they are,
spoken to by the console; the dataplane is a process that does nothing but live, since nothing here forwards."""
from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Iterator

import pytest

from lab_lib.shell import REPOSITORY, wait_for


class Box:
    def __init__(self, binaries: Path, folder: Path, side: str, port: int) -> None:
        self.binaries, self.folder, self.side, self.port = binaries, folder, side, port
        folder.mkdir()
        own, other = ("127.0.0.1", "127.0.0.2") if side == "A" else ("127.0.0.2", "127.0.0.1")
        (folder / "config.txtpb").write_text(
            f'interface {{ name: "front" port: "port-{side.lower()}" prefix: "192.0.2.0/24" }}\n'
            'pool { name: "web" backend { name: "web1" address: "192.0.2.21" port: 80 } }\n'
            f'failover {{ side: {side} ha_link {{ address: "{own}" peer_address: "{other}" port: {port} heartbeat_ms: 50 }} }}\n')
        (folder / "supervisor.conf").write_text(
            f"[dataplane]\ncommand = sleep 1000\n[controlplane]\ncommand = {binaries}/headgate-controlplane --config {folder}/config.txtpb "
            f"--state-dir {folder}/state --dataplane {folder}/dataplane.sock --management {folder}/management.sock\n"
            f"log = {folder}/log\n")
        self.supervisor: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with open(self.folder / "supervisor.log", "a") as log:
            self.supervisor = subprocess.Popen([self.binaries / "headgate-supervisor", "--config", self.folder / "supervisor.conf",
                                                "--run-dir", self.folder / "run"], stderr=log)
        wait_for(lambda: self.command("show", "version", check=False)[0] == 0, "the control plane", 20)

    def stop(self) -> None:
        if self.supervisor:
            self.supervisor.terminate()
            self.supervisor.wait(timeout=20)
        self.supervisor = None

    def command(self, *words: str, check: bool = True, lines: str | None = None) -> tuple[int, str]:
        done = subprocess.run([self.binaries / "headgate", "--management", self.folder / "management.sock", *words], input=lines, text=True,
                              capture_output=True, timeout=60)
        if check:
            assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.returncode, done.stdout + done.stderr

    def says(self, *words: str) -> str:
        return " ".join(self.command(*words)[1].split())  # lines are wrapped for people

    def set_weight(self, weight: int, how: str = "commit", check: bool = True) -> tuple[int, str]:
        return self.command(lines=f"configure\nset pool web backend web1 weight {weight}\n{how}\n", check=check)

    def weight(self) -> int:
        found = re.search(r"weight: (\d+)", self.command("show", "configuration")[1])
        return int(found[1]) if found else 1

    def agrees(self) -> bool:
        return "configuration: agreed" in self.says("show", "failover", "peer")

    def pid(self, name: str) -> int:
        for line in (self.folder / "run" / "supervisor.status").read_text().splitlines():
            if line.startswith(f"{name} "):
                return int(line.split()[1])
        return 0


def free_port() -> int:
    for _ in range(100):
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            with contextlib.suppress(OSError):
                other.bind(("127.0.0.2", port))
                return int(port)
    raise AssertionError("no port is free on both addresses")


@pytest.fixture
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Box, Box]]:
    binaries = REPOSITORY / "build" / request.config.getoption("--preset") / "bin"
    port = free_port()
    a, b = (Box(binaries, tmp_path / side.lower(), side, port) for side in "AB")
    try:
        a.start()
        b.start()
        code = a.command("failover", "pair")[1].split()[0]
        assert re.fullmatch(r"([A-Z2-7]{4}-){3}[A-Z2-7]{4}", code)
        assert b.command("failover", "pair", "AAAA-AAAA-AAAA-AAAA", check=False)[0] == 1
        assert "paired with" in b.command("failover", "pair", code.lower())[1]
        wait_for(lambda: a.agrees() and b.agrees(), "the boxes to agree", 20)
        for box in (a, b):
            for file in box.folder.rglob("*"):
                assert not file.is_file() or code.encode() not in file.read_bytes(), f"{file} holds the code"
        yield a, b
    finally:
        a.stop()
        b.stop()


def test_a_commit_on_one_box_appears_on_both(pair: tuple[Box, Box]) -> None:
    a, b = pair
    a.set_weight(7)
    assert (a.weight(), b.weight()) == (7, 7)
    assert 'port: "port-b"' in b.command("show", "configuration")[1], "what is a box's own stays"
    b.set_weight(8)
    assert (a.weight(), b.weight()) == (8, 8)
    assert "HA link: paired with" in a.command("show", "log")[1]


def test_a_cut_refuses_commits_and_what_went_different_ways_waits_for_a_person(pair: tuple[Box, Box]) -> None:
    a, b = pair
    b.stop()  # its dataplane with it, so that its supervisor says "dead"
    wait_for(lambda: "DEAD" in a.says("show", "failover", "peer"), "the peer to be gone", 10)
    code, text = a.set_weight(5, check=False)
    assert code == 1 and "the peer is not reachable" in text and a.weight() == 1
    a.set_weight(5, "commit local")
    a.stop()
    b.start()
    b.set_weight(6, "commit local")
    a.start()
    wait_for(lambda: "+ pool web backend web1 weight 6" in a.says("show", "failover", "peer"), "the difference", 20)
    assert "- pool web backend web1 weight 5" in a.says("show", "failover", "peer")
    assert (a.weight(), b.weight()) == (5, 6)
    a.command("failover", "adopt", "peer")
    wait_for(lambda: a.agrees() and b.agrees(), "the boxes to agree", 20)
    assert (a.weight(), b.weight()) == (6, 6)


def test_the_death_of_a_dataplane_is_told_at_once(pair: tuple[Box, Box]) -> None:
    a, b = pair
    wait_for(lambda: "death notice to the peer: ready" in a.says("show", "failover", "peer"), "the order to the supervisor", 10)
    killed = time.time()
    os.kill(a.pid("dataplane"), signal.SIGKILL)
    wait_for(lambda: "DEAD" in b.says("show", "failover", "peer"), "the news", 5)
    line = next(line for line in b.command("show", "log")[1].splitlines() if "its dataplane ended" in line)
    print(f"killed at {killed:.3f}, {line}")
    a.command("failover", "rotate-key")
    wait_for(lambda: a.agrees() and b.agrees(), "the boxes to agree with another key", 10)
    b.command("failover", "unpair")
    wait_for(lambda: "not paired" in a.says("show", "failover", "peer"), "the other box to know", 10)
