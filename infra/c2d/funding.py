"""Own what is missing in the escrow before a paid start, and putting it there."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from infra.c2d.node_client import NodeClient
from infra.c2d.paying import Quoted
from infra.c2d.terminal import Screen
from infra.c2d.wallet import Standing, Step, Wallet, open_wallet, plan
from shared.names import Address


@dataclass(frozen=True)
class Funding:
    """What a quote needs in the escrow, held against what is there."""

    quoted: Quoted
    wallet: Wallet
    standing: Standing
    steps: list[Step]

    @classmethod
    def of(cls, client: NodeClient, quoted: Quoted, arguments: argparse.Namespace) -> Funding:
        """Look at the chain. Raises: Failure, Unreachable."""
        payment = dict(quoted.payment)
        wallet = open_wallet(payment, client.key, arguments)
        standing = wallet.look(Address(payment["token"].lower()), Address(payment["payee"].lower()))
        return cls(quoted, wallet, standing, plan(standing, quoted.unit, payment, quoted.amount_wei, quoted.lock_s))

    def tell(self, screen: Screen) -> None:
        """Say what is there and what would be sent."""
        unit, funds = self.quoted.unit, self.standing.funds
        screen.say(
            f"in the escrow: {unit.text(funds.available_wei)} free, {unit.text(funds.locked_wei)} locked; "
            f"in your wallet: {unit.text(self.standing.held_wei)}"
        )
        for step in self.steps:
            screen.say(f"would send: {step.words}")

    def words(self) -> str:
        """How many transactions, in words."""
        count = len(self.steps)
        return "one transaction" if count == 1 else f"{count} transactions"

    def carry_out(self, screen: Screen) -> None:
        """Send what is missing."""
        self.wallet.carry_out(self.steps, screen)
