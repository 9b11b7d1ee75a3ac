"""Long-running programs of a site: started in a namespace, registered in the run directory, and found again after a crash."""
from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from .shell import run, wait_for


def start_time(pid: int) -> str | None:
    """The kernel's start time of a process: with it, a reused pid is not taken for ours. None if it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


class Processes:
    """A registry of pid files: RUN/pids/HOST.NAME holds "pid start_time". Each program leads its own process group."""

    def __init__(self, run_dir: Path) -> None:
        self.pids = run_dir / "pids"
        self.logs = run_dir / "logs"

    def start(self, namespace: str, host: str, name: str, *command: str, environment: dict[str, str] | None = None) -> int:
        self.pids.mkdir(parents=True, exist_ok=True)
        self.logs.mkdir(parents=True, exist_ok=True)
        with open(self.log(host, name), "ab") as log:
            child = subprocess.Popen(["ip", "netns", "exec", namespace, *command], stdin=subprocess.DEVNULL, stdout=log,
                                     stderr=subprocess.STDOUT, start_new_session=True,
                                     env=None if environment is None else {**os.environ, **environment})
        (self.pids / f"{host}.{name}").write_text(f"{child.pid} {start_time(child.pid)}\n")
        return child.pid

    def log(self, host: str, name: str) -> Path:
        return self.logs / f"{host}.{name}.log"

    def names(self) -> list[tuple[str, str]]:
        if not self.pids.is_dir():
            return []
        return sorted((entry.name.partition(".")[0], entry.name.partition(".")[2]) for entry in self.pids.iterdir())

    def pid(self, host: str, name: str) -> int | None:
        """The pid, or None when it does not run."""
        try:
            pid, started = (self.pids / f"{host}.{name}").read_text().split()
        except (OSError, ValueError):
            return None
        return int(pid) if start_time(int(pid)) == started else None

    def stop(self, host: str, name: str, how: int = signal.SIGTERM) -> None:
        """Ends the process and its group, the hard way after a few seconds; nothing happens when it does not run."""
        pid = self.pid(host, name)
        if pid is not None:
            for number in (how, signal.SIGKILL):
                try:
                    os.killpg(pid, number)
                    wait_for(lambda: reap(pid), f"the end of {name} on {host}", timeout=5)
                    os.killpg(pid, signal.SIGKILL)  # children that outlived their leader
                except ProcessLookupError:
                    break
                except TimeoutError:
                    continue
                break
        (self.pids / f"{host}.{name}").unlink(missing_ok=True)


def reap(pid: int) -> bool:
    """True when the process is gone; collects it when it is a child of ours."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass
    return start_time(pid) is None


def kill_all_in(namespace: str) -> None:
    """Ends whatever still runs in a namespace of ours, registered or not."""

    def gone() -> bool:
        pids = [int(pid) for pid in run("ip", "netns", "pids", namespace, check=False).stdout.split()]
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            reap(pid)
        return not [pid for pid in pids if start_time(pid) is not None]

    wait_for(gone, f"the end of every process in {namespace}")
