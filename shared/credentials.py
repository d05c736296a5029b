"""Own what a call says of its caller: what may be looked at, what was found, and reading nonces and tokens."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from shared.db import nonces, pod_nonces, tokens
from shared.db.connection import session
from shared.errors import Unauthorized
from shared.escrow.words import Chain, Chains
from shared.names import Address, JobId
from shared.secrets import NodeKeys
from shared.signatures import is_same_address
from shared.tokens import parse_token

MOST_NONCE = 2**53 - 1
_NONCE = re.compile(r"[0-9]{1,16}", re.ASCII)
_NOT_SIGNED = Address("")
_NO_JOB = JobId("")


@dataclass(frozen=True)
class Asked:
    """What a policy may look at."""

    command: str
    fields: Mapping[str, Any]
    "Checked by the command's schema; empty where the headers must suffice."
    header: Callable[[str], str | None]
    digest: Callable[[], str]
    "What the stronger form binds: SHA-256 of the body or query as it was sent."
    node_address: str
    keys: NodeKeys
    now_ms: int
    chains: Chains = field(default_factory=dict)
    "Where contract wallets are asked whether a signature is theirs."

    def chain(self) -> Chain | None:
        """The chain the call names, else the first that is set; null where there is none."""
        payment = self.fields.get("payment")
        named = self.fields.get("chainId") or (payment.get("chainId") if isinstance(payment, dict) else None)
        if str(named).isdecimal() and int(str(named)) in self.chains:
            return self.chains[int(str(named))]
        return next((self.chains[chain_id] for chain_id in self.chains), None)


@dataclass(frozen=True)
class Signer:
    """Who made the call, and what that call uses up."""

    address: Address = _NOT_SIGNED
    "Lower case; empty = nobody has signed."
    nonce: int | None = None
    is_bound: bool = False
    "Signed in the stronger form: for this node and this body only."
    job_id: JobId = _NO_JOB
    pod_nonce: str = ""
    digest: str = ""
    "SHA-256 that the body must have; set for pods only."

    def check(self) -> None:
        """Refuse a nonce that was used before, without using it up. Raises: Unauthorized."""
        if self.nonce is None:
            return
        with session():
            if self.nonce <= nonces.last_used(self.address):
                raise Unauthorized(f"nonce: {self.nonce} is not a valid nonce")

    def spend(self) -> None:
        """Use up the nonce, if there is one. Raises: Unauthorized if it was used before."""
        if self.nonce is not None:
            nonces.spend(self.address, self.nonce)
        if self.pod_nonce:
            pod_nonces.spend(self.job_id, self.pod_nonce)


NOBODY = Signer()


class Policy(Protocol):
    """Say who signed, or raise Unauthorized."""

    @property
    def is_before_body(self) -> bool:
        """Whether the headers suffice, so that a stranger's body is never read."""
        ...

    def __call__(self, asked: Asked) -> Signer:
        """Return the signer. Raises: Unauthorized."""
        ...


def read_nonce(text: str) -> int:
    """Read a nonce; `007` is 7, as the field's node reads it. Raises: Unauthorized."""
    if not _NONCE.fullmatch(text) or int(text) > MOST_NONCE:
        raise Unauthorized(f"nonce: {text[:32]} is not a valid nonce")
    return int(text)


def token_address(asked: Asked, token: str, wanted: str) -> Address:
    """Return the address a good token speaks for. Raises: Unauthorized."""
    claims = parse_token(asked.keys.token, token)
    with session():
        is_valid = tokens.is_valid(token.removeprefix("Bearer ").strip(), asked.now_ms)
    if not is_valid:
        raise Unauthorized("Invalid token")
    if wanted and not is_same_address(claims.address, wanted):
        raise Unauthorized("Authenticated address does not match the requested address")
    return Address(claims.address.lower())
