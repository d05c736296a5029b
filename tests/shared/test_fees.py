"""Fees: the wire's formula in decimals, rounded half up, once for each job; what is billed, how long a lock lasts."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal, localcontext

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared import fees
from shared.fees import JobPrice, Line, Ran

PRICES = st.decimals(0, Decimal("1e9"), allow_nan=False, places=12) | st.sampled_from(
    [Decimal("0"), Decimal("1e-18"), Decimal("0.5e-18"), Decimal("1.5e-18"), Decimal("1e27"), Decimal("0.02")]
)
LINES = st.lists(st.builds(Line, st.text(max_size=3), st.integers(0, 10**9), PRICES), max_size=6)
SECONDS = st.integers(0, 10**9)
JOBS = st.builds(JobPrice, st.integers(0, 9), st.just("e"), LINES.map(tuple), SECONDS, SECONDS)
DECIMALS = st.sampled_from([0, 6, 18, 27])
TIMES = st.none() | st.integers(0, 10**12)
# A busy machine is slow, which says nothing of the sums.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
RUNS = st.builds(Ran, TIMES, TIMES, TIMES, TIMES, st.booleans())


def in_decimals(price: JobPrice, duration_s: int, decimals: int) -> int:
    """The wire's formula (§23), with more digits than any amount has."""
    with localcontext(prec=400):
        minutes = (Decimal(max(duration_s, price.least_s)) / 60).to_integral_value("ROUND_CEILING")
        cost = sum(line.price * line.amount_milli / 1000 * minutes for line in price.lines)
        return int((Decimal(cost) * Decimal(10) ** decimals).quantize(Decimal(1), ROUND_HALF_UP))


@unhurried
@given(JOBS, SECONDS, DECIMALS)
def test_a_price_is_the_wires_formula_rounded_half_up(price: JobPrice, duration_s: int, decimals: int) -> None:
    assert price.wei(duration_s, decimals) == in_decimals(price, duration_s, decimals)


@unhurried
@given(JOBS, RUNS, DECIMALS)
def test_no_job_costs_more_than_it_can_cost_at_most(price: JobPrice, ran: Ran, decimals: int) -> None:
    assert 0 <= fees.cost_wei(price, decimals, ran) <= price.most_wei(decimals)


@unhurried
@given(st.lists(JOBS, max_size=4))
def test_prices_come_back_from_their_row_as_they_went(prices: list[JobPrice]) -> None:
    assert fees.prices_of(fees.document(prices)) == prices


@pytest.mark.parametrize(
    ("price", "amount_milli", "seconds", "decimals", "wei"),
    [
        ("0", 1000, 600, 18, 0),
        ("1e-18", 1000, 60, 18, 1),
        ("0.5e-18", 1000, 60, 18, 1),
        ("0.49e-18", 1000, 60, 18, 0),
        ("1e9", 1000, 60, 18, 10**27),
        ("1e27", 1000, 61, 18, 2 * 10**45),
        ("0.02", 2000, 3600, 18, 24 * 10**17),
        ("0.0000025", 1000, 60, 6, 3),
        ("0.02", 500, 1, 6, 10_000),
    ],
)
def test_amounts_at_the_edges(price: str, amount_milli: int, seconds: int, decimals: int, wei: int) -> None:
    job = JobPrice(0, "e", (Line("cpu", amount_milli, Decimal(price)),), 0, seconds)
    assert job.most_wei(decimals) == wei


@pytest.mark.parametrize(
    ("sentence", "ran", "seconds"),
    [
        ("never started", Ran(None, None), 0),
        ("never started, though its image was built", Ran(None, None, 0, 90_000), 0),
        ("lost", Ran(0, 90_000, is_lost=True), 0),
        ("shorter than the least", Ran(0, 1), 60),
        ("a second begun", Ran(0, 90_001), 91),
        ("its build counts", Ran(0, 90_000, 0, 30_000), 120),
        ("longer than granted", Ran(0, 10**9), 300),
        ("a clock that went back", Ran(5000, 4000), 60),
    ],
)
def test_what_is_billed(sentence: str, ran: Ran, seconds: int) -> None:
    assert fees.billed_s(JobPrice(0, "e", (), 60, 300), ran) == seconds, sentence


def test_a_lock_lasts_through_queue_jobs_allowances_and_the_claim() -> None:
    assert fees.lock_s(60, [600, 300], 21_600) == 60 + 900 + 1800 + 21_600
