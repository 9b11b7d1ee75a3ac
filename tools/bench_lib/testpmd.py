"""testpmd, the plainest use of DPDK: what the same machine does without us."""
from __future__ import annotations

import os
import re
import signal
import statistics
import subprocess
import time

from .share import favour

PROGRAM = "dpdk-testpmd"


def command(worker_cpu: int, main_cpu: int, devices: list[str], mode: str, stats: bool) -> list[str]:
    """One forwarding core. Without stats the main thread waits for commands: else it would spin, on the others' processor."""
    eal = ["--lcores", f"0@{main_cpu},1@{worker_cpu}", "--no-pci", "--no-huge", "--no-shconf", "--no-telemetry", "-m", "512",
           "--file-prefix", f"bench{os.getpid()}", "--log-level", "*:error"]
    vdevs = [argument for device in devices for argument in ("--vdev", device)]
    app = ["--nb-cores=1", f"--forward-mode={mode}", "--total-num-mbufs=32768", "--burst=32", "--no-lsc-interrupt"]
    return [PROGRAM, *eal, *vdevs, "--", *app, *(["--stats-period=1"] if stats else ["-i", "--auto-start"])]


def null_ports(mode: str, seconds: int) -> float:
    """Mpps of both ports together, the median of one-second samples."""
    cpus = sorted(os.sched_getaffinity(0))
    process = subprocess.Popen(command(cpus[-1], cpus[0], ["net_null0", "net_null1"], mode, stats=True), stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
    favour(process.pid)
    time.sleep(3 + seconds)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=20)
    rates = [int(rate) for rate in re.findall(r"Rx-pps:\s+(\d+)", output)]
    samples = [first + second for first, second in zip(rates[0::2], rates[1::2])][2:]  # the first ones hold the start
    if not samples:
        raise OSError(f"{PROGRAM} forwarded nothing: {output.strip()[-500:]}")
    return round(statistics.median(samples) / 1e6, 2)
