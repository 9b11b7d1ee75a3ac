"""An idle box sleeps: under 3 % of a core per worker, and it wakes at once."""
from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from lab_lib.site import Site

from helpers import WEB

SECONDS = 5
SHARE_MAX = 0.03


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.tier("full")  # a busy machine charges 5.6 % for what takes less when it is idle
def test_an_idle_dataplane_uses_less_than_3_percent_of_a_core(site: Site) -> None:
    pid = site.box.daemon_pid("headgate-dataplane")
    assert pid is not None
    before = cpu_seconds(pid)
    time.sleep(SECONDS)  # the measurement itself; only health probes run
    share = (cpu_seconds(pid) - before) / SECONDS
    assert share < SHARE_MAX * site.options.box.workers, f"{share:.1%} of a core"


def test_it_answers_at_once_after_idling(site: Site) -> None:
    done = site.curl(WEB, "-o", "/dev/null", "-w", "%{time_total}")
    assert float(done.stdout) < 0.1
