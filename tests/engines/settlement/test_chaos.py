"""Payments on a real chain's node while all goes wrong at once; each is claimed or given back exactly once.

Four processes share the key, one at random is killed every three seconds, four sends in ten lose their request or
reply, blocks are undone, the node falls silent for a while.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engines.settlement.till import Till
from shared.db import payments, slots
from shared.db.connection import session
from shared.db.payment_tables import Attempt, NonceSlot
from shared.escrow.words import EventName
from shared.payment_states import PaymentState
from shared.storage.local import LocalStorage
from tests.engines.settlement.rows import LOCK, RULES, end_jobs, payment, start, state
from tests.needs import needs

if TYPE_CHECKING:
    from tests.services.anvil import AnvilChain

pytestmark = needs("anvil")
FINALITY = 8
LOCK_GAS = 2_000_000
"The contract reads all open locks: some 5,000 for each."


@pytest.mark.full
@pytest.mark.timeout(300)
def test_twenty_payments(database: str, tmp_path: Path, own_anvil: Callable[[], AnvilChain]) -> None:
    Chaos(database, tmp_path, own_anvil(), payments=20, silent_s=6, limit_s=150).run()


@pytest.mark.long
@pytest.mark.timeout(900)
def test_two_hundred_payments(database: str, tmp_path: Path, own_anvil: Callable[[], AnvilChain]) -> None:
    Chaos(database, tmp_path, own_anvil(), payments=200, silent_s=60, limit_s=600).run()


class Chaos:
    """The world around the processes: payers, jobs, a chain that is undone and falls silent."""

    def __init__(
        self, database: str, folder: Path, anvil: AnvilChain, payments: int, silent_s: float, limit_s: float
    ) -> None:
        from tests.services.local_chain import ADDRESSES, KEYS, NODE

        self.rng = random.Random(payments)
        self.anvil, self.database, self.folder = anvil, database, folder
        self.wanted, self.silent_s, self.limit_s = payments, silent_s, limit_s
        self.deposit = 1_000 * LOCK
        self.payer = anvil.prepare_payer(deposit_wei=self.deposit, most_locks=10_000, most_lock_s=10**6)
        anvil.mine(12)
        anvil.mine_every(1)
        anvil.automine(False)
        (folder / "results").mkdir(exist_ok=True)
        chain = anvil.open(confirmations=2, finality_blocks=FINALITY)
        storage = LocalStorage(folder / "results")
        self.till = Till(chain, ADDRESSES[NODE], KEYS[NODE], storage, lambda: time.time_ns() // 10**6, RULES)
        self.names: list[str] = []
        self.done_reorgs = 0

    def run(self) -> None:
        """Start payments, end their jobs, disturb; until all are final."""
        slots.ensure_signer(self.till.chain_id, self.till.payee, self.till.chain.nonce(self.till.payee))
        began = time.monotonic()
        with self.processes() as killed:
            silence_at = began + 10
            reorg_at = began + 5
            while time.monotonic() < began + self.limit_s:
                if len(self.names) < self.wanted:
                    self.start()
                for name in self.names:
                    if state(name) is PaymentState.LOCKED:
                        end_jobs(self.till, name, ran_s=None if int(name[:2], 16) % 4 == 0 else 50)
                if time.monotonic() >= reorg_at:
                    self.anvil.reorg(self.rng.randrange(1, 4))
                    self.done_reorgs += 1
                    reorg_at = time.monotonic() + self.rng.uniform(3, 6)
                if silence_at and time.monotonic() >= silence_at:
                    self.anvil.silence()
                    time.sleep(self.silent_s)
                    self.anvil.speak()
                    silence_at = 0.0
                if self.is_over():
                    break
                time.sleep(0.2)
        self.check(killed(), time.monotonic() - began)

    def start(self) -> None:
        """One more payment, of one job or two."""
        amount = self.rng.choice((1, 1_000_003, LOCK, LOCK))
        token = self.anvil.contracts.token
        jobs = self.rng.choice((1, 2))
        self.names.append(start(self.till, jobs, amount, payer=self.payer, token=token, gas=LOCK_GAS))

    def is_over(self) -> bool:
        """Whether every payment is final, in a block that is never undone."""
        if len(self.names) < self.wanted:
            return False
        return not slots.open_slots(self.till.chain_id, self.till.payee) and not payments.unsettled(
            self.till.chain_id, self.till.payee
        )

    @contextmanager
    def processes(self) -> Iterator[Callable[[], int]]:
        """Those that settle; afterwards, how many were killed."""
        given = {
            "database": self.database,
            "rpc": self.anvil.url,
            "chain_id": self.till.chain_id,
            "escrow": self.anvil.contracts.escrow,
            "finality": FINALITY,
            "key": self.till.key.hex(),
            "storage": str(self.folder / "results"),
            "losing": 0.4,
            "seed": self.wanted,
        }
        command = [sys.executable, "-m", "tests.engines.settlement.chaos", json.dumps(given)]
        log = (self.folder / "chaos.log").open("wb")
        nursery = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        told: list[str] = []
        try:
            yield lambda: int(told[0])
        finally:
            self.anvil.speak()
            out, _ = nursery.communicate(b"\n", timeout=30)
            told.append(out.decode())
            log.close()

    def check(self, killed: int, took_s: float) -> None:
        """Books and chain agree; the table is printed."""
        chain = self.till.chain
        told = chain.events(0, chain.head().number, self.till.payee)
        states = [state(name) for name in self.names]
        by_id: dict[int, list[Any]] = {}
        for event in told:
            by_id.setdefault(event.onchain_id, []).append(event)
        mine = [by_id.get(int(payment(name).onchain_id, 16), []) for name in self.names]
        reverted = self.reverted()
        self.print_table(killed, took_s, states, reverted)
        assert set(states) <= {PaymentState.SETTLED, PaymentState.REFUNDED}
        assert self.is_over()
        for name, events in zip(self.names, mine, strict=True):
            assert [each.name for each in events] == [EventName.LOCK, EventName.CLAIMED], (name, events)
            assert events[1].amount_wei == payment(name).claim_amount
            assert events[1].proof.hex() == payment(name).proof
        assert reverted == 0
        claimed = sum(events[1].amount_wei for events in mine)
        funds = chain.funds(self.payer, self.anvil.contracts.token)
        assert (funds.available_wei, funds.locked_wei) == (self.deposit - claimed, 0)

    def reverted(self) -> int:
        """Transactions of ours that were mined for nothing."""
        with session():
            hashes = [row.tx_hash for row in Attempt.select(Attempt.tx_hash)]
        receipts = [self.till.chain.receipt(each) for each in hashes]
        return sum(receipt is not None and not receipt.is_good for receipt in receipts)

    def print_table(self, killed: int, took_s: float, states: list[PaymentState], reverted: int) -> None:
        """What a person reads (`pytest -s`)."""
        with session():
            taken, attempts = NonceSlot.select().count(), Attempt.select().count()
        rows = {
            "database": self.database.partition(":")[0],
            "payments": len(states),
            "settled": states.count(PaymentState.SETTLED),
            "refunded": states.count(PaymentState.REFUNDED),
            "otherwise": sum(each not in (PaymentState.SETTLED, PaymentState.REFUNDED) for each in states),
            "transactions": taken,
            "signed": attempts,
            "reverted": reverted,
            "processes killed": killed,
            "blocks undone": f"{self.done_reorgs} times",
            "node silent": f"{self.silent_s:.0f} s",
            "took": f"{took_s:.0f} s",
        }
        print()
        for name, value in rows.items():
            print(f"  {name:<18}{value}")
