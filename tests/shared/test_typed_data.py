"""EIP-712 hashing: the standard's own example, eth_account as the oracle, and what is no value of its type."""

from __future__ import annotations

from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import typed_data
from shared.errors import InvalidRequest, Unauthorized

KEY = b"\x11" * 32
DOMAIN = {
    "name": "Ether Mail",
    "version": "1",
    "chainId": 1,
    "verifyingContract": "0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC",
}
MAIL = {
    "Person": {"name": "string", "wallet": "address"},
    "Mail": {"from": "Person", "to": "Person", "contents": "string"},
}
LETTER = {
    "from": {"name": "Cow", "wallet": "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"},
    "to": {"name": "Bob", "wallet": "0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB"},
    "contents": "Hello, Bob!",
}
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "string": st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    "bool": st.booleans(),
    "address": st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex()),
    "bytes": st.binary(max_size=70).map(lambda raw: "0x" + raw.hex()),
    "bytes32": st.binary(min_size=32, max_size=32).map(lambda raw: "0x" + raw.hex()),
    "bytes5": st.binary(min_size=5, max_size=5).map(lambda raw: "0x" + raw.hex()),
    "uint256": st.integers(0, 2**256 - 1),
    "uint8": st.integers(0, 255),
    "int256": st.integers(-(2**255), 2**255 - 1),
    "int16": st.integers(-(2**15), 2**15 - 1),
}


def value_of(kind: str) -> st.SearchStrategy[Any]:
    """Values of a simple type or of a list of them."""
    inner = kind.partition("[")[0]
    return VALUES[inner] if inner == kind else st.lists(VALUES[inner], max_size=4)


@st.composite
def messages(draw: st.DrawFn) -> tuple[dict[str, dict[str, str]], dict[str, Any]]:
    """A structure that has a structure and a list of structures, with values for all fields."""
    kinds = st.sampled_from([*VALUES, *(f"{kind}[]" for kind in VALUES)])
    inner = {f"i{place}": draw(kinds) for place in range(draw(st.integers(1, 4)))}
    outer = {f"o{place}": draw(kinds) for place in range(draw(st.integers(0, 4)))}
    members = st.fixed_dictionaries({name: value_of(kind) for name, kind in inner.items()})
    message = {name: draw(value_of(kind)) for name, kind in outer.items()}
    message |= {"one": draw(members), "many": draw(st.lists(members, max_size=3))}
    return {"Outer": outer | {"one": "Inner", "many": "Inner[]"}, "Inner": inner}, message


def oracle(domain: dict[str, Any], types: dict[str, dict[str, str]], message: dict[str, Any]) -> bytes:
    """What eth_account would sign."""
    listed = {name: [{"name": key, "type": kind} for key, kind in fields.items()] for name, fields in types.items()}
    signable = encode_typed_data(domain, listed, message)
    return keccak(b"\x19\x01" + signable.header + signable.body)


def test_the_standards_example_has_its_known_digest() -> None:
    found = typed_data.digest(DOMAIN, MAIL, "Mail", LETTER)
    assert found.hex() == "be609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2"


def test_a_type_is_written_with_all_it_refers_to() -> None:
    assert typed_data.encode_type("Mail", MAIL) == (
        "Mail(Person from,Person to,string contents)Person(string name,address wallet)"
    )


@settings(max_examples=200, deadline=None)
@given(messages(), st.sets(st.sampled_from(["name", "version", "chainId", "verifyingContract"]), min_size=1))
def test_every_message_has_the_digest_that_the_oracle_gives(
    sample: tuple[dict[str, dict[str, str]], dict[str, Any]], fields: set[str]
) -> None:
    types, message = sample
    domain = {name: value for name, value in DOMAIN.items() if name in fields}
    assert typed_data.digest(domain, types, "Outer", message) == oracle(domain, types, message)


def test_a_signature_is_the_oracles_and_leads_back_to_its_signer() -> None:
    hashed = typed_data.digest(DOMAIN, MAIL, "Mail", LETTER)
    signature = typed_data.sign(KEY, hashed)
    listed = {name: [{"name": key, "type": kind} for key, kind in fields.items()] for name, fields in MAIL.items()}
    assert signature == bytes(Account.sign_typed_data(KEY, DOMAIN, listed, LETTER).signature)
    assert typed_data.signer(hashed, signature) == Account.from_key(KEY).address
    with pytest.raises(Unauthorized):
        typed_data.signer(hashed, signature[:64])


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("uint8", 256), ("uint8", -1), ("uint8", "x"), ("uint8", True), ("uint8", 1.0), ("uint8", None), ("int8", 128),
        ("uint7", 1), ("uint0", 0), ("uint264", 1), ("bytes33", "0x" + "00" * 33), ("bytes0", "0x"), ("bytes4", "0x00"),
        ("address", "0x12"), ("address", "12" * 20), ("bytes", "0xabc"), ("bytes", b"ab"), ("string", 5),
        ("string", "\ud800"), ("bool", 1), ("uint8[2]", [1]), ("uint8[]", 5), ("uint8[]", "12"), ("Nothing", {}),
        ("Inner", {}), ("Inner", {"a": 1, "b": 2}), ("Inner", 5),
    ],
)  # fmt: skip
def test_what_is_no_value_of_its_type_is_refused(kind: str, value: object) -> None:
    types = {"Outer": {"field": kind}, "Inner": {"a": "uint8"}}
    with pytest.raises(InvalidRequest):
        typed_data.digest({"name": "x"}, types, "Outer", {"field": value})


def test_a_domain_has_no_fields_of_its_own_making() -> None:
    with pytest.raises(InvalidRequest, match="no field place"):
        typed_data.digest({"name": "x", "place": "y"}, MAIL, "Mail", LETTER)
