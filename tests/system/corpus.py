"""Reads tests/golden/http/requests.txt, whose head says what it means, and differences.txt beside it."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "http"
ESCAPES = {"r": "\r", "n": "\n", "t": "\t"}


class Expander:
    """Undoes escapes, names and repetitions."""

    def __init__(self, text: str, definitions: dict[str, str]) -> None:
        self.text = text
        self.at = 0
        self.definitions = definitions

    def expand(self, inside: bool = False) -> str:
        """Up to the end, or the brace that closes what is inside of it."""
        out = ""
        while self.at < len(self.text):
            char = self.take()
            if char == "}" and inside:
                break
            out += self.escape() if char == "\\" else self.group() if char == "{" else char
        return out

    def take(self) -> str:
        self.at += 1
        return self.text[self.at - 1]

    def escape(self) -> str:
        char = self.take()
        if char != "x":
            return ESCAPES.get(char, char)
        self.at += 2
        return chr(int(self.text[self.at - 2:self.at], 16))

    def group(self) -> str:
        end = min(place for place in (self.text.find("*", self.at), self.text.find("}", self.at)) if place >= 0)
        word, kind = self.text[self.at:end], self.text[end]
        self.at = end + 1
        return self.definitions[word] if kind == "}" else int(word) * self.expand(inside=True)


def unescape(text: str) -> bytes:
    return Expander(text, {}).expand().encode("latin1")


def split(line: str, separator: str) -> list[str]:
    """At separators that no backslash precedes."""
    parts, escaped = [""], False
    for char in line:
        if char == separator and not escaped:
            parts.append("")
        else:
            parts[-1] += char
        escaped = char == "\\" and not escaped
    return [part.strip(" \t") for part in parts]


@dataclass(frozen=True)
class Case:
    name: str
    answers: tuple[str, ...]   # one for each request
    backend: tuple[str, ...]
    bytes: bytes

    @property
    def statuses(self) -> tuple[str, ...]:
        """Of the final responses that a client gets."""
        return tuple("200" if answer == "pass" else answer[:3] for answer in self.answers if answer != "wait")


def entries(name: str, words: str) -> tuple[list[list[str]], dict[str, str]]:
    """Lines of a file, split into columns, and its definitions, which begin with one of these words."""
    lines, definitions = [], {}
    for line in (GOLDEN / name).read_text().splitlines():
        if line.startswith(f"{words} "):
            key, _, value = line.removeprefix(f"{words} ").partition("=")
            definitions[key.strip()] = value.strip()
        elif line and not line.startswith("#"):
            lines.append(split(line, "|"))
    return lines, definitions


def requests() -> list[Case]:
    lines, raw = entries("requests.txt", "define")
    definitions: dict[str, str] = {}
    for key, value in raw.items():
        definitions[key] = Expander(value, definitions).expand()
    return [Case(name, tuple(split(answers, ";")), tuple(split(backend, ";")), Expander(text, definitions).expand().encode("latin1"))
            for name, answers, backend, text in lines]


@dataclass(frozen=True)
class Difference:
    """What another proxy does with a case that ours does not, and why that is as expected."""
    name: str
    proxy: str
    answers: str
    backend: str
    judgement: str


def differences() -> tuple[list[Difference], dict[str, str]]:
    """And the sentences of the judgements by name."""
    lines, sentences = entries("differences.txt", "judgement")
    return [Difference(*columns) for columns in lines], sentences
