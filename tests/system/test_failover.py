"""A pair of boxes, one address: what clients notice when a box dies, hangs, is cut off or hands over, and that the two never
claim the address at once."""
from __future__ import annotations

import ipaddress
import os
import signal
import time
from collections import Counter
from typing import Iterator

import pytest
from lab_lib import addresses as at
from lab_lib.box import Box
from lab_lib.faults import BRIDGES, CONTROLPLANE, DATAPLANE, FAULTS, batch, cut, go_on, heal, stop
from lab_lib.pair import CALM_MS, FRONT_VRID
from lab_lib.shell import wait_for
from lab_lib.site import Site

from helpers import HERE, PYTHON, WEB, WEB6, Download, script
from pair import ASKER, Watch, causes, pair_config, shown, transitions, watching

SITE = {"pair": True}
CONFIG = pair_config()

SUDDEN_MS = 350     # at adverts every 100 ms
PLANNED_MS = 10
GRACE_S = 2         # of tests that wait for it
CUT_OFF_MS = 900    # three pings of a witness, 100 ms apart, and the peer's word on it: controlplane/README.md
DATA = ("br-front", "br-servers")


@pytest.fixture(scope="module")
def watched(site: Site) -> Iterator[Watch]:
    with watching(site) as watch:
        yield watch


@pytest.fixture
def watch(site: Site, watched: Watch) -> Iterator[Watch]:
    """From a whole pair, and back to one."""
    site.wait_whole()
    watched.mark()
    yield watched
    for box in site.boxes:
        heal(site, box)
        go_on(box, DATAPLANE)
        go_on(box, CONTROLPLANE)
        watched.claims.ignore(box.host, False)
    site.wait_whole()


@pytest.mark.parametrize("fault", ["kill9", "sigstop", "cut"])
def test_sudden_death_is_over_within_350_ms_and_the_group_stays_where_it_went(site: Site, watch: Watch, fault: str) -> None:
    active, backup = site.wait_settled()
    if fault == "cut":
        watch.claims.ignore(active.host, True)  # what it says reaches nobody
    FAULTS[fault].strike(site, active)
    wait_for(lambda: backup.role() == "active", "the backup to take over", 5)
    time.sleep(0.5)
    gap, busy_ms = watch.gap(), watch.busy_ms()
    assert gap.ms < SUDDEN_MS + busy_ms, (gap, busy_ms, causes(backup))
    assert watch.claims.overlap().ms == 0
    FAULTS[fault].mend(site, active)
    watch.claims.ignore(active.host, False)
    if fault == "cut":  # both were active, each for itself: the higher priority goes on
        site.wait_settled(20)
    else:
        wait_for(lambda: active.role() == "backup", f"{active.host} back as a backup", 20)
        time.sleep(1)
        assert (active.role(), backup.role()) == ("backup", "active"), "policy stay"
    for url in (WEB, WEB6):
        assert set(site.answers(url, 6)) <= set(at.WEB_SERVERS)


def test_a_box_that_was_stopped_for_3_s_wakes_up_fenced(site: Site, watch: Watch) -> None:
    active, backup = site.wait_settled()
    stop(active, DATAPLANE)
    time.sleep(3)
    assert backup.role() == "active"
    watch.mark()
    go_on(active, DATAPLANE)
    wait_for(lambda: active.role() == "backup", "the woken box to be a backup", 5)
    time.sleep(0.5)
    seen = watch.claims.overlap()
    assert seen.claims[active.host] == 0 and seen.claims[backup.host] > 100, seen
    assert backup.role() == "active"
    assert watch.lost() == 0, watch.probes.gaps()


def test_a_backup_that_stood_still_takes_nothing_from_a_healthy_peer(site: Site, watch: Watch) -> None:
    """For about as long as it waits for the peer, so that its own silence might pass for the peer's."""
    active, backup = site.wait_settled()
    before = transitions(site)
    for step in range(12):
        stop(backup, DATAPLANE)
        time.sleep(0.30 + 0.02 * step)
        go_on(backup, DATAPLANE)
        time.sleep(0.4)
    assert transitions(site) == before, (causes(active), causes(backup))
    assert watch.claims.overlap().ms == 0


