"""Kernel TCP at both ends of a conversation: a server that takes and gives as many bytes as it is asked for, and clients that count,
hash and time them. Both sides send at once.

  tcp_peer.py serve PORT:RECEIVE_BUFFER ...
  tcp_peer.py talk ADDRESS PORT RECEIVE_BUFFER TIMEOUT [--pace BYTES] UP:DOWN ...     all at once; a line of JSON

A receive buffer of 0 is the kernel's own choice. The client sends how much it wants, its bytes, and closes that direction; the server
sends what was wanted and behind it the SHA-256 of all that came. Bytes follow from their number, so each side knows the other's.
"""
from __future__ import annotations

import functools
import hashlib
import json
import random
import socket
import struct
import sys
import threading
import time

HEAD = struct.Struct("!QQ")
PART = 1 << 18
BLOCK = random.Random(1).randbytes(1_048_573)  # a prime number: no segment size divides it


@functools.cache
def stream(size: int) -> bytes:
    """Begins at another place of the block for each size, so that bytes of another conversation are not taken for one's own."""
    start = size * 7919 % len(BLOCK)
    return (BLOCK[start:] + BLOCK * (size // len(BLOCK) + 1))[:size]


@functools.cache
def expected(size: int) -> str:
    return hashlib.sha256(stream(size)).hexdigest()


def read_all(connection: socket.socket, tail: int, pace: int = 0) -> tuple[int, str, bytes]:
    """Bytes before the last `tail` ones, their SHA-256, and those. `pace`: at most so many are read at once, 5 ms apart."""
    digest, count, held = hashlib.sha256(), 0, b""
    while data := connection.recv(pace or PART):
        held += data
        ready = max(0, len(held) - tail)
        digest.update(held[:ready])
        count += ready
        held = held[ready:]
        if pace:
            time.sleep(0.005)
    return count, digest.hexdigest(), held


def set_up(one: socket.socket, receive_buffer: int) -> None:
    for name in (b"cubic", b"reno"):  # the kernel that we are compared with; a namespace may have neither as its default
        try:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, name)
            break
        except OSError:
            continue
    if receive_buffer:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)


def serve_one(connection: socket.socket) -> None:
    try:
        up, down = HEAD.unpack(connection.recv(HEAD.size, socket.MSG_WAITALL))
        sender = threading.Thread(target=connection.sendall, args=(stream(down),), daemon=True)
        sender.start()
        count, digest, _ = read_all(connection, 0)
        sender.join()
        connection.sendall(bytes.fromhex(digest) if count == up else bytes(32))
    except (OSError, struct.error) as error:
        print(f"server: {error}", flush=True)
    finally:
        connection.close()


def serve(port: int, receive_buffer: int) -> None:
    listener = socket.socket(socket.AF_INET6)
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    set_up(listener, receive_buffer)
    listener.bind(("::", port))
    listener.listen(4096)
    while True:
        threading.Thread(target=serve_one, args=(listener.accept()[0],), daemon=True).start()


def talk(address: str, port: int, receive_buffer: int, timeout: float, pace: int, up: int, down: int) -> str:
    """What went wrong; nothing when all went well."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as connection:
        connection.settimeout(timeout)
        set_up(connection, receive_buffer)
        connection.connect((address, port))

        def send() -> None:
            connection.sendall(HEAD.pack(up, down) + stream(up))
            connection.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        count, digest, tail = read_all(connection, 32, pace)
        if (count, digest) != (down, expected(down)):
            return f"{count} of {down} bytes came" if count != down else "other bytes came"
        return "" if tail.hex() == expected(up) else "the server did not get what was sent"


def conversation(arguments: tuple, up: int, down: int, results: list[dict]) -> None:
    began = time.monotonic()
    try:
        error = talk(*arguments, up, down)
    except OSError as failure:
        error = f"{type(failure).__name__}: {failure}"
    results.append({"up": up, "down": down, "seconds": time.monotonic() - began, "error": error})


def main() -> None:
    role, *words = sys.argv[1:]
    if role == "serve":
        for text in words:
            port, receive_buffer = text.split(":")
            threading.Thread(target=serve, args=(int(port), int(receive_buffer))).start()
        return
    address, port, receive_buffer, timeout, *words = words
    pace = int(words[1]) if words[0] == "--pace" else 0
    jobs = [tuple(map(int, text.split(":"))) for text in words[2 if pace else 0:]]
    for size in {size for job in jobs for size in job}:
        expected(size)  # not in the measured time
    results: list[dict] = []
    arguments = (address, int(port), int(receive_buffer), float(timeout), pace)
    threads = [threading.Thread(target=conversation, args=(arguments, up, down, results)) for up, down in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps(results))


if __name__ == "__main__":
    main()
