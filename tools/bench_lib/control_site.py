"""The site of tools/bench control: a box without ports to the world, and 10,000 HTTP backends that one process plays.

    PREFIX-box: headgate-dataplane (null ports), headgate-controlplane --- veth --- PREFIX-servers: headgate-bench-targets

Probes go by the kernel: what is measured is the control plane, and one route and one neighbor lead to all backends.
"""
from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import shutil
import subprocess
from pathlib import Path
from typing import Any, Iterator

from lab_lib.api import DataplaneApi, ManagementApi, is_rpc_error
from lab_lib.network import Network
from lab_lib.processes import Processes
from lab_lib.shell import REPOSITORY, CommandFailed, Refused, run, wait_for
from lab_lib.site import exclusive

from .share import favour

SERVICES = 1000
BACKENDS_PER_POOL = 10
BACKENDS = SERVICES * BACKENDS_PER_POOL
INTERVAL_MS = 1000
BACKEND_PREFIX = "10.64.0.0/16"
FIRST = 256  # number of the first backend: the low 16 bits of its address
BOX_LINK, SERVERS_LINK = "10.99.0.1", "10.99.0.2"
DESCRIPTORS = 20000  # 10,000 probes could hang at once
PROGRAMS = ("headgate-dataplane", "headgate-controlplane", "headgate", "headgate-bench-targets")
RUN_DIR = Path("/run/headgate-bench-control")


def address(number: int) -> str:
    """Of a backend, by its number."""
    return f"10.64.{number >> 8}.{number & 255}"


def configuration(variant: int = 0, interval_ms: int = INTERVAL_MS) -> str:
    """1,000 services, each with a pool of 10 backends. Two variants differ in every service and every pool."""
    lines = ['interface { name: "front" port: "front" prefix: "10.32.0.0/16" address: "10.32.255.1" }',
             f'interface {{ name: "servers" port: "servers" prefix: "{BACKEND_PREFIX}" address: "10.64.255.1" }}',
             'local_address { name: "local" prefix: "10.64.254.0/28" interface: "servers" }']
    check = f"health_check {{ http {{}} via: KERNEL interval_ms: {interval_ms} timeout_ms: {INTERVAL_MS - 100} rise: 1 fall: 1 }}"
    for index in range(SERVICES):
        lines.append(f'pool {{ name: "pool{index}" {check}')
        for place in range(BACKENDS_PER_POOL):
            number = FIRST + index * BACKENDS_PER_POOL + place
            weight = 1 + variant % 100 if place == 0 else 1
            lines.append(f'  backend {{ name: "b{number}" address: "{address(number)}" port: 80 weight: {weight} }}')
        lines.append("}")
        lines.append(f'service {{ name: "service{index}" address: "10.32.{1 + index // 250}.{1 + index % 250}" '
                     f'port: {8000 + variant} protocol: TCP pool: "pool{index}" }}')
    return "\n".join(lines) + "\n"


class Targets:
    """headgate-bench-targets, which is told on its standard input what the backends do."""

    def __init__(self, namespace: str, program: Path, cpu: int) -> None:
        self.process = subprocess.Popen(["ip", "netns", "exec", namespace, str(program), "80"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, bufsize=1, start_new_session=True)
        os.sched_setaffinity(self.process.pid, {cpu})
        if self.line() != "ready":
            raise Refused("headgate-bench-targets did not start")

    def say(self, words: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(words + "\n")
        self.process.stdin.flush()

    def line(self) -> str:
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], 20)[0]:
            raise TimeoutError("headgate-bench-targets says nothing")
        return self.process.stdout.readline().strip()

    def report(self) -> dict[str, Any]:
        self.say(f"report {INTERVAL_MS}")
        return json.loads(self.line())

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


