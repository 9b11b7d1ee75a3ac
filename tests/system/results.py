"""Tables of results, which pytest prints when the run ends, whether it went well or not."""
from __future__ import annotations

from typing import Any, Sequence


class Table:
    """Rows under a title, and sentences below them: what was sampled, what the columns mean."""

    def __init__(self, title: str, columns: Sequence[str]) -> None:
        self.title = title
        self.columns = tuple(columns)
        self.rows: list[tuple[str, ...]] = []
        self.notes: list[str] = []
        tables.append(self)

    def add(self, *cells: Any) -> None:
        assert len(cells) == len(self.columns)
        self.rows.append(tuple(f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in cells))

    def note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)

    def lines(self) -> list[str]:
        grid = [self.columns, *self.rows]
        widths = [max(len(row[i]) for row in grid) for i in range(len(self.columns))]
        rows = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in grid]
        return [self.title, *(f"  {row}" for row in rows), *(f"  ({note})" for note in self.notes)]


tables: list[Table] = []


def lines() -> list[str]:
    """All tables that have something in them."""
    return [line for table in tables if table.rows for line in ("", *table.lines())]
