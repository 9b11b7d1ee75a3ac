"""Sends numbered datagrams to ADDRESS port 7 for SECONDS at RATE a second, and prints JSON: sent, lost, the longest gap."""
from __future__ import annotations

import json
import select
import socket
import sys
import time


def main() -> None:
    address, seconds, per_second = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    client = socket.socket(family, socket.SOCK_DGRAM)
    client.connect((address, 7))
    client.setblocking(False)
    total = int(seconds * per_second)
    back: set[int] = set()
    last = started = time.monotonic()
    longest, sent = 0.0, 0
    while time.monotonic() < started + seconds + 2 and len(back) < total:
        now = time.monotonic()
        if sent < total and now >= started + sent / per_second:
            try:
                client.send(sent.to_bytes(8, "big") + b"x" * 56)
            except (BlockingIOError, ConnectionRefusedError):
                pass  # counts as lost
            sent += 1
        wait = started + sent / per_second - time.monotonic() if sent < total else 0.1
        if select.select([client], [], [], max(0.0, min(wait, 0.1)))[0]:
            try:
                data = client.recv(2048)
            except (BlockingIOError, ConnectionRefusedError):
                continue
            back.add(int.from_bytes(data[:8], "big"))
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
    print(json.dumps({"sent": sent, "lost": sent - len(back), "longest_gap_ms": longest * 1000}))


if __name__ == "__main__":
    main()
