"""What tshark, and the rules of RFC 9293 for windows, say of a capture that was made at the end of a kernel: everything which that
kernel sent and everything that reached it is in there, so that what tshark misses never was.
"""
from __future__ import annotations

import contextlib
import signal
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterator

from lab_lib.shell import run, wait_for
from lab_lib.site import Site

REPEATED = ("retransmission", "fast_retransmission", "spurious_retransmission", "out_of_order")
FLAGS = (*REPEATED, "lost_segment", "keep_alive", "zero_window_probe", "duplicate_ack", "window_full", "zero_window")
COLUMNS = ("frame.number", "tcp.stream", "tcp.srcport", "tcp.seq", "tcp.len", "tcp.ack", "tcp.window_size", "tcp.flags",
           "tcp.window_size_scalefactor", *(f"tcp.analysis.{flag}" for flag in FLAGS))
FIN, SYN, RST, ACK = 1, 2, 4, 16
SNAP_BYTES = 128
QUIET_S = 0.2


class Capture:
    """tcpdump of TCP with one port at one interface, while the block lasts."""

    def __init__(self, site: Site, host: str, expression: str, path: Path) -> None:
        self.path, self.size = path, 0
        self.dump = site.popen(host, "tcpdump", "-nn", "-U", "--immediate-mode", "-s", str(SNAP_BYTES), "-B", "32768", "-w", str(path), "-i", "eth0",
                               expression, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        assert self.dump.stderr is not None
        while "listening on" not in (line := self.dump.stderr.readline()):
            assert line, f"tcpdump does not accept: {expression}"

    def at_rest(self) -> bool:
        """Nothing more was written for a while."""
        before, self.size = self.size, self.path.stat().st_size
        return before == self.size

    def stop(self) -> None:
        wait_for(self.at_rest, f"the end of what {self.path.name} captures", 10, QUIET_S)  # tcpdump forgets what it has not read yet
        self.dump.send_signal(signal.SIGINT)
        _, said = self.dump.communicate(timeout=20)
        assert "\n0 packets dropped by kernel" in f"\n{said}", f"a capture with gaps judges nobody: {said}"


@contextlib.contextmanager
def capturing(site: Site, expressions: dict[str, str], folder: Path) -> Iterator[dict[str, Path]]:
    """tcpdump on each host with its expression; the files are whole when the block has ended."""
    captures = {host: Capture(site, host, expression, folder / f"{host}.pcap") for host, expression in expressions.items()}
    try:
        yield {host: capture.path for host, capture in captures.items()}
    finally:
        for capture in captures.values():
            capture.stop()


@dataclass
class Segment:
    number: int
    stream: int
    source_port: int
    seq: int
    length: int
    ack: int
    window: int
    bits: int
    scale: int
    flags: frozenset[str]

    @property
    def end(self) -> int:
        return self.seq + self.length + bool(self.bits & SYN) + bool(self.bits & FIN)


def read(path: Path) -> Iterator[Segment]:
    fields = [word for column in COLUMNS for word in ("-e", column)]
    # Numbers relative to the first ones: no wrap within 4 GB. Timestamps stay out of it.
    text = run("tshark", "-n", "-r", str(path), "-o", "tcp.relative_sequence_numbers:TRUE", "-T", "fields", *fields, timeout=300).stdout
    for line in text.splitlines():
        values = line.split("\t")
        number, stream, port, seq, length, ack, window = (int(value or 0) for value in values[:7])
        flags = frozenset(flag for flag, value in zip(FLAGS, values[9:]) if value)
        yield Segment(number, stream, port, seq, length, ack, window, int(values[7], 16), max(1, int(values[8] or 1)), flags)


@dataclass
class Side:
    """One direction of one conversation."""
    whole: int = 0           # everything before this sequence number was seen
    islands: list[tuple[int, int]] = field(default_factory=list)  # what was seen behind it: first number, and the one behind the last
    edge: int | None = None  # largest one that the other side allows us
    own_edge: int = 0        # what we allowed the other side
    closed: bool = False     # the window that we were told of last is zero
    ended: bool = False      # its FIN was seen

    def take(self, first: int, end: int) -> None:
        """Notes what was sent, in any order and as often as it comes."""
        apart = []
        for island in sorted([*self.islands, (first, end)]):
            if island[0] <= self.whole:
                self.whole = max(self.whole, island[1])
            else:
                apart.append(island)
        self.islands = apart


@dataclass
class Verdict:
    """`wrong`: each kind of fault with how often and the first frame. `seen`: what is normal on such a wire, for the table."""
    wrong: Counter = field(default_factory=Counter)
    first: dict[str, int] = field(default_factory=dict)
    seen: Counter = field(default_factory=Counter)
    segments: int = 0
    repeated: Counter = field(default_factory=Counter)  # by whom, segments that came again over a wire that loses nothing

    def fault(self, what: str, segment: Segment) -> None:
        self.wrong[what] += 1
        self.first.setdefault(what, segment.number)

    def faults(self) -> list[str]:
        return [f"{what} ({count}, first in frame {self.first[what]})" for what, count in self.wrong.items()]


def judge(path: Path, peer_port: int | None, own_port: int | None, lossless: bool, ordered: bool) -> Verdict:
    """`own_port`: of the engine, when it is the server; `peer_port`: of the kernel, when the engine is the client. The wire may lose,
    and may double and overtake, unless it is `lossless` and `ordered`."""
    verdict = Verdict()
    sides: dict[tuple[int, bool], Side] = {}
    for segment in read(path):
        ours = segment.source_port == own_port if own_port else segment.source_port != peer_port
        sender, receiver = (sides.setdefault((segment.stream, who), Side()) for who in (ours, not ours))
        verdict.segments += 1
        if ours:
            judge_ours(segment, sender, receiver, lossless, ordered, verdict)
        whose = "ours" if ours else "the kernel's"
        # Not tshark's ack_lost_segment: that takes what was sent once more and cut or gathered (GRO) at other places for lost.
        if segment.bits & ACK and segment.ack > receiver.whole:
            verdict.fault(f"{whose}: acknowledges what was never sent", segment)
        judge_flags(segment, whose, lossless, verdict)
        follow(segment, sender, receiver)
    return verdict


def judge_ours(segment: Segment, sender: Side, receiver: Side, lossless: bool, ordered: bool, verdict: Verdict) -> None:
    """What the RFCs ask of a sender, beside what tshark knows."""
    if segment.bits & RST:
        if not (sender.ended and receiver.ended):  # else it answers what came once more, to a connection that is gone
            verdict.fault("ours: a reset", segment)
        return
    probe = segment.length <= 1 and sender.closed  # RFC 9293 3.8.6.1
    if sender.edge is not None and segment.seq + segment.length > sender.edge and not probe:
        verdict.fault("ours: data beyond the window", segment)
    # Keepalives are off. A wire may lose the word that opens a window, or bring it late.
    if lossless and ordered and segment.flags & {"zero_window_probe", "keep_alive"} and not sender.closed:
        verdict.fault("ours: a probe of a window that is not zero", segment)
    # RFC 7323 2.4: the edge may fall back by a unit of the scale. Behind the other side's FIN it has no meaning.
    if ordered and not receiver.ended and segment.bits & ACK and not segment.bits & SYN and segment.ack + segment.window + segment.scale < sender.own_edge:
        verdict.fault("ours: the window's edge moves back", segment)


def judge_flags(segment: Segment, whose: str, lossless: bool, verdict: Verdict) -> None:
    if lossless and segment.flags & set(REPEATED):
        verdict.repeated[whose] += 1
    if lossless and "lost_segment" in segment.flags:
        verdict.fault(f"{whose}: a gap on a wire that loses nothing", segment)
    for flag in segment.flags:
        verdict.seen[f"{whose}: {flag}"] += 1


def follow(segment: Segment, sender: Side, receiver: Side) -> None:
    sender.take(segment.seq, segment.end)
    sender.ended |= bool(segment.bits & FIN)
    if not segment.bits & ACK:
        return
    receiver.edge = max(receiver.edge or 0, segment.ack + segment.window)
    receiver.closed = segment.window == 0
    sender.own_edge = max(sender.own_edge, segment.ack + segment.window)
