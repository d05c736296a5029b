"""Own how money is shown outside: a job's payment (wire §18.1), and a quote (§6). Amounts are text, in wei."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from shared import assets, fees
from shared.addresses import checksum
from shared.db.payment_views import Paid
from shared.fees import JobPrice
from shared.payment_states import PaymentState
from shared.placement import from_milli
from shared.quotes import Quote
from shared.workflow import Workflow

CLAIMED = frozenset({PaymentState.SETTLED, PaymentState.REFUNDED})


def payment_view(paid: Paid | None) -> dict[str, Any] | None:
    """Show the payment of a job's workflow; null for what is free."""
    if paid is None:
        return None
    row = paid.payment
    claimed = (row.claim_amount or 0) if row.state in CLAIMED else 0
    return {
        "chainId": row.chain_id,
        "token": checksum(row.token),
        "symbol": row.symbol,
        "decimals": row.decimals,
        "lockTx": row.lock_tx or None,
        "lockTxs": list(paid.lock_txs),
        "claimTx": row.claim_tx,
        "cancelTx": row.cancel_tx,
        "cost": tokens(claimed, row.decimals),
        "state": row.state,
        "outcome": row.outcome,
        "amount": str(row.lock_amount),
        "due": None if row.claim_amount is None else str(row.claim_amount),
        "claimed": str(claimed),
        "escrowAddress": checksum(row.escrow),
        "payee": checksum(row.payee),
        "onchainId": row.onchain_id,
        "expiresAt": row.expires_at_s,
    }


def priced(resources: Sequence[Mapping[str, Any]], job_id: str, paid: Paid | None) -> list[dict[str, Any]]:
    """Show what a job holds, with the price of each where something is paid."""
    if paid is None:
        return [dict(each) for each in resources]
    found = next((price for price in fees.prices_of(paid.payment.price) if price.job_id == job_id), None)
    prices = {} if found is None else {line.resource_id: number(line.price) for line in found.lines}
    return [{**each, "price": prices.get(str(each["id"]), 0)} for each in resources]


def quote_view(quote: Quote, asked: Workflow, payee: str) -> dict[str, Any]:
    """Show a quote; one entry for each input, in the order they were sent."""
    decimals = quote.token.decimals
    inputs = [assets.order_view(each.did) for job in asked.jobs for each in job.inputs if each.from_job is None]
    return {
        "algorithm": assets.order_view(asked.jobs[0].algorithm.did),
        "datasets": inputs,
        "jobs": [_job_view(price, decimals) for price in quote.prices],
        "payment": {
            "escrowAddress": checksum(quote.config.escrow),
            "payee": checksum(payee),
            "chainId": quote.config.chain_id,
            "minLockSeconds": quote.lock_s,
            "token": checksum(quote.token.address),
            "amount": str(quote.amount_wei),
            "symbol": quote.token.symbol,
            "decimals": decimals,
            "kind": str(quote.config.kind),
            "leastClaim": str(quote.least_wei),
        },
    }


def tokens(amount_wei: int, decimals: int) -> int | float:
    """Whole tokens, as clients show them."""
    return number(Decimal(amount_wei).scaleb(-decimals))


def number(value: Decimal) -> int | float:
    """A JSON number: whole where it is."""
    return int(value) if value == value.to_integral_value() else float(value)


def _job_view(price: JobPrice, decimals: int) -> dict[str, Any]:
    return {
        "index": price.index,
        "environment": price.environment_id,
        "maxJobDuration": price.most_s,
        "minJobDuration": price.least_s,
        "amount": str(price.most_wei(decimals)),
        "resources": [
            {"id": line.resource_id, "amount": from_milli(line.amount_milli), "price": number(line.price)}
            for line in price.lines
        ],
    }
