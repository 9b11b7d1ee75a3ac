"""The judge of captures itself, on conversations written by hand: what it must not take for a fault, and what it must."""
from __future__ import annotations

from pathlib import Path

from scapy.all import IP, TCP, Ether, wrpcap

from tcp_judge import judge

CLIENT, SERVER = ("10.0.0.1", 4000), ("10.0.0.2", 9000)
HANDSHAKE = [("client", 0, 0, "S", 0), ("server", 0, 1, "SA", 0), ("client", 1, 1, "A", 0)]


def faults(path: Path, segments: list[tuple[str, int, int, str, int]]) -> list[str]:
    """What is wrong, on a wire that may lose, with segments of sender, sequence number, acknowledgement, flags and length."""
    frames = []
    for sender, seq, ack, flags, length in [*HANDSHAKE, *segments]:
        (source, source_port), (destination, port) = (CLIENT, SERVER) if sender == "client" else (SERVER, CLIENT)
        frames.append(Ether() / IP(src=source, dst=destination) /
                      TCP(sport=source_port, dport=port, seq=7000 + seq, ack=7000 + ack if "A" in flags else 0, flags=flags, window=60000) /
                      (b"x" * length))
    wrpcap(str(path / "one.pcap"), frames)
    return judge(path / "one.pcap", peer_port=SERVER[1], own_port=None, lossless=False, ordered=False).faults()


def test_data_that_comes_once_more_cut_at_other_places_was_sent(tmp_path: Path) -> None:
    assert faults(tmp_path, [("client", 1, 1, "A", 1000), ("client", 501, 1, "A", 2000), ("server", 1, 2501, "A", 0)]) == []


def test_data_behind_a_gap_counts_when_the_gap_was_filled(tmp_path: Path) -> None:
    late = [("client", 1001, 1, "A", 1000), ("server", 1, 1, "A", 0), ("client", 1, 1, "A", 1000)]
    assert faults(tmp_path, [*late, ("server", 1, 2001, "A", 0)]) == []


def test_an_acknowledgement_over_a_gap_is_a_fault(tmp_path: Path) -> None:
    found = faults(tmp_path, [("client", 1, 1, "A", 1000), ("client", 2001, 1, "A", 1000), ("server", 1, 3001, "A", 0)])
    assert found == ["the kernel's: acknowledges what was never sent (1, first in frame 6)"]


def test_an_acknowledgement_beyond_all_that_was_sent_is_a_fault(tmp_path: Path) -> None:
    found = faults(tmp_path, [("server", 1, 1, "A", 10), ("client", 1, 12, "A", 0)])
    assert found == ["ours: acknowledges what was never sent (1, first in frame 5)"]
