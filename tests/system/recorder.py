"""A backend that answers a request of each connection and tells what it saw. Lenient, so that it sees what a proxy lets through.

  recorder.py CONTROL FIRST LAST        listens on these ports; a datagram with a port's number to the unix socket CONTROL is
                                        answered by JSON: how many connections are open, and the requests that ended since the last
                                        question
"""
from __future__ import annotations

import asyncio
import json
import re
import socket
import sys
from dataclasses import asdict, dataclass, field

ANSWER = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nyes"
HEAD_MAX = 1 << 20


@dataclass
class Seen:
    """A request as it came; text is latin1, a letter for a byte. `state`: begun, whole, aborted, malformed."""
    line: str = ""
    fields: list[tuple[str, str]] = field(default_factory=list)
    body: str = ""
    state: str = "begun"

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key.lower() == name]


seen: dict[int, list[Seen]] = {}      # by port, those that ended
open_connections: dict[int, int] = {}


async def read_chunked(reader: asyncio.StreamReader, request: Seen) -> None:
    size = -1
    while size != 0:
        line = await reader.readuntil(b"\r\n")
        if not re.fullmatch(rb"[0-9a-fA-F]+(;[^\r\n]*)?\r\n", line):
            raise ValueError("a chunk's size")
        size = int(line.split(b";")[0], 16)
        if size == 0:
            break
        request.body += (await reader.readexactly(size)).decode("latin1")
        if await reader.readexactly(2) != b"\r\n":
            raise ValueError("a chunk's end")
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass


async def read_request(reader: asyncio.StreamReader, request: Seen) -> None:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin1").removesuffix("\r\n\r\n").split("\r\n")
    request.line = lines[0]
    for line in lines[1:]:
        name, _, value = line.partition(":")
        request.fields.append((name, value.strip(" \t")))
    if request.values("transfer-encoding"):
        await read_chunked(reader, request)
    elif length := request.values("content-length"):
        request.body = (await reader.readexactly(int(length[0]))).decode("latin1")
    request.state = "whole"


async def serve(port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    open_connections[port] += 1
    request, answered = Seen(), False
    try:
        while True:
            request = Seen()
            await read_request(reader, request)
            seen[port].append(request)
            if not answered:
                writer.write(ANSWER)
                writer.write_eof()
            answered = True  # what still comes is recorded, since a proxy should not have sent it
    except (asyncio.IncompleteReadError, ConnectionError) as end:
        if request.state != "whole" and (request.line or getattr(end, "partial", b"")):
            request.state = "aborted"
            seen[port].append(request)
    except (ValueError, asyncio.LimitOverrunError):
        request.state = "malformed"
        seen[port].append(request)
    finally:
        open_connections[port] -= 1
        writer.close()


class Control(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: str) -> None:
        port = int(data)
        ended, seen[port] = seen[port], []
        answer = {"open": open_connections[port], "requests": [asdict(request) for request in ended]}
        self.transport.sendto(json.dumps(answer).encode(), address)


async def main() -> None:
    control, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    for port in range(first, last + 1):
        seen[port], open_connections[port] = [], 0
        await asyncio.start_server(lambda reader, writer, port=port: serve(port, reader, writer), "", port, limit=HEAD_MAX)
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    channel.bind(control)
    await asyncio.get_running_loop().create_datagram_endpoint(Control, sock=channel)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
