"""What a pool does with its backends: backups, a minimum, slow start, newcomers; on real traffic."""
from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from lab_lib.config import DEFAULT_POOLS, Backend, Config
from lab_lib.shell import wait_for
from lab_lib.site import Site

from helpers import WEB, spread, wait_in

CONFIG = Config().with_pool(interval_ms=200, fall=2, rise=1)
TWO_AND_A_BACKUP = (Backend("web1"), Backend("web2"), Backend("web3", backup=1))


def pool(**changes: Any) -> Config:
    return CONFIG.with_pool(**changes)


def backend(site: Site, name: str) -> dict[str, Any]:
    shown = json.loads(site.box.cli("show", "backends", "--json").stdout)
    known = (entry for entry in shown["backend"] if entry["name"] == name and entry["pool"] == "web/v4")
    return next(known, {"health": None, "note": ""})


@pytest.fixture
def nginx(site: Site) -> Iterator[Callable[[str], None]]:
    """Kills a web server, and waits until that is known; they are all back after the test."""
    killed: list[str] = []

    def kill(name: str) -> None:
        site.processes.stop(name, "nginx", signal.SIGKILL)
        killed.append(name)
        wait_for(lambda: backend(site, name)["health"] in ("down", "unprobed", "unknown", None), f"{name} down", 10)
    yield kill
    for name in killed:
        if site.processes.pid(name, "nginx") is None:
            site.servers.start_nginx(name)
        wait_for(lambda: backend(site, name)["health"] == "up", f"{name} up", 20)


def test_a_backup_serves_only_while_nobody_else_can(site: Site, configure: Callable[..., None], nginx: Callable[[str], None]) -> None:
    configure(pool(backends=TWO_AND_A_BACKUP))
    assert backend(site, "web3")["note"] == "backup, not needed"
    assert set(site.answers(WEB, 12)) == {"web1", "web2"}
    nginx("web1")
    assert set(site.answers(WEB, 6)) == {"web2"}
    nginx("web2")
    assert set(site.answers(WEB, 6)) == {"web3"}
    assert "backups serve" in site.box.cli("show", "health").stdout
    site.servers.start_nginx("web1")
    wait_for(lambda: set(site.answers(WEB, 6)) == {"web1"}, "only web1", 10)


def test_a_pool_below_its_minimum_fails_or_uses_all_and_says_so(site: Site, configure: Callable[..., None],
                                                              nginx: Callable[[str], None]) -> None:
    configure(pool(extra="minimum_healthy: 3 below_minimum: FAIL"))
    assert spread(site.answers(WEB, 6)) == {"web1": 2, "web2": 2, "web3": 2}
    nginx("web2")
    wait_for(lambda: set(site.answers(WEB, 3)) == {"none"}, "no answer", 10)
    assert "pool web/v4 has 2 healthy backends, fewer than its minimum of 3" in site.box.cli("show", "system").stdout
    configure(pool(extra="minimum_healthy: 3 below_minimum: USE_ALL"))
    wait_for(lambda: {"web1", "web3", "none"} == set(site.answers(WEB, 6)), "all used, also the dead one", 10)
    assert backend(site, "web2")["note"] == "down, but used: fewer than minimum_healthy are up"
    site.servers.start_nginx("web2")
    wait_for(lambda: spread(site.answers(WEB, 6)) == {"web1": 2, "web2": 2, "web3": 2}, "all well again", 10)


def test_a_backend_that_returns_starts_slowly_also_over_a_restart(site: Site, configure: Callable[..., None],
                                                                nginx: Callable[[str], None]) -> None:
    configure(pool(extra="slow_start_s: 20"))
    nginx("web2")
    site.servers.start_nginx("web2")
    wait_for(lambda: backend(site, "web2")["note"].startswith("slow start"), "slow start", 10)
    begun = time.monotonic()
    share = spread(site.answers(WEB, 60)).get("web2", 0)
    assert 1 <= share <= 15, "20 would be its whole share"
    wait_for(lambda: share_of(site) >= 30, "30 % of its weight", 15)
    time.sleep(1.2)  # what is known is written down at most this late
    site.box.signal("headgate-controlplane", signal.SIGKILL)
    wait_for(lambda: share_of(site) >= 30, "the control plane back, and the slow start where it was", 10)
    assert share_of(site) < 95
    wait_for(lambda: backend(site, "web2")["note"] == "", "slow start over", 30)
    assert 15 < time.monotonic() - begun < 25
    assert spread(site.answers(WEB, 30)) == {"web1": 10, "web2": 10, "web3": 10}


