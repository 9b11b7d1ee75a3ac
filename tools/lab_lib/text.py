"""Lines of protobuf text format."""
from __future__ import annotations

from typing import Iterable

Text = list[str]


def block(name: str, lines: Text) -> Text:
    return [f"{name} {{", *(f"  {line}" for line in lines), "}"]


def quoted(name: str, values: Iterable[str]) -> Text:
    return [f'{name}: "{value}"' for value in values]
