"""As test_kernel_peer, with frames of 9,000 bytes: on AF_PACKET, since AF_XDP wants a frame in one page. There the kernel's own traffic
goes by devices of 1,500 bytes, so no relay stands beside us: what arrives and what tshark says is judged, not the time."""
from __future__ import annotations

from pathlib import Path
from typing import Iterator

import pytest
from lab_lib.shell import wait_for
from lab_lib.site import Site

from bare import bare_site
from results import Table
from tcp_judge import capturing
from test_kernel_peer import (LEGS, SEED, WIRES, Case, Counts, expressions, failures, faults_of, finish, judged, median_of_bulk, seen_text,
                              serves, service_address, set_wires, snapshot, start_servers, start_talk)

MTU = 9000
CASES = [Case(wire, family=family, window=window) for wire in ("clean", "delay100", "loss5", "reorder", "mixed") for family in (4, 6)
         for window in ("roomy", "client", "server")]
IN_DEFAULT = {case.name for case in (Case("clean", family=6), Case("loss5"), Case("delay100", window="server"))}

TABLE = Table(f"The Linux kernel as the peer, frames of {MTU} bytes", ("case", "bulk", "ours s", "segments", "seen by tshark"))
TABLE.note(f"tier default runs {len(IN_DEFAULT)} of {len(CASES)} cases, --tier full all")


@pytest.fixture(scope="module")
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    box = {"port_kind": "af_packet", "memory_mb": 1536}
    with bare_site(request, snapshot(MTU), wires=True, seed=SEED, mtu=MTU, box=box) as site:
        start_servers(site)
        for family in (4, 6):
            wait_for(lambda: serves(site, service_address(family)), "the first answer of the service", 20, 0.2)
        yield site


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name, marks=[] if case.name in IN_DEFAULT else [pytest.mark.tier("full")])
                                  for case in CASES])
def test_conversations_arrive_whole(site: Site, case: Case, tmp_path: Path) -> None:
    set_wires(site, LEGS[case.leg], WIRES[case.wire])
    before = Counts.of(site)
    try:
        with capturing(site, expressions(case), tmp_path) as files:
            results = finish(start_talk(site, service_address(case.family), case.port, case.jobs, case.client_buffer))
    finally:
        set_wires(site, (), "")
    assert not failures(results), failures(results)
    verdicts = judged(site, case, files)
    TABLE.add(case.name, case.bulk, median_of_bulk(results), sum(v.segments for v in verdicts.values()), seen_text(verdicts))
    faults = faults_of(verdicts, before, Counts.of(site))
    assert not faults, "\n".join(faults)
