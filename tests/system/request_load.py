"""Asks URLS in turn at RATE requests a second, each over a connection of its own, until standard input ends; then prints JSON:
how many were made, what failed, and the slowest answer."""
from __future__ import annotations

import http.client
import json
import select
import sys
import time
import urllib.parse


def ask(url: urllib.parse.SplitResult) -> str:
    """What went wrong; empty when nothing did."""
    connection = http.client.HTTPConnection(url.hostname or "", url.port or 80, timeout=10)
    try:
        connection.request("GET", url.path, headers={"Connection": "close"})
        response = connection.getresponse()
        body = response.read()
        return "" if response.status == 200 and body else f"HTTP {response.status}, {len(body)} bytes"
    except (OSError, http.client.HTTPException) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        connection.close()


def main() -> None:
    rate, urls = float(sys.argv[1]), [urllib.parse.urlsplit(url) for url in sys.argv[2:]]
    made, slowest, failed = 0, 0.0, []
    due = time.monotonic()
    while not select.select([sys.stdin], [], [], max(0.0, due - time.monotonic()))[0]:
        url = urls[made % len(urls)]
        started = time.monotonic()
        if problem := ask(url):
            failed.append(f"{url.geturl()}: {problem}")
        slowest = max(slowest, time.monotonic() - started)
        made += 1
        due = max(due + 1 / rate, time.monotonic() - 1)
    print(json.dumps({"made": made, "failed": failed[:20], "slowest_ms": slowest * 1000}))


if __name__ == "__main__":
    main()
