"""Own asking chains who holds the tokens of environments' access lists; only where nothing else lets somebody in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from shared.db import environments
from shared.db.connection import session
from shared.escrow.words import Chains
from shared.names import Address
from shared.placement import NOTHING_HELD, Held, gates, may_use
from shared.workflow import Workflow


def held_now(chains: Chains, workflow: Workflow, owner: Address, now_ms: int, *, is_free: bool) -> Held:
    """The same among what is offered now; a node without chains looks at nothing. Raises: Unavailable."""
    if not chains:
        return NOTHING_HELD
    with session():
        documents = [offer.document for offer in environments.offers(now_ms)]
    return held(chains, documents, workflow, owner, is_free=is_free)


def held(
    chains: Chains, documents: Iterable[Mapping[str, Any]], workflow: Workflow, owner: Address, *, is_free: bool
) -> Held:
    """Find the contracts of which the owner holds a token, among those that could let a job of the workflow in.

    Lists on chains that this node does not know let nobody in. Raises: Unavailable.
    """
    offered = list(documents)
    asked = frozenset(
        each
        for job in workflow.jobs
        for document in offered
        if job.environment_id in (None, document["id"]) and not may_use(document, owner, is_free)
        for each in gates(document, is_free)
    )
    return frozenset(
        (chain_id, contract)
        for chain_id, contract in sorted(asked)
        if chain_id in chains and chains[chain_id].holds(Address(contract), owner)
    )
