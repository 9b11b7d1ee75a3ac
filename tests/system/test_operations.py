"""What an operator does besides configuring: looks at everything, watches, pings, restarts, collects a support bundle."""
from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tarfile
import time
from pathlib import Path

import pexpect
import pytest
from lab_lib import addresses as at
from lab_lib.shell import wait_for
from lab_lib.site import Site

from helpers import WEB

SHOWS = {
    "version": r"control plane +0\.1\.0, up .*\ndataplane +0\.1\.0, pid \d+",
    "system": r"problems +none",
    "health": r"web/v4 +3 +3 +none +ok",
    "backends": r"web1 +web/v4 +10\.10\.0\.21:80 +up",
    "interfaces": r"front +front +up .*([0-9a-f]{2}:){5}[0-9a-f]{2} .*192\.0\.2\.0/24",
    "routes": r"192\.0\.2\.0/24 +on the link +front +connected",
    "neighbors": r"10\.10\.0\.21 +([0-9a-f]{2}:){5}",
    "running": r"generation +\d+",
    "commits": r"REVISION +TIME",
    "configuration": r"service \{",
    "log": r"operation +the control plane started with revision \d+",
    "flows": r"PROTO +CLIENT",
    "sessions": r"CLIENT +SERVICE",
    "connections": r"SIDE +PEER",
    "http": r"web-http/v4 +\d+",
    "tcp": r"connections +\d+ of ",
    "services": r"web/v4",
    "pools": r"web/v4",
    "ports": r"front +up",
    "traffic": r"web1",
    "workers": r"WORKER",
    "drops": r"REASON",
}


@pytest.mark.parametrize("what", sorted(SHOWS))
def test_show_says_it_and_as_json(site: Site, what: str) -> None:
    site.answers(WEB, 3)
    said = site.box.cli("show", what).stdout
    assert re.search(SHOWS[what], said), said
    said = site.box.cli("show", what, "--json").stdout
    json.JSONDecoder().raw_decode(said.lstrip())


@pytest.mark.parametrize("what", ["services", "log", "routes", "health"])
def test_watch_appends_without_a_terminal_and_ends(site: Site, what: str) -> None:
    said = site.box.cli("watch", what, "--count", "2").stdout
    first = said.splitlines()[0]
    assert said.count(first) == 2 and "\033" not in said, said


def console(site: Site) -> pexpect.spawn:
    child = pexpect.spawn("ip", ["netns", "exec", site.network.namespace("box-a"), str(site.box.bin / "headgate"), "--management",
                                 str(site.box.management)], encoding="utf-8", timeout=10, dimensions=(60, 200),
                          env=os.environ | {"TERM": "xterm", "HOME": str(site.box.home)})
    child.expect("> $")
    return child


@pytest.mark.parametrize("command,shows", [("watch services", r"\x1b\[2J.*web/v4"), ("ping 127.0.0.1 --count 100", r"icmp_seq=2"),
                                           ("capture --seconds 600 --port 9999", ""), ("show log --follow", r"started with")])
def test_ctrl_c_ends_what_runs_and_not_the_console(site: Site, command: str, shows: str) -> None:
    child = console(site)
    try:
        child.sendline(command)
        child.expect(shows or re.escape(command))
        time.sleep(0.3)
        child.sendintr()
        child.expect("> $", timeout=5)
        child.sendline("show version")
        child.expect("dataplane +0.1.0")
    finally:
        child.close(force=True)


def test_ctrl_c_at_the_prompt_drops_the_line_and_nothing_else(site: Site) -> None:
    child = console(site)
    try:
        for line in ("", "show ver"):
            child.send(line)
            child.sendintr()
            child.expect("> $", timeout=5)
        child.sendline("configure")
        child.expect("# $")
        child.sendline("set pool web comment x")
        child.expect(r"\(changed\)# $")
        for _ in range(3):
            child.sendintr()
            child.expect(r"\(changed\)# $", timeout=5)
        child.sendline("compare")
        child.expect(r"\+ pool web comment x")
    finally:
        child.close(force=True)


def test_watch_redraws_on_a_terminal(site: Site) -> None:
    child = console(site)
    try:
        child.sendline("watch health --interval 1 --count 3")
        for _ in range(3):
            child.expect(r"\x1b\[H\x1b\[2Jshow health  \d\d:\d\d:\d\d  every 1 s, Ctrl-C ends")
        child.expect("> $")
    finally:
        child.close(force=True)


def test_questions_are_answered_where_they_are_typed(site: Site) -> None:
    """? after each new command says what can follow."""
    child = console(site)
    try:
        for line, expected in (("watch ?", "interfaces"), ("ping ?", "<address>"), ("restart ?", "dataplane"), ("restart dataplane ?", "now"),
                               ("support-bundle ?", "<file>"), ("show ro\t?", "<Enter>"),
                               ("configure\rrename pool web ?", "to +rename it"), ("comment pool web ?", "<text>"), ("load ?", "<file>"),
                               ("save x ?", "changes"), ("set service web mode d?", "dsr +backends hold the service address"),
                               ("set service web mode ?", "full_nat.*; default")):
            child.send(line)
            child.expect(expected)
            child.send("\x15")  # forget the line
    finally:
        child.close(force=True)


