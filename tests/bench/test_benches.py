"""Every bench runs: in its smallest size, whatever it measures. Nothing here looks at a time."""

from __future__ import annotations

import pytest

from tests.bench.__main__ import BENCHES, NEEDED
from tests.bench.measuring import Size, table
from tests.needs import needs


@pytest.mark.full
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=needs(NEEDED[name])) if name in NEEDED else name for name in BENCHES]
)
def test_a_bench_runs(name: str) -> None:
    figures = BENCHES[name](Size.MINIMAL)
    assert len(table(figures).splitlines()) == 1 + len(figures) > 1
