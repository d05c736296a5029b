"""Payment rows: written once, counted while on their way, read by whoever shows them; on both databases."""

from __future__ import annotations

import pytest

from shared.db import payments, slots
from shared.db.connection import transaction
from shared.payment_states import PaymentState
from tests.shared.db.money import CHAIN, PAYEE, PAYER, TOKEN, new_payment, put, start, take
from tests.shared.db.rows import NOW, at_once

pytestmark = pytest.mark.usefixtures("database")
HUGE = 10**27


@pytest.fixture(autouse=True)
def _signer(database: str) -> None:
    slots.ensure_signer(CHAIN, PAYEE, 0)


def in_flight(seen_block: int = 10, seen_ids: tuple[int, ...] = ()) -> tuple[int, int]:
    return tuple(payments.in_flight(CHAIN, PAYER.upper().replace("X", "x"), TOKEN, PAYEE, seen_ids, seen_block))


def test_a_payment_is_what_was_written() -> None:
    tx_hash = start("one", lock_amount=HUGE)
    row = payments.find("one")
    assert row is not None
    assert (row.state, row.lock_amount, row.lock_tx, row.is_final) == ("lock_prepared", HUGE, tx_hash, False)
    assert row.onchain_id == payments.onchain_hex(new_payment("one").onchain_id)
    assert payments.find("two") is None


def test_a_payment_of_nothing_is_settled() -> None:
    with transaction():
        payments.insert(new_payment("free", lock_amount=0), "", NOW)
    row = payments.find("free")
    assert row is not None
    assert (row.state, row.claim_amount, row.is_final) == ("settled", 0, True)
    assert in_flight() == (0, 0)


def test_locks_on_their_way_are_counted_exactly() -> None:
    start("one", lock_amount=HUGE)
    start("two", lock_amount=1)
    start("another payer", payer="0x" + "cc" * 20)
    assert in_flight() == (HUGE + 1, 2)


def test_what_the_look_at_the_chain_counted_is_not_counted_again() -> None:
    start("one")
    assert in_flight(seen_ids=(new_payment("one").onchain_id,)) == (0, 0)
    put("one", lock_block=10, state="locked")
    assert in_flight(seen_block=10) == (0, 0)


def test_a_lock_mined_after_the_look_is_counted_whatever_became_of_it() -> None:
    start("one")
    for state in ("lock_sent", "locked", "claim_due", "settled"):
        put("one", lock_block=11, state=state)
        assert in_flight(seen_block=10) == (1000, 1), state


def test_a_lock_that_failed_is_not_counted() -> None:
    start("one")
    put("one", state="lock_failed", is_final=True)
    assert in_flight() == (0, 0)


def test_of_many_starts_at_once_each_counts_the_others() -> None:
    def try_start(name: str) -> bool:
        with transaction():
            slots.lock_signer(CHAIN, PAYEE)
            if in_flight()[0] + 1000 > 7000:
                return False
            payments.insert(new_payment(name), take([name]), NOW)
        return True

    assert at_once(*[lambda name=f"w{n}": try_start(name) for n in range(16)]).count(True) == 7  # type: ignore[misc]


def test_payments_are_found_by_workflow_and_by_their_id_on_chain() -> None:
    start("one")
    start("two")
    assert set(payments.of_workflows(["one", "two", "three"])) == {"one", "two"}
    ids = [new_payment(name).onchain_id for name in ("one", "three")]
    assert {key: row.workflow_id for key, row in payments.with_onchain_ids(CHAIN, PAYEE, ids).items()} == {
        ids[0]: "one"
    }


def test_what_is_final_is_no_longer_looked_at() -> None:
    start("one")
    start("two")
    put("one", is_final=True)
    assert [row.workflow_id for row in payments.unsettled(CHAIN, PAYEE)] == ["two"]
    assert payments.count_by_state() == {PaymentState.LOCK_PREPARED: 2}
