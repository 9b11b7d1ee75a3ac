"""Idle connections survive changes of the configuration: thousands that are kept alive between requests, and upgraded ones, while the
services and pools that they came by are committed again and again. HEADGATE_SEED replays the changes."""
from __future__ import annotations

import json
import os
import random
import subprocess
from typing import Callable, Iterator

import pytest
from lab_lib import addresses as at
from lab_lib.api import ManagementApi
from lab_lib.config import Config
from lab_lib.site import Site

from config_walk import ConfigWalk
from helpers import HERE, PYTHON
from results import Table

NUMBER, PORT, BEHIND = 120, 8090, 8006
# (kept alive, upgraded, commits). A worker has a bounded number of transactions, of which an upgraded connection keeps one.
SIZES = {"quick": (800, 200, 10), "default": (800, 200, 10), "full": (8500, 1500, 50)}
COMMITTED = 0
PROGRAM = str(HERE / "held_connections.py")

TABLE = Table("Idle connections through changes of the configuration",
              ("kept alive", "upgraded", "commits", "closed", "failed afterwards", "slowest ms", "bytes each"))


def held_text(rng: random.Random, step: int) -> str:
    """The service that the connections came by and its pools, other than a step before in all that may change."""
    weights = {name: rng.randint(1, 9) for name in at.WEB_SERVERS}
    drained = rng.choice([*at.WEB_SERVERS, None])
    backends = "".join(f'backend {{ name: "{name}" address: "{at.web(name)}" port: 80 weight: {weight} drain: {str(name == drained).lower()} }}\n'
                       for name, weight in weights.items())
    # One of two servers of the upgraded ones is drained or even gone: they stay where they are.
    upgraded = "".join(f'backend {{ name: "{name}" address: "{at.web(name)}" port: {BEHIND} }}\n' for name in ("web1", "web2")
                       if step % 3 == 0 or name == f"web{step % 3}")
    return f"""
pool {{ name: "held" algorithm: {rng.choice(("ROUND_ROBIN", "LEAST_CONNECTIONS", "MAGLEV"))} {backends} }}
pool {{ name: "upgraded" {upgraded} }}
service {{ name: "held" address: "{at.front(NUMBER)}" port: {PORT} protocol: HTTP pool: "held"
  proxy {{ idle_timeout_s: 3600 }}
  http {{ keepalive_timeout_s: 3600 response_header {{ name: "X-Step" value: "{step}" }}
         route {{ name: "up" path: "/up" pool: "upgraded" }}
         route {{ name: "step{step}" path_prefix: "/step{step}" status: 404 }} }} }}
"""


CONFIG = Config(extra=held_text(random.Random(0), 0))


@pytest.fixture
def servers(site: Site) -> Iterator[None]:
    for name in ("web1", "web2"):
        site.servers.spawn(name, "held", PYTHON, PROGRAM, "serve", str(BEHIND))
        site.servers.wait_listening(name, f":{BEHIND} ")
    yield
    for name in ("web1", "web2"):
        site.processes.stop(name, "held")


@pytest.fixture
def management(site: Site) -> Iterator[ManagementApi]:
    api = ManagementApi(site.box.management, site.box.home / "python")
    yield api
    api.close()


def resident_bytes(site: Site) -> int:
    with open(f"/proc/{site.box.daemon_pid('headgate-dataplane')}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))


def test_no_idle_connection_is_lost_by_a_commit(site: Site, servers: None, management: ManagementApi, request: pytest.FixtureRequest,
                                                record_property: Callable[[str, object], None]) -> None:
    seed = int(os.environ.get("HEADGATE_SEED", random.randrange(1 << 32)))
    tier = request.config.getoption("--tier")
    kept, upgraded, commits = SIZES[tier]
    before = resident_bytes(site)
    holder = site.popen("client", PYTHON, PROGRAM, "hold", at.front(NUMBER), str(PORT), str(kept), str(upgraded), stdin=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == "held\n"
        each = (resident_bytes(site) - before) // (kept + upgraded)
        walk, rng = ConfigWalk(seed), random.Random(seed)
        for step in range(1, commits + 1):
            walk.step()
            reply = management.commit(walk.text() + held_text(rng, step))
            assert reply.outcome == COMMITTED, f"HEADGATE_SEED={seed}, step {step}: {reply}"
        sessions = sum(worker.sessions_now for worker in site.box.api.call("Stats").worker)
        output, _ = holder.communicate("now\n", timeout=240)
    finally:
        holder.kill()
    result = json.loads(output.splitlines()[-1])
    TABLE.add(kept, upgraded, commits, result["closed"], result["failed"], result["slowest_ms"], each)
    TABLE.note(f"tier {tier}; --tier full: {sum(SIZES['full'][:2])} connections, {SIZES['full'][2]} commits. HEADGATE_SEED={seed}")
    record_property("sessions", sessions)
    assert result["closed"] == result["failed"] == 0, f"HEADGATE_SEED={seed}: {result}"
