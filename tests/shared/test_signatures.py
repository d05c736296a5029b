"""Signatures: the wire contract's vectors, the strict rules, and eth_account as the oracle."""

from __future__ import annotations

import random
from types import ModuleType

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct

from shared import curve, curve_native, curve_plain, digests, keccak_plain, signatures
from shared.errors import Unauthorized

KEY = b"\x11" * 32
ADDRESS = "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"
NODE = "0x1563915e194D8CfBA1943570603F7606A3115508"
VECTORS = [
    (
        "1",
        "startCompute",
        "0x99a8474700263d989559f1d367d603f4562191a54b7f01eb5010288a1985e1c1",
        "0xb5d57d660a1340bd2af73f258041a0e70a1cb01db5aab3595ad53628667953312550841d775f3f3b401d68bb63a0624cf6bf65be78680974e7b55702e033f6ac1b",
    ),
    (
        "42",
        "freeStartCompute",
        "0x6820e107b87e9a0a0d0069a16411af2fd1e224fb3665b087e1fbf968fcd85bff",
        "0x47fdd7ab452deef99c649338f01989b56dc387a3242ae9253d6da6007ad14bb21daa2b8b3a01afd48c51ab959324b96c3691721fe59f8796fb85cfd0b7ad089c1b",
    ),
    (
        "7",
        "",
        "0xce807542bc9bf8349e400b7168638c6a4ec4b3e8e2a11ab9d88169a265ef7e83",
        "0x465a127740cf12b573e8dbd162226658a61da7f766c210217fc81840630b75a419fda8b3aa5b1eca7e2e3024ea245c0c06c8aeac383b465098db0aa8406c7b131c",
    ),
    (
        "137",
        "getComputeResult",
        "0x002c902559bae916711623c1ad8b1c3e5efe7f975377059610de1b3e8c115bbd",
        "0xea4b66c1fb506884757c52a7a634e1015225638ab7484fd0f383ed2220bfd3d837e82c9a2d646e08ba3e5b7d1d4297156bf90e0826319943c8659295b6595d071b",
    ),
]
ALSO_ACCEPTED = [
    (
        "137",
        "getComputeResult",
        "0x45923257206c69a481a6689feefd3b6dc817ed453a0da8281e04ab341a927cba2e1f42f18536c8d41304ddb0a904e4f723e5b940ffdfa4258ed3219be205a35b1c",
    ),
    (
        "1",
        "startCompute",
        "0xaa3854b6ea2095e0e14586bfb157514d0509364666d3ae4a5a11623831d8a3123506f7fea9bdb819ad1041a41d61fbb059caec007710a49f4e836c2c62ecf5b11c",
    ),
]
GOOD = VECTORS[0][3]


def test_a_key_has_its_known_address() -> None:
    assert signatures.address_of(KEY) == ADDRESS
    assert signatures.checksum(ADDRESS.lower()) == ADDRESS


@pytest.mark.parametrize(("nonce", "command", "digest", "signature"), VECTORS)
def test_the_vectors_of_the_wire_are_reproduced(nonce: str, command: str, digest: str, signature: str) -> None:
    assert "0x" + signatures.command_hash(ADDRESS, nonce, command).hex() == digest
    assert signatures.sign_command(KEY, nonce, command) == signature
    signatures.verify_command(ADDRESS, nonce, command, signature)
    signatures.verify_command(ADDRESS.lower(), nonce, command, signature)


@pytest.mark.parametrize(("nonce", "command", "signature"), ALSO_ACCEPTED)
def test_other_toolkits_forms_are_accepted(nonce: str, command: str, signature: str) -> None:
    signatures.verify_command(ADDRESS, nonce, command, signature)


def test_a_signature_over_the_address_in_lower_case_is_accepted() -> None:
    text = f"{ADDRESS.lower()}5stopCompute".encode()
    signature = signatures.sign_message(KEY, signatures.keccak256(text).lstrip(b"\0"))
    signatures.verify_command(ADDRESS.lower(), 5, "stopCompute", signature)


def test_a_thousand_random_signatures_agree_with_the_oracle() -> None:
    rng = random.Random(7)
    for _ in range(1000):
        key, message = rng.randbytes(32), rng.randbytes(rng.randrange(0, 80))
        account = Account.from_key(key)
        assert signatures.address_of(key) == account.address
        theirs = account.sign_message(encode_defunct(message)).signature.hex()
        assert signatures.sign_message(key, message) == "0x" + theirs.removeprefix("0x")
        assert signatures.recover(message, theirs) == account.address


def test_a_thousand_random_commands_are_verified_short_hashes_included() -> None:
    short = 0
    for nonce in range(1000):
        short += signatures.command_hash(ADDRESS, nonce, "stopCompute")[0] == 0
        signatures.verify_command(ADDRESS, nonce, "stopCompute", signatures.sign_command(KEY, nonce, "stopCompute"))
    assert short > 0