def test_a_planned_switch_takes_10_ms_and_back_again(site: Site, watch: Watch) -> None:
    for _ in range(2):
        active, backup = site.wait_settled(calm_ms=CALM_MS)  # one that has just given up takes the echo of that for what it is
        watch.mark()
        active.cli("failover", "switch", "site")
        wait_for(lambda: (active.role(), backup.role()) == ("backup", "active"), "the switch", 5)
        time.sleep(0.3)
        gap, busy_ms = watch.gap(), watch.busy_ms()
        assert gap.ms < PLANNED_MS + busy_ms, (gap, busy_ms, causes(backup))
        assert watch.claims.overlap().ms == 0


def test_new_connections_and_downloads_work_on_either_box(site: Site, watch: Watch) -> None:
    """A download that begins after a switch runs on the box that has just taken over, by its own local addresses."""
    expected = site.servers.blob_sha256("20m")
    for _ in range(2):
        active, backup = site.wait_settled()
        active.cli("failover", "switch", "site")
        wait_for(lambda: backup.role() == "active", "the switch", 5)
        for family in (4, 6):
            with Download(site, at.url(at.front(100, family), "/blob/20m")) as download:
                result = download.finish()
            assert (result["error"], result["sha256"]) == ("", expected)
        seen = {site.curl(at.url(at.front(100), "/client")).stdout.strip() for _ in range(6)}
        assert all(own_local_address(address, backup.host) for address in seen), (seen, backup.host)


def own_local_address(address: str, host: str) -> bool:
    place = next(place for place in at.PAIR if place.name == host)
    return ipaddress.ip_address(address) in ipaddress.ip_network(place.local[0])


def test_a_client_finds_its_backend_on_the_other_box(site: Site, watch: Watch) -> None:
    """By its cookie, whichever box signed it: both have the same keys."""
    base = f"http://{at.front(100)}:8080/"
    script(site, "set service web-http http cookie name SRV", "commit")
    try:
        files = [box.state / "ha" / "cookie.keys" for box in site.boxes]
        assert files[0].read_text() == files[1].read_text()
        for _ in range(2):
            active, backup = site.wait_settled()
            wait_for(lambda: "SRV=" in site.curl(base, "-D", "-", check=False).stdout, "a cookie", 10, 0.1)
            said = site.curl(base, "-D", "-").stdout
            cookie = next(line.split()[1].rstrip(";") for line in said.splitlines() if line.startswith("Set-Cookie: "))
            active.cli("failover", "switch", "site")
            wait_for(lambda: backup.role() == "active", "the switch", 5)
            answers = [site.curl(base, "-H", f"Cookie: {cookie}").stdout.strip() for _ in range(6)]
            assert set(answers) == {said.split()[-1]}, (answers, said)
    finally:
        script(site, "delete service web-http http", "commit", check=False)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["kill9", "sigstop"])
@pytest.mark.parametrize("which", ["active", "backup"])
def test_a_dead_control_plane_costs_no_packet_and_moves_nothing_within_the_grace(site: Site, watch: Watch, which: str,
                                                                                 how: signal.Signals) -> None:
    active, backup = site.wait_settled()
    victim = active if which == "active" else backup
    before = transitions(site)
    watch.mark()
    victim.signal(CONTROLPLANE, how)
    time.sleep(3)
    assert watch.lost() == 0, watch.probes.gaps()
    assert transitions(site) == before
    assert (active.role(), backup.role()) == ("active", "backup")


