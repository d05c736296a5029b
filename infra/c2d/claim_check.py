"""Own the look at the chain for a receipt's claim: the same lock, the same amount, the same proof."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from infra.c2d.failures import Unreachable
from shared.chain_config import published
from shared.errors import C2DError, InvalidRequest, Unavailable
from shared.escrow import open_chains
from shared.escrow.words import Chain, ChainConfig, EscrowEvent, EventName, Kind
from shared.names import Address
from shared.receipt_checks import Finding, proof_of

WINDOW = 2_000
MOST_WINDOWS = 500
"A million blocks back; beyond that the transaction is named with --claim."
WHAT = "claim on chain"


def claim(document: Mapping[str, Any], rpc: str, tx_hash: str | None) -> Finding:
    """Find the claim and hold it against the receipt. Raises: Unreachable."""
    domain, message = document["domain"], document["message"]
    chain_id, escrow = int(domain["chainId"]), Address(str(domain["verifyingContract"]).lower())
    try:
        chain = open_chains([ChainConfig(chain_id, rpc, escrow)])[chain_id]
        event = found_claim(chain, message, tx_hash)
        proof = proof_of(document)
    except Unavailable as error:
        raise Unreachable(error.detail, "is --rpc the address of that chain's RPC?") from error
    except (C2DError, ValueError) as error:
        detail = error.detail if isinstance(error, InvalidRequest) else str(error)
        return Finding(WHAT, False, detail)
    if event is None:
        return Finding(WHAT, False, "not found; is it mined yet? --claim TX names it")
    wrong = [name for name, is_good in compared(event, message, proof) if not is_good]
    known = any(published(chain_id, kind) == escrow for kind in Kind)
    where = "" if known else f"; the escrow {escrow} is none of the published contracts"
    words = f"{event.tx_hash} in block {event.block}{where}"
    return Finding(WHAT, not wrong, f"{words}: another {', '.join(wrong)}" if wrong else words)


def compared(event: EscrowEvent, message: Mapping[str, Any], proof: bytes) -> Iterator[tuple[str, bool]]:
    """Each fact of the claim, and whether it is the receipt's."""
    yield "payer", event.payer.lower() == str(message["payer"]).lower()
    yield "payee", event.payee.lower() == str(message["payee"]).lower()
    yield "token", event.token.lower() == str(message["token"]).lower()
    yield "amount", event.amount_wei == int(message["amount"])
    yield "proof", event.proof == proof


def found_claim(chain: Chain, message: Mapping[str, Any], tx_hash: str | None) -> EscrowEvent | None:
    """The lock's last claim: in the transaction that was named, or from the newest block backwards."""
    if tx_hash:
        receipt = chain.receipt(tx_hash)
        return last_claim(list(receipt.events) if receipt else [], message)
    until = chain.head().number
    for _ in range(MOST_WINDOWS):
        first = max(until - WINDOW + 1, 0)
        event = last_claim(chain.events(first, until, Address(str(message["payee"]).lower())), message)
        if event is not None or first == 0:
            return event
        until = first - 1
    return None


def last_claim(events: list[EscrowEvent], message: Mapping[str, Any]) -> EscrowEvent | None:
    """The newest claim of the receipt's lock."""
    wanted = int(message["jobId"])
    found = [event for event in events if event.name is EventName.CLAIMED and event.onchain_id == wanted]
    return found[-1] if found else None
