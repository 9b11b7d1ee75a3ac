"""Ports that the dataplane owns whole (AF_PACKET), with a TAP as the way to the kernel: ssh to the box works under load."""
from __future__ import annotations

from pathlib import Path
from typing import Iterator

import pytest
from lab_lib import addresses as at
from lab_lib.shell import run, wait_for
from lab_lib.site import Site

from helpers import WEB, Download, ping, spread

SITE = {"box": {"port_kind": "af_packet"}}
SSHD_DIR = Path("/run/sshd")  # sshd insists on it; Debian makes it when the service starts


@pytest.fixture(scope="module")
def sshd(site: Site) -> Iterator[Path]:
    """sshd on the box, with keys of its own; gives the client's key."""
    home = site.box.home / "ssh"
    home.mkdir()
    for name in ("host", "client"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / name))
    (home / "sshd_config").write_text("\n".join([
        "Port 22", f"HostKey {home}/host", f"AuthorizedKeysFile {home}/client.pub", "StrictModes no", "UsePAM no",
        "PermitRootLogin prohibit-password", "PidFile none", "UseDNS no"]) + "\n")
    made = not SSHD_DIR.exists()
    SSHD_DIR.mkdir(mode=0o755, exist_ok=True)
    site.processes.start(site.network.namespace("box-a"), "box-a", "sshd", "/usr/sbin/sshd", "-D", "-e", "-f", str(home / "sshd_config"))
    try:
        yield home / "client"
    finally:
        site.processes.stop("box-a", "sshd")
        if made:
            SSHD_DIR.rmdir()


def ssh(site: Site, key: Path, command: str, family: int = 4) -> str:
    done = site.exec("client", "ssh", "-i", str(key), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o",
                     "ConnectTimeout=5", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR", f"root@{at.front(at.BOX_NUMBER, family)}",
                     command, check=False)
    return done.stdout if done.returncode == 0 else f"failed: {done.stderr}"


def test_traffic_passes(site: Site) -> None:
    assert spread(site.answers(WEB, 12)) == {"web1": 4, "web2": 4, "web3": 4}


def test_the_kernel_is_reached_through_the_tap(site: Site) -> None:
    for family in (4, 6):
        assert ping(site, at.front(at.BOX_NUMBER, family)) == 3


@pytest.mark.parametrize("family", [4, 6])
def test_ssh_to_the_box_works_while_traffic_runs(site: Site, sshd: Path, family: int) -> None:
    wait_for(lambda: ssh(site, sshd, "echo in") == "in\n", "sshd", 10)
    expected = site.servers.blob_sha256("100m")
    with Download(site, WEB + "blob/100m") as download:
        sessions = 0
        while download.process.poll() is None or sessions < 3:
            assert ssh(site, sshd, "echo in", family) == "in\n"
            sessions += 1
        result = download.finish()
    assert (result["error"], result["sha256"]) == ("", expected)
