"""Own the consumer's own transactions on a chain: what stands there, what would be done, and doing it one by one."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from infra.c2d.failures import Failure, Unreachable
from infra.c2d.money import Unit
from infra.c2d.terminal import Screen, span
from shared.addresses import address_of
from shared.chain_config import published
from shared.errors import C2DError, Unavailable
from shared.escrow import open_chains
from shared.escrow.words import Authorization, Chain, ChainCall, ChainConfig, Fees, Funds, Kind, Reverted, TxReceipt
from shared.names import Address

MINED_LIMIT_S = 300
LOOK_EVERY_S = 0.5
GAS_MORE = 130
"Percent of the estimate: others' locks make a call dearer while it waits."


@dataclass(frozen=True)
class Standing:
    """What a payer has, in and outside an escrow, and lets a payee lock."""

    coins_wei: int
    held_wei: int
    "Tokens in the wallet."
    allowance_wei: int
    funds: Funds
    authorization: Authorization | None


@dataclass(frozen=True)
class Step:
    """One transaction, and what it does."""

    words: str
    call: ChainCall


class Wallet:
    """A key on one chain, at one escrow."""

    def __init__(self, chain: Chain, key: bytes) -> None:
        self.chain = chain
        self._key = key
        self.address = Address(address_of(key).lower())

    def look(self, token: Address, payee: Address) -> Standing:
        """What stands on the chain now. Raises: Failure, Unreachable."""
        chain, own = self.chain, self.address
        try:
            return Standing(
                chain.coins(own), chain.token_balance(token, own), chain.allowance(token, own),
                chain.funds(own, token), chain.authorization(token, own, payee),
            )  # fmt: skip
        except Unavailable as error:
            raise unreachable(error) from error
        except C2DError as error:
            raise Failure(error.detail) from error

    def carry_out(self, steps: Sequence[Step], screen: Screen) -> None:
        """Send the steps in order, each once the one before is mined. Raises: Failure, Unreachable."""
        for step in steps:
            began = time.monotonic()
            receipt = self._send(step.call)
            screen.say(f"done: {step.words} · {receipt.tx_hash} · {span(time.monotonic() - began)}")

    def _send(self, call: ChainCall) -> TxReceipt:
        try:
            gas, fees = self.chain.gas(call, self.address), self.chain.fees()
            most = Fees(2 * fees.base_wei, fees.priority_wei)
            signed = self.chain.sign(call, self._key, self.chain.nonce(self.address), gas * GAS_MORE // 100, most)
            objection = self.chain.send(signed.raw)
            receipt = self._mined(signed.tx_hash, objection)
        except Reverted as error:
            raise Failure(f"the contract refuses {call.function}: {error.detail}") from error
        except Unavailable as error:
            raise unreachable(error) from error
        if not receipt.is_good:
            raise Failure(f"{call.function} was mined and failed: {receipt.tx_hash}", "c2d escrow show")
        return receipt

    def _mined(self, tx_hash: str, objection: str | None) -> TxReceipt:
        """Wait for it; what the chain objected may prove wrong, so the receipt decides."""
        deadline = time.monotonic() + (MINED_LIMIT_S if objection is None else 10)
        while time.monotonic() < deadline:
            receipt = self.chain.receipt(tx_hash)
            if receipt is not None:
                return receipt
            time.sleep(LOOK_EVERY_S)
        if objection is not None:
            raise Failure(f"the chain does not take the transaction: {objection}")
        raise Unreachable(f"{tx_hash} is not mined yet", "look again with c2d escrow show before you send it anew")


def open_wallet(payment: dict[str, Any], key: bytes, arguments: argparse.Namespace) -> Wallet:
    """Open the wallet at the escrow that a node names, if it is a published one or named by the person.

    `payment` has chainId, escrowAddress and perhaps kind. Raises: Failure.
    """
    if not arguments.rpc:
        raise Failure("an RPC of the chain is needed to look at it", "--rpc URL, or C2D_RPC_URL")
    chain_id, escrow = int(payment["chainId"]), Address(str(payment["escrowAddress"]).lower())
    kind = next((kind for kind in Kind if published(chain_id, kind) == escrow), None)
    if kind is None and (arguments.escrow or "").lower() != escrow:
        raise Failure(
            f"the node names {escrow} as its escrow on chain {chain_id}, which is none of the published contracts: "
            "what is deposited there may be lost",
            f"if you know the contract, say so: --escrow {escrow}",
        )
    kind = kind or Kind(str(payment.get("kind") or Kind.ESCROW))
    return Wallet(open_chains([ChainConfig(chain_id, arguments.rpc, escrow, kind)])[chain_id], key)


def plan(standing: Standing, unit: Unit, payment: dict[str, Any], amount_wei: int, lock_s: int) -> list[Step]:
    """What must be done before the node can lock an amount for so long; empty where nothing is missing.

    Limits that were given are never made smaller. Raises: Failure where the wallet lacks tokens or coin.
    """
    missing = max(amount_wei - standing.funds.available_wei, 0)
    steps = deposit_steps(standing, unit, payment, missing) if missing else []
    was = standing.authorization or Authorization(0, 0, 0, 0, 0)
    wanted = (was.locked_wei + amount_wei, lock_s, was.open_locks + 1)
    if any(new > old for new, old in zip(wanted, (was.most_locked_wei, was.most_lock_s, was.most_locks), strict=True)):
        most = (max(wanted[0], was.most_locked_wei), max(lock_s, was.most_lock_s), max(wanted[2], was.most_locks))
        steps.append(authorize_step(unit, payment, *most))
    if steps and not standing.coins_wei:
        raise Failure("your wallet has no coin to pay for transactions", "c2d escrow show")
    return steps


def deposit_steps(standing: Standing, unit: Unit, payment: dict[str, Any], amount_wei: int) -> list[Step]:
    """Put tokens into the escrow; they can be withdrawn while they are not locked. Raises: Failure."""
    if standing.held_wei < amount_wei:
        raise Failure(
            f"{unit.text(amount_wei)} are missing in the escrow, and your wallet holds {unit.text(standing.held_wei)}",
            "get tokens first",
        )
    token, escrow = Address(str(payment["token"]).lower()), Address(str(payment["escrowAddress"]).lower())
    approve = Step(f"let the escrow take {unit.text(amount_wei)}", ChainCall(token, "approve", (escrow, amount_wei)))
    deposit = Step(f"deposit {unit.text(amount_wei)}", ChainCall(escrow, "deposit", (token, amount_wei)))
    return [approve, deposit] if standing.allowance_wei < amount_wei else [deposit]


def authorize_step(unit: Unit, payment: dict[str, Any], most_wei: int, most_s: int, most_locks: int) -> Step:
    """Let the node lock: so much in all, each lock so long, so many at once."""
    token, escrow, payee = (Address(str(payment[name]).lower()) for name in ("token", "escrowAddress", "payee"))
    words = f"let {payee[:12]}… lock up to {unit.text(most_wei)}, each for at most {span(most_s)}, {most_locks} at once"
    return Step(words, ChainCall(escrow, "authorize", (token, payee, most_wei, most_s, most_locks)))


def is_agreed(steps: Sequence[Step], arguments: argparse.Namespace, screen: Screen) -> bool:
    """Say what would be sent, and ask, unless --yes was given; without a terminal nothing is sent."""
    for step in steps:
        screen.say(f"would send: {step.words}  ({step.call.function} of {step.call.to})")
    if arguments.yes:
        return True
    if screen.wants_json or not sys.stdin.isatty():
        screen.say("nothing was sent; --yes sends it")
        return False
    return input("type yes to go on: ").strip().lower() == "yes"


def unreachable(error: Unavailable) -> Unreachable:
    """The chain does not answer."""
    return Unreachable(error.detail, "is --rpc the address of that chain's RPC?")
