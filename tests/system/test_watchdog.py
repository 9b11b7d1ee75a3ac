"""The control plane pings the supervisor's watchdog from its event loop; one that hangs is started again."""
from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from lab_lib.shell import REPOSITORY, wait_for


def status(run_dir: Path) -> tuple[int, int]:
    """Pid and restarts of the control plane."""
    for line in (run_dir / "supervisor.status").read_text().splitlines():
        if line.startswith("controlplane "):
            return int(line.split()[1]), int(line.split()[2])
    return 0, 0


def test_a_hanging_control_plane_is_started_again(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    binaries = REPOSITORY / "build" / request.config.getoption("--preset") / "bin"
    (tmp_path / "config.txtpb").write_text('unmatched: DROP\n')
    conf = tmp_path / "supervisor.conf"
    conf.write_text(f"[controlplane]\nwatchdog_ms = 1000\ncommand = {binaries}/headgate-controlplane --config {tmp_path}/config.txtpb "
                    f"--state-dir {tmp_path} --dataplane {tmp_path}/dataplane.sock --management {tmp_path}/management.sock\n")
    supervisor = subprocess.Popen([binaries / "headgate-supervisor", "--config", conf, "--run-dir", tmp_path], stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: (tmp_path / "management.sock").exists(), "the control plane", 10)
        time.sleep(2.5)  # more than two periods: it is still the same one
        pid, restarts = status(tmp_path)
        assert restarts == 0
        os.kill(pid, signal.SIGSTOP)
        wait_for(lambda: status(tmp_path)[1] == 1 and status(tmp_path)[0] not in (0, pid), "a new control plane", 10)
    finally:
        supervisor.terminate()
        supervisor.wait(timeout=10)
