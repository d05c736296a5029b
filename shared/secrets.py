"""Own what is kept secret: the keys derived from the node's key, and the sealing of values that lie in rows.

A sealed text is bound to its context (`job_key:<job id>`): moved to another row or column, it does not open.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

from Crypto.Cipher import AES

from shared.ecies import hkdf_sha256
from shared.errors import SettingsError

_VERSION, _NONCE, _TAG = b"\x01", 12, 16


@dataclass(frozen=True)
class NodeKeys:
    """The two keys that commands and passes need of the node's; neither gives the node's own key away."""

    at_rest: bytes = field(repr=False)
    token: bytes = field(repr=False)

    @classmethod
    def from_private_key(cls, private_key: bytes) -> NodeKeys:
        """Derive both from the node's key."""
        return cls(hkdf_sha256(private_key, b"c2d/at-rest"), hkdf_sha256(private_key, b"c2d/token"))

    @classmethod
    def of(cls, secrets_key: str | None, private_key: bytes | None) -> NodeKeys:
        """The keys for data at rest and tokens, whichever of the two settings gives them."""
        return cls.from_private_key(private_key or b"") if secrets_key is None else cls.from_secrets_key(secrets_key)

    @classmethod
    def from_secrets_key(cls, text: str) -> NodeKeys:
        """Read C2D_SECRETS_KEY: both keys, 64 bytes as 128 hex characters. Raises: SettingsError."""
        try:
            raw = bytes.fromhex(text.removeprefix("0x"))
        except ValueError:
            raw = b""
        if len(raw) != 64:
            raise SettingsError(
                "C2D_SECRETS_KEY must be 128 hex characters, as `NodeKeys.secrets_key` of the node's key gives them; "
                "example: C2D_SECRETS_KEY=6f1d… (128 characters)"
            )
        return cls(raw[:32], raw[32:])

    @property
    def secrets_key(self) -> str:
        """What to set as C2D_SECRETS_KEY where the node's own key should not be."""
        return (self.at_rest + self.token).hex()

    @property
    def box(self) -> SecretBox:
        """What seals the values that lie in rows."""
        return SecretBox(self.at_rest)


@dataclass(frozen=True)
class SecretBox:
    """Seals values with AES-256-GCM and a random nonce; the text is base64, fit for a text column."""

    key: bytes = field(repr=False)

    def seal(self, value: bytes, context: str) -> str:
        """Seal bytes for one place; sealing twice gives two texts."""
        cipher = AES.new(self.key, AES.MODE_GCM, nonce=secrets.token_bytes(_NONCE))
        cipher.update(_VERSION + context.encode())
        ciphertext, tag = cipher.encrypt_and_digest(value)
        return base64.b64encode(_VERSION + cipher.nonce + tag + ciphertext).decode()

    def open(self, sealed: str, context: str) -> bytes:
        """Give back what was sealed for this place. Raises: SettingsError if it does not open."""
        try:
            raw = base64.b64decode(sealed, validate=True)
            nonce, tag, ciphertext = raw[1 : 1 + _NONCE], raw[1 + _NONCE : 1 + _NONCE + _TAG], raw[1 + _NONCE + _TAG :]
            cipher = AES.new(self.key, AES.MODE_GCM, nonce=nonce)
            cipher.update(raw[:1] + context.encode())
            return cipher.decrypt_and_verify(ciphertext, tag)
        except (ValueError, binascii.Error) as error:
            raise SettingsError(
                "a stored secret does not open: this database was written with another node key "
                "(C2D_PRIVATE_KEY or C2D_SECRETS_KEY)"
            ) from error

    def seal_text(self, value: str, context: str) -> str:
        """Seal a text for one place."""
        return self.seal(value.encode(), context)

    def open_text(self, sealed: str, context: str) -> str:
        """Give back a text. Raises: SettingsError."""
        return self.open(sealed, context).decode()

    def seal_json(self, value: object, context: str) -> str:
        """Seal what JSON can say for one place."""
        return self.seal(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(), context)

    def open_json(self, sealed: str, context: str) -> Any:
        """Give back what JSON said. Raises: SettingsError."""
        return json.loads(self.open(sealed, context))
