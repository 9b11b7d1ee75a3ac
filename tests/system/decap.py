#!/usr/bin/python3
"""Takes tunnel packets apart on a web server: IPIP and GUE over IPv4 and IPv6, the inner packet goes to a TUN device.

Written against the specifications (RFC 2003, RFC 2473, draft-ietf-intarea-gue) and not against the product, so that it can
judge the product. Outer headers that a kernel would refuse are dropped here too: the sockets see only what the kernel has
checked (length, checksum, address). `decap.py NAME [GUE_PORT]` runs until it is killed.
"""
from __future__ import annotations

import fcntl
import os
import selectors
import socket
import struct
import subprocess
import sys

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
PROTOCOL_V4, PROTOCOL_V6 = 4, 41
GUE_PORT = 6080
UDP_NO_CHECK6_RX = 102  # a tunnel may leave the outer checksum 0 over IPv6 (RFC 6935), as Linux's own GUE receiver allows
BURST = 64


def open_tun(name: str) -> int:
    tun = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
    for command in (["sysctl", "-qw", f"net.ipv4.conf.{name}.rp_filter=0"], ["ip", "link", "set", name, "mtu", "9000", "up"]):
        subprocess.run(command, check=True)
    return tun


def inner_of_raw_v4(packet: bytes) -> bytes:
    """A raw IPv4 socket delivers the outer header too."""
    return packet[(packet[0] & 0x0F) * 4:]


def inner_of_gue(datagram: bytes) -> bytes | None:
    """Version 0: four bytes, then options counted in words. Version 1: the IP header follows at once."""
    if len(datagram) < 4:
        return None
    if datagram[0] >> 6 == 1:
        return datagram
    control, header_words, protocol = datagram[0] & 0x20, datagram[0] & 0x1F, datagram[1]
    inner = datagram[4 + 4 * header_words:]
    expected = {PROTOCOL_V4: 4, PROTOCOL_V6: 6}.get(protocol)
    return inner if not control and inner and inner[0] >> 4 == expected else None


def open_sockets(gue_port: int) -> list[tuple[socket.socket, object]]:
    result: list[tuple[socket.socket, object]] = []
    for protocol in (PROTOCOL_V4, PROTOCOL_V6):
        result.append((socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol), inner_of_raw_v4))
        result.append((socket.socket(socket.AF_INET6, socket.SOCK_RAW, protocol), lambda payload: payload))
    for family, any_address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        gue = socket.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET6:
            gue.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            gue.setsockopt(socket.IPPROTO_UDP, UDP_NO_CHECK6_RX, 1)
        gue.bind((any_address, gue_port))
        result.append((gue, inner_of_gue))
    for each, _ in result:
        each.setblocking(False)
        each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    return result


def main() -> None:
    tun = open_tun(sys.argv[1])
    selector = selectors.DefaultSelector()
    for each, inner_of in open_sockets(int(sys.argv[2]) if len(sys.argv) > 2 else GUE_PORT):
        selector.register(each, selectors.EVENT_READ, inner_of)
    while True:
        for key, _ in selector.select():
            for _ in range(BURST):
                try:
                    packet = key.fileobj.recv(65536)
                except BlockingIOError:
                    break
                inner = key.data(packet)
                if inner:
                    try:
                        os.write(tun, inner)
                    except OSError as error:  # not an IP packet; a receiver lives on
                        print(f"decap: inner packet of {len(inner)} bytes refused: {error}", flush=True)


if __name__ == "__main__":
    main()
