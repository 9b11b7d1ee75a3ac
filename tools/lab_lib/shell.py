"""Running programs, and waiting for conditions instead of sleeping."""
from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Callable, Sequence, TypeVar

Value = TypeVar("Value")

REPOSITORY = Path(__file__).resolve().parents[2]


class Refused(Exception):
    """The request cannot be met; the message is one sentence for the person who asked."""


class CommandFailed(Exception):
    def __init__(self, command: Sequence[str], code: int, output: str) -> None:
        super().__init__(f"`{' '.join(command)}` ended with {code}: {output.strip()[-2000:]}")
        self.code = code
        self.output = output


def run(*command: str, check: bool = True, timeout: float = 60, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Runs to the end and returns it, with stdout and stderr as text."""
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=timeout, input=stdin,
                          stdin=subprocess.DEVNULL if stdin is None else None)
    if check and done.returncode != 0:
        raise CommandFailed(command, done.returncode, done.stderr or done.stdout)
    return done


def wait_for(condition: Callable[[], Value], what: str, timeout: float = 10, interval: float = 0.05) -> Value:
    """Calls `condition` until it returns something true, and returns that; after `timeout` seconds raises TimeoutError."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise TimeoutError(f"waited {timeout:g} s in vain for: {what}")
        time.sleep(interval)
