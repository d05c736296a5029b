"""Own who may make a call: the policies a command chooses from. They decide on facts, never on a framework's request.

A policy only verifies. What it found is spent (`Signer.spend`) once, together with the command's own writes where it
has any, so that a nonce is used exactly when something was decided under it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from shared.consumer_signatures import signed_by
from shared.credentials import NOBODY, Asked, Signer, token_address
from shared.db import job_views
from shared.errors import Unauthorized
from shared.names import JobId
from shared.signatures import verify_pod

NO_CREDENTIALS = (
    "Invalid authentication, you need to provide either a token or an address, signature, message and nonce"
)
NO_POD = "The call is not signed with the key of an unfinished job."
_HEX64 = re.compile(r"[0-9a-f]{64}")
_HEX32 = re.compile(r"[0-9a-f]{32}")


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
            return signed_by(asked, self.texts, str(address), str(nonce), str(signature))
        token = asked.fields.get("authorization") or asked.header("authorization")
        if not token or not self.takes_token:
            raise Unauthorized(NO_CREDENTIALS)
        return Signer(token_address(asked, str(token), str(address or "")))


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
            return Signer(token_address(asked, str(token), ""))
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
