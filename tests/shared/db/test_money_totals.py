"""Sums of money: locked is paid, refunded and open; what is unexplained is counted; on both databases."""

from __future__ import annotations

from typing import Any

import pytest

from shared.db import adopted, money_totals, slot_views, slots
from shared.db.payments import find
from shared.escrow.words import ChainConfig, OpenLock, Token
from shared.payment_states import SlotOutcome
from tests.shared.db.money import CHAIN, ESCROW, PAYEE, PAYER, TOKEN, put, start, take
from tests.shared.db.rows import NOW

pytestmark = pytest.mark.usefixtures("database")
HUGE = 10**27


@pytest.fixture(autouse=True)
def _signer(database: str) -> None:
    slots.ensure_signer(CHAIN, PAYEE, 0)


def paid(name: str, amount: int, **changes: Any) -> None:
    start(name, lock_amount=amount)
    put(name, **changes)


def test_locked_is_paid_refunded_and_open_to_the_wei() -> None:
    paid("settled", HUGE, state="settled", claim_amount=HUGE - 1)
    paid("refunded", 7, state="refunded", claim_amount=0)
    paid("expired", 5, state="expired", claim_amount=3)
    paid("open", 11, state="claim_sent", claim_amount=4)
    paid("waiting", 13, state="lock_sent")
    paid("failed", 17, state="lock_failed")
    sums = money_totals.totals()[CHAIN, TOKEN]
    assert (sums.locked, sums.paid, sums.refunded, sums.open) == (HUGE + 23, HUGE - 1, 13, 11)
    assert sums.locked == sums.paid + sums.refunded + sums.open
    assert (sums.payments, sums.waiting, sums.lost) == (6, 13, 3)


def test_while_all_goes_well_nothing_is_unexplained() -> None:
    paid("settled", 5, state="settled", claim_amount=1, price={"jobs": [{"index": 0}]})
    assert set(money_totals.unexplained().values()) == {0}


def test_each_thing_that_somebody_should_look_at_is_counted() -> None:
    jobs = {"price": {"jobs": [{"index": 0}]}}
    paid("expired", 5, state="expired", claim_amount=3, **jobs)
    paid("refused", 5, state="claim_due", claim_amount=3, outcome="the contract refuses the claim: no", **jobs)
    paid("differs", 5, state="settled", is_final=True, outcome="the books say settled, the contract Canceled", **jobs)
    take(["x"])
    slots.close_slot(CHAIN, PAYEE, 3, SlotOutcome.FOREIGN)
    slot_views.record_problem(CHAIN, PAYEE, "first")
    slot_views.record_problem(CHAIN, PAYEE, "second")
    adopt()
    assert set(money_totals.unexplained().values()) == {1}
    assert [each.problem for each in slot_views.problems()] == ["first"]


def test_an_unknown_lock_is_adopted_once() -> None:
    adopt()
    adopt()
    row = find(f"{77:064x}")
    assert row is not None
    assert (row.state, row.lock_amount, row.claim_amount, row.payer) == ("claim_due", 9, 0, PAYER)


def adopt() -> None:
    config = ChainConfig(CHAIN, "", ESCROW)
    adopted.insert(config, PAYEE, OpenLock(77, PAYER, TOKEN, 9, 1), Token(TOKEN, "OCEAN", 18), None, NOW)
