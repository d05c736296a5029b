"""Own what a settlement pass works with: one key on one chain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from engines.settlement.views import Rules
from shared.escrow.words import Chain, ChainConfig
from shared.names import Address
from shared.storage.base import Storage


@dataclass(frozen=True)
class Till:
    """One key on one chain, with all that settling needs."""

    chain: Chain
    payee: Address
    key: bytes = field(repr=False)
    storage: Storage
    now_ms: Callable[[], int]
    rules: Rules

    @property
    def chain_id(self) -> int:
        """Which chain."""
        return self.chain.config.chain_id


def rules_of(config: ChainConfig) -> Rules:
    """What the operator asks of the chain, with our own patience."""
    return Rules(config.confirmations, config.claim_window_s, config.most_fee_wei)
