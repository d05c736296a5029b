"""Bench: a pass with nothing due, with many and with ten times as many finished jobs in the table (SQLite).

`python -m tests.bench.idle_pass` measures PostgreSQL too and shows the query's plan.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from shared.db.connection import migrate
from tests.bench import idle_pass
from tests.bench.measuring import Figure, Size, per_size
from tests.databases import opened

BUDGET_MS, GROWTH = 2.0, 2.0


def measure(size: Size) -> list[Figure]:
    """The median at one size, and its growth at ten times that."""
    few = per_size(size, 100, 10_000, 100_000)
    with tempfile.TemporaryDirectory() as folder, opened(f"sqlite:///{folder}/idle.sqlite"):
        migrate()
        medians = []
        for number in (few, few * 10):
            idle_pass.fill(number)
            medians.append(idle_pass.idle_pass_ms(idle_pass.context(Path(folder))))
    one, ten = medians
    return [
        Figure(
            f"idle pass, {few:,} jobs", f"{one:.3f} ms", "-", None, f"≤ {BUDGET_MS} ms", one <= BUDGET_MS,
            idle_pass.PASSES,
        ),
        Figure(
            f"idle pass, {few * 10:,} / {few:,} jobs", f"{ten:.3f} ms", f"{one:.3f} ms", ten / one, f"< {GROWTH:g}",
            ten / one < GROWTH, idle_pass.PASSES,
        ),
    ]  # fmt: skip