class ControlSite:
    """Requires: `site()` made it."""

    def __init__(self, run_dir: Path, preset: str) -> None:
        self.run_dir = run_dir
        self.bin = REPOSITORY / "build" / preset / "bin"
        self.network = Network("hgb", run_dir)
        self.processes = Processes(run_dir)
        self.home = run_dir / "box"
        self.management = self.home / "management.sock"
        self.servers_cpu = max(os.sched_getaffinity(0))

    def check(self) -> None:
        if os.geteuid() != 0:
            raise Refused("namespaces need root: run this with sudo")
        for name in PROGRAMS:
            if not (self.bin / name).exists():
                raise Refused(f"{self.bin}/{name} does not exist: build it, or leave out --no-build")
        self.network.check_free(["box", "servers"])

    def up(self) -> None:
        for host in ("box", "servers"):
            self.network.add(host)
            self.network.sysctl(host, **{"net.ipv4.ip_local_port_range": "1024 65535", "net.ipv4.tcp_tw_reuse": "1",
                                         "net.core.somaxconn": "8192",
                                         "net.ipv4.tcp_congestion_control": "reno"})  # as cheap as Debian's cubic, and allowed in every namespace
        self.network.link("box", "eth0", "servers", "eth0")
        # Servers are other machines: what reaches them is worked on by their processor, not in the prober's system calls.
        run("ip", "netns", "exec", self.network.namespace("servers"), "sh", "-c",
            f"echo {1 << self.servers_cpu:x} > /sys/class/net/eth0/queues/rx-0/rps_cpus")
        self.network.ip("box", "addr", "add", f"{BOX_LINK}/30", "dev", "eth0")
        self.network.ip("servers", "addr", "add", f"{SERVERS_LINK}/30", "dev", "eth0")
        self.network.ip("box", "route", "add", BACKEND_PREFIX, "via", SERVERS_LINK)
        self.network.ip("servers", "route", "add", "local", BACKEND_PREFIX, "dev", "lo")
        raise_descriptor_limit()
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / "headgate.txtpb").write_text(configuration())
        self.targets = Targets(self.network.namespace("servers"), self.bin / "headgate-bench-targets", self.servers_cpu)
        self.start("dataplane", str(self.bin / "headgate-dataplane"), "--port", "front=null", "--port", "servers=null", "--no-huge",
                   "--memory", "256", "--buffers", "8192", "--flows", "65536", "--socket", str(self.home / "dataplane.sock"),
                   "--state-dir", str(self.home))
        self.start("controlplane", str(self.bin / "headgate-controlplane"), "--config", str(self.home / "headgate.txtpb"),
                   "--dataplane", str(self.home / "dataplane.sock"), "--state-dir", str(self.home), "--management", str(self.management))
        self.api = ManagementApi(self.management, self.run_dir / "python")
        self.dataplane = DataplaneApi(self.home / "dataplane.sock", self.run_dir / "python")
        wait_for(self.settled, f"a box with {BACKENDS} healthy backends (see {self.processes.logs})", 40, 0.25)

    def start(self, name: str, *command: str) -> int:
        pid = self.processes.start(self.network.namespace("box"), "box", name, *command)
        favour(pid)
        return pid

    def pid(self, name: str) -> int:
        pid = self.processes.pid("box", name)
        if pid is None:
            raise Refused(f"headgate-{name} ended: see {self.processes.log('box', name)}")
        return pid

    def settled(self) -> bool:
        """In sync, every backend probed at least once and none down."""
        self.pid("dataplane"), self.pid("controlplane")
        try:
            system = self.system()
        except Exception as error:
            if not is_rpc_error(error):
                raise
            return False
        return system.in_sync and system.backends == BACKENDS and system.backends_down == 0 and system.probes.succeeded >= BACKENDS

    def system(self):  # -> SystemReply
        return self.api.call("System")

    def console(self, *words: str, stdin: str | None = None) -> str:
        command = [str(self.bin / "headgate"), "--management", str(self.management), *words]
        with subprocess.Popen(command, stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, start_new_session=True, env=self.environment()) as process:
            favour(process.pid)
            try:
                output, errors = process.communicate(stdin, timeout=60)
            finally:
                process.kill()
        if process.returncode != 0:
            raise CommandFailed(["headgate", *words], process.returncode, errors or output)
        return output

    def environment(self) -> dict[str, str]:
        """The console keeps its history at home."""
        return os.environ | {"HOME": str(self.home), "TERM": "xterm"}

    def down(self, keep_logs: bool = False) -> None:
        for name in ("targets", "api", "dataplane"):
            part = self.__dict__.pop(name, None)
            if part is not None:
                part.stop() if name == "targets" else part.close()
        for host, name in self.processes.names():
            self.processes.stop(host, name)
        self.network.remove()
        if not keep_logs:
            shutil.rmtree(self.run_dir, ignore_errors=True)
        for entry in self.run_dir.glob("*"):
            if entry != self.processes.logs:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


@contextlib.contextmanager
def site(preset: str) -> Iterator[ControlSite]:
    """Builds it, and leaves nothing of it; of one that failed the logs."""
    made = ControlSite(RUN_DIR, preset)
    with exclusive(RUN_DIR, "hgb"):
        made.down()  # what a crash left
        made.check()
        good = False
        try:
            made.up()
            yield made
            good = True
        finally:
            made.down(keep_logs=not good)


def raise_descriptor_limit() -> None:
    """For what is started from here."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS), hard))
