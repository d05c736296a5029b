"""Secrets: derived keys, sealed values, ECIES as clients write it, and tokens."""

from __future__ import annotations

import base64
import json

import pytest

from shared import ecies, tokens
from shared.errors import InvalidRequest, SettingsError, Unauthorized
from shared.secrets import NodeKeys, SecretBox
from shared.signatures import public_key_of
from shared.tokens import TokenClaims

KEYS = NodeKeys.from_private_key(b"\x11" * 32)
RECEIVER = b"\x22" * 32
ECIES_VECTOR = bytes.fromhex(
    "04c746c94049057e991eeb02458af50f72606620ef30ac89fbcaf8c1382a1a66ccd3745e9b9464b5985d8fb4bc8396c6295a710e7b51601f1b"
    "732947b0c003d6d8803c2f87c31e09444ec9f9283ca1ccec9f9116c1857a35eee5ca2424e10a1d517bd27e9451e5d00583442bc931"
)
CLAIMS = TokenClaims("0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A", "7", 1769000000123)


def test_hkdf_gives_the_vector_of_its_standard() -> None:
    derived = ecies.hkdf_sha256(b"\x0b" * 22, b"", 42)  # RFC 5869, case 3
    assert derived.hex() == "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"


def test_the_vector_of_the_wire_decrypts() -> None:
    assert public_key_of(RECEIVER) == "02466d7fcae563e5cb09a0d1870bb580344804617879a14949cf22285f1bae3f27"
    assert ecies.decrypt(RECEIVER, ECIES_VECTOR) == b"hello-made-up"


@pytest.mark.parametrize("plaintext", [b"", b"x", b"y" * 100_000])
def test_what_is_encrypted_for_a_node_decrypts_there_alone(plaintext: bytes) -> None:
    message = ecies.encrypt(public_key_of(RECEIVER), plaintext)
    assert ecies.decrypt(RECEIVER, message) == plaintext
    with pytest.raises(InvalidRequest):
        ecies.decrypt(b"\x33" * 32, message)


@pytest.mark.parametrize("at", [0, 1, 64, 70, 90, 100])
def test_a_changed_byte_anywhere_is_refused(at: int) -> None:
    message = bytearray(ECIES_VECTOR)
    message[at] ^= 1
    with pytest.raises(InvalidRequest):
        ecies.decrypt(RECEIVER, bytes(message))


def test_a_short_message_and_a_false_public_key_are_refused() -> None:
    with pytest.raises(InvalidRequest):
        ecies.decrypt(RECEIVER, ECIES_VECTOR[:96])
    for key in ("", "zz", "02" + "ff" * 32, "05" * 33):
        with pytest.raises(InvalidRequest):
            ecies.encrypt(key, b"x")


def test_sealed_values_open_in_their_own_place_only() -> None:
    box = KEYS.box
    for value in ({"url": "https://u:p@host/é", "n": 2**70}, None, [1, "a"]):
        assert box.open_json(box.seal_json(value, "files:1"), "files:1") == value
    sealed = box.seal_text("é", "job_key:1")
    assert box.open_text(sealed, "job_key:1") == "é"
    assert sealed != box.seal_text("é", "job_key:1")
    for other, text, context in ((box, sealed, "job_key:2"), (SecretBox(KEYS.token), sealed, "job_key:1")):
        with pytest.raises(SettingsError):
            other.open(text, context)


@pytest.mark.parametrize("sealed", ["", "AAAA", "not base64!", "A" * 200])
def test_what_was_never_sealed_does_not_open(sealed: str) -> None:
    with pytest.raises(SettingsError):
        KEYS.box.open(sealed, "x")


def test_the_secrets_key_stands_in_for_the_nodes_key() -> None:
    assert len(KEYS.secrets_key) == 128
    assert NodeKeys.from_secrets_key(KEYS.secrets_key) == KEYS
    assert KEYS.at_rest != KEYS.token
    for text in ("", "00", "zz" * 64, KEYS.secrets_key + "00"):
        with pytest.raises(SettingsError, match="C2D_SECRETS_KEY"):
            NodeKeys.from_secrets_key(text)


def test_keys_do_not_show_themselves() -> None:
    shown = repr(KEYS) + repr(KEYS.box) + str(KEYS)
    assert KEYS.at_rest.hex() not in shown
    assert repr(KEYS.at_rest) not in shown
    assert repr(KEYS.token) not in shown


def test_a_token_says_what_was_put_in_and_clients_can_read_its_address() -> None:
    token = tokens.make_token(KEYS.token, CLAIMS)
    assert tokens.parse_token(KEYS.token, token) == CLAIMS
    assert tokens.parse_token(KEYS.token, f"Bearer {token}") == CLAIMS
    payload = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert payload == {"address": CLAIMS.address, "nonce": "7", "createdAt": 1769000000123, "iat": 1769000000}


def _token_with(header: object, payload: object, key: bytes) -> str:
    signed = f"{tokens._pack(header)}.{tokens._pack(payload)}"  # type: ignore[arg-type]
    return f"{signed}.{tokens._mac(key, signed)}"


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a.b.c",
        "é.é.é",
        tokens.make_token(KEYS.at_rest, CLAIMS),
        tokens.make_token(KEYS.token, CLAIMS) + "A",
        tokens.make_token(KEYS.token, CLAIMS).rpartition(".")[0] + ".",
        _token_with({"alg": "none"}, {"address": "0x", "nonce": "1", "createdAt": 1}, KEYS.token),
        _token_with({"alg": "HS256"}, {"address": "0x"}, KEYS.token),
        _token_with([], {}, KEYS.token),
    ],
)
def test_any_other_token_is_unauthorized(token: str) -> None:
    with pytest.raises(Unauthorized, match="Invalid token"):
        tokens.parse_token(KEYS.token, token)
