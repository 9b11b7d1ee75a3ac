"""Sends UDP datagrams to port 7 of each ADDRESS back to where they came from.

One process for all addresses of a host, without a fork for each datagram: hundreds a second must not load the machine that
also runs the boxes.
"""
from __future__ import annotations

import selectors
import socket
import sys

PORT = 7
LARGEST = 65536


def main() -> None:
    selector = selectors.DefaultSelector()
    for address in sys.argv[1:]:
        echo = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        echo.setblocking(False)
        echo.bind((address, PORT))
        selector.register(echo, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            answer(key.fileobj)


def answer(echo: socket.socket) -> None:
    while True:
        try:
            data, sender = echo.recvfrom(LARGEST)
            echo.sendto(data, sender)
        except BlockingIOError:
            return
        except OSError:  # an ICMP error about an earlier answer, or a path that is too narrow
            continue


if __name__ == "__main__":
    main()
