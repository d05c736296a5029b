"""Bench: what importing each handler takes in a fresh interpreter: its CPU time, which a busy machine stretches least.

`python -m tests.bench.imports`
"""

from __future__ import annotations

import statistics
import subprocess
import sys

from handlers import direct_command, docs, openapi, registry
from tests.bench.measuring import Figure, Size, per_size, seconds, table

BUDGET_S = 0.300
MODULES = sorted(module.__name__ for module in (*registry.MODULES, direct_command, docs, openapi))
CODE = "import time; began = time.process_time(); import {}; print(time.process_time() - began)"


def measure(size: Size) -> list[Figure]:
    """The slowest of all, by their medians; a median of one for most sizes, as there are many."""
    rounds, modules = per_size(size, 1, 1, 5), MODULES if size > Size.QUICK else MODULES[:: per_size(size, 9, 4, 1)]
    medians = {module: statistics.median(seconds_of(module) for _ in range(rounds)) for module in modules}
    slowest = max(medians, key=lambda module: medians[module])
    took = medians[slowest]
    return [
        Figure(
            f"import, the slowest of {len(modules)}: {slowest}", seconds(took), "-", None, f"≤ {seconds(BUDGET_S)}",
            took <= BUDGET_S, rounds,
        )
    ]  # fmt: skip


def seconds_of(module: str) -> float:
    """One import."""
    done = subprocess.run([sys.executable, "-c", CODE.format(module)], capture_output=True, text=True, check=True)
    return float(done.stdout)


if __name__ == "__main__":
    print(table(measure(Size.USUAL)))
