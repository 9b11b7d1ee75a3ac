"""The systemd units: verified and judged by systemd's own tools, offline. systemd itself does not run here."""
from __future__ import annotations

import re
import stat
import subprocess
from pathlib import Path

import pytest

from lab_lib.shell import REPOSITORY

UNITS = REPOSITORY / "tools" / "systemd"
# Exposure as systemd-analyze security 252 scores it, 0 to 10; recorded in controlplane/README.md.
EXPOSURE = {"headgate.service": 4.9, "headgate-controlplane.service": 1.9, "headgate-dataplane.service": 3.7}


@pytest.mark.parametrize("unit", sorted(EXPOSURE))
def test_exposure_is_bounded(unit: str) -> None:
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", str(UNITS / unit)], capture_output=True, text=True)
    found = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found[1]) <= EXPOSURE[unit], done.stdout


def test_systemd_accepts_the_units(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    binaries = REPOSITORY / "build" / request.config.getoption("--preset") / "bin"
    copies = []
    for unit in EXPOSURE:
        copy = tmp_path / unit
        text = (UNITS / unit).read_text()
        copy.write_text(re.sub(r"/usr/bin/(headgate-\w+)", lambda match: str(binaries / match[1]), text))
        copies.append(str(copy))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *copies], capture_output=True, text=True)
    assert done.returncode == 0 and str(tmp_path) not in done.stderr and "headgate" not in done.stderr, done.stderr


def test_the_supervisor_and_the_daemons_take_what_the_units_say(request: pytest.FixtureRequest) -> None:
    binaries = REPOSITORY / "build" / request.config.getoption("--preset") / "bin"
    assert subprocess.run([binaries / "headgate-supervisor", "--config", UNITS / "supervisor.conf", "--check"]).returncode == 0
    conf = (UNITS / "supervisor.conf").read_text()
    for program in ("headgate-dataplane", "headgate-controlplane"):
        known = subprocess.run([binaries / program, "--help"], capture_output=True, text=True).stdout
        line = next(line for line in conf.splitlines() if program in line and line.startswith("command"))
        for option in re.findall(r"--[a-z-]+", line):
            assert option in known, f"{program} has no {option}"


def test_directories_belong_to_the_control_plane_and_secrets_to_nobody_else(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\nheadgate:x:990:990::/:/bin/sh\n")
    (tmp_path / "etc/group").write_text("root:x:0:\nheadgate:x:990:\nheadgate-dataplane:x:991:headgate\n")
    subprocess.run(["systemd-tmpfiles", f"--root={tmp_path}", "--create", str(UNITS / "headgate.tmpfiles")], check=True)
    found = {}
    for name in ("run/headgate", "var/lib/headgate"):
        status = (tmp_path / name).stat()
        found[name] = (status.st_uid, status.st_gid, oct(stat.S_IMODE(status.st_mode)))
    assert found == {"run/headgate": (990, 991, "0o775"), "var/lib/headgate": (990, 990, "0o700")}


def test_no_unit_takes_the_directories_over() -> None:
    """systemd gives RuntimeDirectory= and StateDirectory= to User= at every start, and takes the first away at the end."""
    for unit in EXPOSURE:
        text = (UNITS / unit).read_text()
        assert not re.search(r"^(RuntimeDirectory|StateDirectory|ExecStartPre)=", text, re.MULTILINE), unit
        assert re.search(r"^ReadWritePaths=/run/headgate ", text, re.MULTILINE), unit
        assert re.search(r"^After=.*systemd-tmpfiles-setup.service", text, re.MULTILINE), unit


def test_a_call_that_is_needed_is_not_taken_away_again() -> None:
    """In a list of allowed calls a later ~ line wins: the socket is given to a group by chown."""
    filters = re.findall(r"^SystemCallFilter=(.*)", (UNITS / "headgate-controlplane.service").read_text(), re.MULTILINE)
    assert filters.index("@chown") > filters.index("~@privileged @resources")


def test_every_unit_restarts_and_is_sandboxed() -> None:
    for unit in EXPOSURE:
        text = (UNITS / unit).read_text()
        for wanted in ("Restart=always", "ProtectSystem=strict", "SystemCallFilter=", "CapabilityBoundingSet=", "StartLimitIntervalSec=0"):
            assert wanted in text, f"{unit} has no {wanted}"
    for unit in ("headgate.service", "headgate-controlplane.service"):
        assert re.search(r"^Type=notify\n", (UNITS / unit).read_text(), re.MULTILINE)
        assert "WatchdogSec=" in (UNITS / unit).read_text()
