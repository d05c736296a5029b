"""Own how benches count: sizes, pairs taken in turn, medians, and a figure of the table."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum


class Size(IntEnum):
    """How much is measured."""

    MINIMAL = 0
    "Once: that the bench runs at all."
    QUICK = 1
    "About a minute for all."
    USUAL = 2
    LONG = 3
    "The sizes of the design, which take disk and minutes."


def per_size(size: Size, minimal: int, quick: int, usual: int, long: int | None = None) -> int:
    """The number that belongs to a size."""
    return (minimal, quick, usual, usual if long is None else long)[size]


@dataclass(frozen=True)
class Figure:
    """A line of the table."""

    name: str
    ours: str
    reference: str
    ratio: float | None
    "Ours over the reference, or what the budget speaks of."
    budget: str
    is_ok: bool | None
    "Null where the design sets no budget."
    n: int

    def line(self) -> tuple[str, ...]:
        """The cells."""
        verdict = {True: "yes", False: "NO", None: "-"}[self.is_ok]
        ratio = "-" if self.ratio is None else f"{self.ratio:.2f}"
        return (self.name, self.ours, self.reference, ratio, self.budget, verdict, str(self.n))


HEAD = ("what", "ours", "reference", "ratio", "budget", "ok", "n")


def table(figures: Sequence[Figure]) -> str:
    """The figures under one another."""
    rows = [HEAD, *(figure.line() for figure in figures)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(HEAD))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def at_most(name: str, ours: Sequence[float], reference: Sequence[float], budget: float) -> Figure:
    """A figure of pairs of seconds, whose ratio of medians must not be above the budget."""
    mine, theirs = statistics.median(ours), statistics.median(reference)
    ratio = mine / theirs
    return Figure(name, seconds(mine), seconds(theirs), ratio, f"≤ {budget:g}", ratio <= budget, len(ours))


def seconds(value: float) -> str:
    """A time as people read it."""
    return f"{value * 1000:.1f} ms" if value < 1 else f"{value:.2f} s"


def percentile(values: Sequence[float], share: float) -> float:
    """The value that so large a share of all is not above."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def took(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def in_turn(rounds: int, *works: Callable[[], float]) -> list[list[float]]:
    """What each returns, round by round, so that a busy moment of the machine falls on all alike; first round dropped.

    The order turns with every round.
    """
    found: list[list[float]] = [[] for _ in works]
    for number in range(rounds + 1):
        order = range(len(works)) if number % 2 else reversed(range(len(works)))
        for place in order:
            value = works[place]()
            if number:
                found[place].append(value)
    return found
