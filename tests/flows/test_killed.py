"""Killed anywhere: each flow again with the process killed before and after every verb, storage write and SQL write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.databases import empty
from tests.flows.flows import DEPENDENCY, FLOWS, GOOD, STOPPED, Flow
from tests.flows.harness import Site
from tests.flows.killable import watched_database

SHORT = [name for name, flow in FLOWS.items() if flow.is_short]
LONGER = [name for name, flow in FLOWS.items() if name not in SHORT]


def run(flow: Flow, folder: Path, kill_at: int | None = None) -> Site:
    """One flow from an empty database to its end; the process dies at the place, once. Nobody tidies up after it."""
    empty()
    site = Site(folder)
    flow.build(site)
    site.checkpoints.kill_at = kill_at
    with watched_database(site.checkpoints):
        site.settle(2000)
    return site


def kill_at_each(flow: Flow, folder: Path, most: int | None = None) -> None:
    """The same outcome as if nobody had been killed, no algorithm run twice, nothing left.

    At every place, or at so many of them, spread evenly.
    """
    clean = run(flow, folder)
    wanted, places = clean.outcome(), len(clean.checkpoints.names)
    assert tuple(clean.ends()) == flow.ends and clean.leftovers() == {}
    wrong = []
    for place in range(1, places + 1) if most is None else spread(places, most):
        site = run(flow, folder, place)
        name = site.checkpoints.names[place - 1]
        problem = differences(flow, wanted, site)
        if problem:
            wrong.append(f"killed at {place} ({name}): {problem}")
    assert not wrong, f"{len(wrong)} of {places}:\n" + "\n".join(wrong[:12])


def spread(places: int, most: int) -> list[int]:
    """So many of the places, from the first to the last."""
    return sorted({1 + index * (places - 1) // (most - 1) for index in range(most)})


def differences(flow: Flow, wanted: list[dict[str, Any]], site: Site) -> dict[str, Any]:
    """What is not as it was without a kill."""
    if flow.is_timed:
        return doubtful(flow, site)
    found = {
        f"{index}.{key}": (before[key], after[key])
        for index, (before, after) in enumerate(zip(wanted, site.outcome(), strict=True))
        for key in before
        if before[key] != after[key]
    }
    return found | site.leftovers()


def doubtful(flow: Flow, site: Site) -> dict[str, Any]:
    """What may not be even where the moment of a kill decides how far a job came before it was stopped."""
    allowed = {*flow.ends, GOOD, STOPPED, DEPENDENCY}
    twice = [index for index in range(len(site.order)) if site.runs(index) > 1]
    ends = [end for end in site.ends() if end not in allowed]
    left = site.leftovers()
    left.pop("unrecorded", None)  # an image's log whose row was not written; it goes when the results expire
    return {name: what for name, what in {"twice": twice, "ends": ends, **left}.items() if what}


@pytest.mark.parametrize("name", SHORT)
def test_killed_anywhere_the_outcome_is_the_same(quick_database: str, tmp_path: Path, name: str) -> None:
    kill_at_each(FLOWS[name], tmp_path)


@pytest.mark.full
@pytest.mark.parametrize("name", LONGER)
def test_killed_here_and_there_in_a_longer_flow(quick_database: str, tmp_path: Path, name: str) -> None:
    kill_at_each(FLOWS[name], tmp_path, most=40)


@pytest.mark.full
@pytest.mark.parametrize("name", SHORT)
def test_killed_here_and_there_on_both_databases(database: str, tmp_path: Path, name: str) -> None:
    kill_at_each(FLOWS[name], tmp_path, most=30)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", LONGER)
def test_killed_anywhere_in_a_longer_flow(quick_database: str, tmp_path: Path, name: str) -> None:
    kill_at_each(FLOWS[name], tmp_path)
