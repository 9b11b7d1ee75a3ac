"""A disk that is full, then read-only, under a running box: forwarding and probing go on, a commit is refused with the cause, and
what was not confirmed goes back all the same."""
from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import Iterator

import pytest
from lab_lib.api import ManagementApi, is_rpc_error
from lab_lib.config import Config
from lab_lib.shell import run, wait_for
from lab_lib.site import Site

from helpers import WEB, RequestLoad, spread, wait_in, wait_out

SITE = {"box": {"state": "state"}}
START_BOX = False  # after the file system is there
SIZE = "4m"
EVEN = {"web1": 4, "web2": 4, "web3": 4}


@pytest.fixture(scope="module")
def management(site: Site) -> Iterator[ManagementApi]:
    """The box runs with the control plane's state on a small file system of its own."""
    disk = site.box.state
    disk.mkdir(parents=True)
    run("mount", "-t", "tmpfs", "-o", f"size={SIZE}", "hgt-disk", str(disk))
    try:
        site.start_box(Config())
        api = ManagementApi(site.box.management, site.box.home / "python")
        yield api
        api.close()
    finally:
        run("mount", "-o", "remount,rw", str(disk), check=False)
        site.box.stop()
        run("umount", "--lazy", str(disk))


@contextlib.contextmanager
def full(site: Site) -> Iterator[None]:
    filler = site.box.state / "filler"
    with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    try:
        yield
    finally:
        filler.unlink()


@contextlib.contextmanager
def read_only(site: Site) -> Iterator[None]:
    # Whoever has a file open for writing at this moment makes it "busy".
    wait_for(lambda: run("mount", "-o", "remount,ro", str(site.box.state), check=False).returncode == 0, "a read-only disk", 10)
    try:
        yield
    finally:
        run("mount", "-o", "remount,rw", str(site.box.state))


SICK = {"full": (full, "No space left on device"), "read-only": (read_only, "Read-only file system")}


def heavier(text: str) -> str:
    """The same configuration with four times the weight for web1 of the first pool."""
    return text.replace('name: "web1"', 'name: "web1" weight: 4', 1)


def processor_s(pid: int) -> float:
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def answers(management: ManagementApi) -> bool:
    try:
        management.call("WhoAmI")
    except Exception as error:
        if not is_rpc_error(error):
            raise
        return False
    return True


def problems(management: ManagementApi) -> str:
    return "\n".join(management.call("System").problem)


@pytest.mark.parametrize("how", SICK)
def test_a_disk_that_takes_nothing_stops_no_traffic_and_no_probe(site: Site, management: ManagementApi, how: str) -> None:
    make, cause = SICK[how]
    before = management.configuration()
    requests = RequestLoad(site, [WEB], rate=20)
    with make(site):
        refused = management.commit(heavier(before.text))
        assert refused.outcome == refused.NOT_WRITTEN and cause in refused.cause, refused
        assert refused.revision.number == before.revision.number
        asked = requests.finish()
        assert not asked["failed"], asked
        # Verdicts reach the workers in both directions.
        site.processes.stop("web2", "nginx", signal.SIGKILL)
        wait_for(lambda: not site.backends_up(), "web2 down", 10)
        wait_out(site, "web2")
        site.servers.start_nginx("web2")
        wait_for(site.backends_up, "web2 up", 10)
        wait_in(site, "web2")
        drained = site.box.cli("backend", "web/web3", "drain", check=False)
        assert drained.returncode == 1 and cause in drained.stderr, drained
        wait_for(lambda: spread(site.answers(WEB, 12)) == EVEN, "all as before", 10)
    committed = management.commit(heavier(before.text))
    assert committed.outcome == committed.COMMITTED
    assert spread(site.answers(WEB, 12))["web1"] > 4
    assert management.commit(before.text).outcome == committed.COMMITTED


@pytest.mark.parametrize("how", SICK)
def test_what_was_not_confirmed_goes_back_and_is_written_later(site: Site, management: ManagementApi, how: str) -> None:
    make, cause = SICK[how]
    before = management.configuration()
    lines = site.box.log_count("is in force and not on disk")
    committed = management.call("Commit", 30, text=heavier(before.text), confirm_s=4)
    assert committed.outcome == committed.COMMITTED
    assert spread(site.answers(WEB, 12))["web1"] > 4
    with make(site):
        wait_for(lambda: spread(site.answers(WEB, 12)) == EVEN, "the old weights", 15)
        now = management.configuration()
        assert now.text == before.text and now.revision.rolled_back_from == committed.revision.number
        assert cause in problems(management)
        pid = site.box.daemon_pid("headgate-controlplane")
        assert pid is not None
        used = processor_s(pid)
        time.sleep(4)
        assert processor_s(pid) - used < 0.8, "a busy loop"
        assert site.box.log_count("is in force and not on disk") == lines + 1
        if how == "read-only":  # also when it begins anew on such a disk
            old = site.box.signal("headgate-controlplane", signal.SIGKILL)
            site.box.wait_new_pid("headgate-controlplane", old)
            wait_for(lambda: site.box.revision_that_runs() == now.revision.number, "the control plane", 15)
            wait_for(lambda: answers(management), "its answers on the connection there was", 5)
            assert management.configuration().text == before.text
            assert spread(site.answers(WEB, 12)) == EVEN
    wait_for(lambda: "not on disk" not in problems(management), "the revision on disk", 5)
    written = site.box.state / "history" / f"{now.revision.number:08}.txtpb"
    assert before.text in written.read_text()
