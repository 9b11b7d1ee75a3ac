"""Sends requests of the corpus to proxies, side by side, and asks the recorder behind each what it saw. A line of JSON for each.

  corpus_client.py CONTROL SOURCE IDLE LANES PROXY,ADDRESS,PORT,RECORDER ... < JSON, a list of [name, bytes as hexadecimal]

A proxy has LANES ports from PORT, and the recorder as many from RECORDER: a lane is used for one case at a time, so what the
recorder sees there is that case's. The client says all it has to say, and reads until the other side closes or says nothing for
IDLE seconds.
"""
from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
import tempfile
import time

SETTLE_S = 5.0


async def converse(address: str, port: int, source: str, text: bytes, idle: float) -> tuple[str, bool]:
    """What was heard, and whether the other side closed."""
    reader, writer = await asyncio.open_connection(address, port, local_addr=(source, 0))
    heard, closed = b"", False
    with contextlib.suppress(ConnectionError):
        writer.write(text)  # not drained: who refuses a request may not read all of it
        while not closed:
            try:
                part = await asyncio.wait_for(reader.read(65536), idle)
            except asyncio.TimeoutError:
                break
            heard += part
            closed = not part
    writer.transport.abort() if not closed else writer.close()
    return heard.decode("latin1"), closed


class Recorder:
    def __init__(self, control: str) -> None:
        self.channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.channel.bind(tempfile.mktemp(prefix="corpus-client-"))
        self.channel.settimeout(5)
        self.control = control

    def ask(self, port: int) -> dict:
        self.channel.sendto(str(port).encode(), self.control)
        return json.loads(self.channel.recv(1 << 20))

    async def settled(self, port: int) -> list[dict]:
        """All that came, once every connection of the proxy is closed."""
        requests: list[dict] = []
        deadline = time.monotonic() + SETTLE_S
        while True:
            answer = self.ask(port)
            requests += answer["requests"]
            if answer["open"] == 0 or time.monotonic() > deadline:
                return requests + [{"state": "open"}] * answer["open"]
            await asyncio.sleep(0.02)

    def close(self) -> None:
        os.unlink(self.channel.getsockname())


async def lane(number: int, proxy: list[str], cases: list, recorder: Recorder, source: str, idle: float) -> None:
    name, address, port, behind = proxy
    while cases:
        case, text = cases.pop()
        heard, closed = await converse(address, int(port) + number, source, bytes.fromhex(text), idle)
        requests = await recorder.settled(int(behind) + number)
        print(json.dumps({"proxy": name, "case": case, "heard": heard, "closed": closed, "requests": requests}), flush=True)


async def main() -> None:
    control, source, idle, lanes, *proxies = sys.argv[1:]
    cases = json.load(sys.stdin)
    recorder = Recorder(control)
    try:
        work = []
        for proxy in (text.split(",") for text in proxies):
            left = list(cases)
            work += [lane(number, proxy, left, recorder, source, float(idle)) for number in range(int(lanes))]
        await asyncio.gather(*work)
    finally:
        recorder.close()


if __name__ == "__main__":
    asyncio.run(main())
