"""Many connections of one process that behave in one odd way until standard input ends; prints "ready" when all of them do.

  crowd.py zero-window ADDRESS PORT COUNT PATH      asks for PATH with a small receive buffer and never reads
  crowd.py bytes ADDRESS PORT COUNT PATH            asks for PATH again and again, one byte a segment; says how many answers came
"""
from __future__ import annotations

import asyncio
import json
import resource
import socket
import sys

SMALL = 2048
AT_ONCE = 100


async def connect(address: str, port: int, receive_buffer: int) -> socket.socket:
    connection = socket.socket()
    connection.setblocking(False)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    await asyncio.wait_for(asyncio.get_running_loop().sock_connect(connection, (address, port)), 30)
    return connection


async def zero_window(connections: list[socket.socket], request: bytes) -> None:
    loop = asyncio.get_running_loop()
    for connection in connections:
        await loop.sock_sendall(connection, request)


async def one_byte_each(connection: socket.socket, request: bytes, answered: list[int], ended: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    while not ended.is_set():
        for byte in request:
            await loop.sock_sendall(connection, bytes((byte,)))
            await asyncio.sleep(0)  # the others' turn: so the kernel sends this byte alone
        answer = b""
        while b"\r\n\r\n" not in answer:
            part = await asyncio.wait_for(loop.sock_recv(connection, 65536), 10)
            if not part:
                raise ConnectionError("closed")
            answer += part
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise ConnectionError(answer.split(b"\r\n")[0].decode())
        answered.append(1)


async def main() -> None:
    kind, address, port, count, path = sys.argv[1:]
    request = f"GET {path} HTTP/1.1\r\nHost: crowd\r\n\r\n".encode()
    gate, connections = asyncio.Semaphore(AT_ONCE), []

    async def one() -> None:
        async with gate:
            connections.append(await connect(address, int(port), SMALL if kind == "zero-window" else 0))

    opened = await asyncio.gather(*(one() for _ in range(int(count))), return_exceptions=True)
    refused = sum(isinstance(result, Exception) for result in opened)
    answered, ended = [], asyncio.Event()
    work = [asyncio.create_task(one_byte_each(connection, request, answered, ended)) for connection in connections] if kind == "bytes" else []
    if not work:
        await zero_window(connections, request)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    ended.set()
    failed = [str(result) for result in await asyncio.gather(*work, return_exceptions=True) if isinstance(result, Exception)]
    print(json.dumps({"opened": len(connections), "refused": refused, "answered": len(answered), "failed": failed[:5]}))


if __name__ == "__main__":
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(main())
