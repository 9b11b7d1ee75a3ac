"""Crafted VRRP adverts: sends those named on the command line from an interface, after RFC 9568 and not with our code.

    adverts.py INTERFACE VRID ADDRESS NAME...     one frame each, in order; an unknown name is an error
"""
from __future__ import annotations

import socket
import struct
import sys

SOURCE = "192.0.2.10"
GROUP, GROUP_MAC = "224.0.0.18", bytes.fromhex("01005e000012")


def checksum(data: bytes) -> int:
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def message(vrid: int, address: str, version: int = 3, kind: int = 1, priority: int = 254, count: int = 1, interval: int = 10,
            good: bool = True) -> bytes:
    """Version 3 with the checksum of RFC 9568 5.2.8: over the message alone."""
    addresses = socket.inet_aton(address) * count
    head = struct.pack("!BBBBHH", version << 4 | kind, vrid, priority, count, interval, 0)
    value = checksum(head + addresses) ^ (0 if good else 0x5555)
    return head[:6] + struct.pack("!H", value) + addresses


def frame(payload: bytes, hop_limit: int = 255, source: str = SOURCE) -> bytes:
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0xC0, 20 + len(payload), 0, 0, hop_limit, 112, 0, socket.inet_aton(source),
                         socket.inet_aton(GROUP))
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    # Not from the virtual MAC: the switch would send the group's traffic here until the active box's next advert.
    mac = bytes.fromhex("02000000000a")
    return (GROUP_MAC + mac + b"\x08\x00" + header + payload).ljust(60, b"\0")


def crafted(name: str, vrid: int, address: str) -> bytes:
    """Each would win an election if it were believed: priority 254."""
    good = message(vrid, address)
    return {
        "bad_hop_limit": lambda: frame(good, hop_limit=254),
        "bad_version": lambda: frame(message(vrid, address, version=2)),
        "bad_type": lambda: frame(message(vrid, address, kind=2)),
        "bad_checksum": lambda: frame(message(vrid, address, good=False)),
        "bad_count": lambda: frame(message(vrid, address, count=0)),
        "bad_interval": lambda: frame(message(vrid, address, interval=0)),
        "truncated": lambda: frame(good[:10]),
    }[name]()


def main() -> None:
    interface, vrid, address = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind((interface, 0))
        for name in sys.argv[4:]:
            wire.send(crafted(name, vrid, address))


if __name__ == "__main__":
    main()
