"""A site whose dataplane runs alone: what it runs is pushed to its API, as the control plane would."""
from __future__ import annotations

import contextlib
from typing import Any, Iterator

import pytest
from lab_lib.config import Config
from lab_lib.shell import wait_for
from lab_lib.site import Site

from conftest import make_options

NETWORKS = """
interface { id: 1 name: "front" port: "front" prefix: "192.0.2.0/24" prefix: "2001:db8:1::/64" mtu: MTU }
interface { id: 2 name: "servers" port: "servers" prefix: "10.10.0.0/24" prefix: "2001:db8:2::/64" mtu: MTU }
local_address { id: 1 address: "10.10.0.64" interface_id: 2 }
local_address { id: 2 address: "10.10.0.65" interface_id: 2 }
local_address { id: 3 address: "2001:db8:2::a:0" interface_id: 2 }
local_address { id: 4 address: "2001:db8:2::a:1" interface_id: 2 }
"""


def networks(mtu: int = 1500) -> str:
    """The part of a snapshot that says where the dataplane is."""
    return NETWORKS.replace("MTU", str(mtu))


@contextlib.contextmanager
def bare_site(request: pytest.FixtureRequest, snapshot: str, **wanted: Any) -> Iterator[Site]:
    """`wanted`: as SITE of a module. Who waits for the first answer is the caller."""
    site = Site(make_options(request, wanted))
    with site.exclusive(wait=600):
        site.down()
        try:
            site.up(Config(), start_box=False)
            start_dataplane(site)
            apply(site, 1, snapshot)
            yield site
        finally:
            site.down()


def start_dataplane(site: Site) -> None:
    box = site.box
    box.home.mkdir(parents=True, exist_ok=True)
    box.processes.start(box.network.namespace(box.host), box.host, "dataplane", str(box.bin / "headgate-dataplane"),
                        *box.options.dataplane_arguments(box.home))
    wait_for(box.socket.exists, "the dataplane's API", 30)
    if box.options.owns_ports:
        site.address_exception_devices(box)


def apply(site: Site, generation: int, snapshot: str) -> None:
    """Requires: a higher generation than any before."""
    from google.protobuf import text_format
    text = f'generation: {generation} digest: "{generation}" {snapshot}'
    reply = site.box.api.call("Apply", snapshot=text_format.Parse(text, site.box.api.messages.Snapshot()))
    assert reply.accepted, reply
