"""The console's configure mode, by an operator who knows nothing but ? and Tab."""
from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Iterator

import pexpect
import pytest
from lab_lib.shell import wait_for
from lab_lib.site import Site

from helpers import WEB, RequestLoad, script, spread

TIMEOUT = 10
KILLS = {"quick": 5, "default": 5, "full": 100}
ALGORITHMS = ("least_connections", "round_robin")
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\r")


class Console:
    """A terminal with the console in it."""

    def __init__(self, site: Site, width: int = 120) -> None:
        self.child = pexpect.spawn("ip", ["netns", "exec", site.network.namespace("box-a"), str(site.box.bin / "headgate"),
                                          "--management", str(site.box.management)],
                                   encoding="utf-8", timeout=TIMEOUT, dimensions=(200, width),
                                   env=os.environ | {"TERM": "xterm", "HOME": str(site.box.home)})
        self.child.expect(r"> $")

    def type(self, keys: str, until: str) -> str:
        """Sends keys, waits for what they bring, and returns it as a person would read it."""
        self.child.send(keys)
        self.child.expect(until)
        return ESCAPES.sub("", self.child.before + self.child.after)

    def line(self, text: str, prompt: str = r"[#>] $") -> str:
        self.child.sendline(text)
        self.child.expect(re.escape(text[-10:]))
        self.child.expect(prompt)
        return ESCAPES.sub("", self.child.before)

    def close(self) -> None:
        self.child.close(force=True)


@pytest.fixture
def console(site: Site) -> Iterator[Console]:
    console = Console(site)
    yield console
    console.close()


def weights(site: Site) -> dict[str, int]:
    return spread(site.answers(WEB, 12))


@pytest.fixture
def two_servers(site: Site) -> Iterator[None]:
    """web3 is not configured in pool web until the test ends."""
    before = [line for line in site.box.cli("show", "configuration", "set").stdout.splitlines()
              if line.startswith("set pool web backend web3 ")]
    assert before
    script(site, "delete pool web backend web3", "commit")
    yield
    script(site, *before, "commit")


def test_a_stranger_adds_a_backend_lets_it_roll_back_and_commits_it_again(site: Site, two_servers: None, console: Console) -> None:
    wait_for(lambda: weights(site) == {"web1": 6, "web2": 6}, "two servers", 5)
    # ? says what there is, Tab types it.
    assert "change the configuration" in console.type("?", r"exit .*leave")
    console.type("configu\t", "re ")
    console.line("", r"# $")
    said = console.type("set ?", r"unmatched.*\n")
    assert "backends that serve alike" in said
    said = console.type("po\t?", r"a new pool")
    assert "web" in said
    said = console.type("web ba\t?", r"a new backend")
    assert "web1" in said and "web2" in said and "web3" not in said
    said = console.type("we\t", r"b")  # as far as those that exist go alike, though a new name may follow
    said = console.type("3 ?", r"weight.*\n")
    assert "address" in said
    console.type("ad\t", "dress ")
    assert "an IPv4 or IPv6 address" in console.type("?", r"address.*\n")
    console.line("10.10.0.23")
    assert "+ pool web backend web3 address 10.10.0.23" in console.line("compare")
    # Commit with confirm: it runs, and goes back by itself.
    assert "go back unless confirmed" in console.type("commit ?", r"say why.*\n")
    assert "1 to 1440" in console.type("con\t?", r"1440.*\n")
    console.type("1 com\t", "ment ")
    said = console.line("\"a try\"", r"(changed|configure)\)# $")
    assert "committed" in said and "unless confirmed" in said
    wait_for(lambda: weights(site) == {"web1": 4, "web2": 4, "web3": 4}, "the third server", 10)
    assert "a try" in console.line("run show commits")
    wait_for(lambda: weights(site) == {"web1": 6, "web2": 6}, "two servers again", 75, interval=1)
    said = console.line("run show commits")
    assert "was not confirmed in time" in said
    # The candidate is of before: the commit sees that somebody (the clock) committed meanwhile.
    assert "another configuration came into force" in console.line("commit", r"configure\)# $")
    console.line("discard")
    console.line("set pool web backend web3 address 10.10.0.23")
    assert "committed" in console.line("commit comment \"for good\"")
    wait_for(lambda: weights(site) == {"web1": 4, "web2": 4, "web3": 4}, "the third server for good", 10)
    number = re.search(r"(\d+)\s+\S+ \S+\s+system", console.line("run show commits"))
    assert number
    console.line(f"rollback {number[1]}")
    assert "committed" in console.line("commit")
    wait_for(lambda: weights(site) == {"web1": 6, "web2": 6}, "two servers by rollback", 5)


def test_errors_name_what_would_be_right(site: Site, console: Console) -> None:
    console.line("configure")
    assert "there is no bakend in pool web" in console.line("set pool web bakend web9 port 80")
    assert "from 0 to 1000" in console.line("set pool web backend web1 weight 1001")
    console.line("set service web pool nosuch")
    said = console.line("commit")
    assert 'there is no pool "nosuch"' in said and "nothing was changed" in said
    console.line("discard")
    assert "no changes" in console.line("compare")


