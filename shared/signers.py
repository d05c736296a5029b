"""Own who may make a call: the policies a command chooses from. They decide on facts, never on a framework's request.

A policy only verifies. What it found is spent (`Signer.spend`) once, together with the command's own writes where it
has any, so that a nonce is used exactly when something was decided under it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from shared.db import job_views, nonces, pod_nonces, tokens
from shared.errors import Unauthorized
from shared.names import Address, JobId
from shared.secrets import NodeKeys
from shared.signatures import is_same_address, verify_bound, verify_command, verify_pod
from shared.tokens import parse_token

MOST_NONCE = 2**53 - 1
NO_CREDENTIALS = (
    "Invalid authentication, you need to provide either a token or an address, signature, message and nonce"
)
NO_POD = "The call is not signed with the key of an unfinished job."
_NOT_SIGNED = Address("")
_NO_JOB = JobId("")
_NONCE = re.compile(r"[0-9]{1,16}", re.ASCII)
_HEX64 = re.compile(r"[0-9a-f]{64}")
_HEX32 = re.compile(r"[0-9a-f]{32}")


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


@dataclass(frozen=True)
class Anyone:
    """No signature needed, none looked at."""

    is_before_body: bool = False

    def __call__(self, asked: Asked) -> Signer:
        """Return nobody."""
        return NOBODY


@dataclass(frozen=True)
class Consumer:
    """A wallet's signature over the command, or a token of the same address (wire contract §2)."""

    texts: tuple[str, ...]
    "The command strings that may have been signed."
    address_field: str = "consumerAddress"
    takes_token: bool = True
    is_before_body: bool = False

    def __call__(self, asked: Asked) -> Signer:
        """Check the signature if there is one, which is final; else the token. Raises: Unauthorized."""
        address, nonce, signature = (asked.fields.get(name) for name in (self.address_field, "nonce", "signature"))
        if address and signature and nonce is not None:
            return self._signed(asked, str(address), str(nonce), str(signature))
        token = asked.fields.get("authorization") or asked.header("authorization")
        if not token or not self.takes_token:
            raise Unauthorized(NO_CREDENTIALS)
        return Signer(_token_address(asked, str(token), str(address or "")))

    def _signed(self, asked: Asked, address: str, nonce: str, signature: str) -> Signer:
        number = _nonce(nonce)
        who = Address(address.lower())
        failure: Unauthorized | None = None
        for text in self.texts:
            try:
                verify_command(address, number, text, signature)
                return Signer(who, number)
            except Unauthorized as error:
                failure = error
        try:
            verify_bound(address, number, self.texts[0], asked.node_address, asked.digest(), signature)
        except Unauthorized:
            raise failure or Unauthorized(NO_CREDENTIALS) from None
        return Signer(who, number, is_bound=True)


@dataclass(frozen=True)
class Open:
    """Anyone may call; who signs, or shows a good token, sees more. A token out of date counts as none."""

    consumer: Consumer
    is_before_body: bool = False

    def __call__(self, asked: Asked) -> Signer:
        """Return the consumer, or nobody. Raises: Unauthorized for a wrong signature."""
        if asked.fields.get("signature"):
            return self.consumer(asked)
        token = asked.fields.get("authorization") or asked.header("authorization")
        if not token:
            return NOBODY
        try:
            return Signer(_token_address(asked, str(token), ""))
        except Unauthorized:
            return NOBODY


@dataclass(frozen=True)
class JobKey:
    """The key made for one job, which its pods hold; checked on headers before a byte of the body is read."""

    is_before_body: bool = True

    def __call__(self, asked: Asked) -> Signer:
        """Return the job the pod speaks for. Raises: Unauthorized."""
        job_id, nonce, digest = (str(asked.header(f"x-c2d-{name}") or "") for name in ("job", "nonce", "digest"))
        if not (_HEX64.fullmatch(job_id) and _HEX32.fullmatch(nonce) and _HEX64.fullmatch(digest)):
            raise Unauthorized("The headers X-C2D-Job, X-C2D-Nonce and X-C2D-Digest must be lower-case hex.")
        address = job_views.key_address(JobId(job_id))
        if address is None:
            raise Unauthorized(NO_POD)
        signature = str(asked.header("x-c2d-signature") or "")
        verify_pod(address, asked.command, job_id, asked.node_address, nonce, digest, signature)
        return Signer(job_id=JobId(job_id), pod_nonce=nonce, digest=digest)


def consumer(*texts: str, address_field: str = "consumerAddress", takes_token: bool = True) -> Consumer:
    """Ask for the consumer's signature over one of the texts, or a token."""
    return Consumer(texts, address_field, takes_token)


def opened(*texts: str) -> Open:
    """Let anyone call, and recognise a consumer who says who they are."""
    return Open(Consumer(texts))


anyone = Anyone()
job_key = JobKey()


def _nonce(text: str) -> int:
    """Read a nonce; `007` is 7, as the field's node reads it. Raises: Unauthorized."""
    if not _NONCE.fullmatch(text) or int(text) > MOST_NONCE:
        raise Unauthorized(f"nonce: {text[:32]} is not a valid nonce")
    return int(text)


def _token_address(asked: Asked, token: str, wanted: str) -> Address:
    """Return the address a good token speaks for. Raises: Unauthorized."""
    claims = parse_token(asked.keys.token, token)
    if not tokens.is_valid(token.removeprefix("Bearer ").strip(), asked.now_ms):
        raise Unauthorized("Invalid token")
    if wanted and not is_same_address(claims.address, wanted):
        raise Unauthorized("Authenticated address does not match the requested address")
    return Address(claims.address.lower())
