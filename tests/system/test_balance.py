"""Who answers: the algorithms, weights, drain, limits and persistence, seen by a real client."""
from __future__ import annotations

import dataclasses
from typing import Callable

import pytest
from lab_lib import addresses as at
from lab_lib.config import THREE_BACKENDS, Config, Pool
from lab_lib.shell import wait_for
from lab_lib.site import Site

from helpers import WEB, WEB6, hold, spread

EVEN = {"web1": 4, "web2": 4, "web3": 4}
SMOOTH = ["web1", "web2", "web1", "web3", "web2", "web1"]  # smooth weighted round robin of 3:2:1


def with_weights(*weights: int) -> Config:
    return Config().with_pool(backends=tuple(dataclasses.replace(backend, weight=weight)
                                             for backend, weight in zip(THREE_BACKENDS, weights)))


@pytest.mark.tier("quick")
@pytest.mark.parametrize("url", [WEB, WEB6], ids=["v4", "v6"])
def test_round_robin_gives_each_of_three_backends_four_of_twelve(site: Site, url: str) -> None:
    assert spread(site.answers(url, 12)) == EVEN


@pytest.mark.tier("quick")
def test_weights_3_2_1_give_6_4_2_in_smooth_order(site: Site, configure: Callable[[Config], None]) -> None:
    configure(with_weights(3, 2, 1))
    answers = site.answers(WEB, 12)
    rotations = [SMOOTH[start:] + SMOOTH[:start] for start in range(len(SMOOTH))]
    assert spread(answers) == {"web1": 6, "web2": 4, "web3": 2}
    assert answers in [rotation * 2 for rotation in rotations]


def test_weight_0_and_drain_take_no_new_connections(site: Site, configure: Callable[[Config], None]) -> None:
    configure(with_weights(1, 0, 1))
    assert spread(site.answers(WEB, 12)) == {"web1": 6, "web3": 6}
    drained = tuple(dataclasses.replace(backend, drain=backend.name == "web3") for backend in THREE_BACKENDS)
    configure(Config().with_pool(backends=drained))
    assert spread(site.answers(WEB, 12)) == {"web1": 6, "web2": 6}


def test_source_hash_keeps_a_client_on_one_backend(site: Site, configure: Callable[[Config], None]) -> None:
    configure(Config().with_pool(algorithm="SOURCE_HASH"))
    assert len(spread(site.answers(WEB, 12))) == 1


def test_maglev_reaches_every_backend(site: Site, configure: Callable[[Config], None]) -> None:
    configure(Config().with_pool(algorithm="MAGLEV"))
    assert set(spread(site.answers(WEB, 60))) == set(at.WEB_SERVERS)


def test_persistence_keeps_a_client_on_one_backend(site: Site, configure: Callable[[Config], None]) -> None:
    configure(Config().with_pool(persistence_s=60))
    assert len(spread(site.answers(WEB, 12))) == 1


def backend_flows(site: Site) -> dict[str, int]:
    """Flows now by web server, over the pools and families."""
    flows: dict[str, int] = {name: 0 for name in at.WEB_SERVERS}
    for backend in site.box.api.call("Stats").backend:
        for name in flows:
            if name in backend.name:
                flows[name] += backend.traffic.flows_now
    return flows


def test_least_connections_fills_the_emptiest_backend(site: Site, configure: Callable[[Config], None]) -> None:
    wait_for(lambda: sum(backend_flows(site).values()) < 3, "the flows of earlier tests to end", 20)
    configure(Config().with_pool(algorithm="LEAST_CONNECTIONS"))
    holder = hold(site, 30)
    try:
        counts = wait_for(lambda: sum(backend_flows(site).values()) >= 30 and backend_flows(site), "30 flows", 5)
        assert max(counts.values()) - min(counts.values()) <= 6, counts  # power of two choices: near even, not exact
    finally:
        holder.communicate()


def test_a_connection_limit_of_two_holds(site: Site, configure: Callable[[Config], None]) -> None:
    wait_for(lambda: sum(backend_flows(site).values()) < 3, "the flows of earlier tests to end", 20)
    limited = tuple(dataclasses.replace(backend, max_connections=2) for backend in THREE_BACKENDS)
    configure(Config(pools=(Pool("web", limited, health_check=False), *Config().pools[1:])))
    holder = hold(site, 6)
    try:
        refused = site.curl(WEB, check=False, timeout=1)
        assert refused.returncode != 0, "a seventh connection was accepted"
        assert spread_of_limit(site) == {"web1": 2, "web2": 2, "web3": 2}
    finally:
        holder.communicate()


def spread_of_limit(site: Site) -> dict[str, int]:
    return wait_for(lambda: sum(backend_flows(site).values()) >= 6 and backend_flows(site), "six flows", 5)
