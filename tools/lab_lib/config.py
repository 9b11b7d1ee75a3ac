"""The configuration of the box, composed as data and written as the text an operator writes (config.proto)."""
from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from . import addresses as at
from .pair import Failover
from .text import Text, block, quoted


@dataclass(frozen=True)
class Backend:
    name: str
    weight: int = 1
    drain: bool = False
    max_connections: int = 0
    port: int = 0
    backup: int = 0
    families: tuple[int, ...] = (4, 6)

    def text(self) -> Text:
        lines = [f'name: "{self.name}"', *quoted("address", [at.web(self.name, family) for family in self.families])]
        lines += [f"port: {self.port}"] if self.port else []
        lines += [f"weight: {self.weight}"] if self.weight != 1 else []
        lines += ["drain: true"] if self.drain else []
        lines += [f"max_connections: {self.max_connections}"] if self.max_connections else []
        lines += [f"backup: {self.backup}"] if self.backup else []
        return block("backend", lines)


THREE_BACKENDS = tuple(Backend(name) for name in at.WEB_SERVERS)


@dataclass(frozen=True)
class Pool:
    name: str
    backends: tuple[Backend, ...] = THREE_BACKENDS
    algorithm: str = ""
    persistence_s: int = 0
    on_removal: str = ""
    health_check: bool = True
    check: str = 'http { port: 80 status: "200" }'  # a server that is dead for HTTP is dead for UDP too
    interval_ms: int = 500
    fall: int = 3
    rise: int = 2
    extra: str = ""  # written as it is

    def text(self) -> Text:
        lines = [f'name: "{self.name}"']
        lines += [f"algorithm: {self.algorithm}"] if self.algorithm else []
        for backend in self.backends:
            lines += backend.text()
        if self.health_check:
            lines += block("health_check", [self.check, f"interval_ms: {self.interval_ms}", "timeout_ms: 400",
                                            f"rise: {self.rise}", f"fall: {self.fall}"])
        lines += block("persistence", [f"timeout_s: {self.persistence_s}"]) if self.persistence_s else []
        lines += [f"on_removal: {self.on_removal}"] if self.on_removal else []
        lines += [self.extra] if self.extra else []
        return block("pool", lines)


@dataclass(frozen=True)
class Service:
    name: str
    number: int  # of its addresses on the front network
    port: int = 80
    protocol: str = "TCP"
    mode: str = "FULL_NAT"
    pool: str = "web"
    encapsulation: str = ""
    families: tuple[int, ...] = (4, 6)

    def address(self, family: int) -> str:
        return at.front(self.number, family)

    def text(self) -> Text:
        lines = [f'name: "{self.name}"', *quoted("address", [self.address(family) for family in self.families]),
                 f"port: {self.port}", f"protocol: {self.protocol}", f"mode: {self.mode}", f'pool: "{self.pool}"']
        lines += [f"encapsulation: {self.encapsulation}"] if self.encapsulation else []
        return block("service", lines)


@dataclass(frozen=True)
class Access:
    """One way from client to servers: each has its own service addresses, and TCP 80, UDP 7 and UDP 53 on them."""
    name: str
    number: int
    mode: str
    encapsulation: str = ""
    pool: str = "web"
    families: tuple[int, ...] = (4, 6)
    direct: bool = False  # the servers hold the service address and answer the client themselves

    def services(self) -> tuple[Service, ...]:
        common: dict[str, Any] = dict(number=self.number, mode=self.mode, encapsulation=self.encapsulation, pool=self.pool,
                                      families=self.families)
        return (Service(name=self.name, **common), Service(name=f"{self.name}-echo", port=7, protocol="UDP", **common),
                Service(name=f"{self.name}-dns", port=53, protocol="UDP", **common))