def test_the_box_pings_and_traces(site: Site) -> None:
    said = site.box.cli("ping", at.web("web1", 4), "--count", "2").stdout
    assert "2 received" in said
    assert "2 received" in site.box.cli("ping", at.web("web1", 6), "--count", "2").stdout
    assert re.search(rf"1 +{re.escape(at.web('web1', 4))}", site.box.cli("traceroute", at.web("web1", 4)).stdout)
    lost = site.box.cli("ping", at.servers(99), "--count", "1", check=False)
    assert lost.returncode == 1 and "1 packets transmitted, 0 received" in lost.stdout, lost.stdout
    assert f"{at.servers(99)} was not reached" in lost.stderr


@pytest.mark.parametrize("address", ["-f", "--help", "192.0.2.1; id", "$(id)", "localhost", "192.0.2.1 -c 9", "fe80::1%lo", ""])
def test_only_an_address_can_be_pinged(site: Site, address: str) -> None:
    for command in ("ping", "traceroute"):
        done = site.box.cli(command, "--", address, check=False)
        assert done.returncode == 1, done.stdout
        assert "uid=" not in done.stdout + done.stderr


def test_pings_at_once_are_bounded(site: Site) -> None:
    command = ["headgate", "--management", str(site.box.management), "ping", "192.0.2.199", "--count", "20"]
    many = [site.popen("box-a", str(site.box.bin / command[0]), *command[1:], stderr=subprocess.PIPE) for _ in range(8)]
    try:
        wait_for(lambda: sum(process.poll() is not None for process in many) == 4, "four refused", 10)
        said = [process.stderr.read() for process in many if process.poll() is not None and process.stderr]
        assert all("4 such commands run already" in text for text in said), said
    finally:
        for process in many:
            process.kill()
            process.communicate()
    # A client that went away ends what it began.
    wait_for(lambda: site.exec("box-a", "pgrep", "-fc", "ping -n -c 20 .* 192.0.2.199", check=False).stdout.strip() in ("", "0"),
             "no ping left", 10)


def test_the_dataplane_restarts_when_asked_and_only_then(site: Site) -> None:
    refused = site.exec("box-a", str(site.box.bin / "headgate"), "--management", str(site.box.management), "restart", "dataplane",
                        stdin="", check=False)
    assert refused.returncode == 1 and "restart dataplane now" in refused.stderr
    child = console(site)
    try:
        child.sendline("restart dataplane")
        child.expect(r"Its flows end\. \[y/N\]")
        child.sendline("n")
        child.expect("nothing was done")
    finally:
        child.close(force=True)
    old = site.box.daemon_pid("headgate-dataplane")
    assert old is not None
    assert "restarts" in site.box.cli("restart", "dataplane", "now").stdout
    site.box.wait_new_pid("headgate-dataplane", old)
    wait_for(lambda: "runs this configuration" in site.box.cli("show", "system").stdout, "the dataplane again", 20)
    site.answers(WEB, 3)
    assert "restart of the dataplane by root" in site.box.cli("show", "log").stdout


def test_a_support_bundle_has_what_a_second_engineer_needs(site: Site, tmp_path: Path) -> None:
    name = tmp_path / "bundle.tar.gz"
    site.answers(WEB, 3)
    assert re.fullmatch(rf"{re.escape(str(name))}: \d+ bytes\n", site.box.cli("support-bundle", str(name), timeout=90).stdout)
    assert name.stat().st_mode & 0o777 == 0o600
    with tarfile.open(name) as archive:
        files = {member.name.split("/", 1)[1]: archive.extractfile(member).read().decode(errors="replace")  # type: ignore[union-attr]
                 for member in archive.getmembers()}
    for wanted in ("MANIFEST", "version.txt", "system.json", "backends.json", "configuration/running.txtpb", "configuration/history.txt",
                   "events.txt", "controlplane/log.txt", "dataplane/running.json", "dataplane/stats.json", "dataplane/flows.json",
                   "dataplane/neighbors.json", "kernel/addresses.txt", "kernel/routes.txt", "kernel/neighbors.txt", "kernel/dmesg.txt",
                   "kernel/meminfo.txt", "kernel/cpuinfo.txt", "processes.txt", "supervisor.status.txt"):
        assert wanted in files, f"no {wanted} in {sorted(files)}"
    listed = {line.split()[0] for line in files["MANIFEST"].splitlines() if not line.startswith("#")}
    assert listed == set(files) - {"MANIFEST"}
    assert "192.0.2." in files["kernel/addresses.txt"] and "MemTotal" in files["kernel/meminfo.txt"]
    assert json.loads(files["dataplane/stats.json"])["service"]
    assert "headgate" in files["processes.txt"]


def test_a_support_bundle_without_a_dataplane_says_what_is_missing(site: Site, tmp_path: Path) -> None:
    pid = site.box.signal("headgate-dataplane", signal.SIGSTOP)
    try:
        name = tmp_path / "bundle.tar.gz"
        site.box.cli("support-bundle", str(name), timeout=90)
        with tarfile.open(name) as archive:
            manifest = next(archive.extractfile(m).read().decode() for m in archive.getmembers() if m.name.endswith("MANIFEST"))  # type: ignore[union-attr]
        assert "# dataplane/stats.json: the dataplane does not answer" in manifest
    finally:
        os.kill(pid, signal.SIGCONT)
