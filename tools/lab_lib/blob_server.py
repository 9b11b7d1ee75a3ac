"""Makes the files that the web servers serve as /blob/SIZE, when they are first asked for, and hashes uploads.

Runs behind nginx on a unix socket: GET /blob/SIZE makes the file and tells nginx to send it (X-Accel-Redirect); POST /upload
answers the SHA-256 of the body. A blob of SIZE is the first SIZE bytes of one fixed key stream, so its hash is known anywhere.
"""
from __future__ import annotations

import hashlib
import http.server
import os
import re
import socketserver
import subprocess
import sys
from pathlib import Path

UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
SIZE_MAX = 2 << 30
KEY = "6865616467617465206c616220626c6f"  # any fixed 16 bytes


def size_of(text: str) -> int | None:
    """Bytes of a size like 37, 1k, 200m; None when it is not one, or larger than we serve."""
    match = re.fullmatch(r"(\d{1,10})([kmg]?)", text)
    size = int(match[1]) * UNITS[match[2]] if match else None
    return size if size is not None and size <= SIZE_MAX else None


def ensure(folder: Path, text: str) -> Path:
    """The file of a blob, made when it does not exist. Requires: size_of(text)."""
    path = folder / text
    if not path.exists():
        size = size_of(text)
        assert size is not None
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f"{text}.{os.getpid()}"
        with open(partial, "wb") as file, subprocess.Popen(
                ["openssl", "enc", "-aes-128-ctr", "-nosalt", "-K", KEY, "-iv", "0" * 32, "-in", "/dev/zero"],
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as stream:
            assert stream.stdout is not None
            while size > 0:
                size -= file.write(stream.stdout.read(min(size, 1 << 20)))
            stream.kill()
        partial.rename(path)
    return path


def sha256(folder: Path, text: str) -> str:
    with open(ensure(folder, text), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"
    folder = Path()

    def do_GET(self) -> None:
        text = self.path.removeprefix("/blob/")
        if size_of(text) is None:
            self.send_error(404, "Sizes look like 1k, 37k, 200m; at most 2g")
            return
        ensure(self.folder, text)
        self.send_response(200)
        self.send_header("X-Accel-Redirect", f"/files/{text}")
        self.end_headers()

    def do_POST(self) -> None:
        digest = hashlib.sha256()
        left = int(self.headers.get("Content-Length", "0"))
        while left > 0 and (data := self.rfile.read(min(left, 1 << 16))):
            digest.update(data)
            left -= len(data)
        body = (digest.hexdigest() + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "nginx"  # the peer of a unix socket has no address


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


def main() -> None:
    socket_path, folder = sys.argv[1:]
    Handler.folder = Path(folder)
    Path(socket_path).unlink(missing_ok=True)
    with Server(socket_path, Handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
