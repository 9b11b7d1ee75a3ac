"""Names and addresses of the lab (design, section 10). People and tests rely on them."""
from __future__ import annotations

from dataclasses import dataclass

WEB_SERVERS = ("web1", "web2", "web3")
# The hosts of a site; each is the namespace PREFIX-HOST. `net` holds the bridges and routes between client and servers, which
# is the way by which servers answer clients directly (DSR, tunnels). `far` is a client behind a router (the client).
HOSTS = ("client", "box-a", "box-b", *WEB_SERVERS, "net", "far")

FRONT = ("192.0.2.0/24", "2001:db8:1::/64")
SERVERS = ("10.10.0.0/24", "2001:db8:2::/64")
FAR = ("203.0.113.0/24", "2001:db8:3::/64")

ROUTER_NUMBER = 254     # `net`, on both networks
GATEWAY_NUMBER = 1      # of the servers; a lone box's own address on both networks, in a pair it floats
CLIENT_NUMBER = 10
FAR_NUMBER = 10


@dataclass(frozen=True)
class Place:
    """One of the two boxes, and what is its own."""
    name: str
    side: str                # as in the configuration
    kernel_number: int       # of its kernel, on both networks
    own_number: int          # of its dataplane, on the front network
    ha_number: int           # on the HA link
    local: tuple[str, str]   # full-NAT sources


BOX_A = Place("box-a", "A", 11, 13, 1, ("10.10.0.64/28", "2001:db8:2::a:0/124"))
BOX_B = Place("box-b", "B", 12, 14, 2, ("10.10.0.80/28", "2001:db8:2::b:0/124"))
PAIR = (BOX_A, BOX_B)
BOX_NUMBER = BOX_A.kernel_number  # of a lone box
LOCAL = BOX_A.local


def front(number: int, family: int = 4) -> str:
    return f"192.0.2.{number}" if family == 4 else f"2001:db8:1::{number}"


def servers(number: int, family: int = 4) -> str:
    return f"10.10.0.{number}" if family == 4 else f"2001:db8:2::{number}"


def far(number: int, family: int = 4) -> str:
    return f"203.0.113.{number}" if family == 4 else f"2001:db8:3::{number}"


def ha(number: int) -> str:
    return f"10.20.0.{number}"


def web_number(name: str) -> int:
    return 20 + int(name.removeprefix("web"))


def web(name: str, family: int = 4) -> str:
    return servers(web_number(name), family)


def length(family: int) -> int:
    """Length of the host prefix of a network of the lab."""
    return 24 if family == 4 else 64


def url(address: str, path: str = "/", port: int = 80) -> str:
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}{'' if port == 80 else f':{port}'}{path}"
