"""tools/lab as its user meets it: what it says and its exit status, on the site of this module."""
from __future__ import annotations

import os
import signal
import sys
import threading
import time

import pytest
from lab_lib import __main__ as lab
from lab_lib import addresses as at
from lab_lib.box import FILE_HEADER, BoxOptions
from lab_lib.config import Config
from lab_lib.shell import REPOSITORY, run, wait_for
from lab_lib.site import Site, SiteOptions

from helpers import WEB, spread, wait_out


def test_reload_says_what_became_of_the_file(site: Site, tool) -> None:
    own = site.box.config_file.read_text()
    assert tool("reload") == (0, f"The file says what runs already: generation {site.box.running().generation} goes on.\n")
    try:
        site.box.write_text(own + "timeouts { udp_s: 0 prot: 1 }\n")
        status, said = tool("reload")
        assert status == 1 and "udp_s is 0" in said and 'unknown field "prot"' in said and "the file has errors" in said, said
        site.box.write_text(own + "timeouts { udp_s: 77 }\n")
        generation = site.box.running().generation
        status, said = tool("reload")
        assert (status, said) == (0, f"Generation {site.box.running().generation} runs.\n")
        assert site.box.running().generation > generation
    finally:
        site.box.put_back(own)


def test_a_demo_puts_the_operators_file_back(site: Site, tool, monkeypatch: pytest.MonkeyPatch) -> None:
    own = FILE_HEADER + Config().text() + "timeouts { udp_s: 78 }\n"
    site.box.write_text(own)
    try:
        assert tool("reload")[0] == 0
        status, said = tool("demo", "weights")
        assert status == 0 and "web1 6, web2 4, web3 2" in said, said
        assert site.box.config_file.read_text() == own
        assert spread(site.answers(WEB, 12)) == {"web1": 4, "web2": 4, "web3": 4}

        def interrupted(*_: object) -> list[str]:
            raise KeyboardInterrupt
        with monkeypatch.context() as patch:
            patch.setattr(Site, "answers", interrupted)
            assert tool("demo", "weights")[0] == 1
        assert site.box.config_file.read_text() == own
    finally:
        site.box.put_back(FILE_HEADER + Config().text())


def test_a_server_is_stopped_and_started_by_hand(site: Site, tool) -> None:
    assert tool("stop", "client")[0] == 1
    assert tool("start", "web2")[0] == 1  # runs already
    try:
        assert tool("stop", "web2")[0] == 0
        status, said = tool("status")
        assert status == 1 and "dead: web2.nginx" in said and str(site.processes.logs) in said, said
        wait_out(site, "none")
    finally:
        assert tool("start", "web2")[0] == 0
    wait_for(site.backends_up, "every backend up", 15)
    assert tool("status")[0] == 0


def test_other_options_on_a_running_lab_are_refused(tool) -> None:
    status, said = tool("up", "--no-build", "--workers", "2")
    assert status == 1 and "--workers is 1, not 2" in said and "tools/lab down first" in said, said
    for wrong in ("0", "17"):
        status, said = tool("up", "--no-build", "--workers", wrong)
        assert status == 1 and "1 to 16 workers" in said, said


def test_demos_are_listed_and_a_closed_pipe_is_quiet() -> None:
    done = run("bash", "-c", f"{REPOSITORY}/tools/lab demo; {REPOSITORY}/tools/lab --help | true; {REPOSITORY}/tools/lab demo | true")
    assert "tools/lab demo kill-web" in done.stdout and done.stderr == ""


def test_a_dead_dataplane_is_told_without_a_traceback(site: Site, tool) -> None:
    supervisor = site.processes.pid("box-a", "supervisor")
    assert supervisor is not None
    os.kill(supervisor, signal.SIGSTOP)
    try:
        site.box.signal("headgate-dataplane", signal.SIGKILL)
        wait_for(lambda: site.box.running_or_none() is None, "no answer")
        assert tool("reload") == (1, f"tools/lab: {lab.NO_ANSWER}\n")
        status, said = tool("status")
        assert status == 1 and "headgate-dataplane     does not run" in said, said
    finally:
        os.kill(supervisor, signal.SIGCONT)
    wait_for(lambda: site.box.running_or_none() and site.backends_up(), "a whole box", 20)


def test_the_router_is_the_same_for_all_whoever_is_cut_off(site: Site) -> None:
    network = site.network

    def mac() -> str:
        return network.ip("net", "-o", "link", "show", "br-front").split("link/ether ")[1].split()[0]
    before = mac()
    for host in ("client", site.box.host):  # one of them has the lowest MAC at the bridge
        network.detach(host, "br-front")
        try:
            assert mac() == before, host
        finally:
            network.join(host, "br-front")
    assert site.answers(WEB, 3)


def test_what_the_lab_reserves_is_what_the_dataplane_takes() -> None:
    arguments = BoxOptions(hugepages=True).dataplane_arguments(REPOSITORY)
    assert arguments[arguments.index("--memory") + 1] == str(SiteOptions().box.memory_mb)


def test_two_never_work_on_one_site_at_once(tmp_path) -> None:
    """Also when the lock's file goes with its holder."""
    inside, most = [], []

    def work() -> None:
        for _ in range(20):
            with Site(SiteOptions(run_dir=tmp_path / "site")).exclusive(wait=60):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.001)
                inside.pop()
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 80 and max(most) == 1
    assert not (tmp_path / "site.lock").exists()
