"""The books hold to the wei, whatever happens: a model of chain and books under random faults.

Several passes at once, any of them killed anywhere or acting on an old look; sends that lose the request or the reply;
blocks undone, those thought final too; time passing, locks running out, anybody cancelling them; the chain gone.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from engines.settlement.decide import decide
from engines.settlement.observe import look, look_closer
from engines.settlement.views import Books, Rules, Seen
from shared.errors import Unavailable
from shared.escrow.words import ChainConfig, EventName
from shared.names import Address
from shared.payment_states import ENDED, PaymentState, SlotKind, SlotOutcome
from tests.engines.settlement.memory_books import Lost, MemoryBooks, Row
from tests.engines.settlement.model_chain import PAYEE, ModelChain

PAYERS = [Address(f"0x{n:040x}") for n in (1, 2, 3)]
RULES = Rules(confirmations=2, claim_window_s=600, resend_ms=5_000, bump_ms=20_000, gather_ms=10_000, retry_ms=1_000)
CONFIG = ChainConfig(1, "", Address("0x" + "e5" * 20), finality_blocks=6)
FUNDS = 10**27
PAYMENTS = 14


class World:
    """Chain, books, clock and several processes."""

    def __init__(self, seed: int, deepest: int = 5) -> None:
        self.rng = random.Random(seed)
        self.chain = ModelChain(self.rng, CONFIG, start_nonce=self.rng.choice((0, 7)))
        self.books = MemoryBooks(self.chain.state.nonce)
        self.now_ms = 1_700_000_000_000 + self.rng.randrange(-(10**9), 10**9)  # our clock is not the chain's
        self.old: list[tuple[Books, Seen]] = []
        self.deepest = deepest
        self.deposited = 0
        for payer in PAYERS:
            self.deposit(payer, FUNDS)
        self.chain.losing = 0.4

    def deposit(self, payer: Address, amount: int) -> None:
        self.chain.deposit(payer, amount)
        self.deposited += amount

    def step(self) -> None:
        """One thing happens."""
        verbs: list[tuple[Callable[[], object], int]] = [
            (self.start, 4),
            (self.pass_, 40),
            (self.pass_on_an_old_look, 8),
            (self.pass_that_looks_slowly, 8),
            (lambda: self.chain.mine(), 20),
            (self.reorg, 2),
            (self.finish_a_job, 10),
            (self.wait, 10),
            (self.long_wait, 1),
            (self.chain.cancel_expired, 1),
            (self.come_and_go, 2),
        ]
        self.rng.choices([verb for verb, _ in verbs], [weight for _, weight in verbs])[0]()
        self.check_books()

    def start(self) -> None:
        if len(self.books.rows) >= PAYMENTS or self.books.problem:
            return
        amount = self.rng.choice((1, 10**6, 10**18, 10**18, FUNDS // 9, FUNDS))
        used = self.rng.choice((0, 1, amount // 3, amount))
        lock_s = self.rng.choice((700, 2_000, 50_000))
        name = f"w{len(self.books.rows)}"
        self.books.start(self.chain, name, self.rng.choice(PAYERS), amount, lock_s, min(used, amount), self.now_ms)

    def look(self) -> tuple[Books, Seen] | None:
        try:
            first = look(self.chain, PAYEE)
            books = self.books.read(first.nonce)
            return books, look_closer(self.chain, PAYEE, first, books)
        except Unavailable:
            return None

    def pass_(self) -> None:
        found = self.look()
        if found is not None:
            self.act(*found)
            self.old = [*self.old[-5:], found]

    def pass_on_an_old_look(self) -> None:
        """A process that slept between looking and acting."""
        if self.old:
            self.act(*self.rng.choice(self.old))

    def pass_that_looks_slowly(self) -> None:
        """While it looks, others act and blocks are mined."""
        try:
            first = look(self.chain, PAYEE)
            books = self.books.read(first.nonce)
            for _ in range(2):
                self.pass_()
                self.chain.mine()
            self.act(books, look_closer(self.chain, PAYEE, first, books))
        except Unavailable:
            return

    def act(self, books: Books, seen: Seen, *, is_killed: bool = True) -> int:
        actions = decide(books, seen, RULES, self.now_ms)
        done = 0
        for action in actions[: self.rng.randrange(len(actions) + 1) if is_killed and actions else None]:
            try:
                self.books.apply(action, self.chain, self.now_ms)
                done += 1
            except (Lost, Unavailable):
                continue
        return done

    def reorg(self) -> None:
        self.chain.reorg(self.rng.randrange(1, self.deepest + 1))

    def finish_a_job(self) -> None:
        working = [row for row in self.books.rows.values() if row.view.has_work]
        if working:
            row = self.rng.choice(working)
            row.view = replace(row.view, has_work=False)

    def wait(self) -> None:
        self.now_ms += self.rng.randrange(500, 8_000)

    def long_wait(self) -> None:
        self.chain.mine(self.rng.choice((600, 3_000)))

    def come_and_go(self) -> None:
        self.chain.is_gone = not self.chain.is_gone

    def check_books(self) -> None:
        """What must hold at any moment."""
        assert self.chain.state.total() == self.deposited
        nonces = sorted(self.books.slots)
        assert nonces == list(range(self.books.next_nonce - len(nonces), self.books.next_nonce))
        open_claims = [
            name
            for slot, outcome in self.books.slots.values()
            if outcome is None and slot.kind is SlotKind.CLAIM
            for name in slot.workflow_ids
        ]
        assert len(open_claims) == len(set(open_claims))
        if self.deepest < (CONFIG.finality_blocks or 0):
            self.check_final()
        assert all(row.released <= 1 for row in self.books.rows.values())

    def check_final(self) -> None:
        """Only what is never undone is called final."""
        final = self.chain.blocks[max(0, len(self.chain.blocks) - 1 - (CONFIG.finality_blocks or 0))]
        closed = [nonce for nonce, (_, outcome) in self.books.slots.items() if outcome is not None]
        assert all(nonce < final.state.nonce for nonce in closed)
        hashes = {mined.block.hash for mined in self.chain.blocks[: final.block.number + 1]}
        for row in self.books.rows.values():
            assert not row.is_final or row.view.end_block_hash in hashes or row.view.end_block_hash is None

    def heal(self) -> None:
        """Faults end; all goes on until nothing is left to do."""
        self.chain.losing, self.chain.is_gone = 0.0, False
        quiet = 0
        for _ in range(600):
            for row in self.books.rows.values():
                row.view = replace(row.view, has_work=False)
            self.now_ms += 10_000
            found = self.look()
            assert found is not None
            quiet = 0 if self.act(*found, is_killed=False) else quiet + 1
            self.chain.mine()
            self.check_books()
            if quiet > 12 and all(row.is_final for row in self.books.rows.values()):
                return
        raise AssertionError({name: (row.view.state, row.view.outcome) for name, row in self.books.rows.items()})

    def check_end(self) -> None:
        """Every payment ended once, and the books are the chain's."""
        told = [e for mined in self.chain.blocks for r in mined.receipts.values() for e in r.events]
        paid = 0
        for row in self.books.rows.values():
            mine = [event for event in told if event.onchain_id == row.view.onchain_id]
            names = [event.name for event in mine]
            assert names in ([], [EventName.LOCK, EventName.CLAIMED], [EventName.LOCK, EventName.CANCELED])
            assert row.view.state in ENDED
            assert (row.view.state is PaymentState.LOCK_FAILED) <= (row.released == 0)
            assert row.released == 0 or self.lock_outcome(row) is not SlotOutcome.GIVEN_UP
            if row.view.state in (PaymentState.SETTLED, PaymentState.REFUNDED) and EventName.CLAIMED in names:
                assert mine[1].amount_wei == row.view.claim_amount
                assert (row.view.state is PaymentState.SETTLED) == (mine[1].amount_wei > 0)
            if row.view.state is PaymentState.SETTLED:
                paid += row.view.claim_amount or 0
            if EventName.CANCELED in names:
                to = PaymentState.EXPIRED if row.view.claim_amount else PaymentState.REFUNDED
                assert row.view.state is to
            if row.view.state is PaymentState.EXPIRED:
                assert EventName.CLAIMED not in names
        assert self.chain.state.paid == paid
        assert not self.chain.state.locks
        assert self.books.problem is None
        assert SlotOutcome.FOREIGN not in [outcome for _, outcome in self.books.slots.values()]

    def lock_outcome(self, row: Row) -> SlotOutcome | None:
        """What became of the nonce of a payment's lock."""
        slots = self.books.slots.values()
        mine = (end for slot, end in slots if slot.kind is SlotKind.LOCK and row.view.workflow_id in slot.workflow_ids)
        return next(mine)


def played(seed: int, steps: int, deepest: int = 5) -> World:
    world = World(seed, deepest)
    for _ in range(steps):
        world.step()
    world.heal()
    world.check_end()
    return world


@pytest.mark.parametrize("seed", range(6))
def test_books_and_chain_agree_to_the_wei_whatever_happened(seed: int) -> None:
    played(seed, 400)


@pytest.mark.parametrize("seed", range(100, 130))
def test_blocks_thought_final_may_be_undone_and_nothing_stays_stuck(seed: int) -> None:
    world = World(seed, deepest=12)
    for _ in range(400):
        world.step()
    world.heal()
    world.chain.reorg(len(world.chain.blocks) - 2)
    world.heal()
    assert world.chain.state.nonce == world.books.next_nonce
    assert not world.chain.pool


@pytest.mark.full
@pytest.mark.parametrize("seed", range(1000, 1010))
def test_a_hundred_thousand_steps(seed: int) -> None:
    """10,000 steps each, in worlds of 400."""
    for part in range(25):
        played(seed * 100 + part, 400)
