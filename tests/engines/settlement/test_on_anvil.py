"""Whole payments on a real chain's node, with the published contracts: amounts, both kinds, late, refused, undone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engines.settlement.passes import settle_all, settle_once
from engines.settlement.till import Till
from shared.db import money_totals, payments, slot_views, slots
from shared.db.connection import session
from shared.db.payment_tables import Payment
from shared.errors import Unavailable
from shared.escrow.words import EventName, Kind, give_up_nonce
from shared.payment_states import PaymentState as State
from shared.storage.local import LocalStorage
from tests.engines.settlement.rows import LOCK, RULES, end_jobs, payment, start, state
from tests.flows.harness import Clock
from tests.needs import needs

if TYPE_CHECKING:
    from tests.services.anvil import AnvilChain

pytestmark = needs("anvil")
GAS = 600_000


class Real:
    """A till on anvil, which mines when we say so, and a payer who has plenty."""

    def __init__(self, anvil: AnvilChain, folder: Path, kind: Kind = Kind.ESCROW, decimals: int = 18) -> None:
        from tests.services.local_chain import ADDRESSES, KEYS, NODE

        self.anvil = anvil
        contracts = anvil.contracts
        self.token = contracts.token if decimals == 18 else contracts.coin
        escrow = contracts.escrow if kind is Kind.ESCROW else contracts.enterprise
        self.payer = anvil.prepare_payer(token=self.token, deposit_wei=10**30, escrow=escrow)
        (folder / "results").mkdir()
        chain = anvil.open(escrow=escrow, kind=kind, confirmations=2, finality_blocks=3)
        self.clock = Clock()
        storage = LocalStorage(folder / "results")
        self.till = Till(chain, ADDRESSES[NODE], KEYS[NODE], storage, self.clock, RULES)
        slots.ensure_signer(self.till.chain_id, self.till.payee, chain.nonce(self.till.payee))
        anvil.automine(False)

    def start(self, amount: int = LOCK, **changes: Any) -> str:
        """A payment whose lock waits to be sent."""
        return start(self.till, amount=amount, payer=self.payer, token=self.token, gas=GAS, **changes)

    def settle(self, rounds: int) -> None:
        """Passes with a block after each."""
        for _ in range(rounds):
            settle_all(self.till)
            self.anvil.mine()
            self.clock.advance(10)

    def available(self) -> int:
        """The payer's funds."""
        return self.till.chain.funds(self.payer, self.token).available_wei

    def reverted(self) -> int:
        """Transactions of ours that were mined for nothing."""
        found = slots.attempts(self.till.chain_id, self.till.payee, range(1000))
        receipts = [self.till.chain.receipt(each.tx_hash) for each in found]
        return sum(each is not None and not each.is_good for each in receipts)


@pytest.fixture
def quick(quick_database: str) -> Iterator[None]:
    yield


@pytest.mark.parametrize("amount", [1, 10**18, 10**27])
def test_any_amount_from_lock_to_claim(quick: None, anvil: AnvilChain, tmp_path: Path, amount: int) -> None:
    node = Real(anvil, tmp_path)
    name = node.start(amount)
    node.settle(3)
    assert state(name) is State.LOCKED
    end_jobs(node.till, name)
    node.settle(7)
    row = payment(name)
    used = (amount + 1) // 2
    assert (state(name), row.claim_amount, row.is_final) == (State.SETTLED, used, True)
    _, claimed = node.till.chain.events(row.lock_block, row.end_block, node.till.payee)
    assert (claimed.name, claimed.amount_wei, claimed.proof.hex()) == (EventName.CLAIMED, used, row.proof)
    assert node.available() == 10**30 - used
    assert node.reverted() == 0


def test_two_payments_go_in_one_claim_and_one_of_nothing_gives_back(
    quick: None, anvil: AnvilChain, tmp_path: Path
) -> None:
    node = Real(anvil, tmp_path, decimals=6)
    names = [node.start(1_500_000), node.start(7)]
    node.settle(3)
    end_jobs(node.till, names[0])
    end_jobs(node.till, names[1], ran_s=None)
    before = node.till.chain.nonce(node.till.payee)
    node.settle(7)
    assert [state(name) for name in names] == [State.SETTLED, State.REFUNDED]
    assert node.till.chain.nonce(node.till.payee) == before + 1
    assert node.available() == 10**30 - 750_000


def test_a_claim_after_expiry_is_mined_and_pays_nothing(quick: None, anvil: AnvilChain, tmp_path: Path) -> None:
    node = Real(anvil, tmp_path)
    name = node.start(lock_s=900)
    node.settle(3)
    end_jobs(node.till, name)
    anvil.pass_time(2_000)
    node.settle(7)
    assert (state(name), payment(name).is_final) == (State.EXPIRED, True)
    assert node.available() == 10**30 and node.reverted() == 0


