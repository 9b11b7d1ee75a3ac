"""WebSocket by Debian's python3-websockets.

  websocket_peer.py serve PORT       says hello without being asked, then echoes
  websocket_peer.py talk URL         what a conversation was like, a line of JSON
"""
from __future__ import annotations

import asyncio
import hashlib
import json
import sys

import websockets

MEGABYTE = bytes(range(256)) * 4096


async def echo(channel: websockets.WebSocketServerProtocol) -> None:
    await channel.send("hello")
    async for message in channel:
        await channel.send(message)
    # The client closed; its code and reason are in the closing handshake.


async def serve(port: int) -> None:
    async with websockets.serve(echo, "", port, max_size=None):
        await asyncio.Event().wait()


async def talk(url: str) -> dict:
    said = {}
    async with websockets.connect(url, max_size=None) as channel:
        said["greeting"] = await channel.recv()
        for name, message in (("text", "grüße"), ("empty", ""), ("binary", MEGABYTE)):
            await channel.send(message)
            said[name] = await channel.recv() == message
        await channel.send([MEGABYTE[:70000]] * 3)  # one message of three fragments
        said["fragments"] = hashlib.sha256(await channel.recv()).hexdigest() == hashlib.sha256(MEGABYTE[:70000] * 3).hexdigest()
        await asyncio.wait_for(await channel.ping(), 5)
        said["ping"] = True
        for number in range(200):
            await channel.send(str(number))
        said["order"] = [await channel.recv() for _ in range(200)] == [str(number) for number in range(200)]
        await channel.close(4321, "enough")
    said["close"] = [channel.close_code, channel.close_reason]
    return said


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        asyncio.run(serve(int(sys.argv[2])))
    else:
        print(json.dumps(asyncio.run(asyncio.wait_for(talk(sys.argv[2]), 60))))
