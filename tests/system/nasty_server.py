"""A backend that misbehaves as its path says, and remembers what came on which connection.

  nasty_server.py PORT

/good answers, /report tells of each connection the paths that came on it, in order; everything else is a way to go wrong.
"""
from __future__ import annotations

import json
import socket
import struct
import sys
import threading
import time
from typing import Callable

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ngood\n"
connections: list[list[str]] = []

Behaviour = Callable[[socket.socket], None]


def say(data: bytes) -> Behaviour:
    return lambda connection: connection.sendall(data)


def say_and_close(data: bytes) -> Behaviour:
    def behave(connection: socket.socket) -> None:
        connection.sendall(data)
        raise EOFError
    return behave


def reset_behind(data: bytes) -> Behaviour:
    def behave(connection: socket.socket) -> None:
        connection.sendall(data)
        time.sleep(0.2 if data else 0)  # a reset overtakes what was not sent on yet
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise EOFError
    return behave


def hang_behind(data: bytes) -> Behaviour:
    def behave(connection: socket.socket) -> None:
        connection.sendall(data)
        while connection.recv(65536):
            pass
        raise EOFError
    return behave


def for_ever(head: bytes, part: bytes) -> Behaviour:
    def behave(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(part)
    return behave


def late(data: bytes) -> Behaviour:
    """A good answer, and bytes that nobody asked for once the connection is idle."""
    def behave(connection: socket.socket) -> None:
        connection.sendall(OK)
        time.sleep(0.1)
        connection.sendall(data)
    return behave


HEAD = b"HTTP/1.1 200 OK\r\n"
BEHAVIOURS: dict[str, Behaviour] = {
    "/good": say(OK),
    "/close-at-once": say_and_close(b""),
    "/close-in-head": say_and_close(HEAD + b"X-Half"),
    "/close-in-body": say_and_close(HEAD + b"Content-Length: 100\r\n\r\nten bytes."),
    "/close-in-chunk": say_and_close(HEAD + b"Transfer-Encoding: chunked\r\n\r\n64\r\nten bytes."),
    "/close-without-last-chunk": say_and_close(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
    "/reset-at-once": reset_behind(b""),
    "/reset-in-body": reset_behind(HEAD + b"Content-Length: 100\r\n\r\nten bytes."),
    "/hang": hang_behind(b""),
    "/hang-in-head": hang_behind(HEAD + b"X-Half"),
    "/hang-in-body": hang_behind(HEAD + b"Content-Length: 100\r\n\r\nten bytes."),
    "/twice": say(OK + OK),
    "/late": late(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"),
    "/garbage": say(b"\x16\x03\x01\x02\x00 this is no HTTP\r\n\r\n"),
    "/bare-lf": say(b"HTTP/1.1 200 OK\nContent-Length: 5\n\ngood\n"),
    "/two-lengths": say(HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\ngood\n"),
    "/length-and-chunked": say(HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "/bad-chunk": say(HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n"),
    "/status-999": say(b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n"),
    "/version-2": say(b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
    "/header-without-colon": say(HEAD + b"Nonsense\r\nContent-Length: 0\r\n\r\n"),
    "/unasked-upgrade": say(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
    "/endless-headers": for_ever(HEAD, b"X-Endless: header\r\n"),
    "/endless-line": for_ever(HEAD + b"X-Endless: ", b"y" * 4096),
    "/endless-interim": for_ever(b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
}


def read_head(connection: socket.socket, left: bytes) -> tuple[bytes, bytes]:
    while b"\r\n\r\n" not in left:
        data = connection.recv(65536)
        if not data:
            raise EOFError
        left += data
    head, _, left = left.partition(b"\r\n\r\n")
    return head, left


def report() -> bytes:
    text = json.dumps(connections).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text)


def serve(connection: socket.socket) -> None:
    paths: list[str] = []
    connections.append(paths)
    left = b""
    try:
        while True:
            head, left = read_head(connection, left)
            path = head.split(b" ")[1].decode()
            paths.append(path)
            connection.sendall(report()) if path == "/report" else BEHAVIOURS[path](connection)
    except (OSError, EOFError):
        connection.close()


def main() -> None:
    listener = socket.create_server(("", int(sys.argv[1])), backlog=1024)
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()


if __name__ == "__main__":
    main()
