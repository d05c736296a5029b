"""Own EIP-712: how a wallet hashes a structure of named and typed fields, and who signed it; pure.

Types are `{"Receipt": {"payer": "address", "jobs": "Job[]"}, "Job": {…}}`, a type's fields in their order.
Values are those of JSON: integers (as text too), booleans, text, and hex with 0x for addresses and bytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from shared import curve
from shared.addresses import address_of_point, keccak256
from shared.errors import InvalidRequest, Unauthorized
from shared.personal_sign import parse

Types = Mapping[str, Mapping[str, str]]
"Name of a structure → name of a field → its type."

DOMAIN_FIELDS = {
    "name": "string",
    "version": "string",
    "chainId": "uint256",
    "verifyingContract": "address",
    "salt": "bytes32",
}
"What a domain may have, in the standard's order."
_ARRAY = re.compile(r"(?P<of>.+)\[(?P<count>[0-9]*)\]")
_INTEGER = re.compile(r"(?P<sign>u?)int(?P<bits>[0-9]+)")
_BYTES = re.compile(r"bytes(?P<count>[0-9]+)")
_HEX = re.compile(r"0x(?:[0-9a-fA-F]{2})*")


def digest(domain: Mapping[str, Any], types: Types, primary: str, message: Mapping[str, Any]) -> bytes:
    """Hash a message of the primary type for a domain: the 32 bytes that are signed. Raises: InvalidRequest."""
    unknown = set(domain) - set(DOMAIN_FIELDS)
    if unknown:
        raise InvalidRequest(f"a domain has no field {min(unknown)}")
    of_domain = {"EIP712Domain": {name: kind for name, kind in DOMAIN_FIELDS.items() if name in domain}}
    separator = hash_struct("EIP712Domain", of_domain, domain)
    return keccak256(b"\x19\x01" + separator + hash_struct(primary, types, message))


def sign(private_key: bytes, hashed: bytes) -> bytes:
    """Sign a digest: 65 bytes r, s, v with v of 27 or 28."""
    signature = curve.sign_digest(private_key, hashed)
    return signature[:64] + bytes([signature[64] + 27])


def signer(hashed: bytes, signature: bytes) -> str:
    """Find the checksummed address that signed a digest. Raises: Unauthorized."""
    raw = parse("0x" + signature.hex())
    try:
        return address_of_point(curve.recover_point(hashed, raw))
    except ValueError as error:
        raise Unauthorized("the signature is not valid") from error


def hash_struct(name: str, types: Types, value: Mapping[str, Any]) -> bytes:
    """Hash one structure; it must have exactly the fields of its type. Raises: InvalidRequest."""
    fields = types[name]
    if not isinstance(value, Mapping) or set(value) != set(fields):
        raise InvalidRequest(f"a {name} has the fields {', '.join(fields)}, and no others")
    encoded = [_encode(kind, types, value[field], f"{name}.{field}") for field, kind in fields.items()]
    return keccak256(keccak256(encode_type(name, types).encode()) + b"".join(encoded))


def encode_type(name: str, types: Types) -> str:
    """Write a type as the standard does: itself, then all it refers to in the order of their names."""
    return "".join(
        f"{each}({','.join(f'{kind} {field}' for field, kind in types[each].items())})"
        for each in (name, *sorted(_referred(name, types) - {name}))
    )


def _referred(name: str, types: Types, seen: frozenset[str] = frozenset()) -> frozenset[str]:
    """All structures that one leads to, itself among them."""
    if name not in types or name in seen:
        return seen
    found = seen | {name}
    for kind in types[name].values():
        found = _referred(kind.partition("[")[0], types, found)
    return found


def _encode(kind: str, types: Types, value: Any, place: str) -> bytes:
    """Encode one value into 32 bytes; what has no fixed length is hashed."""
    array = _ARRAY.fullmatch(kind)
    if array:
        return _array(array, types, value, place)
    if kind in types:
        return hash_struct(kind, types, value)
    if kind == "string" and isinstance(value, str):
        return keccak256(_utf8(value, place))
    if kind == "bool" and isinstance(value, bool):
        return int(value).to_bytes(32)
    if kind == "bytes":
        return keccak256(_raw(value, place))
    if kind == "address":
        return _sized(_raw(value, place), 20, place).rjust(32, b"\0")
    counted = _BYTES.fullmatch(kind)
    if counted and 1 <= int(counted["count"]) <= 32:
        return _sized(_raw(value, place), int(counted["count"]), place).ljust(32, b"\0")
    integer = _INTEGER.fullmatch(kind)
    if integer and int(integer["bits"]) in range(8, 257, 8):
        return _integer(value, not integer["sign"], int(integer["bits"]), place)
    raise InvalidRequest(f"{place} is not of type {kind}")


def _array(kind: re.Match[str], types: Types, value: Any, place: str) -> bytes:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise InvalidRequest(f"{place} is not a list")
    if kind["count"] and len(value) != int(kind["count"]):
        raise InvalidRequest(f"{place} has {len(value)} members instead of {kind['count']}")
    return keccak256(b"".join(_encode(kind["of"], types, each, f"{place}[{at}]") for at, each in enumerate(value)))


def _integer(value: Any, is_signed: bool, bits: int, place: str) -> bytes:
    try:
        number = int(value) if isinstance(value, str) else value
    except ValueError:
        number = None
    if isinstance(number, bool) or not isinstance(number, int):
        raise InvalidRequest(f"{place} is not an integer")
    low, high = (-(1 << bits - 1), 1 << bits - 1) if is_signed else (0, 1 << bits)
    if not low <= number < high:
        raise InvalidRequest(f"{place} is out of range")
    return number.to_bytes(32, signed=is_signed)


def _utf8(text: str, place: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest(f"{place} is not valid text") from error


def _raw(value: Any, place: str) -> bytes:
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise InvalidRequest(f"{place} is not hex with 0x")
    return bytes.fromhex(value[2:])


def _sized(raw: bytes, count: int, place: str) -> bytes:
    if len(raw) != count:
        raise InvalidRequest(f"{place} has {len(raw)} bytes instead of {count}")
    return raw
