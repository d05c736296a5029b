"""The decision about money, row by row: what is written, what the chain told, what is done."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engines.settlement import actions as do
from engines.settlement.decide import decide, raised
from engines.settlement.views import AttemptView, Books, PaymentView, Rules, Seen, SlotView
from shared.escrow.words import Block, EscrowEvent, EventName, Fees, TxReceipt
from shared.names import Address
from shared.payment_states import PaymentState as State
from shared.payment_states import SlotKind, SlotOutcome

RULES = Rules(confirmations=3, claim_window_s=1_000, most_fee_wei=1_000)
PAYER, PAYEE, TOKEN = (Address("0x" + digits * 20) for digits in ("bb", "aa", "70"))
NOW = 1_000_000
T0 = 1_700_000_000
LOCKED = {"lock_tx": "0xnew", "lock_block": 98, "lock_block_hash": "0x98", "expires_at_s": T0 + 5_000}


def payment(state: State = State.LOCK_SENT, **changes: Any) -> PaymentView:
    base = PaymentView("w", state, 7, PAYER, TOKEN, 100, 5_000, "0xnew", has_work=True, can_stop=True)
    return replace(base, **changes)


def due(state: State = State.CLAIM_DUE, **changes: Any) -> PaymentView:
    facts: dict[str, Any] = {"has_work": False, "can_stop": False, "claim_amount": 60, **LOCKED}
    return payment(state, **facts | changes)


def attempt(tx_hash: str = "0xnew", **changes: Any) -> AttemptView:
    return replace(AttemptView(tx_hash, False, 60_000, Fees(20, 1), NOW - 1_000, NOW - 1_000), **changes)


def slot(kind: SlotKind = SlotKind.LOCK, nonce: int = 5, *attempts: AttemptView, **changes: Any) -> SlotView:
    return replace(SlotView(nonce, kind, ("w",), attempts or (attempt(),), NOW - 1_000), **changes)


def seen(**changes: Any) -> Seen:
    base = Seen(Block(100, "0x100", T0 + 100), Block(90, "0x90", T0), nonce=6, final_nonce=5, fees=Fees(10, 1))
    return replace(base, **changes)


def mined(
    block: int = 98, *events: EventName, amount: int = 100, is_good: bool = True, tx: str = "0xnew"
) -> dict[str, Any]:
    where = (tx, block, f"0x{block}")
    told = tuple(EscrowEvent(name, 7, PAYER, PAYEE, TOKEN, amount, *where, lock_s=5_000) for name in events)
    return {"receipts": {5: TxReceipt(*where, is_good, 60_000, told)}, "times": {block: T0}}


def ended(name: str, tx: str, amount: int | None = None, block: int = 98) -> dict[str, Any]:
    facts: dict[str, Any] = {"end_block": block, "end_block_hash": f"0x{block}", "outcome": None}
    if amount is not None:
        return {**facts, "claim_tx": tx, "cancel_tx": None, "claim_amount": amount}
    return {**facts, "cancel_tx": tx, "claim_tx": None}


CLAIM = SlotKind.CLAIM
L, C, X = EventName.LOCK, EventName.CLAIMED, EventName.CANCELED
RAN_OUT = "the lock ran out before it was claimed, and went back to the payer"

ROWS: list[tuple[str, PaymentView, tuple[SlotView, ...], Seen, list[do.Action]]] = [
    (
        "a lock nobody sent is sent",
        payment(State.LOCK_PREPARED),
        (slot(SlotKind.LOCK, 6, attempt(sent_at_ms=None)),),
        seen(),
        [do.Send(6, "0xnew")],
    ),
    ("a lock just sent is waited for", payment(), (slot(nonce=6),), seen(), []),
    (
        "bytes that may be lost are sent again",
        payment(),
        (slot(SlotKind.LOCK, 6, attempt(sent_at_ms=NOW - 15_000)),),
        seen(),
        [do.Send(6, "0xnew")],
    ),
    (
        "the first in line is signed anew with higher fees after a while",
        payment(),
        (slot(SlotKind.LOCK, 6, attempt(created_at_ms=NOW - 60_000)),),
        seen(),
        [do.Replace(6, SlotKind.LOCK, ("0xnew",), Fees(24, 3))],
    ),
    (
        "one behind it is not",
        payment(),
        (slot(SlotKind.LOCK, 7, attempt(created_at_ms=NOW - 60_000)),),
        seen(),
        [],
    ),
    (
        "a lock that the contract would refuse is given up before it is sent",
        payment(State.LOCK_PREPARED),
        (slot(SlotKind.LOCK, 6, attempt(sent_at_ms=None)),),
        seen(refused={6: "No auth found"}),
        [do.Replace(6, SlotKind.LOCK, ("0xnew",), Fees(24, 3), "the contract refuses it: No auth found")],
    ),
    (
        "one that may have been sent is not given up",
        payment(State.LOCK_PREPARED),
        (slot(SlotKind.LOCK, 6, attempt(sent_at_ms=NOW)),),
        seen(refused={6: "No auth found"}),
        [],
    ),
    (
        "a lock whose jobs have all ended is given up before it is sent",
        payment(State.LOCK_PREPARED, has_work=False),
        (slot(SlotKind.LOCK, 6, attempt(sent_at_ms=None)),),
        seen(),
        [do.Replace(6, SlotKind.LOCK, ("0xnew",), Fees(24, 3), "all jobs had ended before it was made")],
    ),
    (
        "after its block was undone a lock is sent again although its claim is in line",
        due(State.CLAIM_SENT),
        (slot(SlotKind.LOCK, 5, attempt(sent_at_ms=NOW - 20_000)), slot(CLAIM, 6, attempt("0xclaim"))),
        seen(nonce=5),
        [do.Record("w", {"lock_block": None, "lock_block_hash": None}), do.Send(5, "0xnew")],
    ),
    (
        "a lock mined, not deep enough: where it is is noted",
        payment(),
        (slot(),),
        seen(**mined(99, L)),
        [do.Record("w", {**LOCKED, "lock_block": 99, "lock_block_hash": "0x99"})],
    ),
    (
        "a lock deep enough is confirmed",
        payment(),
        (slot(),),
        seen(**mined(98, L)),
        [do.MovePayment("w", State.LOCK_SENT, State.LOCKED, {**LOCKED, "outcome": None})],
    ),
    (
        "a lock in a final block closes its slot",
        payment(State.LOCKED, **LOCKED),
        (slot(),),
        seen(final=Block(98, "0x98", T0), **mined(98, L)),
        [do.CloseSlot(5, SlotOutcome.GOOD)],
    ),
    (
        "a lock refused in a block that may be undone is waited for",
        payment(),
        (slot(),),
        seen(**mined(98, is_good=False)),
        [],
    ),
    (
        "a lock refused for good has failed",
        payment(),
        (slot(),),
        seen(**mined(90, is_good=False)),
        [
            do.CloseSlot(
                5,
                SlotOutcome.REVERTED,
                (
                    do.MovePayment(
                        "w",
                        State.LOCK_SENT,
                        State.LOCK_FAILED,
                        {"is_final": True, "outcome": "the contract refused it"},
                    ),
                ),
            )
        ],
    ),
    (
        "a nonce mined with what is not ours is waited for until that is final",
        payment(),
        (slot(),),
        seen(),
        [],
    ),
    (
        "then somebody else uses the key",
        payment(),
        (slot(),),
        seen(final_nonce=6),
        [
            do.Alarm("somebody else has used the node's key: nonce 5 was mined with a transaction that is not ours"),
            do.CloseSlot(
                5,
                SlotOutcome.FOREIGN,
                (
                    do.MovePayment(
                        "w",
                        State.LOCK_SENT,
                        State.LOCK_FAILED,
                        {"is_final": True, "outcome": "its nonce was used by somebody else"},
                    ),
                ),
            ),
        ],
    ),
    (
        "all jobs finished: the claim is worked out",
        payment(State.LOCKED, has_work=False, **LOCKED),
        (),
        seen(),
        [do.FinishWork("w")],
    ),
    ("a locked payment whose jobs run is left alone", payment(State.LOCKED, **LOCKED), (), seen(), []),
    (
        "jobs that would outlive their lock are stopped, by the chain's clock",
        payment(State.LOCKED, **LOCKED),
        (),
        seen(head=Block(100, "0x100", T0 + 4_500)),
        [do.StopJobs("w")],
    ),
    ("a claim that is due is signed", due(), (), seen(open_locks=frozenset({7})), [do.PrepareClaims(("w",))]),
    ("a claim whose lock is not there now is not", due(), (), seen(), []),
    (
        "late or not",
        due(),
        (),
        seen(open_locks=frozenset({7}), head=Block(100, "0x100", T0 + 9_000)),
        [do.PrepareClaims(("w",))],
    ),
    (
        "one that was refused waits a while",
        due(outcome="the contract refuses the claim", updated_at_ms=NOW - 1_000),
        (),
        seen(open_locks=frozenset({7})),
        [],
    ),
    (
        "a lock that somebody else ended",
        due(),
        (),
        seen(ends={7: EscrowEvent(X, 7, PAYER, PAYEE, TOKEN, 100, "0xother", 90, "0x90")}),
        [
            do.MovePayment(
                "w",
                State.CLAIM_DUE,
                State.EXPIRED,
                {**ended("c", "0xother", block=90), "outcome": RAN_OUT, "is_final": True},
            )
        ],
    ),
    (
        "a lock that was undone and refused then",
        due(lock_outcome=SlotOutcome.REVERTED),
        (),
        seen(),
        [
            do.MovePayment(
                "w",
                State.CLAIM_DUE,
                State.EXPIRED,
                {"is_final": True, "outcome": "the lock's block was undone, and the lock could not be made again"},
            )
        ],
    ),
    (
        "a claim mined pays",
        due(State.CLAIM_SENT),
        (slot(CLAIM),),
        seen(**mined(98, C, amount=60)),
        [do.MovePayment("w", State.CLAIM_SENT, State.SETTLED, {**ended("w", "0xnew", 60), "is_final": False})],
    ),
    (
        "a claim of nothing gives back",
        due(State.CLAIM_PREPARED, claim_amount=0),
        (slot(CLAIM),),
        seen(**mined(98, C, amount=0)),
        [do.MovePayment("w", State.CLAIM_PREPARED, State.REFUNDED, {**ended("w", "0xnew", 0), "is_final": False})],
    ),
    (
        "a claim mined too late pays nothing",
        due(State.CLAIM_SENT),
        (slot(CLAIM),),
        seen(**mined(98, X)),
        [
            do.MovePayment(
                "w",
                State.CLAIM_SENT,
                State.EXPIRED,
                {**ended("w", "0xnew"), "outcome": RAN_OUT, "is_final": False},
            )
        ],
    ),
    (
        "a claim in a final block is final",
        due(State.SETTLED, end_block_hash="0x90"),
        (slot(CLAIM),),
        seen(**mined(90, C, amount=60)),
        [do.CloseSlot(5, SlotOutcome.GOOD, (do.Record("w", {"is_final": True}),))],
    ),
    (
        "a claim whose block was undone is on its way again",
        due(State.SETTLED, end_block_hash="0x98"),
        (slot(CLAIM),),
        seen(nonce=5),
        [
            do.MovePayment(
                "w",
                State.SETTLED,
                State.CLAIM_SENT,
                {"end_block": None, "end_block_hash": None, "claim_tx": None, "cancel_tx": None, "outcome": None},
            )
        ],
    ),
    (
        "a claim refused for good is due again",
        due(State.CLAIM_SENT),
        (slot(CLAIM),),
        seen(**mined(90, is_good=False)),
        [do.CloseSlot(5, SlotOutcome.REVERTED, (do.MovePayment("w", State.CLAIM_SENT, State.CLAIM_DUE),))],
    ),
]


@pytest.mark.parametrize(
    ("row", "slots", "told", "expected"), [each[1:] for each in ROWS], ids=[row[0] for row in ROWS]
)
def test_what_is_done(row: PaymentView, slots: tuple[SlotView, ...], told: Seen, expected: list[do.Action]) -> None:
    assert decide(Books(8, None, slots, {"w": row}), told, RULES, NOW) == expected


def test_a_nonce_beyond_ours_is_an_alarm() -> None:
    (alarm,) = decide(Books(5, None, (), {}), seen(), RULES, NOW)
    assert isinstance(alarm, do.Alarm)
    assert decide(Books(5, "known", (), {}), seen(), RULES, NOW) == []


def test_closed_slots_that_are_not_mined_are_opened_again_before_anything_else() -> None:
    assert decide(Books(8, None, (slot(),), {}, undone=(6, 7)), seen(), RULES, NOW) == [do.Reopen((6, 7))]


def test_claims_gather_while_one_waits_to_be_mined_unless_time_presses() -> None:
    rows = {
        name: due(workflow_id=name, onchain_id=at, expires_at_s=T0 + 5_000 - at) for at, name in enumerate("abcd", 1)
    }
    waiting = slot(CLAIM, 6, workflow_ids=("x",))
    told = seen(open_locks=frozenset(range(5)))
    books = Books(8, None, (waiting,), rows)
    assert decide(books, told, RULES, NOW) == []
    pressing = replace(told, head=Block(100, "0x100", T0 + 4_700))
    assert decide(books, pressing, RULES, NOW) == [do.PrepareClaims(("d", "c", "b", "a"))]
    assert decide(replace(books, slots=()), told, replace(RULES, batch=3), NOW) == [
        do.PrepareClaims(("d", "c", "b")),
        do.PrepareClaims(("a",)),
    ]


def test_fees_rise_by_an_eighth_up_to_what_the_operator_pays() -> None:
    first = raised(Fees(80, 8), Fees(1, 1), RULES)
    assert first is not None and first.base_wei + first.priority_wei >= 99
    assert raised(Fees(80, 8), Fees(400, 10), RULES) == Fees(800, 10)
    assert raised(Fees(880, 20), Fees(10, 1), RULES) is None