def _high_s(signature: str) -> str:
    r, s, v = signature[2:66], int(signature[66:130], 16), int(signature[130:], 16)
    return f"0x{r}{curve.ORDER - s:064x}{55 - v:02x}"


@pytest.mark.parametrize(
    ("sentence", "signature"),
    [
        ("empty", ""),
        ("not hex", "0x" + "zz" * 65),
        ("64 bytes", GOOD[:-2]),
        ("66 bytes", GOOD + "00"),
        ("blanks between the digits", GOOD[:-2] + "  "),
        ("r of zero", "0x" + "00" * 32 + GOOD[66:]),
        ("r of the order", f"0x{curve.ORDER:064x}" + GOOD[66:]),
        ("s of zero", GOOD[:66] + "00" * 32 + "1b"),
        ("high s", _high_s(GOOD)),
        ("v of 2", GOOD[:-2] + "02"),
        ("v of 35", GOOD[:-2] + "23"),
        ("r that no point has", f"0x{5:064x}" + GOOD[66:]),
        ("the other v", GOOD[:-2] + "1c"),
        ("another command's", VECTORS[1][3]),
    ],
)
def test_anything_else_is_unauthorized(sentence: str, signature: str) -> None:
    with pytest.raises(Unauthorized):
        signatures.verify_command(ADDRESS, "1", "startCompute", signature)


@pytest.mark.parametrize("v", ["00", "1b"])
def test_v_may_start_at_0_or_at_27_and_0x_may_be_missing(v: str) -> None:
    signatures.verify_command(ADDRESS, "1", "startCompute", GOOD[2:-2] + v)


@pytest.mark.parametrize(
    "address", ["", "0x", "0x12", "19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A", "0x" + "g" * 40, "0x" + " 1" * 20]
)
def test_what_is_no_address_is_unauthorized(address: str) -> None:
    with pytest.raises(Unauthorized):
        signatures.verify_command(address, "1", "startCompute", GOOD)


def test_the_stronger_form_binds_the_node_and_the_body() -> None:
    digest = digests.body_digest({"b": 1, "a": "é", "signature": "0x"})
    assert digest == digests.body_digest({"a": "é", "b": 1})
    signature = signatures.sign_bound(KEY, 3, "freeStartCompute", NODE.lower(), digest)
    signatures.verify_bound(ADDRESS.lower(), 3, "freeStartCompute", NODE, digest, signature)
    for node, other in ((ADDRESS, digest), (NODE, digests.body_digest({"a": 2}))):
        with pytest.raises(Unauthorized):
            signatures.verify_bound(ADDRESS, 3, "freeStartCompute", node, other, signature)


def test_the_digest_of_a_query_ignores_its_order_and_its_signature() -> None:
    assert digests.query_digest({"b": "x y&", "a": "1", "signature": "0x"}) == digests.query_digest(
        {"a": "1", "b": "x y&"}
    )
    assert digests.query_digest({"a": "1"}) != digests.query_digest({"a": "2"})


def test_a_pods_signature_binds_every_part_of_its_message() -> None:
    parts = ("c2dJobProvision", "ab" * 32, NODE, "cd" * 16, "ef" * 32)
    signature = signatures.sign_pod(KEY, *parts)
    signatures.verify_pod(ADDRESS.lower(), *parts, signature)
    for place in range(len(parts)):
        changed = list(parts)
        changed[place] = ADDRESS if place == 2 else "00"
        with pytest.raises(Unauthorized):
            signatures.verify_pod(ADDRESS, *changed, signature)
    with pytest.raises(Unauthorized):
        signatures.verify_pod(NODE, *parts, signature)


@pytest.mark.parametrize("road", [curve_native, curve_plain])
def test_both_roads_to_the_curve_agree_and_refuse_the_same(road: ModuleType) -> None:
    digest, other = signatures.keccak256(b"x"), bytes([3]) * 32
    point = road.point_of(KEY)
    assert point == curve_native.point_of(KEY)
    assert road.sign_digest(KEY, digest) == curve_native.sign_digest(KEY, digest)
    assert road.recover_point(digest, road.sign_digest(KEY, digest)) == point
    assert road.multiply(curve.compress(point), other) == road.multiply(road.point_of(other), KEY)
    for bad in (lambda: road.point_of(b""), lambda: road.point_of(bytes(32)), lambda: road.multiply(b"\x04" * 65, KEY)):
        with pytest.raises(ValueError):
            bad()


def test_the_pods_own_keccak_agrees_with_the_library() -> None:
    rng = random.Random(3)
    for size in [*range(0, 20), *range(130, 140), 271, 272, 273, 500]:
        data = rng.randbytes(size)
        assert keccak_plain.keccak256(data) == signatures.keccak256(data)
