"""A configuration of the lab that changes at random, step after step, in ways that may hurt nobody: at least one backend of each
pool may serve, and removed ones keep their flows (on_removal KEEP is the default)."""
from __future__ import annotations

import dataclasses
import random

from lab_lib.config import THREE_BACKENDS, Backend, Config, Pool, Service

UNUSED = range(150, 200)  # addresses that no traffic uses
ALGORITHMS = ("", "ROUND_ROBIN", "LEAST_CONNECTIONS", "SOURCE_HASH", "MAGLEV")


class ConfigWalk:
    def __init__(self, seed: int, config: Config = Config()) -> None:
        self.random = random.Random(seed)
        self.config = config
        self.timeouts: dict[str, int] = {}
        self.settings: dict[str, list[str]] = {}  # of pools, as text
        self.unmatched = "REJECT"
        self.steps = (self.add, self.remove, self.reweight, self.drain, self.limit, self.backup, self.algorithm, self.persistence, self.probes,
                      self.setting, self.timeout, self.unused_service, self.unused_service, self.order, self.no_match)

    def step(self) -> str:
        """Makes one change, or two or three, and says what."""
        done = []
        while len(done) < self.random.choice((1, 1, 2, 3)):
            before = self.config
            what = self.random.choice(self.steps)()
            if what and all(any(backend.weight and not backend.drain for backend in pool.backends) for pool in self.config.pools):
                done.append(what)
            else:
                self.config = before
        return "; ".join(done)

    def text(self) -> str:
        pools = tuple(dataclasses.replace(pool, extra="\n".join(self.settings.get(pool.name, []))) for pool in self.config.pools)
        lines = [f"# step {self.random.random()}" if self.random.random() < 0.3 else "", f"unmatched: {self.unmatched}"]
        lines += ["timeouts {", *(f"  {name}: {value}" for name, value in self.timeouts.items()), "}"]
        return dataclasses.replace(self.config, pools=pools, extra="\n".join(lines) + "\n").text()

    # -- steps: each says what it did; empty when there was nothing to do ------------------------------------------------

    def pool(self) -> Pool:
        return self.random.choice([pool for pool in self.config.pools if pool.name.startswith("web")])

    def put(self, pool: Pool, what: str, **changes: object) -> str:
        self.config = self.config.with_pool(pool.name, **changes)
        return f"{what} in {pool.name}"

    def change_backend(self, what: str, **changes: object) -> str:
        pool = self.pool()
        chosen = self.random.choice(pool.backends)
        backends = tuple(dataclasses.replace(entry, **changes) if entry is chosen else entry for entry in pool.backends)
        return self.put(pool, f"{what} of {chosen.name}", backends=backends)

    def add(self) -> str:
        pool = self.pool()
        families = pool.backends[0].families
        absent = [entry for entry in THREE_BACKENDS if entry.name not in {backend.name for backend in pool.backends}]
        if not absent:
            return ""
        new: Backend = dataclasses.replace(self.random.choice(absent), families=families)
        return self.put(pool, f"add {new.name}", backends=(*pool.backends, new))

    def remove(self) -> str:
        pool = self.pool()
        gone = self.random.choice(pool.backends)
        return self.put(pool, f"remove {gone.name}", backends=tuple(entry for entry in pool.backends if entry is not gone))

    def reweight(self) -> str:
        return self.change_backend("weight", weight=self.random.choice((0, 1, 2, 10, 100)))

    def drain(self) -> str:
        return self.change_backend("drain", drain=self.random.random() < 0.5)

    def limit(self) -> str:
        return self.change_backend("limit", max_connections=self.random.choice((0, 50_000, 60_000)))

    def backup(self) -> str:
        return self.change_backend("backup", backup=self.random.choice((0, 0, 1)))

    def algorithm(self) -> str:
        algorithm = self.random.choice(ALGORITHMS)
        return self.put(self.pool(), f"algorithm {algorithm}", algorithm=algorithm)

    def persistence(self) -> str:
        return self.put(self.pool(), "persistence", persistence_s=self.random.choice((0, 1, 60)))

    def probes(self) -> str:
        pool = self.pool()
        probed = self.random.random() < 0.8
        if not probed:
            self.settings[pool.name] = []  # `passive` needs probes to bring a backend back
        return self.put(pool, "probes", interval_ms=self.random.choice((200, 500, 2000)), fall=self.random.choice((3, 5)),
                        rise=self.random.choice((1, 2)), health_check=probed)

    def setting(self) -> str:
        pool = self.pool()
        self.settings[pool.name] = self.random.sample(
            ["slow_start_s: 3", "minimum_healthy: 1", 'comment: "a # \\"comment\\""', "passive { failures: 50 }"], 2)
        if not pool.health_check:
            self.settings[pool.name] = []
        return f"settings in {pool.name}"

    def timeout(self) -> str:
        name, least = self.random.choice((("tcp_syn_s", 10), ("tcp_established_s", 7440), ("tcp_transitory_s", 240), ("udp_s", 300)))
        self.timeouts[name] = least + self.random.randrange(1000)
        return name

    def unused_service(self) -> str:
        unused = [service for service in self.config.services if service.number in UNUSED]
        if len(unused) > 8 or unused and self.random.random() < 0.5:
            gone = self.random.choice(unused)
            left = {entry.pool for entry in self.config.services if entry is not gone}
            self.config = dataclasses.replace(
                self.config, services=tuple(entry for entry in self.config.services if entry is not gone),
                pools=tuple(pool for pool in self.config.pools if pool.name in left or pool.name.startswith("web")))
            return f"remove service {gone.name}"
        number = self.random.choice([number for number in UNUSED if number not in {service.number for service in unused}])
        own = Pool(f"pool-{number}", on_removal=self.random.choice(("KEEP", "RESET", "REHASH")))
        mode = self.random.choice(("FULL_NAT", "NAT", "DSR", "TUNNEL"))
        # A probe may travel as any service of the pool does, and no server holds this address for DSR and TUNNEL.
        pool = self.random.choice(("web", own.name)) if mode in ("FULL_NAT", "NAT") else own.name
        service = Service(f"unused-{number}", number, port=8000, mode=mode, protocol=self.random.choice(("TCP", "UDP")), pool=pool)
        self.config = dataclasses.replace(self.config, services=(*self.config.services, service),
                                          pools=(*self.config.pools, *([own] if service.pool == own.name else [])))
        return f"add service {service.name}"

    def order(self) -> str:
        mixed = {name: tuple(self.random.sample(entries, len(entries)))
                 for name, entries in (("pools", self.config.pools), ("services", self.config.services))}
        self.config = dataclasses.replace(self.config, **mixed)
        return "another order"

    def no_match(self) -> str:
        self.unmatched = self.random.choice(("REJECT", "DROP"))
        return f"unmatched {self.unmatched}"
