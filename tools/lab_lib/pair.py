"""What the configuration of a box in a pair says besides that of a lone one: the group of all service addresses, the floating
gateway of the servers, local addresses of each box, and the box's own part."""
from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from . import addresses as at
from .text import Text, block, quoted

GROUP = "site"
FRONT_VRID, SERVERS_VRID = 51, 52
# A box that has just come back takes its peer for one that may hold the long lease of a lone box, solo_lease_ms (1,000).
CALM_MS = 1500


@dataclass(frozen=True)
class Failover:
    """The group and what failover goes by. `alone`: the peer is a stranger's VRRP router on the front network, where only services
    float; `version` is what it speaks there."""
    interval_ms: int = 100
    preemption: str = ""
    preempt_delay_s: int | None = None
    priorities: tuple[int, int] = (200, 150)  # 150: it waits 341 ms at 100 ms adverts; 100 would be 361
    version: int = 3
    startup_wait_ms: int = 3000
    control_grace_s: int = 0
    alone: bool = False
    extra: str = ""  # inside `failover`, as it is
    group_extra: str = ""

    def own(self, place: at.Place) -> Text:
        """The dataplane's address on the front network."""
        return quoted("address", [at.front(place.own_number, family) for family in (4, 6)])

    def floating(self, text) -> Text:
        """The gateway's address on a network."""
        return [f'floating {{ address: "{text(at.GATEWAY_NUMBER, family)}" group: "{GROUP}" }}' for family in (4, 6)]

    def local_addresses(self) -> Text:
        """Of each box: the first of its block stays on it and is probed from; the rest floats."""
        lines: Text = []
        for place in at.PAIR[:1] if self.alone else at.PAIR:
            networks = [ipaddress.ip_network(prefix) for prefix in place.local]
            rest = [str(part) for network in networks
                    for part in network.address_exclude(ipaddress.ip_network(network.network_address))]
            common = ['interface: "servers"', f"allocate_on: {place.side}"]
            lines += block("local_address", [f'name: "{place.name}-own"', *quoted("address", [str(n.network_address) for n in networks]),
                                             *common, "floats: false"])
            lines += block("local_address", [f'name: "{place.name}"', *quoted("prefix", sorted(rest)), *common])
        return lines

    def group(self, place: at.Place) -> Text:
        lines = [f'name: "{GROUP}"', *self.router("front", FRONT_VRID, at.front(place.kernel_number), self.version),
                 *self.router("servers", SERVERS_VRID, at.servers(place.kernel_number))]
        lines += [f"priority_{side}: {priority}" for side, priority in zip("ab", self.priorities)]
        lines += [f"interval_ms: {self.interval_ms}"]
        lines += [f"preemption: {self.preemption}"] if self.preemption else []
        lines += [f"preempt_delay_s: {self.preempt_delay_s}"] if self.preempt_delay_s is not None else []
        lines += [self.group_extra] if self.group_extra else []
        return block("group", lines)

    def router(self, interface: str, vrid: int, source: str, version: int = 3) -> Text:
        return block("router", [f'interface: "{interface}"', f"vrid: {vrid}", f'source: "{source}"',
                                *([f"version: {version}"] if version != 3 else [])])

    def failover(self, place: at.Place) -> Text:
        lines = [f"side: {place.side}", f"startup_wait_ms: {self.startup_wait_ms}"]
        if not self.alone:
            peer = next(other for other in at.PAIR if other != place)
            lines += block("ha_link", [f'address: "{at.ha(place.ha_number)}"', f'peer_address: "{at.ha(peer.ha_number)}"'])
        lines += [f"control_grace_s: {self.control_grace_s}"] if self.control_grace_s else []
        lines += [self.extra] if self.extra else []
        return block("failover", lines)
