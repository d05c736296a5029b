"""Own the auth token's text: a JWT signed with HS256, whose address clients read without checking it; pure.

Whether a token is still good (24 hours, invalidated) is for the rows to say.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from dataclasses import dataclass
from typing import Any

from shared.errors import Unauthorized


@dataclass(frozen=True)
class TokenClaims:
    """What a token says."""

    address: str
    "Whom it lets act, as they wrote it."
    nonce: str
    created_at_ms: int


def make_token(key: bytes, claims: TokenClaims) -> str:
    """Write a token; the same claims give the same text."""
    payload = {
        "address": claims.address,
        "nonce": claims.nonce,
        "createdAt": claims.created_at_ms,
        "iat": claims.created_at_ms // 1000,
    }
    signed = f"{_pack({'alg': 'HS256', 'typ': 'JWT'})}.{_pack(payload)}"
    return f"{signed}.{_mac(key, signed)}"


def parse_token(key: bytes, token: str) -> TokenClaims:
    """Read a token of ours, with or without `Bearer `. Raises: Unauthorized for anything else."""
    signed, dot, mac = token.removeprefix("Bearer ").strip().rpartition(".")
    if not dot or not token.isascii() or not hmac.compare_digest(mac, _mac(key, signed)):
        raise Unauthorized("Invalid token")
    try:
        header, payload = (_unpack(part) for part in signed.split("."))
        if header.get("alg") != "HS256":
            raise Unauthorized("Invalid token")
        return TokenClaims(str(payload["address"]), str(payload["nonce"]), int(payload["createdAt"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unauthorized("Invalid token") from error


def _mac(key: bytes, signed: str) -> str:
    return _base64url(hmac.digest(key, signed.encode(), "sha256"))


def _pack(value: dict[str, object]) -> str:
    return _base64url(json.dumps(value, separators=(",", ":")).encode())


def _unpack(part: str) -> Any:
    try:
        return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError("not base64url") from error


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
