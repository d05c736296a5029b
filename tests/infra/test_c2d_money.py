"""The words about money: amounts as people write them, what is said before paying, receipts and books."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.c2d.__main__ import main
from infra.c2d.failures import JOB_FAILED, SUCCEEDED, WRONG, Failure
from infra.c2d.money import Unit, payment_lines
from shared.db.connection import migrate, open_database
from shared.receipts import make_receipt
from tests.shared.receipt_samples import NODE_KEY, facts, terms

OCEAN = Unit("OCEAN", 18)
PAYMENT = {
    "onchainId": "0x1", "symbol": "OCEAN", "decimals": 18, "amount": "2400000000000000000", "state": "locked",
    "claimed": "0", "due": None, "outcome": None,
}  # fmt: skip


@given(st.integers(0, 10**45), st.integers(0, 24))
def test_amounts_are_written_exactly_and_read_back(wei: int, decimals: int) -> None:
    unit = Unit("T", decimals)
    assert unit.wei(unit.text(wei).split(" ")[0]) == wei


@pytest.mark.parametrize(
    ("wei", "text"),
    [(0, "0 OCEAN"), (1, "0.000000000000000001 OCEAN"), (25 * 10**17, "2.5 OCEAN"), (10**20, "100 OCEAN")]
)  # fmt: skip
def test_amounts_are_written_plainly(wei: int, text: str) -> None:
    assert OCEAN.text(wei) == text


@pytest.mark.parametrize("text", ["", "x", "-1", "nan", "inf", "0.0000000000000000001", "1,5"])
def test_what_is_no_amount_is_said_to_be_none(text: str) -> None:
    with pytest.raises(Failure):
        OCEAN.wei(text)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"state": "lock_sent"}, "the lock is on its way: 0 OCEAN used so far, 2.4 OCEAN at most"),
        ({"state": "claim_due", "due": "400000000000000000"},
         "the claim is due: 0.4 OCEAN of 2.4 OCEAN; the rest goes back"),
        ({"state": "settled", "claimed": "400000000000000000"}, "0.4 OCEAN paid, 2 OCEAN back"),
        ({"state": "refunded"}, "all of it went back (2.4 OCEAN)"),
        ({"state": "lock_failed", "outcome": "no\x1bfunds"}, "nothing was locked (2.4 OCEAN) · no\ufffdfunds"),
        ({"amount": "0", "state": "settled"}, "nothing to pay"),
    ],
)  # fmt: skip
def test_a_payment_is_told_in_a_line(fields: dict[str, Any], said: str) -> None:
    assert payment_lines([{"payment": {**PAYMENT, **fields}}] * 2, 1000.0) == [f"payment: {said}"]


def test_what_runs_now_is_told_by_begun_minutes() -> None:
    record = {
        "payment": PAYMENT, "algoStartTimestamp": "939.5", "algoStopTimestamp": "0", "maxJobDuration": 600,
        "resources": [{"id": "cpu", "amount": 1.5, "price": 0.02}, {"id": "ram", "amount": 1}],
    }  # fmt: skip
    assert payment_lines([record], 1000.0) == ["payment: locked: 0.06 OCEAN used so far, 2.4 OCEAN at most"]
    assert payment_lines([{"payment": None}], 1000.0) == []


def downloaded(folder: Path) -> Path:
    """A receipt and the file it names, as `c2d results` leaves them; gives the receipt's path."""
    content = b"six penguins\n"
    output = {
        "index": 0,
        "filename": "outputs.tar",
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    made = make_receipt(terms(), [facts(0, outputs=[output]), facts(1, outputs=[output])], NODE_KEY)
    for job in made.document["message"]["jobs"]:
        here = folder / f"job-{job['index']}-{job['jobId'][:8]}"
        here.mkdir()
        (here / "outputs.tar").write_bytes(content)
        (here / "receipt.json").write_text(json.dumps(made.document))
    return here / "receipt.json"


def test_a_receipt_agrees_with_the_files_downloaded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    receipt = downloaded(tmp_path)
    assert main(["verify-receipt", str(receipt), "--results", str(tmp_path)]) == SUCCEEDED
    said = capsys.readouterr().out
    assert "everything agrees" in said and "90 s billed" in said and "OCEAN" in said


@pytest.mark.parametrize("harm", ["altered", "missing", "extra", "folder"])
def test_files_that_differ_from_the_receipt_are_named(
    harm: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    receipt = downloaded(tmp_path)
    output = receipt.parent / "outputs.tar"
    if harm == "altered":
        output.write_bytes(b"seven penguins\n")
    elif harm == "extra":
        (receipt.parent / "more.txt").write_text("x")
    else:
        output.unlink()
    if harm == "folder":
        kept = tmp_path / "receipt.json"
        receipt.rename(kept)
        receipt.parent.rmdir()
        receipt = kept
    assert main(["verify-receipt", str(receipt), "--results", str(tmp_path)]) == JOB_FAILED
    said = capsys.readouterr().out
    words = {
        "altered": "altered: outputs.tar",
        "missing": "missing: outputs.tar",
        "extra": "not in the receipt: more.txt",
    }
    assert words.get(harm, "there is no folder") in said and "do not trust" in said


def test_a_receipt_that_was_altered_is_not_to_be_trusted(tmp_path: Path) -> None:
    receipt = downloaded(tmp_path)
    document = json.loads(receipt.read_text())
    document["message"]["amount"] = "1"
    receipt.write_text(json.dumps(document))
    assert main(["verify-receipt", str(receipt)]) == JOB_FAILED


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1}', "\x00"])
def test_what_is_no_receipt_is_said_in_a_sentence(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "receipt.json"
    path.write_text(text)
    assert main(["verify-receipt", str(path)]) == WRONG
    assert main(["verify-receipt", str(tmp_path / "none")]) == WRONG
    assert "Traceback" not in capsys.readouterr().err


def test_books_without_a_payment_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    open_database(f"sqlite:///{tmp_path / 'c2d.sqlite'}")
    migrate()
    assert main(["payments", "--data-dir", str(tmp_path)]) == SUCCEEDED
    assert "no payment yet" in capsys.readouterr().out
    assert main(["payments", "--data-dir", str(tmp_path), "--json"]) == SUCCEEDED
    assert json.loads(capsys.readouterr().out) == {"payments": [], "totals": [], "unexplained": {}}
