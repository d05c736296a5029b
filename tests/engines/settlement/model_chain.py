"""A chain in memory with the escrow contract on it, and with faults: what `Chain` promises, in microseconds.

As the contract does: a claim after expiry silently gives back, a claim of a lock that is not there reverts the whole
batch, limits hold for the sum of open locks, and finished ids are forgotten. Blocks can be undone; what was in them is
not put back into the pool. `losing` is the share of sends whose request or reply is lost.
"""

from __future__ import annotations

import copy
import hashlib
import json
import random
from dataclasses import dataclass, field
from typing import Any

from shared.errors import Unavailable
from shared.escrow.words import (
    Authorization,
    Block,
    ChainCall,
    ChainConfig,
    EscrowEvent,
    EventName,
    Fees,
    Funds,
    OpenLock,
    Reverted,
    SignedTx,
    Token,
    TxReceipt,
)  # fmt: skip
from shared.names import Address

PAYEE = Address("0x" + "aa" * 20)
TOKEN = Address("0x" + "70" * 20)
START_S = 1_700_000_000
BLOCK_S = 12


@dataclass
class State:
    """All the contract keeps, and our nonce."""

    available: dict[Address, int] = field(default_factory=dict)
    locks: dict[int, OpenLock] = field(default_factory=dict)
    paid: int = 0
    nonce: int = 0

    def total(self) -> int:
        """What must never change but by a deposit."""
        return sum(self.available.values()) + sum(lock.amount_wei for lock in self.locks.values()) + self.paid


@dataclass
class Mined:
    """A block with the state after it."""

    block: Block
    state: State
    receipts: dict[str, TxReceipt] = field(default_factory=dict)


