"""Own what is printed: aligned plain text, colours where a person looks on, JSON where a program reads."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from shared.strict_json import check

try:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    CONSOLE: Console | None = Console(highlight=False)
except ImportError:  # the extra `cli` is not installed: plain text
    CONSOLE = None

COLOURS = {"ok": "green", "succeeded": "green", "warn": "yellow", "fail": "red", "failed": "red"}
"First word of a cell → its colour on a terminal."


class Screen:
    """Standard output for one command; with `--json` only documents go there, and notes to standard error."""

    def __init__(self, wants_json: bool) -> None:
        self.wants_json = wants_json
        self.is_live = not wants_json and CONSOLE is not None and CONSOLE.is_terminal

    def say(self, line: str = "") -> None:
        """Print a line for people."""
        if not self.wants_json:
            print(line, flush=True)

    def note(self, line: str) -> None:
        """Print an aside, never among the data."""
        print(line, file=sys.stderr if self.wants_json or not sys.stdout.isatty() else sys.stdout, flush=True)

    def next(self, *commands: str) -> None:
        """Tell what to type next."""
        for position, command in enumerate(commands):
            self.say(f"{'next: ' if position == 0 else '      '}{command}")

    def document(self, value: Any) -> None:
        """Print one JSON document, with `--json` only."""
        if self.wants_json:
            check(value)
            print(json.dumps(value, indent=2, ensure_ascii=False), flush=True)

    def json_line(self, value: Any) -> None:
        """Print one JSON document on a line of its own, with `--json` only."""
        if self.wants_json:
            print(json.dumps(value, ensure_ascii=False), flush=True)

    def table(self, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table."""
        if self.wants_json:
            return
        if self.is_live and CONSOLE is not None:
            CONSOLE.print(rich_table(heads, rows))
            return
        for line in plain_table(heads, rows):
            print(line, flush=True)


def plain_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Align columns with blanks, heads in capitals."""
    lines = [[clean(head).upper() for head in heads], *([clean(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def clean(text: str) -> str:
    """Drop what would steer the terminal: what a node or a job says is shown, never obeyed."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def rich_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """The same for a terminal that shows colours."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*(Text(clean(cell), style=COLOURS.get(cell.split(" ")[0], "")) for cell in row))
    return table


def size(count: float) -> str:
    """Write a number of bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError("unreachable")


def span(seconds: float) -> str:
    """Write a duration for people."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"
