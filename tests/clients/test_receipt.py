"""A receipt is checked by another library, in ten lines: ethers, which knows nothing of us."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shared.addresses import address_of
from shared.receipts import make_receipt
from tests.clients.sdk import HERE, VERSIONS, installed, node_process
from tests.needs import needs
from tests.shared.receipt_samples import NODE_KEY, facts, terms

pytestmark = [needs("node")]


def checked(path: Path, *proof: str) -> dict[str, Any]:
    """What ethers says of the receipt in a file."""
    process = node_process(installed(VERSIONS[0]), HERE / "receipt.mjs", NODE_KEY, str(path), *proof)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    return dict(json.loads(out))


@pytest.fixture
def receipt(tmp_path: Path) -> Path:
    """A receipt of two jobs."""
    made = make_receipt(terms(), [facts(0), facts(1, exit_code=None, outcome="größer 🐧")], NODE_KEY)
    path = tmp_path / "receipt.json"
    path.write_text(json.dumps(made.document))
    (tmp_path / "proof").write_text("0x" + made.proof.hex())
    return path


def test_ethers_finds_the_same_digest_signer_and_proof(receipt: Path) -> None:
    document, proof = json.loads(receipt.read_text()), receipt.with_name("proof").read_text()
    assert checked(receipt, proof) == {
        "signer": address_of(NODE_KEY), "digest": document["digest"], "isSigned": True, "isPaid": True,
    }  # fmt: skip


def test_ethers_sees_that_a_receipt_was_altered(receipt: Path) -> None:
    document = json.loads(receipt.read_text())
    document["message"]["amount"] = "1"
    receipt.write_text(json.dumps(document))
    found = checked(receipt, receipt.with_name("proof").read_text())
    assert not found["isSigned"] and not found["isPaid"]
