"""Placement: what a request is completed to, what is refused, what is short."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidRequest
from shared.placement import (
    HARDWARE,
    NotEnough,
    Usage,
    check_available,
    complete,
    duration,
    from_milli,
    grant,
    lacking,
    may_use,
    to_milli,
)

CPU = {"id": "cpu", "total": 8, "min": 1, "max": 4}
RAM = {"id": "ram", "total": 16, "min": 1, "max": 8}
GPU = {"id": "gpu", "total": 2, "min": 0, "max": 2, "constraints": [{"id": "ram", "min": 4, "max": 8}]}
FREE = {"maxJobDuration": 60, "maxJobs": 1, "resources": [{"id": "cpu", "max": 2, "total": 3}, {"id": "ram", "max": 2}]}
FREE["resources"][1]["total"] = 4  # type: ignore[index]
ENVIRONMENT: dict[str, Any] = {
    "id": "e", "resources": [CPU, RAM, GPU], "maxJobs": 3, "maxJobDuration": 3600, "free": FREE,
}  # fmt: skip
NOTHING = Usage({"cpu": 8000, "ram": 16_000, "gpu": 2000}, {})


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, {"cpu": 1000, "ram": 1000, "gpu": 0}),
        ({"cpu": 0.25}, {"cpu": 1000, "ram": 1000, "gpu": 0}),
        ({"cpu": 2.5, "unknown": 7}, {"cpu": 2500, "ram": 1000, "gpu": 0}),
        ({"gpu": 1}, {"cpu": 1000, "ram": 4000, "gpu": 1000}),
        ({"gpu": 2}, {"cpu": 1000, "ram": 8000, "gpu": 2000}),
    ],
)
def test_a_request_is_completed(wanted: dict[str, object], expected: dict[str, int]) -> None:
    assert complete(ENVIRONMENT, wanted, is_free=False) == expected


@pytest.mark.parametrize(
    ("wanted", "is_free", "said"),
    [
        ({"cpu": 5}, False, "Not enough cpu resources. Requested 5, but max is 4"),
        ({"cpu": 3}, True, "Not enough cpu resources. Requested 3, but max is 2"),
        ({"gpu": 1}, True, "Not enough gpu resources. Requested 1, but max is 0"),
        ({"cpu": -1}, False, "-1 is not an amount"),
        ({"cpu": float("nan")}, False, "is not an amount"),
        ({"cpu": float("inf")}, False, "is not an amount"),
        ({"cpu": "much"}, False, "is not an amount"),
        ({"cpu": 10**30}, False, "is not an amount"),
    ],
)
def test_what_can_never_be_is_refused(wanted: dict[str, object], is_free: bool, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said) as refused:
        complete(ENVIRONMENT, wanted, is_free)
    assert not isinstance(refused.value, NotEnough)


def test_more_of_one_may_ask_too_much_of_another() -> None:
    narrow = {**ENVIRONMENT, "resources": [CPU, {**RAM, "max": 3}, GPU]}
    with pytest.raises(InvalidRequest, match="1 gpu requires at least 4 ram, but max is 3"):
        complete(narrow, {"gpu": 1}, is_free=False)
    tight = {**ENVIRONMENT, "resources": [CPU, RAM, {**GPU, "constraints": [{"id": "ram", "max": 2}]}]}
    with pytest.raises(InvalidRequest, match="Too much ram for 1 gpu"):
        complete(tight, {"gpu": 1, "ram": 5}, is_free=False)


SHORT: list[tuple[str, Usage, bool, set[tuple[str, str]]]] = [
    ("Not enough available cpu globally", Usage({"cpu": 8000}, {"cpu": 7500}), False, {(HARDWARE, "cpu")}),
    ("Not enough available cpu$", Usage({"cpu": 99_000}, {}, {"e": {"cpu": 7500}}), False, {("e", "cpu")}),
    ("for free", Usage({"cpu": 8000}, {}, {}, {"e": {"cpu": 2500}}), True, {("e", "cpu")}),
    ("Too many running jobs ", Usage({}, {}, jobs={"e": 3}), False, set()),
    ("Too many running free jobs ", Usage({}, {}, free_jobs={"e": 1}), True, set()),
]


@pytest.mark.parametrize(("said", "usage", "is_free", "short"), SHORT, ids=[row[0] for row in SHORT])
def test_what_cannot_be_now_is_told_and_what_it_lacks_is_known(
    said: str, usage: Usage, is_free: bool, short: set[tuple[str, str]]
) -> None:
    amounts = {"cpu": 1000, "ram": 1000}
    with pytest.raises(NotEnough, match=said):
        check_available(ENVIRONMENT, amounts, usage, is_free)
    assert lacking(ENVIRONMENT, amounts, usage, is_free) == short


def test_time_is_clamped_and_never_invented() -> None:
    assert duration(ENVIRONMENT, None, False) == 3600 and duration(ENVIRONMENT, None, True) == 60
    assert duration(ENVIRONMENT, 10, True) == 10 and duration(ENVIRONMENT, 10**9, False) == 3600


def test_who_may_use_it() -> None:
    listed = {"access": {"addresses": ["0xAb"]}}
    assert may_use({}, "0x1", True) and may_use(listed, "0xaB", False) and not may_use(listed, "0x1", False)
    assert not may_use({"free": listed}, "0x1", True) and may_use({"free": listed}, "0x1", False)
    assert not may_use({"access": {"accessLists": [{"1": ["0x"]}]}}, "0x1", False)


@given(st.decimals(0, 10**9, places=3))
def test_thousandths_are_exact(amount: object) -> None:
    assert to_milli(from_milli(to_milli(amount))) == to_milli(amount)


@given(st.lists(st.fixed_dictionaries({"cpu": st.integers(0, 5), "gpu": st.integers(0, 2)}), max_size=30))
def test_whatever_is_granted_one_after_the_other_fits(requests: list[dict[str, int]]) -> None:
    held: dict[str, int] = {}
    for wanted in requests:
        usage = Usage(NOTHING.pool_total, held, {"e": held})
        try:
            granted = grant(ENVIRONMENT, wanted, None, usage, is_free=False)
        except InvalidRequest:
            continue
        held = {key: held.get(key, 0) + amount for key, amount in granted.amounts.items()}
        assert all(held[key] <= NOTHING.pool_total[key] for key in held)
