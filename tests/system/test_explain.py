"""Why does the box do that? `explain` and `capture` give the reason that the workers count."""
from __future__ import annotations

import dataclasses
import threading
from typing import Any, Callable

import pytest
from lab_lib import addresses as at
from lab_lib.config import THREE_BACKENDS, Config
from lab_lib.site import Site

from helpers import WEB


def explain(site: Site, **fields: Any) -> Any:
    question = dict(protocol="tcp", source=at.front(at.CLIENT_NUMBER), source_port=40000, destination=at.front(100),
                    destination_port=80)
    return site.box.api.call("Explain", **(question | fields))


def text_of(reply: Any) -> str:
    return "\n".join(f"{step.stage}: {step.text}" for step in reply.step)


def captured(site: Site, cause: Callable[[], object], **filters: Any) -> list[Any]:
    """The packets that the box captures while `cause` runs."""
    packets: list[Any] = []
    stream = site.box.api.capture(**({"packets_max": 20, "seconds_max": 3} | filters))
    reader = threading.Thread(target=lambda: packets.extend(stream))
    reader.start()
    try:
        for _ in range(10):  # the capture is on once the workers have seen it; there is no sign of that on the stream
            cause()
            reader.join(0.2)
            if packets:
                break
    finally:
        reader.join(5)
    return packets


def test_explain_names_backend_and_reason_for_a_packet_that_is_served(site: Site) -> None:
    reply = explain(site)
    assert reply.backend_id != 0 and reply.drop_reason == "" and not reply.existing_flow, text_of(reply)
    assert "web" in text_of(reply)


def test_a_closed_port_is_explained_and_captured(site: Site) -> None:
    reply = explain(site, destination_port=81)
    assert reply.backend_id == 0
    assert "81" in text_of(reply)
    packets = captured(site, lambda: site.curl(at.url(at.front(100), port=81), check=False, timeout=1), host=at.front(100), port=81)
    assert packets and {packet.verdict for packet in packets} & {reply.verdict}, (reply.verdict, packets)


def test_a_spoofed_source_is_explained_and_captured(site: Site) -> None:
    """A packet that claims to come from the service address itself."""
    reply = explain(site, source=at.front(100), port="front")
    assert reply.drop_reason, text_of(reply)
    before = site.box.api.drops().get(reply.drop_reason, 0)
    packets = captured(site, lambda: send_spoofed(site), drop_reason=reply.drop_reason)
    assert packets and packets[0].drop_reason == reply.drop_reason
    assert site.box.api.drops()[reply.drop_reason] > before


def send_spoofed(site: Site) -> None:
    script = f"""
from scapy.all import Ether, IP, TCP, getmacbyip, sendp
frame = Ether(dst=getmacbyip("{at.front(100)}")) / IP(src="{at.front(100)}", dst="{at.front(100)}") / TCP(sport=40000, dport=80)
sendp(frame, iface="eth0", verbose=False)
"""
    site.exec("client", "/usr/bin/python3", "-c", script)


def test_a_drained_backend_is_named_as_the_reason(site: Site, configure: Callable[[Config], None]) -> None:
    drained = tuple(dataclasses.replace(backend, drain=True) for backend in THREE_BACKENDS)
    configure(Config().with_pool(backends=drained))
    reply = explain(site)
    assert reply.backend_id == 0, text_of(reply)
    assert "drain" in text_of(reply), text_of(reply)
    packets = captured(site, lambda: site.curl(WEB, check=False, timeout=0.5), host=at.front(100), port=80)
    assert reply.verdict in {packet.verdict for packet in packets}


@pytest.mark.parametrize("port", [80, 81])
def test_the_console_explains_the_same(site: Site, port: int) -> None:
    done = site.box.cli("explain", "tcp", f"{at.front(at.CLIENT_NUMBER)}:40000", f"{at.front(100)}:{port}")
    assert explain(site, destination_port=port).verdict in done.stdout
