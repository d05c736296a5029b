"""Own the receipt of a paid workflow: what the node states and signs, and the proof that goes with the claim; pure.

A receipt is an EIP-712 message of the escrow's domain, so that any wallet library can check it. Its lists are hashed as
canonical JSON; the lists themselves lie beside it as evidence. Times are Unix seconds, amounts decimal text.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared import typed_data
from shared.addresses import checksum
from shared.errors import InvalidRequest
from shared.names import Address

FILENAME = "receipt.json"
VERSION = 1
PROOF_BYTES = 1 + 32 + 65
NO_EXIT_CODE = -1
"The algorithm never ended by itself."
NO_DIGEST = "0x" + "00" * 32

TYPES: dict[str, dict[str, str]] = {
    "Receipt": {
        "workflowId": "string",
        "jobId": "uint256",
        "payer": "address",
        "payee": "address",
        "token": "address",
        "lockAmount": "uint256",
        "leastAmount": "uint256",
        "amount": "uint256",
        "jobs": "JobReceipt[]",
    },
    "JobReceipt": {
        "jobId": "string",
        "index": "uint256",
        "environment": "string",
        "image": "string",
        "imageDigest": "bytes32",
        "algorithmHash": "bytes32",
        "inputsHash": "bytes32",
        "outputsHash": "bytes32",
        "exitCode": "int256",
        "outcome": "string",
        "startedAt": "uint256",
        "finishedAt": "uint256",
        "billedSeconds": "uint256",
        "priceHash": "bytes32",
        "amount": "uint256",
    },
}
"`jobId` of the receipt is the lock's id on chain; `leastAmount` is what the contract lets be claimed at the least."
EVIDENCE = {"algorithm": "algorithmHash", "inputs": "inputsHash", "outputs": "outputsHash", "price": "priceHash"}
"Per job: what lies beside the message, and the field that has its hash."


@dataclass(frozen=True)
class Terms:
    """What the whole payment is about."""

    chain_id: int
    escrow: Address
    workflow_id: str
    onchain_id: int
    payer: Address
    payee: Address
    token: Address
    symbol: str
    decimals: int
    lock_wei: int
    amount_wei: int
    "What is claimed."
    least_wei: int = 0


@dataclass(frozen=True)
class JobFacts:
    """What became of one job; the mappings and lists hold neither floats nor secrets."""

    job_id: str
    index: int
    environment: str
    image: str
    "As it was ordered, with tag or digest; empty where one was built."
    image_digest: str
    "64 hex of what ran; empty where the engine does not tell."
    algorithm: Mapping[str, Any]
    inputs: Mapping[str, Any]
    outputs: Sequence[Mapping[str, Any]]
    "{index, filename, size, sha256} of each result, in the wire's order."
    exit_code: int | None
    outcome: str
    "`succeeded`, or why it did not."
    started_at_s: int
    "When the algorithm started; 0 = never."
    finished_at_s: int
    billed_s: int
    "Whole seconds, rounded up."
    price: Mapping[str, Any]
    cost_wei: int


@dataclass(frozen=True)
class Receipt:
    """A receipt, its hash, and what goes on chain with the claim."""

    document: dict[str, Any]
    digest: bytes
    proof: bytes = field(repr=False)


def make_receipt(terms: Terms, jobs: Sequence[JobFacts], private_key: bytes) -> Receipt:
    """State what was done and what it costs, signed by the payee. Raises: InvalidRequest (a fact that has no form)."""
    evidence = [_evidence(job) for job in jobs]
    message = {
        "workflowId": terms.workflow_id,
        "jobId": str(terms.onchain_id),
        "payer": checksum(terms.payer),
        "payee": checksum(terms.payee),
        "token": checksum(terms.token),
        "lockAmount": str(terms.lock_wei),
        "leastAmount": str(terms.least_wei),
        "amount": str(terms.amount_wei),
        "jobs": [_job_message(job, beside) for job, beside in zip(jobs, evidence, strict=True)],
    }
    domain = domain_of(terms.chain_id, terms.escrow)
    digest = typed_data.digest(domain, TYPES, "Receipt", message)
    signature = typed_data.sign(private_key, digest)
    document = {
        "version": VERSION,
        "domain": domain,
        "primaryType": "Receipt",
        "types": {
            name: [{"name": key, "type": kind} for key, kind in fields.items()] for name, fields in TYPES.items()
        },
        "message": message,
        "digest": "0x" + digest.hex(),
        "signature": "0x" + signature.hex(),
        "token": {"symbol": terms.symbol, "decimals": terms.decimals},
        "evidence": evidence,
    }
    return Receipt(document, digest, bytes([VERSION]) + digest + signature)


def domain_of(chain_id: int, escrow: str) -> dict[str, Any]:
    """The domain: a receipt for one contract is none for another."""
    return {"name": "c2d receipt", "version": str(VERSION), "chainId": chain_id, "verifyingContract": checksum(escrow)}


def hash_of(value: object) -> str:
    """SHA-256 of canonical JSON (keys sorted, no blanks, UTF-8), as 0x and hex. Raises: InvalidRequest for a float."""
    _refuse_floats(value)
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "0x" + hashlib.sha256(text.encode()).hexdigest()


def _evidence(job: JobFacts) -> dict[str, Any]:
    """What is hashed; inputs with a salt, so that the chain gives away nothing of private data."""
    return {
        "jobId": job.job_id,
        "algorithm": dict(job.algorithm),
        "inputs": {"salt": secrets.token_hex(16), **job.inputs},
        "outputs": [dict(output) for output in job.outputs],
        "price": dict(job.price),
    }


def _job_message(job: JobFacts, evidence: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "jobId": job.job_id,
        "index": job.index,
        "environment": job.environment,
        "image": job.image,
        "imageDigest": "0x" + job.image_digest if job.image_digest else NO_DIGEST,
        **{name: hash_of(evidence[what]) for what, name in EVIDENCE.items()},
        "exitCode": NO_EXIT_CODE if job.exit_code is None else job.exit_code,
        "outcome": job.outcome,
        "startedAt": job.started_at_s,
        "finishedAt": job.finished_at_s,
        "billedSeconds": job.billed_s,
        "amount": str(job.cost_wei),
    }


def _refuse_floats(value: object) -> None:
    """Floats are written differently elsewhere, and would hash to something else."""
    if isinstance(value, float):
        raise InvalidRequest("a receipt holds no floats")
    members: Any = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    for member in members:
        _refuse_floats(member)
