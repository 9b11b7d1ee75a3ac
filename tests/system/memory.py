"""What the dataplane of a site holds while something happens."""
from __future__ import annotations

import threading

from lab_lib.site import Site

MB = 1 << 20


class Memory:
    """Looks until the block ends: resident size of the process, the engine's own figure and its limit, in MB; connections."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.pid = site.box.daemon_pid("headgate-dataplane")
        self.before = self.resident_mb()
        self.most, self.engine, self.engine_max = self.before, 0.0, 0.0
        self.connections, self.half_open = 0, 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def resident_mb(self) -> float:
        with open(f"/proc/{self.pid}/status") as status:
            return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))

    def look(self) -> None:
        workers = self.site.box.api.call("Stats").worker
        self.engine = max(self.engine, sum(worker.tcp_memory for worker in workers) / MB)
        self.engine_max = sum(worker.tcp_memory_max for worker in workers) / MB
        self.connections = max(self.connections, sum(worker.connections_now for worker in workers))
        self.half_open = max(self.half_open, sum(worker.half_open_now for worker in workers))
        self.most = max(self.most, self.resident_mb())

    def watch(self) -> None:
        while not self.ended.wait(0.1):
            self.look()

    def __enter__(self) -> Memory:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.thread.join()
        self.look()

    @property
    def grown(self) -> float:
        return self.most - self.before
