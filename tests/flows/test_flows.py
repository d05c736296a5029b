"""Whole workflows, from submission to the last trace cleared away, on both databases."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.flows.flows import FLOWS
from tests.flows.harness import Site


@pytest.fixture
def site(database: str, tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.mark.parametrize("name", FLOWS)
def test_the_flow_ends_as_it_must_and_leaves_nothing(site: Site, name: str) -> None:
    flow = FLOWS[name]
    flow.build(site)
    site.settle()
    site.finish()
    assert tuple(site.ends()) == flow.ends
    assert tuple(site.runs(index) for index in range(len(site.order))) == flow.runs
    assert site.leftovers() == {}
