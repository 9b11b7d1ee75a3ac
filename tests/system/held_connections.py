"""Connections that are held, idle, and asked again at the end.

  held_connections.py serve PORT                            upgrades every connection, then sends back what comes
  held_connections.py hold ADDRESS PORT KEPT UPGRADED       opens them, each with a request; prints "held"; after a line on standard
                                                            input asks each again, and prints what became of them, a line of JSON
"""
from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections import Counter

GET = b"GET / HTTP/1.1\r\nHost: held\r\n\r\n"
UPGRADE = (b"GET /up HTTP/1.1\r\nHost: held\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
           b"Sec-WebSocket-Key: aGVsZCBjb25uZWN0aW9ucw==\r\n\r\n")
SWITCHING = (b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
             b"Sec-WebSocket-Accept: 2G/jqTaZKyNGtLlC7BLlwgfdEBg=\r\n\r\n")
AT_ONCE = 100     # that open, or ask again
TIMEOUT_S = 30


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCHING)
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    writer.close()


async def serve(port: int) -> None:
    await asyncio.start_server(echo, "", port, backlog=4096)
    await asyncio.Event().wait()


class Held:
    def __init__(self, upgraded: bool) -> None:
        self.upgraded = upgraded
        self.slowest = 0.0

    async def open(self, address: str, port: int) -> None:
        self.reader, self.writer = await asyncio.open_connection(address, port, limit=4096)
        if self.upgraded:
            self.writer.write(UPGRADE)
            head = await self.reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 101 "):
                raise ValueError(head.split(b"\r\n")[0].decode())
        await self.ask(b"first")

    async def ask(self, word: bytes) -> None:
        """Raises when it is not answered as it should be."""
        began = time.monotonic()
        if self.upgraded:
            self.writer.write(word)
            if await self.reader.readexactly(len(word)) != word:
                raise ValueError("another echo")
        else:
            self.writer.write(GET)
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await self.reader.readexactly(length)
            if not head.startswith(b"HTTP/1.1 200 "):
                raise ValueError(head.split(b"\r\n")[0].decode())
        self.slowest = max(self.slowest, time.monotonic() - began)


async def all_of(work: list, problems: Counter) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(step: object) -> None:
        async with gate:
            try:
                await asyncio.wait_for(step(), TIMEOUT_S)
            except (OSError, EOFError, ValueError, asyncio.TimeoutError) as error:
                problems[f"{type(error).__name__}: {error}"] += 1

    await asyncio.gather(*(one(step) for step in work))


async def hold(address: str, port: int, kept: int, upgraded: int) -> None:
    held = [Held(number >= kept) for number in range(kept + upgraded)]
    opening: Counter = Counter()
    await all_of([lambda one=one: one.open(address, port) for one in held], opening)
    print("held" if not opening else f"not opened: {dict(opening)}", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    closed = sum(one.reader.at_eof() or one.reader.exception() is not None for one in held)
    for one in held:
        one.slowest = 0.0
    asking: Counter = Counter()
    await all_of([lambda one=one: one.ask(b"again") for one in held], asking)
    print(json.dumps({"held": len(held), "closed": closed, "failed": sum(asking.values()), "problems": dict(asking),
                      "slowest_ms": max(one.slowest for one in held) * 1000}), flush=True)


if __name__ == "__main__":
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if sys.argv[1] == "serve":
        asyncio.run(serve(int(sys.argv[2])))
    else:
        asyncio.run(hold(sys.argv[2], *map(int, sys.argv[3:])))