def test_a_lock_beyond_the_payers_funds_costs_no_reverted_transaction(
    quick: None, anvil: AnvilChain, tmp_path: Path
) -> None:
    node = Real(anvil, tmp_path)
    name = node.start(10**31)
    node.settle(6)
    assert state(name) is State.LOCK_FAILED and "does not have enough funds" in str(payment(name).outcome)
    assert node.reverted() == 0


def test_blocks_that_are_undone_are_made_again(quick: None, anvil: AnvilChain, tmp_path: Path) -> None:
    node = Real(anvil, tmp_path)
    anvil.mine(4)
    name = node.start()
    node.settle(3)
    anvil.reorg(3)
    end_jobs(node.till, name)
    node.settle(9)
    anvil.reorg(2)
    node.settle(8)
    assert (state(name), payment(name).is_final) == (State.SETTLED, True)
    assert node.available() == 10**30 - LOCK // 2 and node.reverted() == 0


def test_somebody_else_with_our_key_is_noticed(quick: None, anvil: AnvilChain, tmp_path: Path) -> None:
    node = Real(anvil, tmp_path)
    name = node.start()
    node.settle(3)
    chain, payee = node.till.chain, node.till.payee
    fees = replace(chain.fees(), base_wei=10**11)
    chain.send(chain.sign(give_up_nonce(payee), node.till.key, chain.nonce(payee), 21_000, fees).raw)
    anvil.mine()
    end_jobs(node.till, name)
    node.settle(4)
    assert "somebody else has used the node's key" in str(slot_views.problems()[0].problem)
    slot_views.accept(node.till.chain_id, payee, chain.nonce(payee))
    node.settle(8)
    assert state(name) is State.SETTLED


def test_the_minimum_of_an_enterprise_escrow_is_claimed_at_least(
    quick: None, anvil: AnvilChain, tmp_path: Path
) -> None:
    node = Real(anvil, tmp_path, Kind.ENTERPRISE)
    least = node.till.chain.least_fee_wei(node.token)
    assert least > 0
    small, large = node.start(least + 1), node.start(10**18)
    node.settle(3)
    for name in (small, large):
        end_jobs(node.till, name)
    node.settle(8)
    assert [state(name) for name in (small, large)] == [State.SETTLED, State.SETTLED]
    assert payment(small).claim_amount == least and payment(large).claim_amount == 10**18 // 2
    assert node.available() == 10**30 - least - 10**18 // 2


def test_where_nothing_is_due_an_enterprise_lock_runs_out_and_goes_back(
    quick: None, anvil: AnvilChain, tmp_path: Path
) -> None:
    node = Real(anvil, tmp_path, Kind.ENTERPRISE)
    name, other = node.start(lock_s=900), node.start()
    node.settle(3)
    end_jobs(node.till, name, ran_s=None)
    end_jobs(node.till, other)
    node.settle(8)
    assert (state(name), state(other)) == (State.CLAIM_DUE, State.SETTLED)
    assert "refuses the claim" in str(payment(name).outcome)
    assert money_totals.unexplained()["refused_claim"] == 0
    anvil.pass_time(2_000)
    node.settle(10)
    assert (state(name), payment(name).is_final) == (State.REFUNDED, True)
    assert node.reverted() == 0


def test_a_contract_of_the_other_kind_than_was_set_loses_no_money(
    quick: None, anvil: AnvilChain, tmp_path: Path
) -> None:
    """Set as Escrow, though an EnterpriseEscrow stands there: a claim below its minimum waits, and is told of."""
    node = Real(anvil, tmp_path, Kind.ENTERPRISE)
    least = node.till.chain.least_fee_wei(node.token)
    chain = anvil.open(escrow=anvil.contracts.enterprise, kind=Kind.ESCROW, confirmations=2, finality_blocks=3)
    node.till = replace(node.till, chain=chain)
    small, large = node.start(least + 1), node.start()
    node.settle(3)
    for name in (small, large):
        end_jobs(node.till, name)
    node.settle(8)
    assert (state(small), state(large)) == (State.CLAIM_DUE, State.SETTLED)
    assert money_totals.unexplained()["refused_claim"] == 1
    assert node.reverted() == 0


def test_one_chain_out_of_reach_keeps_no_other_waiting(quick: None, anvil: AnvilChain, tmp_path: Path) -> None:
    node = Real(anvil, tmp_path)
    name = node.start()
    away = replace(node.till, chain=anvil.open())
    from shared.escrow.rpc import Rpc

    away = replace(away, chain=Rpc(replace(anvil.config, rpc="http://127.0.0.1:9", confirmations=2)))
    with pytest.raises(Unavailable):
        settle_once(away)
    assert state(name) is State.LOCK_PREPARED
    node.settle(3)
    assert state(name) is State.LOCKED
    with session():
        assert Payment.select().count() == 1
    assert payments.count_by_state() == {"locked": 1}
