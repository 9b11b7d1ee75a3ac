"""A box of a site: its files, the supervisor that runs the two daemons, and ways to look at them."""
from __future__ import annotations

import json
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import addresses as at
from .api import DataplaneApi, is_rpc_error
from .config import Config
from .network import Network
from .processes import Processes, start_time
from .shell import REPOSITORY, Refused, run, wait_for

HOST = at.BOX_A.name  # of a lone box
PROBE_INTERFACE = "hgprobe0"
FILE_HEADER = "# Written by tools/lab. Edit it and say: tools/lab reload\n"
MEMORY_MB = 1024  # what the dataplane may use: given to it, and reserved when it uses huge pages
WORKERS_MAX = 16
SAYS_WHAT_RUNS = "says what runs already"  # the control plane's log
DAEMONS = ("headgate-dataplane", "headgate-controlplane")


@dataclass(frozen=True)
class BoxOptions:
    workers: int = 1
    idle: str = "adaptive"
    port_kind: str = "af_xdp"   # af_xdp: beside the kernel on its interface; af_packet: the dataplane owns the port whole
    preset: str = "release"
    flows: int = 65536
    memory_mb: int = MEMORY_MB
    buffers: int = 16384        # per port: half of the dataplane's default, since to touch them all is most of a start with small pages
    hugepages: bool = False
    state: str = "."            # of the control plane, below the box's home: a folder of its own may be another file system

    @property
    def owns_ports(self) -> bool:
        """The kernel's own traffic goes by exception devices, not by the interfaces themselves."""
        return self.port_kind != "af_xdp"

    def dataplane_arguments(self, home: Path, first_cpu: int = 0) -> list[str]:
        arguments = []
        for name in ("front", "servers"):
            exception = f",exception={exception_interface(name)}" if self.owns_ports else ""
            arguments += ["--port", f"{name}={self.port_kind}:eth-{name}{exception}"]
        arguments += ["--port", f"probe=tap:{PROBE_INTERFACE}", "--workers", str(self.workers), "--idle", self.idle,
                      "--flows", str(self.flows), "--socket", str(home / "dataplane.sock"), "--state-dir", str(home)]
        if first_cpu:
            cpus = sorted(os.sched_getaffinity(0))
            arguments += ["--cpus", ",".join(str(cpus[(first_cpu + i) % len(cpus)]) for i in range(self.workers))]
        arguments += [] if self.hugepages else ["--no-huge"]
        return [*arguments, "--memory", str(self.memory_mb), "--buffers", str(self.buffers)]


@dataclass(frozen=True)
class Judgement:
    good: bool
    said: list[str]     # every error and warning, with its place


def exception_interface(network: str) -> str:
    return f"k-{network}"


