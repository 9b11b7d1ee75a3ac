"""A larger share of the processors for what is measured, so that the rest of the machine blurs figures less."""
from __future__ import annotations

import os
from pathlib import Path


def favour(pid: int) -> None:
    """Prefers this process and its session, as far as allowed. Linux shares processors out by session first (autogroup): a
    process's own niceness counts only within. Requires: the process leads a session of its own."""
    try:
        os.setpriority(os.PRIO_PROCESS, pid, -20)
        Path(f"/proc/{pid}/autogroup").write_text("-20\n")
    except OSError:
        pass
