"""Nonces: none twice, none without bytes, none left out; one open slot an intent; on both databases."""

from __future__ import annotations

import pytest

from shared.db import slot_views, slots
from shared.db.connection import session, transaction
from shared.db.payment_tables import Attempt, ChainSigner, SlotIntent
from shared.errors import Conflict, Unavailable
from shared.payment_states import SlotKind, SlotOutcome
from tests.shared.db.money import CHAIN, PAYEE, nonces, prepared, start, take
from tests.shared.db.rows import NOW, at_once

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture(autouse=True)
def _signer(database: str) -> None:
    slots.ensure_signer(CHAIN, PAYEE, 5)


def test_the_first_nonce_is_the_one_the_chain_told() -> None:
    start("one")
    start("two")
    assert nonces() == [5, 6]


def test_a_key_that_is_known_keeps_its_next_nonce() -> None:
    start("one")
    slots.ensure_signer(CHAIN, PAYEE, 5)
    start("two")
    assert nonces() == [5, 6]


def test_of_many_at_once_each_has_a_nonce_of_its_own_and_none_is_left_out() -> None:
    at_once(*[lambda name=f"w{n}": start(name) for n in range(12)])  # type: ignore[misc]
    assert nonces() == list(range(5, 17))


def test_a_transaction_that_fails_takes_no_nonce() -> None:
    with pytest.raises(RuntimeError), transaction():
        take(["one"])
        raise RuntimeError
    start("two")
    assert nonces() == [5]


def test_bytes_and_intents_are_kept_with_the_nonce() -> None:
    tx_hash = take(["b", "a"], SlotKind.CLAIM)
    (attempt,) = slots.attempts(CHAIN, PAYEE, [5])
    assert (attempt.tx_hash, bytes(attempt.signed), attempt.is_empty) == (tx_hash, prepared(5).signed.raw, False)
    assert [each.workflow_id for each in slots.intents(CHAIN, PAYEE, [5])] == ["b", "a"]


def test_an_intent_has_one_open_slot() -> None:
    take(["one"])
    with pytest.raises(Conflict):
        take(["one"])
    assert nonces() == [5]


def test_another_kind_or_a_closed_slot_does_not_stand_in_the_way() -> None:
    take(["one"])
    take(["one"], SlotKind.CLAIM)
    slots.close_slot(CHAIN, PAYEE, 6, SlotOutcome.REVERTED)
    take(["one"], SlotKind.CLAIM)
    assert nonces() == [5, 6, 7]


def test_nothing_is_signed_with_a_key_that_is_unknown_or_in_trouble() -> None:
    with pytest.raises(Unavailable), transaction():
        slots.take_slot(CHAIN + 1, PAYEE, SlotKind.LOCK, ["one"], prepared, NOW)
    with session():
        ChainSigner.update(problem="Somebody else uses the key.").execute()
    with pytest.raises(Unavailable, match="Somebody else"):
        take(["one"])


def test_an_attempt_is_added_only_to_the_attempts_it_was_made_for() -> None:
    first = take(["one"])

    def add(known: list[str], salt: str) -> bool:
        return slots.add_attempt(CHAIN, PAYEE, 5, known, prepared(5, salt), NOW, is_empty=False)

    assert at_once(*[lambda salt=f"s{n}": add([first], salt) for n in range(4)]).count(True) == 1  # type: ignore[misc]
    assert not add([first], "late")
    assert len(slots.attempts(CHAIN, PAYEE, [5])) == 2


def test_a_closed_slot_takes_no_attempt_and_is_closed_once() -> None:
    first = take(["one"])
    assert slots.close_slot(CHAIN, PAYEE, 5, SlotOutcome.GOOD)
    assert not slots.close_slot(CHAIN, PAYEE, 5, SlotOutcome.REVERTED)
    assert not slots.add_attempt(CHAIN, PAYEE, 5, [first], prepared(5, "more"), NOW, is_empty=True)
    assert slots.open_slots(CHAIN, PAYEE) == []


def test_what_is_to_be_sent_is_not_given_up_and_what_is_given_up_is_not_sent() -> None:
    first = take(["one"])
    second = take(["two"])

    def give_up(nonce: int, known: str) -> bool:
        return slots.add_attempt(
            CHAIN, PAYEE, nonce, [known], prepared(nonce, "empty"), NOW, is_empty=True, unsent=True
        )

    assert slots.begin_send(CHAIN, PAYEE, 5, first, NOW) and not give_up(5, first)
    assert give_up(6, second) and not slots.begin_send(CHAIN, PAYEE, 6, second, NOW)
    assert slots.begin_send(CHAIN, PAYEE, 6, prepared(6, "empty").signed.tx_hash, NOW)
    slots.close_slot(CHAIN, PAYEE, 5, SlotOutcome.GOOD)
    assert not slots.begin_send(CHAIN, PAYEE, 5, first, NOW)


def test_a_slot_can_be_opened_again() -> None:
    take(["one"])
    slots.close_slot(CHAIN, PAYEE, 5, SlotOutcome.GOOD)
    assert slot_views.closed_from(CHAIN, PAYEE, 5) == (5,)
    slot_views.reopen(CHAIN, PAYEE, [5])
    assert [(each.nonce, each.outcome) for each in slots.open_slots(CHAIN, PAYEE)] == [(5, None)]


def test_no_slot_is_without_bytes_or_intent() -> None:
    at_once(*[lambda name=f"w{n}": start(name) for n in range(6)])  # type: ignore[misc]
    with session():
        assert {row.nonce for row in Attempt.select()} == {row.nonce for row in SlotIntent.select()} == set(nonces())