ACCESSES = (
    Access("web", 100, "FULL_NAT"),
    Access("web-nat", 101, "NAT"),
    Access("web-dsr", 102, "DSR", direct=True),
    Access("web-ipip", 103, "TUNNEL", "IPIP", direct=True),
    Access("web-gue", 104, "TUNNEL", "GUE", direct=True),
    # The outer header of the other family.
    Access("web-4in6", 105, "TUNNEL", "IPIP", pool="web-v6", families=(4,), direct=True),
    Access("web-6in4", 105, "TUNNEL", "IPIP", pool="web-v4", families=(6,), direct=True),
    Access("web-gue-4in6", 106, "TUNNEL", "GUE", pool="web-v6", families=(4,), direct=True),
    Access("web-gue-6in4", 106, "TUNNEL", "GUE", pool="web-v4", families=(6,), direct=True),
)


def only(family: int) -> tuple[Backend, ...]:
    return tuple(dataclasses.replace(backend, families=(family,)) for backend in THREE_BACKENDS)


# A backend without a port is asked on the service's, and the servers know of port 80 alone.
PORT_80 = tuple(dataclasses.replace(backend, port=80) for backend in THREE_BACKENDS)
PROXIED_NUMBER = 100
PROXIED = (Service("web-http", PROXIED_NUMBER, port=8080, protocol="HTTP", pool="proxied"),
           Service("web-proxy", PROXIED_NUMBER, port=8081, protocol="TCP_PROXY", pool="proxied"))

DEFAULT_POOLS = (Pool("web"), Pool("web-v4", backends=only(4)), Pool("web-v6", backends=only(6)), Pool("proxied", backends=PORT_80))
DEFAULT_SERVICES = (*(service for access in ACCESSES for service in access.services()), *PROXIED)


FAMILIES = (4, 6)


@dataclass(frozen=True)
class Config:
    pools: tuple[Pool, ...] = DEFAULT_POOLS
    services: tuple[Service, ...] = DEFAULT_SERVICES
    egress: str = "DROP"
    snat: tuple[int, ...] = ()   # host numbers on the front network
    probe: bool = True
    mtu: int = 1500
    failover: Failover = Failover()  # of a box that is in a group
    extra: str = field(default="", compare=False)  # written as it is

    def with_pool(self, name: str = "web", **changes: Any) -> Config:
        """The same with one pool changed."""
        pools = tuple(dataclasses.replace(pool, **changes) if pool.name == name else pool for pool in self.pools)
        return dataclasses.replace(self, pools=pools)

    def text(self, place: at.Place | None = None) -> str:
        """For a lone box, or for one of a pair: all but that box's own part is the same for both."""
        lines = [*self.interfaces(place), *self.routes(), *self.local_addresses(place)]
        for entry in (*self.pools, *self.services):
            lines += entry.text()
        lines += ['probe { port: "probe" }'] if self.probe else []
        lines += [*self.failover.group(place), *self.failover.failover(place)] if place else []
        return "\n".join(lines) + "\n" + self.extra

    def interfaces(self, place: at.Place | None) -> Text:
        def gateway(text: Any) -> Text:
            if place:
                return self.failover.floating(text)
            return quoted("address", [text(at.GATEWAY_NUMBER, family) for family in FAMILIES])

        own = self.failover.own(place) if place else []
        front = [] if place and self.failover.alone else gateway(at.front)
        snat = quoted("snat_address", [at.front(number, family) for number in self.snat for family in FAMILIES])
        return [*block("interface", ['name: "front"', 'port: "front"', f"mtu: {self.mtu}", *quoted("prefix", at.FRONT), *own, *front]),
                *block("interface", ['name: "servers"', 'port: "servers"', f"mtu: {self.mtu}", *quoted("prefix", at.SERVERS),
                                     *gateway(at.servers), "gateway: true", f"egress: {self.egress}", *snat])]

    def routes(self) -> Text:
        lines: Text = []
        for ways, number in ((("0.0.0.0/0", "::/0"), at.ROUTER_NUMBER), (at.FAR, at.CLIENT_NUMBER)):
            for family, prefix in zip(FAMILIES, ways):
                lines += block("route", [f'prefix: "{prefix}"', f'next_hop {{ gateway: "{at.front(number, family)}" }}'])
        return lines

    def local_addresses(self, place: at.Place | None) -> Text:
        if place:
            return self.failover.local_addresses()
        return block("local_address", ['name: "box-a"', *quoted("prefix", at.LOCAL), 'interface: "servers"'])
