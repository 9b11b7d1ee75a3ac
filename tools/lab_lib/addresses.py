"""Names and addresses of the lab (design, section 10). People and tests rely on them."""
from __future__ import annotations

WEB_SERVERS = ("web1", "web2", "web3")
# The hosts of a site; each is the namespace PREFIX-HOST. `net` holds the two bridges and routes between them, which is
# the way by which servers answer clients directly (DSR, tunnels). `far` is a client behind a router (the client).
HOSTS = ("client", "box-a", *WEB_SERVERS, "net", "far")

FRONT = ("192.0.2.0/24", "2001:db8:1::/64")
SERVERS = ("10.10.0.0/24", "2001:db8:2::/64")
FAR = ("203.0.113.0/24", "2001:db8:3::/64")
LOCAL = ("10.10.0.64/28", "2001:db8:2::a:0/124")  # full-NAT sources of box-a

ROUTER_NUMBER = 254     # `net`, on both networks
GATEWAY_NUMBER = 1      # the dataplane's own address, on both networks
CLIENT_NUMBER = 10
BOX_NUMBER = 11         # the kernel of box-a, on both networks
FAR_NUMBER = 10


def front(number: int, family: int = 4) -> str:
    return f"192.0.2.{number}" if family == 4 else f"2001:db8:1::{number}"


def servers(number: int, family: int = 4) -> str:
    return f"10.10.0.{number}" if family == 4 else f"2001:db8:2::{number}"


def far(number: int, family: int = 4) -> str:
    return f"203.0.113.{number}" if family == 4 else f"2001:db8:3::{number}"


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