class Box:
    """`in_group`: its addresses are in a group that fails over; else it is a lone box, whose addresses are its own."""

    def __init__(self, network: Network, processes: Processes, run_dir: Path, options: BoxOptions, place: at.Place = at.BOX_A,
                 in_group: bool = False) -> None:
        self.network = network
        self.processes = processes
        self.options = options
        self.place = place
        self.in_group = in_group
        self.host = place.name
        self.home = run_dir / self.host
        self.state = self.home / options.state
        self.config_file = self.home / "headgate.txtpb"
        self.socket = self.home / "dataplane.sock"
        self.management = self.home / "management.sock"
        self.bin = REPOSITORY / "build" / options.preset / "bin"
        self._api: DataplaneApi | None = None

    # -- start and stop --------------------------------------------------------------------------------------------------

    def check_binaries(self) -> None:
        for name in (*DAEMONS, "headgate-supervisor", "headgate"):
            if not (self.bin / name).exists():
                raise Refused(f"{self.bin.relative_to(REPOSITORY)}/{name} does not exist: build it "
                              f"(cmake --preset {self.options.preset} && cmake --build --preset {self.options.preset})")

    def write_config(self, config: Config) -> None:
        self.write_text(self.file_text(config))

    def file_text(self, config: Config) -> str:
        return FILE_HEADER + config.text(self.place if self.in_group else None)

    def write_text(self, text: str) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        partial = self.config_file.with_suffix(".new")
        partial.write_text(text)
        partial.rename(self.config_file)

    def start(self, config: Config) -> None:
        self.check_binaries()
        self.write_config(config)
        supervisor_config = self.home / "supervisor.conf"
        supervisor_config.write_text(self.supervisor_config())
        self.processes.start(self.network.namespace(self.host), self.host, "supervisor", str(self.bin / "headgate-supervisor"), "--config",
                             str(supervisor_config), "--run-dir", str(self.home))

    def supervisor_config(self) -> str:
        # The two boxes of a pair have different cores: workers have real-time priority, and none makes room for another's.
        first_cpu = self.options.workers * at.PAIR.index(self.place)
        dataplane = [str(self.bin / "headgate-dataplane"), *self.options.dataplane_arguments(self.home, first_cpu)]
        controlplane = [str(self.bin / "headgate-controlplane"), "--config", str(self.config_file), "--dataplane",
                        str(self.socket), "--state-dir", str(self.state), "--management", str(self.management),
                        "--metrics", "0.0.0.0:9101"]
        sections = [f"[{name}]\ncommand = {' '.join(command)}\n"
                    for name, command in (("dataplane", dataplane), ("controlplane", controlplane))]
        return "\n".join(sections)

    def stop(self) -> None:
        if self._api is not None:
            self._api.close()
            self._api = None
        self.processes.stop(self.host, "supervisor")

    # -- configuration ---------------------------------------------------------------------------------------------------

    def judge_config(self) -> Judgement:
        """What the control plane would make of the file as it stands."""
        done = run(str(self.bin / "headgate-controlplane"), "--config", str(self.config_file), "--state-dir", str(self.state), "--check",
                   check=False)
        if done.returncode != 0:
            return Judgement(False, done.stderr.splitlines())
        return Judgement(True, [line for line in done.stdout.splitlines() if "warning: " in line])

    def put_back(self, text: str) -> None:
        """Has the box run this configuration text again."""
        if self.config_file.read_text() != text:
            self.write_text(text)
            self.reload()

    def reload(self, config: Config | None = None, timeout: float = 10) -> int:
        """Has the control plane read its file again and returns the generation that then runs: that of a new revision, unless the
        file says what is in force already. Requires with `config`: it is valid, and differs from what runs in more than its text."""
        if config is not None:
            if self.config_file.read_text() == self.file_text(config):
                return self.running().generation
            self.write_config(config)
        self.reload_file(timeout)
        return self.running().generation

    def reload_file(self, timeout: float = 10) -> bool:
        """Until a new revision runs, or the control plane said that the file says what runs already: false."""
        revision, said = self.revision_that_runs(), self.log_count(SAYS_WHAT_RUNS)
        self.signal("headgate-controlplane", signal.SIGHUP)
        wait_for(lambda: self.revision_that_runs() > revision or self.log_count(SAYS_WHAT_RUNS) > said,
                 f"the new configuration to run on {self.host}", timeout)
        return self.log_count(SAYS_WHAT_RUNS) == said

    def revision_that_runs(self) -> int:
        """0 while the dataplane does not run what is in force, or the control plane does not answer."""
        done = self.cli("show", "system", "--json", check=False)
        system = json.loads(done.stdout) if done.returncode == 0 else {}
        return int(system["revision"]["number"]) if system.get("in_sync") else 0

    # -- daemons ---------------------------------------------------------------------------------------------------------

    def daemon_pid(self, name: str) -> int | None:
        """The pid of a daemon in this box's namespace."""
        for text in run("ip", "netns", "pids", self.network.namespace(self.host), check=False).stdout.split():
            try:
                executable = os.readlink(f"/proc/{text}/exe")
            except OSError:
                continue
            if Path(executable.removesuffix(" (deleted)")).name == name and start_time(int(text)) is not None:
                return int(text)
        return None

    def signal(self, name: str, number: int) -> int:
        pid = self.daemon_pid(name)
        if pid is None:
            raise Refused(f"{name} does not run")
        os.kill(pid, number)
        return pid

    def wait_new_pid(self, name: str, old: int, timeout: float = 10) -> int:
        return wait_for(lambda: (pid := self.daemon_pid(name)) is not None and pid != old and pid, f"a new {name}", timeout)

    @property
    def api(self) -> DataplaneApi:
        if self._api is None:
            self._api = DataplaneApi(self.socket, self.home / "python")
        return self._api

    def running(self):  # -> RunningReply
        return self.api.call("Running")

    def running_or_none(self):  # -> RunningReply | None
        """None while the dataplane does not answer."""
        import grpc
        try:
            return self.running()
        except grpc.RpcError:
            return None

    def group_state(self) -> Any:  # GroupState | None
        """Of its group; None while the dataplane does not answer, or has no group."""
        try:
            groups = self.api.failover().group
        except Exception as error:
            if not is_rpc_error(error):
                raise
            return None
        return groups[0] if groups else None

    def role(self) -> str:
        """starting, backup, active or fault, by its dataplane; "" while that does not answer."""
        state = self.group_state()
        return self.api.messages.GroupRole.Name(state.role).removeprefix("ROLE_").lower() if state else ""

    def cli(self, *arguments: str, check: bool = True, timeout: float = 30) -> subprocess.CompletedProcess[str]:
        """The console, as an operator on the box types it."""
        return run("ip", "netns", "exec", self.network.namespace(self.host), str(self.bin / "headgate"), "--management",
                   str(self.management), *arguments, check=check, timeout=timeout)

    def wait_console(self, timeout: float = 20) -> None:
        """Until the control plane answers."""
        try:
            wait_for(lambda: self.cli("show", "version", check=False).returncode == 0, f"the console of {self.host}", timeout)
        except TimeoutError as late:
            raise TimeoutError(f"{late}\nThe last lines of its log:\n{self.log_tail()}") from None

    def log_count(self, words: str) -> int:
        """How many lines of the daemons' log have these words."""
        log = self.processes.log(self.host, "supervisor")
        return log.read_text(errors="replace").count(words) if log.exists() else 0

    def log_tail(self, lines: int = 20) -> str:
        log = self.processes.log(self.host, "supervisor")
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""
