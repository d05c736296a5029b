"""Own quotes: where each job of a paid workflow will run, what it can cost at most, how long the lock must last.

The same request has the same quote at initializeCompute and at startCompute, where it is what is locked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from shared import eligibility, fees
from shared.errors import InvalidRequest, NotAvailable
from shared.escrow.words import Chain, ChainConfig, Chains, Token
from shared.fees import JobPrice, Line
from shared.names import Address
from shared.placement import Held, complete, duration
from shared.workflow import JobRequest, Workflow

Document = Mapping[str, Any]


@dataclass(frozen=True)
class Means:
    """What a workflow is paid with."""

    chain: Chain
    token: Token
    least_wei: int
    "What the contract's own fee takes of a claim at least."


@dataclass(frozen=True)
class Quote:
    """What a workflow can cost at most."""

    workflow: Workflow
    "Every job has its environment."
    config: ChainConfig
    token: Token
    prices: tuple[JobPrice, ...]
    "In the order of the jobs."
    lock_s: int
    least_wei: int

    @property
    def amount_wei(self) -> int:
        """What is locked: the sum of what each job can cost."""
        return sum(price.most_wei(self.token.decimals) for price in self.prices)


def means(chains: Chains, payment: Mapping[str, Any]) -> Means:
    """Look up what is to be paid with. Raises: NotAvailable, InvalidRequest, Unavailable, Reverted."""
    if not chains:
        raise NotAvailable("This node takes no payments: no chain is set. Free jobs are started by freeStartCompute.")
    chain_id = int(payment["chainId"])
    if chain_id not in chains:
        raise InvalidRequest(f"Cannot handle payments on chainId: {chain_id}", path="payment.chainId")
    chain, token = chains[chain_id], Address(str(payment["token"]).lower())
    return Means(chain, chain.token(token), chain.least_fee_wei(token))


def check_sold(environments: Sequence[Document], payment: Mapping[str, Any]) -> None:
    """Refuse a token that no environment takes, before any chain is asked. Raises: InvalidRequest."""
    chain_id, token = int(payment["chainId"]), str(payment["token"]).lower()
    if not any(prices_in(each, chain_id, token) is not None for each in environments):
        raise _not_sold(chain_id, token)


def quote(workflow: Workflow, environments: Sequence[Document], owner: Address, held: Held, means: Means) -> Quote:
    """Price a workflow. Raises: InvalidRequest, Forbidden, NotFound, with the path of the job."""
    priced = [_cheapest(workflow, place, environments, owner, held, means) for place in range(len(workflow.jobs))]
    jobs = [replace(job, environment_id=each.environment_id) for job, each in zip(workflow.jobs, priced, strict=True)]
    config = means.chain.config
    lasting_s = fees.lock_s(workflow.queue_max_wait_s, [each.most_s for each in priced], config.claim_window_s)
    placed = replace(workflow, jobs=tuple(jobs))
    return Quote(placed, config, means.token, tuple(priced), lasting_s, means.least_wei)


def prices_in(environment: Document, chain_id: int, token: str) -> dict[str, Decimal] | None:
    """An environment's prices (tokens for a unit and minute) by resource; null where it does not take the token."""
    for entry in (environment.get("fees") or {}).get(str(chain_id)) or []:
        if str(entry["feeToken"]).lower() == token:
            return {str(each["id"]): Decimal(str(each["price"])) for each in entry["prices"]}
    return None


def _cheapest(
    workflow: Workflow, place: int, environments: Sequence[Document], owner: Address, held: Held, means: Means
) -> JobPrice:
    """The price where the job costs least; of equal ones the operator's first."""
    found = eligibility.of_place(workflow, place, environments, owner, is_free=False, held=held)
    chain_id, token = means.chain.config.chain_id, means.token
    priced = [
        _price(workflow.jobs[place], each, prices)
        for each in found
        if (prices := prices_in(each, chain_id, token.address)) is not None
    ]
    if not priced:
        raise _not_sold(chain_id, token.address)
    return min(priced, key=lambda price: price.most_wei(token.decimals))


def _price(job: JobRequest, environment: Document, prices: Mapping[str, Decimal]) -> JobPrice:
    """What the job costs in an environment, by what it will hold there."""
    amounts = complete(environment, job.wanted, is_free=False)
    lines = (Line(key, amount, prices.get(key, Decimal())) for key, amount in amounts.items())
    return JobPrice(
        index=job.index,
        environment_id=str(environment["id"]),
        lines=tuple(lines),
        least_s=int(environment.get("minJobDuration") or 0),
        most_s=duration(environment, job.max_duration_s, is_free=False),
    )


def _not_sold(chain_id: int, token: str) -> InvalidRequest:
    return InvalidRequest(
        f"This compute env does not accept payments on chain: {chain_id} using token {token}", path="payment"
    )