@pytest.mark.tier("full")
def test_a_control_plane_that_dies_twenty_times_costs_no_packet_and_moves_nothing(site: Site, watch: Watch) -> None:
    """On either box in turn, killed and stopped in turn; each time until the pair is whole again."""
    active, backup = site.wait_settled()
    before = transitions(site)
    watch.mark()
    for turn in range(20):
        victim = (active, backup)[turn // 2 % 2]
        if turn % 2 == 0:
            victim.wait_new_pid(CONTROLPLANE, victim.signal(CONTROLPLANE, signal.SIGKILL))
        else:
            stop(victim, CONTROLPLANE)
            time.sleep(1.5)
            go_on(victim, CONTROLPLANE)
        victim.wait_console()
        wait_for(site.agreed, "one configuration on both boxes", 20)
        assert transitions(site) == before, (turn, causes(victim))
        assert watch.lost() == 0, (turn, watch.probes.gaps())
    assert (active.role(), backup.role()) == ("active", "backup")


@pytest.mark.parametrize("policy", ["STAY", "AFTER"])
def test_beyond_the_grace_a_box_is_degraded_and_only_policy_after_moves_the_group(site: Site, watch: Watch, policy: str) -> None:
    after = {"preemption": "AFTER", "preempt_delay_s": 1} if policy == "AFTER" else {}
    site.reload(pair_config(control_grace_s=GRACE_S, **after))
    try:
        active, backup = site.wait_whole()
        if policy == "AFTER":  # to where it stays
            wait_for(lambda: site.boxes[0].role() == "active", "the preferred box to be active", 20)
            active, backup = site.wait_whole()
        before = transitions(site)
        watch.mark()
        stop(active, CONTROLPLANE)
        wait_for(lambda: active.group_state().health == active.api.messages.CLASS_DEGRADED, "the class of a box without control",
                 GRACE_S + 3)
        if policy == "AFTER":
            wait_for(lambda: (active.role(), backup.role()) == ("backup", "active"), "the peer to take over", 10)
            assert watch.claims.overlap().ms == 0
        else:
            time.sleep(3)
            assert transitions(site) == before, {box.host: causes(box) for box in site.boxes}
            assert watch.lost() == 0, watch.probes.gaps()
        go_on(active, CONTROLPLANE)
        wait_for(lambda: active.group_state().health == active.api.messages.CLASS_OK, "the class of a box with control", 10)
    finally:
        for box in site.boxes:
            go_on(box, CONTROLPLANE)
        site.wait_whole()
        site.reload(CONFIG)


def test_a_box_cut_off_from_its_networks_gives_way_to_the_one_that_reaches_the_witness(site: Site, watch: Watch) -> None:
    """Silently, and with a living HA link, by which each knows that the other is well."""
    site.reload(pair_config(extra=f'witness: "{ASKER}"'))
    try:
        active, backup = site.wait_whole()
        for box in site.boxes:
            wait_for(lambda: "a witness answers" in box.cli("show", "failover").stdout, f"the witness at {box.host}", 10, 0.2)
        watch.mark()
        watch.claims.ignore(active.host, True)
        cut(site, active, DATA)
        wait_for(lambda: (active.role(), backup.role()) == ("fault", "active"), "the peer to take over", 5)
        time.sleep(0.5)
        gap, busy_ms = watch.gap(), watch.busy_ms()
        assert gap.ms < CUT_OFF_MS + busy_ms, (gap, busy_ms, causes(active), causes(backup))
        assert "SILENT here, the peer reaches one -> fault" in " ".join(active.cli("show", "failover").stdout.split())
        assert active.log_count("no witness answers this box, and one answers the peer") > 0
        heal(site, active, DATA)
        watch.claims.ignore(active.host, False)
        wait_for(lambda: active.role() == "backup", "the box back as a backup", 10)
        time.sleep(1)
        assert (active.role(), backup.role()) == ("backup", "active"), "policy stay"
    finally:
        for box in site.boxes:
            heal(site, box)
            watch.claims.ignore(box.host, False)
        site.wait_whole()
        site.reload(CONFIG)


def test_a_network_whose_link_is_down_takes_the_group_to_the_other_box(site: Site, watch: Watch) -> None:
    """No track names it: it is the group's own."""
    active, backup = site.wait_settled()
    try:
        batch(site, active, ("br-servers",), "down")
        wait_for(lambda: (active.role(), backup.role()) == ("fault", "active"), "the peer to take over", 5)
        assert "interface servers: link DOWN -> fault" in " ".join(active.cli("show", "failover").stdout.split())
    finally:
        batch(site, active, BRIDGES, "up")
    wait_for(lambda: active.role() == "backup", "the box back as a backup", 10)
    assert watch.claims.overlap().ms == 0, (causes(active), causes(backup))


def test_a_lost_carrier_of_the_ha_link_is_told_with_its_cause_and_moves_nothing(site: Site, watch: Watch) -> None:
    active, backup = site.wait_settled()
    before = transitions(site)
    try:
        batch(site, backup, ("br-ha",), "down")
        wait_for(lambda: "has NONE" in backup.cli("show", "failover", "peer").stdout, "the cable to be missed", 2)
        assert backup.log_count("has no carrier") > 0
        assert "has no carrier" in " ".join(backup.cli("show", "system").stdout.split())
    finally:
        batch(site, backup, BRIDGES, "up")
    wait_for(lambda: "no peer" not in backup.cli("show", "system").stdout, "the peer to be heard again", 5)
    assert backup.log_count("has its carrier again") > 0
    assert transitions(site) == before
    assert watch.lost() == 0, watch.probes.gaps()


def test_both_boxes_show_the_failover(site: Site, watch: Watch) -> None:
    active, backup = site.wait_settled()
    for box, expected in ((active, "active"), (backup, "backup")):
        said = box.cli("show", "failover").stdout
        assert f"group site: {expected} here" in said.lower(), said
    assert str(shown(active)) != str(shown(backup))


def test_the_lab_knows_both_boxes(site: Site, watch: Watch, tool) -> None:
    status, said = tool("status")
    assert status == 0 and said.index("\nbox-a\n") < said.index("\nbox-b\n") and "DOWN" not in said, said
    assert "group site             active: " in said and "group site             backup: " in said, said
    for box in site.boxes:
        goes_on = f"{box.host}: The file says what runs already: generation {box.running().generation} goes on.\n"
        assert tool("reload", box.host) == (0, goes_on)
    assert tool("reload", "web1") == (1, "tools/lab: web1 is no box; there are: box-a, box-b\n")
    status, said = tool("up", "--no-build", "--single")
    assert status == 1 and "two boxes" in said, said


def test_each_change_of_role_has_a_cause(site: Site, watch: Watch) -> None:
    active, backup = site.wait_settled()
    active.signal(DATAPLANE, signal.SIGKILL)
    wait_for(lambda: backup.role() == "active", "the backup to take over", 5)
    wait_for(lambda: active.role() == "backup", "the other one back", 20)
    for box in site.boxes:
        assert causes(box) and all(len(cause) > 10 for cause in causes(box)), causes(box)
    state = backup.group_state()
    assert state.change[-1].epoch > 0 and "peer" in state.change[-1].cause, state.change[-1]


BAD_ADVERTS = ("bad_hop_limit", "bad_version", "bad_type", "bad_checksum", "bad_count", "bad_interval", "truncated")  # another router id is not steered to the dataplane, nor counted


def odd_adverts(box: Box) -> Counter[str]:
    return Counter({oddity.reason: oddity.adverts for router in box.group_state().router for oddity in router.oddity})


@pytest.mark.parametrize("reason", BAD_ADVERTS)
def test_a_bad_advert_is_counted_by_reason_and_moves_nothing(site: Site, watch: Watch, reason: str) -> None:
    """Each says priority 254, so that it would win if it were believed."""
    before, odd = transitions(site), {box.host: odd_adverts(box) for box in site.boxes}
    site.exec("client", PYTHON, str(HERE / "adverts.py"), "eth0", str(FRONT_VRID), at.front(100), *[reason] * 5)
    for box in site.boxes:
        wait_for(lambda: odd_adverts(box)[reason] - odd[box.host][reason] == 5, f"{reason} counted on {box.host}", 3)
        # The control plane hears of counters once a second.
        wait_for(lambda: f"{reason}: " in box.cli("show", "failover", "counters").stdout, f"{reason} shown on {box.host}", 3, 0.2)
    time.sleep(0.5)
    assert transitions(site) == before, {box.host: causes(box) for box in site.boxes}
    assert watch.lost() == 0, watch.probes.gaps()


BURN = "import os\nwhile os.getppid() == {parent}: pass"


@pytest.mark.tier("full")
def test_busy_loops_on_every_processor_do_not_move_the_group(site: Site, watch: Watch) -> None:
    """At 10 ms adverts: the thread that elects has real-time priority."""
    site.reload(pair_config(interval_ms=10))
    try:
        site.wait_whole()
        before = transitions(site)
        count = 2 * (os.cpu_count() or 1)
        burners = [site.popen("web3", "/usr/bin/python3", "-c", BURN.format(parent=os.getpid())) for _ in range(count)]
        try:
            time.sleep(10)
        finally:
            for burner in burners:
                burner.kill()
                burner.wait()
        assert transitions(site) == before, {box.host: causes(box) for box in site.boxes}
    finally:
        site.reload(CONFIG)
