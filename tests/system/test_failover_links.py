"""A pair whose links are bad or cut, by the wire of tests/wire: partition and heal, one direction, loss, delay, reordering."""
from __future__ import annotations

import time
from typing import Iterator

import pytest
from lab_lib.box import Box
from lab_lib.faults import BRIDGES
from lab_lib.shell import wait_for
from lab_lib.site import Site

from pair import Watch, causes, other, pair_config, transitions, watching

SITE = {"pair": True, "wires": True}
CONFIG = pair_config()
DATA = ("br-front", "br-servers")


@pytest.fixture(scope="module")
def watched(site: Site) -> Iterator[Watch]:
    with watching(site) as watch:
        yield watch


@pytest.fixture
def watch(site: Site, watched: Watch) -> Iterator[Watch]:
    site.wait_whole()
    watched.mark()
    yield watched
    for box in site.boxes:
        spoil(site, box, BRIDGES, "both heal")
        watched.claims.ignore(box.host, False)
    site.wait_whole()


def spoil(site: Site, box: Box, bridges: tuple[str, ...], words: str) -> None:
    for bridge in bridges:
        site.wire(box, bridge).say(words)


def test_a_partition_heals_to_one_active_box_and_one_epoch_within_a_second(site: Site, watch: Watch) -> None:
    """Each half serves its own side meanwhile: no witness says which of them is cut off."""
    active, backup = site.wait_settled()
    epoch = active.api.failover().epoch
    watch.claims.ignore(active.host, True)
    spoil(site, active, BRIDGES, "both cut")
    wait_for(lambda: backup.role() == "active", "the other half to serve", 5)
    assert active.role() == "active"
    time.sleep(1)
    spoil(site, active, BRIDGES, "both heal")
    healed = time.monotonic()
    site.wait_settled(5)
    wait_for(lambda: len({box.api.failover().epoch for box in site.boxes}) == 1, "one epoch", 5)
    assert time.monotonic() - healed < 1
    assert active.api.failover().epoch > epoch
    for box in site.boxes:
        assert all(causes(box)), causes(box)


@pytest.mark.parametrize("words", ["ab cut", "ba cut"])
def test_a_cut_of_one_direction_does_not_make_two_active_boxes(site: Site, watch: Watch, words: str) -> None:
    """The backup hears no advert, or is not heard; over the HA link it still knows that the other one serves."""
    active, backup = site.wait_settled()
    spoil(site, backup, DATA, words)
    time.sleep(3)
    assert watch.claims.overlap().ms == 0, causes(backup)
    assert active.role() == "active"
    assert watch.lost() == 0, watch.probes.gaps()


@pytest.mark.parametrize("words", ["both loss 0.1", "both delay 20 jitter 30", "both duplicate 0.5 jitter 5"])
def test_bad_links_do_not_move_the_group(site: Site, watch: Watch, words: str) -> None:
    before = transitions(site)
    for box in site.boxes:
        spoil(site, box, DATA, words)
    time.sleep(5)
    assert transitions(site) == before, {box.host: causes(box) for box in site.boxes}
    assert watch.claims.overlap().ms == 0


def test_without_the_ha_link_the_pair_stays_as_it_is(site: Site, watch: Watch) -> None:
    before = transitions(site)
    spoil(site, other(site, site.wait_settled()[0]), ("br-ha",), "both cut")
    time.sleep(2)
    assert transitions(site) == before
    assert watch.lost() == 0, watch.probes.gaps()