class ModelChain:
    """One payee's view of a chain."""

    def __init__(self, rng: random.Random, config: ChainConfig, start_nonce: int = 0) -> None:
        self._rng, self._config = rng, config
        self._count = 0
        self.blocks = [Mined(Block(0, "0x0", START_S), State(nonce=start_nonce))]
        self.pool: dict[int, dict[str, Any]] = {}
        self.losing = 0.0
        self.is_gone = False
        self.most_open = 10**30
        self.limit_wei = 10**40
        self.reverted = 0

    # what tests do to it

    def deposit(self, payer: Address, amount: int) -> None:
        """Funds in a block that is never undone: all blocks know of them."""
        for mined in self.blocks:
            mined.state.available[payer] = mined.state.available.get(payer, 0) + amount

    def mine(self, seconds: int = BLOCK_S) -> None:
        """A block with whatever of the pool comes next."""
        tip = self.blocks[-1]
        self._count += 1
        name = hashlib.sha256(f"{self._count} {tip.block.hash}".encode()).hexdigest()
        block = Block(tip.block.number + 1, "0x" + name, tip.block.time_s + seconds)
        mined = Mined(block, copy.copy(tip.state))
        mined.state.available, mined.state.locks = dict(tip.state.available), dict(tip.state.locks)
        while (tx := self.pool.pop(mined.state.nonce, None)) is not None:
            self._execute(mined, tx)
        self.blocks.append(mined)

    def reorg(self, depth: int) -> None:
        """Undo blocks and mine others, with nothing of the undone ones, in their place."""
        depth = min(depth, len(self.blocks) - 1)
        del self.blocks[len(self.blocks) - depth :]
        for _ in range(depth):
            self.mine()

    def foreign(self) -> None:
        """Somebody else uses the key."""
        self.pool[self.state.nonce] = {"hash": f"0xf{self._count}", "call": None, "fee": 0}
        self.mine()

    def cancel_expired(self) -> None:
        """Anybody gives expired locks back."""
        self.mine()
        for onchain_id, lock in list(self.state.locks.items()):
            if self.blocks[-1].block.time_s > lock.expires_at_s:
                self._cancel(self.blocks[-1], f"0xcc{self._count:030x}{onchain_id % 2**128:032x}", lock)

    @property
    def state(self) -> State:
        """At the head."""
        return self.blocks[-1].state

    # the contract

    def _execute(self, mined: Mined, tx: dict[str, Any]) -> None:
        mined.state.nonce += 1
        before = copy.deepcopy(mined.state)
        try:
            events = self._call(mined.state, mined.block, tx["hash"], tx["call"]) if tx["call"] else []
            is_good = True
        except Reverted:
            mined.state, events, is_good = before, [], False
            self.reverted += 1
        number, hash_ = mined.block.number, mined.block.hash
        mined.receipts[tx["hash"]] = TxReceipt(tx["hash"], number, hash_, is_good, 60_000, tuple(events))

    def _call(self, state: State, block: Block, tx_hash: str, call: list[Any]) -> list[EscrowEvent]:
        function, arguments = call
        if function == "createLock":
            return [self._create(state, block, tx_hash, *arguments)]
        assert function == "claimLocks"
        return [self._claim(state, block, tx_hash, *each) for each in zip(*arguments, strict=True)]

    def _create(
        self,
        state: State,
        block: Block,
        tx_hash: str,
        id_: int,
        token: Address,
        payer: Address,
        amount: int,
        lasts: int,
    ) -> EscrowEvent:
        mine = [lock for lock in state.locks.values() if lock.payer == payer]
        if amount <= 0:
            raise Reverted("Invalid amount")
        if state.available.get(payer, 0) < amount:
            raise Reverted("Payer does not have enough funds")
        if sum(lock.amount_wei for lock in mine) + amount > self.limit_wei:
            raise Reverted("Exceeds maxLockedAmount")
        if len(mine) + 1 > self.most_open:
            raise Reverted("Exceeds maxLockCounts")
        if id_ in state.locks:
            raise Reverted("JobId already exists")
        state.available[payer] -= amount
        state.locks[id_] = OpenLock(id_, payer, token, amount, block.time_s + lasts)
        return self._event(EventName.LOCK, block, tx_hash, state.locks[id_], amount, lasts)

    def _claim(
        self,
        state: State,
        block: Block,
        tx_hash: str,
        id_: int,
        token: Address,
        payer: Address,
        amount: int,
        proof: str,
    ) -> EscrowEvent:
        lock = state.locks.get(id_)
        if lock is None:
            raise Reverted("Lock not found")
        if amount > lock.amount_wei:
            raise Reverted("Amount too high")
        del state.locks[id_]
        if block.time_s > lock.expires_at_s:
            state.available[lock.payer] += lock.amount_wei
            return self._event(EventName.CANCELED, block, tx_hash, lock, lock.amount_wei)
        state.available[lock.payer] += lock.amount_wei - amount
        state.paid += amount
        return self._event(EventName.CLAIMED, block, tx_hash, lock, amount)

    def _cancel(self, mined: Mined, tx_hash: str, lock: OpenLock) -> None:
        del mined.state.locks[lock.onchain_id]
        mined.state.available[lock.payer] += lock.amount_wei
        event = self._event(EventName.CANCELED, mined.block, tx_hash, lock, lock.amount_wei)
        mined.receipts[tx_hash] = TxReceipt(tx_hash, mined.block.number, mined.block.hash, True, 0, (event,))

    def _event(
        self, name: EventName, block: Block, tx_hash: str, lock: OpenLock, amount: int, lasts: int = 0
    ) -> EscrowEvent:
        where = (tx_hash, block.number, block.hash, lasts)
        return EscrowEvent(name, lock.onchain_id, lock.payer, PAYEE, lock.token, amount, *where)

    # what can be asked

    @property
    def config(self) -> ChainConfig:
        """As the operator set it."""
        return self._config

    def _reach(self) -> None:
        if self.is_gone:
            raise Unavailable("The chain is out of reach.")

    def head(self) -> Block:
        self._reach()
        return self.blocks[-1].block

    def final(self) -> Block:
        self._reach()
        return self.blocks[max(0, len(self.blocks) - 1 - (self._config.finality_blocks or 0))].block

    def block(self, number: int) -> Block | None:
        self._reach()
        return self.blocks[number].block if 0 <= number < len(self.blocks) else None

    def nonce(self, address: Address, at_block: int | None = None) -> int:
        self._reach()
        return self.blocks[-1 if at_block is None else min(at_block, len(self.blocks) - 1)].state.nonce

    def coins(self, address: Address) -> int:
        return 10**18

    def fees(self) -> Fees:
        self._reach()
        return Fees(10, 1)

    def token(self, token: Address) -> Token:
        return Token(token, "OCEAN", 18)

    def token_balance(self, token: Address, owner: Address) -> int:
        return 0

    def allowance(self, token: Address, owner: Address) -> int:
        return 0

    def funds(self, payer: Address, token: Address) -> Funds:
        locked = sum(lock.amount_wei for lock in self.state.locks.values() if lock.payer == payer)
        return Funds(self.state.available.get(payer, 0), locked)

    def authorization(self, token: Address, payer: Address, payee: Address) -> Authorization | None:
        mine = [lock.amount_wei for lock in self.state.locks.values() if lock.payer == payer]
        return Authorization(self.limit_wei, sum(mine), 10**9, self.most_open, len(mine))

    def locks(self, payee: Address, *, at_block: int | None = None) -> list[OpenLock]:
        self._reach()
        return list(self.blocks[-1 if at_block is None else at_block].state.locks.values())

    def events(self, first_block: int, last_block: int, payee: Address) -> list[EscrowEvent]:
        self._reach()
        wanted = self.blocks[first_block : last_block + 1]
        return [event for mined in wanted for receipt in mined.receipts.values() for event in receipt.events]

    def receipt(self, tx_hash: str) -> TxReceipt | None:
        self._reach()
        return next((m.receipts[tx_hash] for m in reversed(self.blocks) if tx_hash in m.receipts), None)

    def holds(self, contract: Address, owner: Address) -> bool:
        return False

    def is_signed_by_contract(self, wallet: Address, digest: bytes, signature: bytes) -> bool:
        return False

    def least_fee_wei(self, token: Address) -> int:
        return 0

    def simulate(self, call: ChainCall, sender: Address) -> None:
        self._reach()
        tip = self.blocks[-1]
        self._call(copy.deepcopy(tip.state), tip.block, "0x", [call.function, _plain(call)])

    def gas(self, call: ChainCall, sender: Address) -> int:
        self.simulate(call, sender)
        return 60_000

    def sign(self, call: ChainCall, key: bytes, nonce: int, gas: int, fees: Fees) -> SignedTx:
        called = [call.function, _plain(call)] if call.function else None
        raw = json.dumps([nonce, called, fees.base_wei + fees.priority_wei, fees.priority_wei]).encode()
        return SignedTx("0x" + hashlib.sha256(raw).hexdigest(), raw)

    def send(self, raw: bytes) -> str | None:
        self._reach()
        if self._rng.random() < self.losing / 2:
            raise Unavailable("The request was lost.")
        objection = self._take(raw)
        if self._rng.random() < self.losing / 2:
            raise Unavailable("The reply was lost.")
        return objection

    def _take(self, raw: bytes) -> str | None:
        nonce, call, fee, _ = json.loads(raw)
        if nonce < self.state.nonce:
            return "nonce too low"
        there = self.pool.get(nonce)
        if there is not None and fee * 10 < there["fee"] * 11:
            return "replacement transaction underpriced"
        self.pool[nonce] = {"hash": "0x" + hashlib.sha256(raw).hexdigest(), "call": call, "fee": fee}
        return None


def _plain(call: ChainCall) -> list[Any]:
    """Arguments as JSON has them; proofs as hex."""

    def plain(value: Any) -> Any:
        if isinstance(value, bytes):
            return value.hex()
        return [plain(each) for each in value] if isinstance(value, list | tuple) else value

    return [plain(each) for each in call.arguments]
