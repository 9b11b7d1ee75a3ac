"""Both daemons ping the supervisor's watchdog, the control plane from its event loop, the dataplane while every worker comes
round; one that hangs is started again."""
from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from lab_lib.shell import REPOSITORY, wait_for


def status(run_dir: Path, name: str = "controlplane") -> tuple[int, int]:
    """Pid and restarts of a daemon."""
    for line in (run_dir / "supervisor.status").read_text().splitlines():
        if line.startswith(f"{name} "):
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


PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207
WALL = 0x40000000


def test_a_dataplane_with_one_worker_that_hangs_is_started_again(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    binaries = REPOSITORY / "build" / request.config.getoption("--preset") / "bin"
    conf = tmp_path / "supervisor.conf"
    conf.write_text(f"[dataplane]\nwatchdog_ms = 4000\ncommand = {binaries}/headgate-dataplane --port front=null --workers 2 "
                    f"--no-huge --memory 512 --flows 1024 --socket {tmp_path}/dataplane.sock --state-dir {tmp_path}\n")
    log = tmp_path / "log"
    with open(log, "w") as output:
        supervisor = subprocess.Popen([binaries / "headgate-supervisor", "--config", conf, "--run-dir", tmp_path], stderr=output)
    try:
        wait_for(lambda: (tmp_path / "dataplane.sock").exists(), "the dataplane", 30)
        time.sleep(5)  # more than a period: it is still the same one
        pid, restarts = status(tmp_path, "dataplane")
        assert restarts == 0
        libc = ctypes.CDLL(None, use_errno=True)
        worker = worker_thread(pid)
        assert libc.ptrace(PTRACE_SEIZE, worker, None, None) == 0, os.strerror(ctypes.get_errno())
        assert libc.ptrace(PTRACE_INTERRUPT, worker, None, None) == 0

        def another() -> bool:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(worker, os.WNOHANG | WALL)  # killed, the process is not gone before its tracer took note
            return status(tmp_path, "dataplane")[1] == 1 and status(tmp_path, "dataplane")[0] not in (0, pid)

        wait_for(another, "a new dataplane", 30)
        assert "does not come round" in log.read_text()
    finally:
        supervisor.terminate()
        supervisor.wait(timeout=10)


def worker_thread(pid: int) -> int:
    """A thread that runs a worker; stopped alone, the others go on."""
    for task in sorted(Path(f"/proc/{pid}/task").iterdir()):
        if "worker" in (task / "comm").read_text():
            return int(task.name)
    raise AssertionError([(task / "comm").read_text() for task in Path(f"/proc/{pid}/task").iterdir()])
