"""Receipts for tests, with everything a receipt can say."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from shared.addresses import address_of
from shared.fees import JobPrice, Line
from shared.names import Address
from shared.receipts import JobFacts, Terms

NODE_KEY, PAYER_KEY = b"\x22" * 32, b"\x11" * 32
ESCROW, TOKEN = Address("0x" + "e5" * 20), Address("0x" + "7a" * 20)
PRICE = JobPrice(0, "0x1f-0x7a", (Line("cpu", 1500, Decimal("0.02")), Line("ram", 2000, Decimal("0.001"))), 60, 600)


def terms(**fields: Any) -> Terms:
    """What a payment is about."""
    known = {
        "chain_id": 8996,
        "escrow": ESCROW,
        "workflow_id": "ab" * 32,
        "onchain_id": 2**255 + 7,
        "payer": address_of(PAYER_KEY).lower(),
        "payee": address_of(NODE_KEY).lower(),
        "token": TOKEN,
        "symbol": "OCEAN",
        "decimals": 18,
        "lock_wei": 2 * PRICE.most_wei(18),
        "amount_wei": 2 * PRICE.wei(90, 18),
    }
    return Terms(**{**known, **fields})


def facts(index: int = 0, **fields: Any) -> JobFacts:
    """What became of a job that succeeded after a minute and a half."""
    known = {
        "job_id": f"{index:x}c" * 32,
        "index": index,
        "environment": "0x1f-0x7a",
        "image": "python:3.11-slim",
        "image_digest": "5e" * 32,
        "algorithm": {"files": [{"path": "transformations/algorithm", "size": 8, "sha256": "aa" * 32}]},
        "inputs": {"ordered": [], "files": [{"path": "inputs/größe.csv", "size": 9, "sha256": "bb" * 32}]},
        "outputs": [{"index": 0, "filename": "algorithm.log", "size": 3, "sha256": "cc" * 32}],
        "exit_code": 0,
        "outcome": "succeeded",
        "started_at_s": 1_769_000_000,
        "finished_at_s": 1_769_000_090,
        "billed_s": 90,
        "price": PRICE.to_document(),
        "cost_wei": PRICE.wei(90, 18),
    }
    return JobFacts(**{**known, **fields})
