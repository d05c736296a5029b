"""Every bench runs: in its smallest size, whatever it measures. Nothing here looks at a time."""

from __future__ import annotations

from typing import Any

import pytest

from tests.bench.__main__ import BENCHES, NEEDED
from tests.bench.measuring import Size, table
from tests.needs import needs


def bench(name: str) -> Any:
    """A bench with what it needs; the one that builds its reference is for the night."""
    marks = [needs(NEEDED[name])] if name in NEEDED else []
    return pytest.param(name, marks=[*marks, pytest.mark.long] if name == "express" else marks)


@pytest.mark.full
@pytest.mark.parametrize("name", [bench(name) for name in BENCHES])
def test_a_bench_runs(name: str) -> None:
    figures = BENCHES[name](Size.MINIMAL)
    assert len(table(figures).splitlines()) == 1 + len(figures) > 1
