"""Receipts: signed as eth_account would, checked by anybody, and no field of them can be altered unseen."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data

from shared.addresses import address_of
from shared.errors import C2DError, InvalidRequest
from shared.receipt_checks import check, proof_of
from shared.receipts import PROOF_BYTES, hash_of, make_receipt
from tests.shared.receipt_samples import NODE_KEY, PRICE, facts, terms


def receipt() -> dict[str, Any]:
    """A receipt of two jobs, as it comes out of its file."""
    made = make_receipt(terms(), [facts(0), facts(1)], NODE_KEY)
    return json.loads(json.dumps(made.document))  # type: ignore[no-any-return]


def is_accepted(document: dict[str, Any]) -> bool:
    """Whether every check of it is passed."""
    try:
        return all(finding.is_good for finding in check(document))
    except C2DError:
        return False


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where every single value of a document lies."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if not isinstance(value, dict | list):
        yield path
    for key, member in members:
        yield from leaves(member, (*path, key))


def altered(document: dict[str, Any], path: tuple[Any, ...]) -> dict[str, Any]:
    """The document with one value made another of its kind."""
    changed = copy.deepcopy(document)
    place: Any = changed
    for key in path[:-1]:
        place = place[key]
    was = place[path[-1]]
    if isinstance(was, int) or was is None:
        place[path[-1]] = (was or 0) + 1
    elif was.isdigit():
        place[path[-1]] = str(int(was) + 1)
    else:
        place[path[-1]] = was[:-1] + ("0" if was[-1:] != "0" else "1")
    return changed


def test_a_receipt_is_what_eth_account_says_it_is() -> None:
    made = make_receipt(terms(), [facts(0), facts(1)], NODE_KEY)
    document = made.document
    signable = encode_typed_data(document["domain"], document["types"], document["message"])
    assert Account.recover_message(signable, signature=document["signature"]) == address_of(NODE_KEY)
    assert document["signature"] == "0x" + bytes(Account.sign_message(signable, NODE_KEY).signature).hex()


def test_the_proof_is_version_digest_and_signature() -> None:
    made = make_receipt(terms(), [facts()], NODE_KEY)
    assert len(made.proof) == PROOF_BYTES == 98
    assert made.proof == b"\x01" + made.digest + bytes.fromhex(made.document["signature"][2:])
    assert proof_of(json.loads(json.dumps(made.document))) == made.proof


def test_a_good_receipt_passes_every_check() -> None:
    assert [finding for finding in check(receipt()) if not finding.is_good] == []


@pytest.mark.parametrize("part", ["domain", "message", "evidence", "signature", "version"])
def test_nothing_can_be_altered_unseen(part: str) -> None:
    document = receipt()
    for path in leaves(document[part], (part,)):
        assert not is_accepted(altered(document, path)), path


def test_the_salt_of_inputs_is_never_the_same() -> None:
    one, other = (make_receipt(terms(), [facts()], NODE_KEY).document for _ in range(2))
    assert one["message"]["jobs"][0]["inputsHash"] != other["message"]["jobs"][0]["inputsHash"]


def test_who_is_not_the_payee_signs_no_receipt() -> None:
    made = make_receipt(terms(), [facts(0), facts(1)], b"\x44" * 32)
    assert [finding.what for finding in check(made.document) if not finding.is_good] == ["signature"]


@pytest.mark.parametrize(
    ("sentence", "of_payment", "of_job", "bad"),
    [
        ("used", {}, {}, set()),
        ("nothing was billed", {"amount_wei": 0}, {"billed_s": 0, "cost_wei": 0}, set()),
        ("the contract's least", {"amount_wei": 10**18, "least_wei": 10**18, "lock_wei": 10**19}, {}, set()),
        ("more than the least and than was used", {"amount_wei": 10**18 + 1, "lock_wei": 10**19}, {}, {"claim"}),
        ("more than was locked", {"lock_wei": 1}, {}, {"claim"}),
        ("no more than was locked", {"lock_wei": 1, "amount_wei": 1}, {}, set()),
        ("longer than was granted", {"amount_wei": 2 * PRICE.wei(601, 18), "lock_wei": 10**19},
         {"billed_s": 601, "cost_wei": PRICE.wei(601, 18)}, {"job 0: cost", "job 1: cost"}),
        ("another price", {}, {"cost_wei": PRICE.wei(90, 18) + 1}, {"job 0: cost", "job 1: cost", "claim"}),
    ],
)  # fmt: skip
def test_amounts_follow_from_seconds_and_price(
    sentence: str, of_payment: dict[str, Any], of_job: dict[str, Any], bad: set[str]
) -> None:
    made = make_receipt(terms(**of_payment), [facts(0, **of_job), facts(1, **of_job)], NODE_KEY)
    assert {finding.what for finding in check(made.document) if not finding.is_good} == bad, sentence


def test_a_job_that_never_ran_has_a_receipt_too() -> None:
    never = facts(exit_code=None, outcome="payment", started_at_s=0, finished_at_s=0, billed_s=0, cost_wei=0,
                  image_digest="", outputs=[])  # fmt: skip
    made = make_receipt(terms(amount_wei=0), [never], NODE_KEY)
    assert is_accepted(made.document) and made.document["message"]["jobs"][0]["exitCode"] == -1


@pytest.mark.parametrize("document", [{}, {"version": 2}, {"version": 1, "message": []}, {"version": 1, "message": {}}])
def test_what_is_no_receipt_is_said_to_be_none(document: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        check(document)


def test_floats_have_no_place_in_what_is_hashed() -> None:
    with pytest.raises(InvalidRequest):
        hash_of({"a": [1.5]})
    assert hash_of({"b": 1, "a": "ü"}) == hash_of({"a": "ü", "b": 1})
