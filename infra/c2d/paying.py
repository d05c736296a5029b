"""Own what a consumer is told before paying: the quote, what would be locked, and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.c2d.failures import Failure
from infra.c2d.money import Unit, unit_of
from infra.c2d.node_client import SERVICES, NodeClient
from infra.c2d.terminal import Screen, clean, span
from infra.c2d.verify_receipt import short

HEADS = ("job", "environment", "longest", "at most")


@dataclass(frozen=True)
class Quoted:
    """A node's quote for one workflow."""

    document: Mapping[str, Any]
    payment: Mapping[str, Any]
    unit: Unit
    amount_wei: int
    lock_s: int
    least_wei: int

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Quoted:
        """Read what initializeCompute answers (wire §6). Raises: Failure."""
        payment = document.get("payment")
        if not isinstance(payment, dict) or not {"amount", "minLockSeconds", "escrowAddress"} <= set(payment):
            raise Failure("the node answered without a quote")
        least = int(payment.get("leastClaim") or 0)
        amount, lock_s = int(payment["amount"]), int(payment["minLockSeconds"])
        return cls(document, payment, unit_of(payment), amount, lock_s, least)

    @property
    def price(self) -> str:
        """The most it can cost."""
        return self.unit.text(self.amount_wei)


def ask(client: NodeClient, body: Mapping[str, Any], payment: Mapping[str, Any]) -> Quoted:
    """Ask what the workflow can cost at most. Raises: Failure, Refused, Unreachable."""
    asked = {**body, "payment": dict(payment), "consumerAddress": client.address}
    return Quoted.from_document(client.post(f"{SERVICES}/initializeCompute", asked))


def chosen(client: NodeClient, chain_id: int | None, token: str | None) -> dict[str, Any]:
    """Choose chain and token among what the node's environments take; one that is alone need not be named."""
    environments = client.get(f"{SERVICES}/computeEnvironments")
    offered = {
        (int(chain), str(entry["feeToken"]))
        for environment in environments
        for chain, entries in (environment.get("fees") or {}).items()
        for entry in entries
    }
    left = [
        (chain, address)
        for chain, address in sorted(offered)
        if chain_id in (None, chain) and (token is None or token.lower() == address.lower())
    ]
    if len(left) == 1:
        return {"chainId": left[0][0], "token": left[0][1]}
    if not offered:
        raise Failure("nothing is sold on this node: it runs free jobs alone", "c2d submit FILE --follow")
    listed = ", ".join(clean(f"--chain {chain} --token {address}") for chain, address in left or sorted(offered))
    raise Failure("this node takes more than one way to pay" if left else "the node does not take that", listed)


def tell_quote(quoted: Quoted, screen: Screen) -> None:
    """Print what each job and the whole can cost at most, and how that is set aside."""
    unit = quoted.unit
    screen.table(HEADS, [job_row(job, unit) for job in quoted.document.get("jobs") or []])
    screen.say()
    screen.say(f"at most {quoted.price}; what is not used goes back to you")
    if not quoted.amount_wei:
        screen.say("nothing is locked for a price of 0")
        return
    screen.say(
        f"the node sets it aside for up to {span(quoted.lock_s)} in the escrow {clean(quoted.payment['escrowAddress'])}"
        f" on chain {quoted.payment['chainId']}"
    )
    if quoted.least_wei:
        least = unit.text(min(quoted.least_wei, quoted.amount_wei))
        screen.say(f"this contract takes a fee of its own: {least} at least is charged as soon as anything is,")
        screen.say("and where nothing is due, your tokens come back only when the lock has run out")


def job_row(job: Mapping[str, Any], unit: Unit) -> list[str]:
    """One job of a quote."""
    longest = span(float(job.get("maxJobDuration") or 0))
    return [str(job.get("index")), short(str(job.get("environment"))), longest, unit.text(int(job.get("amount") or 0))]
