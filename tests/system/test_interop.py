"""Our box beside other people's VRRP routers: Debian's keepalived 2.2.7 and FRR's vrrpd 8.4.4.

Each case is a peer, a version, a family and the role in which our box begins: elect, fail over, return. The two hold the same
address under one virtual router id.
"""
from __future__ import annotations

import shutil
import signal
from dataclasses import dataclass
from typing import Any, Iterator

import pytest
from lab_lib import addresses as at
from lab_lib.config import Backend, Config, Pool, Service
from lab_lib.faults import DATAPLANE
from lab_lib.frr import Frr
from lab_lib.keepalived import Instance, Keepalived
from lab_lib.pair import FRONT_VRID, Failover
from lab_lib.shell import wait_for
from lab_lib.site import Site

from helpers import ping

SITE = {"group": True}
START_BOX = False
NUMBER = 100
PEER_NUMBERS = {"keepalived": 41, "frr": 42}
VIRTUAL_LINK_LOCAL = f"fe80::200:5eff:fe00:2{FRONT_VRID:02x}"  # of the virtual MAC, which our box lists first


@dataclass(frozen=True)
class Case:
    peer: str
    version: int
    family: int
    role: str = "active"  # of our box, to begin with

    @property
    def name(self) -> str:
        return f"{self.peer}-v{self.version}-ipv{self.family}-{self.role}"

    @property
    def interval_ms(self) -> int:
        return 1000 if self.version == 2 else 100

    @property
    def addresses(self) -> tuple[str, ...]:
        """Those of the virtual router: keepalived 2.2.7 drops adverts that list others."""
        return (at.front(NUMBER),) if self.family == 4 else (VIRTUAL_LINK_LOCAL, at.front(NUMBER, 6))

    @property
    def down_s(self) -> float:
        """Longer than any wait for a silent peer."""
        return self.interval_ms / 1000 * 4

    def config(self, priority: int, preempt: bool) -> Config:
        failover = Failover(alone=True, version=self.version, interval_ms=self.interval_ms, startup_wait_ms=int(self.down_s * 1000),
                            priorities=(priority, 50), preemption="AFTER" if preempt else "", preempt_delay_s=0 if preempt else None)
        return Config(pools=(Pool("web", backends=(Backend("web1"),)),), failover=failover,
                      services=(Service("web", NUMBER, families=(self.family,)),))

    def instance(self, priority: int, preempt: bool) -> Instance:
        return Instance(FRONT_VRID, self.addresses, priority, self.interval_ms, self.version, preempt)


WAYS = (("keepalived", 3, 4), ("keepalived", 3, 6), ("keepalived", 2, 4), ("frr", 3, 4), ("frr", 3, 6), ("frr", 2, 4))
CASES = [Case(*way, role) for way in WAYS for role in ("active", "backup")]
# The rest is in full only: a sample of each peer, version, family and role; version 2 has seconds between adverts.
IN_DEFAULT = {"keepalived-v3-ipv4-active", "keepalived-v3-ipv4-backup", "keepalived-v3-ipv6-active", "keepalived-v2-ipv4-backup",
              "frr-v3-ipv4-backup", "frr-v3-ipv6-active"}


def parameter(case: Case) -> Any:
    return pytest.param(case, id=case.name, marks=[] if case.name in IN_DEFAULT else [pytest.mark.tier("full")])


class Peer:
    """Either of them, by the same words."""

    def __init__(self, daemon: Keepalived | Frr, case: Case) -> None:
        self.daemon, self.case = daemon, case

    def start(self, priority: int, preempt: bool = False) -> None:
        self.daemon.start(self.case.instance(priority, preempt))

    def active(self) -> bool:
        if isinstance(self.daemon, Frr):
            return self.daemon.state(self.case.family) == "Master"
        return self.daemon.states()[-1:] == ["MASTER"]

    def backup(self) -> bool:
        if isinstance(self.daemon, Frr):
            return self.daemon.state(self.case.family) == "Backup"
        return self.daemon.states()[-1:] == ["BACKUP"]

    def stop(self, how: int = signal.SIGTERM) -> None:
        self.daemon.stop(how)


@pytest.fixture(scope="module")
def daemons(site: Site) -> Iterator[dict[str, Keepalived | Frr]]:
    made = {"keepalived": Keepalived(site.network, site.processes, site.run_dir, "ka"),
            "frr": Frr(site.network, site.processes, site.run_dir, "frr")}
    for name, daemon in made.items():
        daemon.connect("br-front", "front", PEER_NUMBERS[name])
    yield made