def share_of(site: Site) -> int:
    """Percent of its weight that web2 gets; 0 when the control plane does not answer."""
    try:
        note = backend(site, "web2")["note"]
    except Exception:  # noqa: BLE001 - it is being restarted
        return 0
    return int(note.split()[2]) if note.startswith("slow start") else 100 if note == "" else 0


def test_a_newcomer_gets_nothing_before_its_first_probe_succeeded(site: Site, configure: Callable[..., None],
                                                                nginx: Callable[[str], None]) -> None:
    configure(pool(backends=(Backend("web1"), Backend("web2"))))
    nginx("web3")
    configure(CONFIG)
    answers = site.answers(WEB, 60)
    assert set(answers) == {"web1", "web2"}, spread(answers)
    site.servers.start_nginx("web3")
    wait_in(site, "web3")


def test_traffic_takes_down_a_backend_that_its_probe_calls_well(site: Site, configure: Callable[..., None],
                                                                nginx: Callable[[str], None]) -> None:
    """The probe asks another port than clients do."""
    for name in ("web1", "web2", "web3"):
        site.servers.spawn(name, "other", "socat", "TCP-LISTEN:8099,fork,reuseaddr", "SYSTEM:true")
        site.servers.wait_listening(name, ":8099 ")
    try:
        configure(pool(check="tcp { port: 8099 }", extra="passive { failures: 3 hold_s: 4 }"))
        wait_for(lambda: backend(site, "web2")["last_success"], "a probe of web2", 10)
        site.processes.stop("web2", "nginx", signal.SIGKILL)
        assert "none" in site.answers(WEB, 3), "its probe goes on to succeed"
        wait_for(lambda: "none" not in site.answers(WEB, 6), "web2 out of rotation", 10)
        taken = time.monotonic()
        assert "connects in a row were refused, unanswered or reset" in backend(site, "web2")["cause"]
        site.servers.start_nginx("web2")
        wait_in(site, "web2", timeout=20)
        assert time.monotonic() - taken > 2, "held, although probes and server are well"
    finally:
        for name in ("web1", "web2", "web3"):
            site.processes.stop(name, "other")
        if site.processes.pid("web2", "nginx") is None:
            site.servers.start_nginx("web2")


AGENT = """
import pathlib, socketserver, sys
class Agent(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(pathlib.Path(sys.argv[1]).read_bytes())
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer(("", 8899), Agent).serve_forever()
"""


@pytest.fixture
def agent(site: Site, tmp_path: Path) -> Iterator[Path]:
    """What the agent on each web server answers; the one of web2 reads it from this file, the others are always ready."""
    said, ready = tmp_path / "said", tmp_path / "ready"
    for file in (said, ready):
        file.write_text("up ready 100%\n")
    agents = [site.popen(name, sys.executable, "-c", AGENT, str(said if name == "web2" else ready)) for name in ("web1", "web2", "web3")]
    yield said
    for process in agents:
        process.kill()
        process.wait()


def test_a_server_says_its_weight_itself(site: Site, configure: Callable[..., None], agent: Path) -> None:
    configure(pool(extra="agent { port: 8899 interval_ms: 200 }"))

    def note(text: str, word: str) -> None:
        agent.write_text(text)
        wait_for(lambda: word in backend(site, "web2")["note"], f"web2: {word}", 10)

    wait_for(lambda: spread(site.answers(WEB, 6)) == {"web1": 2, "web2": 2, "web3": 2}, "all alike", 10)
    note("50%\n", "50 %")
    assert spread(site.answers(WEB, 50)).get("web2", 0) in range(9, 12), "half of what the others get"
    note("drain\n", "drain")
    assert set(site.answers(WEB, 12)) == {"web1", "web3"}
    note("down #the database is gone\n", "down")
    assert set(site.answers(WEB, 12)) == {"web1", "web3"}
    assert "the database is gone" in site.box.cli("show", "log").stdout
    agent.write_text("up ready 100%\n")
    wait_for(lambda: spread(site.answers(WEB, 6)) == {"web1": 2, "web2": 2, "web3": 2}, "all alike again", 10)
