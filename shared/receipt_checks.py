"""Own the checks that anybody can make of a receipt without asking the node: is it signed, does it add up; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import DecimalException
from typing import Any

from shared import fees, typed_data
from shared.errors import C2DError, InvalidRequest
from shared.receipts import EVIDENCE, TYPES, VERSION, domain_of, hash_of
from shared.signatures import is_same_address


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at, and whether it is as it should be."""

    what: str
    is_good: bool
    found: str


def check(document: Mapping[str, Any]) -> list[Finding]:
    """Look at everything the document itself can tell. Raises: InvalidRequest for what is no receipt."""
    try:
        return list(_findings(document))
    except InvalidRequest:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, DecimalException) as error:
        raise InvalidRequest(f"this is no receipt of version {VERSION}: {type(error).__name__} {error}") from error


def digest_of(document: Mapping[str, Any]) -> bytes:
    """Hash what the receipt says, by the types it must have, whatever types it names. Raises: InvalidRequest."""
    domain = document["domain"]
    expected = domain_of(int(domain["chainId"]), str(domain["verifyingContract"]))
    if dict(domain) != expected:
        raise InvalidRequest("the receipt's domain is not that of a c2d receipt")
    return typed_data.digest(expected, TYPES, "Receipt", document["message"])


def proof_of(document: Mapping[str, Any]) -> bytes:
    """What must stand beside the claim on the chain: version, digest, signature."""
    return bytes([VERSION]) + digest_of(document) + bytes.fromhex(str(document["signature"]).removeprefix("0x"))


def _findings(document: Mapping[str, Any]) -> Iterator[Finding]:
    if document["version"] != VERSION:
        raise InvalidRequest(f"a receipt of version {document['version']} cannot be checked, only version {VERSION}")
    message, decimals = document["message"], int(document["token"]["decimals"])
    yield _signature(document)
    jobs, evidence = message["jobs"], document["evidence"]
    if [each["jobId"] for each in evidence] != [job["jobId"] for job in jobs]:
        raise InvalidRequest("the evidence is not that of the receipt's jobs")
    for job, beside in zip(jobs, evidence, strict=True):
        yield from _job(job, beside, decimals)
    yield _amounts(message)


def _signature(document: Mapping[str, Any]) -> Finding:
    payee = str(document["message"]["payee"])
    try:
        signer = typed_data.signer(digest_of(document), bytes.fromhex(str(document["signature"]).removeprefix("0x")))
    except InvalidRequest:
        raise
    except (C2DError, ValueError) as error:
        return Finding("signature", False, str(error))
    is_good = is_same_address(signer, payee)
    return Finding("signature", is_good, f"signed by {signer}" + ("" if is_good else f", who is not the payee {payee}"))


def _job(job: Mapping[str, Any], beside: Mapping[str, Any], decimals: int) -> Iterator[Finding]:
    """One job: what lies beside the message is what was hashed, and the amount follows from seconds and price."""
    name = f"job {job['index']}"
    altered = [what for what, field in EVIDENCE.items() if hash_of(beside[what]) != job[field]]
    lists = ", ".join(EVIDENCE)
    yield Finding(f"{name}: lists", not altered, f"{', '.join(altered)} altered" if altered else f"{lists} as signed")
    (price,) = fees.prices_of({"jobs": [beside["price"]]})
    billed_s, amount = int(job["billedSeconds"]), int(job["amount"])
    cost = price.wei(billed_s, decimals) if billed_s else 0
    is_granted = billed_s == 0 or billed_s <= max(price.most_s, price.least_s)
    words = f"{billed_s} s of at most {price.most_s} s make {cost}"
    yield Finding(f"{name}: cost", cost == amount and is_granted, words if cost == amount else f"{words}, not {amount}")


def _amounts(message: Mapping[str, Any]) -> Finding:
    """The claim is the jobs' sum, or the least the contract lets be claimed; never more than was locked."""
    total = sum(int(job["amount"]) for job in message["jobs"])
    amount, least, most = (int(message[name]) for name in ("amount", "leastAmount", "lockAmount"))
    if amount > most:
        return Finding("claim", False, f"{amount} is more than the {most} that were locked")
    if amount == min(total, most):
        return Finding("claim", True, f"{amount} of {most} locked")
    if total < amount == least:
        return Finding("claim", True, f"{amount}, the least that this contract lets be claimed, of {most} locked")
    return Finding("claim", False, f"{amount}, but the jobs make {total}")