@pytest.fixture
def peer(daemons: dict[str, Keepalived | Frr], case: Case, site: Site) -> Iterator[Peer]:
    yield Peer(daemons[case.peer], case)
    daemons[case.peer].stop(signal.SIGKILL)
    if isinstance(daemons[case.peer], Keepalived):
        daemons[case.peer].remove_remains(case.instance(100, False))
    site.box.stop()
    shutil.rmtree(site.box.home)  # with its history: the next case begins with its own configuration


def start_box(site: Site, case: Case, priority: int, preempt: bool = False) -> None:
    site.box.start(case.config(priority, preempt))


def wait_box(site: Site, wanted: str, case: Case) -> None:
    try:
        wait_for(lambda: site.box.role() == wanted, f"our box to be {wanted}", 10 + 3 * case.down_s, 0.02)
    except TimeoutError as late:
        raise AssertionError(f"{late}: {site.box.group_state()}\n{site.box.log_tail()}") from None


def wait_peer(peer: Peer, wanted: str) -> None:
    wait_for(peer.active if wanted == "active" else peer.backup, f"the peer to be {wanted}", 10 + 3 * peer.case.down_s, 0.02)


def answers(site: Site, case: Case) -> bool:
    return ping(site, at.front(NUMBER, case.family)) == 3


def accepted(site: Site) -> None:
    """Nothing about the peer's adverts was so odd that it counted for nothing."""
    dropped = [oddity for router in site.box.group_state().router for oddity in router.oddity if oddity.dropped and oddity.adverts]
    assert not dropped, dropped


@pytest.mark.parametrize("case", [parameter(case) for case in CASES])
def test_elect_fail_over_return(site: Site, peer: Peer, case: Case) -> None:
    (begin_active if case.role == "active" else begin_backup)(site, peer, case)


def begin_active(site: Site, peer: Peer, case: Case) -> None:
    start_box(site, case, priority=200)
    wait_box(site, "active", case)
    peer.start(priority=100, preempt=True)
    wait_peer(peer, "backup")
    assert site.box.role() == "active" and answers(site, case), "elected: both see the other"
    supervised = site.box.signal(DATAPLANE, signal.SIGKILL)
    wait_peer(peer, "active")
    assert answers(site, case), "the peer has taken over"
    site.box.wait_new_pid(DATAPLANE, supervised)
    wait_box(site, "backup", case)
    accepted(site)
    assert peer.active() and answers(site, case), "our box came back, and policy stay leaves the group"
    peer.stop()
    wait_box(site, "active", case)
    assert answers(site, case), "its priority 0 was heard"


def begin_backup(site: Site, peer: Peer, case: Case) -> None:
    peer.start(priority=200, preempt=True)
    wait_peer(peer, "active")
    start_box(site, case, priority=100)
    wait_box(site, "backup", case)
    assert peer.active() and answers(site, case)
    accepted(site)
    peer.stop(signal.SIGTERM)
    wait_box(site, "active", case)
    assert answers(site, case)
    peer.start(priority=200, preempt=True)  # it returns, and preempts
    wait_peer(peer, "active")
    wait_box(site, "backup", case)
    assert answers(site, case)


PEERS = [pytest.param(Case(name, 3, 4), id=name) for name in ("keepalived", "frr")]


@pytest.mark.parametrize("case", PEERS)
def test_our_box_takes_the_group_back_by_priority(site: Site, peer: Peer, case: Case) -> None:
    peer.start(priority=100)
    wait_peer(peer, "active")
    start_box(site, case, priority=200, preempt=True)
    wait_box(site, "active", case)
    wait_peer(peer, "backup")
    assert answers(site, case)
    accepted(site)


@pytest.mark.parametrize("case", PEERS)
def test_equal_priorities_are_decided_by_address(site: Site, peer: Peer, case: Case) -> None:
    """Both start at once. The peer's address, .41 or .42, is above our .11."""
    peer.start(priority=100, preempt=True)
    start_box(site, case, priority=100)
    wait_for(lambda: peer.active() and site.box.role() == "backup" or peer.backup() and site.box.role() == "active",
             "one active and one backup", 10 + 3 * case.down_s)
    assert answers(site, case)