def test_a_commit_says_when_it_lets_a_trial_stand(site: Site, console: Console) -> None:
    console.line("configure")
    console.line("set pool web comment trial")
    assert "unless confirmed" in console.line("commit confirm 5")
    console.line("set pool web comment other")
    said = console.line("commit")
    assert re.search(r"revision \d+ by root, which waits to be confirmed, stays with this commit", said), said
    assert re.search(r"revision \d+ stays, not confirmed before", console.line("run show log"))
    console.line("delete pool web comment")
    assert "committed" in console.line("commit")


def test_two_operators_do_not_overwrite_each_other(site: Site, console: Console, tmp_path: Path) -> None:
    other, mine = Console(site), tmp_path / "mine"
    try:
        console.line("configure")
        other.line("configure")
        console.line("set pool web backend web2 weight 3")
        other.line("set pool web backend web3 weight 3")
        assert "committed" in console.line("commit")
        said = other.line("commit")
        assert "somebody else committed" in said and "+ pool web backend web2 weight 3" in said
        for line in (f"save {mine} changes", "discard", f"load {mine}"):  # as it says
            other.line(line)
        said = other.line("compare")
        assert "+ pool web backend web3 weight 3" in said and "web2" not in said, said
        console.line("set pool web backend web2 weight 1")
        assert "committed" in console.line("commit")
    finally:
        other.close()


def test_a_script_ends_at_the_first_command_that_fails(site: Site) -> None:
    commands = "configure\nset pool web backend web1 weight 9\ncommit\nshow nonsense here\nset pool web backend web1 weight 1\ncommit\n"
    done = site.exec("box-a", str(site.box.bin / "headgate"), "--management", str(site.box.management), stdin=commands, check=False)
    assert done.returncode == 1
    assert "line 4 failed" in done.stderr
    assert "weight 9" in site.box.cli("show", "configuration", "set").stdout
    commands = "configure\nset pool web backend web1 weight 1\ncommit\n"
    done = site.exec("box-a", str(site.box.bin / "headgate"), "--management", str(site.box.management), stdin=commands)
    assert "committed" in done.stdout


def test_a_drained_backend_gets_nothing_new_also_after_a_restart(site: Site) -> None:
    site.box.cli("backend", "web/web2", "drain")
    try:
        wait_for(lambda: weights(site) == {"web1": 6, "web3": 6}, "web2 drained", 5)
        old = site.box.signal("headgate-controlplane", signal.SIGKILL)
        site.box.wait_new_pid("headgate-controlplane", old)
        wait_for(lambda: "runs this configuration" in site.box.cli("show", "system", check=False).stdout, "the control plane", 10)
        assert weights(site) == {"web1": 6, "web3": 6}
        assert re.search(r"web2 .*drain", site.box.cli("show", "backends").stdout)
    finally:
        site.box.cli("backend", "web/web2", "enable")
    wait_for(lambda: "web2" in weights(site), "web2 enabled", 5)


def test_killing_the_control_plane_during_commits_leaves_a_committed_configuration(site: Site, request: pytest.FixtureRequest) -> None:
    """Each commit sets both weights to one value, another in each round, and an algorithm that goes with it: whatever a kill leaves,
    they are of one commit, and of this round's or the last one's before it. Clients notice nothing."""
    rounds = KILLS[request.config.getoption("--tier")]
    seed = int(os.environ.get("HEADGATE_SEED", random.randrange(1 << 32)))
    chance = random.Random(seed)
    command = [str(site.box.bin / "headgate"), "--management", str(site.box.management)]
    requests = RequestLoad(site, [WEB], rate=10)
    before = 1
    interrupted = 0
    for round_number in range(rounds):
        weights_of_round = range(2 + 20 * (round_number % 40), 22 + 20 * (round_number % 40))
        commands = "configure\n" + "".join(
            f"set pool web backend web1 weight {n}\nset pool web algorithm {ALGORITHMS[n % 2]}\nset pool web backend web2 weight {n}\ncommit\n"
            for n in weights_of_round)
        process = site.popen("box-a", *command, stdin=subprocess.PIPE)
        assert process.stdin is not None
        process.stdin.write(commands)
        process.stdin.close()
        time.sleep(chance.uniform(0.05, 0.5))
        old = site.box.signal("headgate-controlplane", signal.SIGKILL)
        interrupted += process.wait(timeout=30) != 0
        site.box.wait_new_pid("headgate-controlplane", old)
        wait_for(lambda: "runs this configuration" in site.box.cli("show", "system", check=False).stdout, "the control plane", 10)
        text = site.box.cli("show", "configuration", "set").stdout
        found = [int(weight) for weight in re.findall(r"set pool web backend web[12] weight (\d+)", text)] or [1, 1]
        assert len(found) == 2 and found[0] == found[1], f"HEADGATE_SEED={seed}, round {round_number}: a mixture\n{text}"
        assert found[0] in (before, *weights_of_round), f"HEADGATE_SEED={seed}, round {round_number}\n{text}"
        algorithm = re.search(r"set pool web algorithm (\w+)", text)
        assert found[0] == 1 or algorithm is not None and algorithm[1] == ALGORITHMS[found[0] % 2], text
        before = found[0]
    asked = requests.finish()
    print({"kills": rounds, "in_the_middle": interrupted, "requests": asked["made"], "failed": len(asked["failed"])})
    assert not asked["failed"], asked
    site.exec("box-a", *command, stdin="configure\nset pool web backend web1 weight 1\nset pool web backend web2 weight 1\n"
              "delete pool web algorithm\ncommit\n")
