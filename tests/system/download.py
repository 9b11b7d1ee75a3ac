"""Downloads a URL over one TCP connection and prints JSON: a line when the server has answered, then the result with its SHA-256
and the longest time without a byte.

Runs on a host of the site. A second thread measures how late this process itself is woken, so that a test can tell a stall of
the network from a busy machine.
"""
from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import threading
import time
import urllib.parse

TICK = 0.005


class Heartbeat(threading.Thread):
    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.worst = 0.0

    def run(self) -> None:
        last = time.monotonic()
        while True:
            time.sleep(TICK)
            now = time.monotonic()
            self.worst = max(self.worst, now - last - TICK)
            last = now


def rate(text: str) -> float:
    units = {"k": 1 << 10, "m": 1 << 20}
    return float(text[:-1]) * units[text[-1]] if text[-1] in units else float(text)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--limit-rate", type=rate, default=0.0)
    arguments = parser.parse_args()
    url = urllib.parse.urlsplit(arguments.url)
    heartbeat = Heartbeat()
    heartbeat.start()
    result = {"sha256": "", "bytes": 0, "seconds": 0.0, "stall_ms": 0.0, "scheduling_ms": 0.0, "error": ""}
    digest = hashlib.sha256()
    started = time.monotonic()
    try:
        connection = http.client.HTTPConnection(url.hostname or "", url.port or 80, timeout=20)
        connection.request("GET", url.path)
        response = connection.getresponse()
        if response.status != 200:
            raise OSError(f"HTTP {response.status}")
        print(json.dumps({"answered": True}), flush=True)
        while True:
            before = time.monotonic()
            data = response.read1(1 << 18)
            result["stall_ms"] = max(result["stall_ms"], (time.monotonic() - before) * 1000)
            if not data:
                break
            digest.update(data)
            result["bytes"] += len(data)
            if arguments.limit_rate:
                time.sleep(max(0.0, started + result["bytes"] / arguments.limit_rate - time.monotonic()))
        if response.length:
            raise OSError(f"{response.length} bytes are missing")
    except (OSError, http.client.HTTPException) as error:
        result["error"] = f"{type(error).__name__}: {error}"
    result |= {"sha256": digest.hexdigest(), "seconds": time.monotonic() - started, "scheduling_ms": heartbeat.worst * 1000}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
