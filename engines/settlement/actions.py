"""Own what a settlement pass may do; frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.escrow.words import Fees
from shared.payment_states import PaymentState, SlotKind, SlotOutcome


@dataclass(frozen=True)
class Send:
    """Hand kept bytes to the chain."""

    nonce: int
    tx_hash: str


@dataclass(frozen=True)
class Replace:
    """Sign once more at the same nonce: the same intent with higher fees, or a transfer of nothing (`why`)."""

    nonce: int
    kind: SlotKind
    known: tuple[str, ...]
    "Hashes of the attempts there are; where there are others by now, nothing is done."
    fees: Fees
    why: str | None = None


@dataclass(frozen=True)
class Record:
    """Write what the chain tells of a payment; its state stays."""

    workflow_id: str
    changes: Mapping[str, Any]


@dataclass(frozen=True)
class MovePayment:
    """Change a state, if it is still `was`."""

    workflow_id: str
    was: PaymentState
    to: PaymentState
    changes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CloseSlot:
    """A nonce's fate is final: note it together with what follows for its payments, all or nothing."""

    nonce: int
    outcome: SlotOutcome
    then: tuple[MovePayment | Record, ...] = ()


@dataclass(frozen=True)
class Reopen:
    """Blocks thought final were undone: these slots' bytes are sent again."""

    nonces: tuple[int, ...]


@dataclass(frozen=True)
class FinishWork:
    """All jobs are finished: work out the cost, make the receipt, and the claim is due."""

    workflow_id: str


@dataclass(frozen=True)
class StopJobs:
    """The lock will not outlive the work."""

    workflow_id: str


@dataclass(frozen=True)
class PrepareClaims:
    """Sign one claim of several locks, those that expire first first."""

    workflow_ids: tuple[str, ...]


@dataclass(frozen=True)
class Alarm:
    """Sign nothing more with this key until somebody has looked."""

    problem: str


Action = Send | Replace | Record | MovePayment | CloseSlot | Reopen | FinishWork | StopJobs | PrepareClaims | Alarm
