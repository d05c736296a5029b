"""Paid starts: the quote is the lock, all is written at once, and of many starts only those with funds are taken."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from shared.addresses import address_of
from shared.db import payment_moves, reservations
from shared.db.connection import session, transaction
from shared.db.payment_tables import Attempt, Payment
from shared.db.tables import Job
from shared.payment_states import PaymentState
from tests import factories
from tests.factories import ALICE, BOB, ENVIRONMENT_ID, command_body, workflow_job
from tests.handlers.api import Api
from tests.handlers.paid import CHAIN_ID, JOB_WEI, PAYMENT, PaidApi

OTHER_TOKEN = "0x" + "77" * 20


@pytest.fixture
def paid(database: str, tmp_path: Path) -> Iterator[PaidApi]:
    """A node with one priced environment, on each of the two databases."""
    yield PaidApi(tmp_path / "data", database)


def test_by_either_door_what_is_quoted_is_what_is_locked(paid: PaidApi) -> None:
    for body in (command_body(queueMaxWaitTime=60), {"workflow": [workflow_job(0), workflow_job(1, runAfter=0)]}):
        quote = paid.quote(body).json
        records = paid.pay(body).json
        with session():
            row = Payment.get(Payment.workflow_id == records[0]["workflowId"])
        assert quote["payment"]["amount"] == str(row.lock_amount) == str(len(records) * JOB_WEI)
        assert quote["payment"]["minLockSeconds"] == row.lock_s
        assert [each["environment"] for each in quote["jobs"]] == [ENVIRONMENT_ID] * len(records)
        assert all(each == {"validOrder": False} for each in [quote["algorithm"], *quote["datasets"]])


def test_a_paid_job_waits_for_its_lock_with_its_room_held(paid: PaidApi) -> None:
    result = paid.pay(command_body())
    assert result.status_code == 200, result.text
    (record,) = result.json
    bare = record["jobId"].rpartition("-")[2]
    assert (record["status"], record["isFree"]) == (1, False)
    assert {each["id"]: each["price"] for each in record["resources"]} == {"cpu": 0.02, "ram": 0.005, "disk": 0}
    with session():
        payment, attempt, job = Payment.get(), Attempt.get(), Job.get()
    shown = record["payment"]
    assert (shown["lockTx"], shown["lockTxs"]) == (attempt.tx_hash, [attempt.tx_hash])
    assert (shown["cost"], shown["amount"], shown["state"]) == (0, str(JOB_WEI), PaymentState.LOCK_PREPARED)
    assert payment.onchain_id == "0x" + hashlib.sha256(bare.encode()).hexdigest() == record["jobIdHash"]
    assert job.unmet == 1 and job.due_at_ms is None
    assert reservations.usage("local").pool["cpu"] == 1000


def test_when_its_lock_is_confirmed_a_held_job_leaves_the_queue(paid: PaidApi) -> None:
    paid.pay(command_body())
    with session():
        job = Job.get()
    with transaction():
        payment_moves._release(job.workflow_id, 5)
    with session():
        job = Job.get()
    assert (job.status, job.unmet, job.due_at_ms) == ("pulling_image", 0, 5)


def test_of_fifty_starts_at_once_with_funds_for_seven_exactly_seven_are_taken(database: str, tmp_path: Path) -> None:
    paid = PaidApi(tmp_path / "data", database, 7 * JOB_WEI)
    bodies = [signed_start(paid, nonce) for nonce in range(1, 51)]
    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(lambda body: paid.post("compute", body), bodies))
    taken = [result for result in results if result.status_code == 200]
    refused = [result for result in results if result.status_code == 400]
    stale = [result for result in results if result.status_code == 401]
    assert len(taken) + len(refused) + len(stale) == 50
    assert all("does not have enough funds" in result.json["error"] for result in refused)
    late = [paid.pay({"workflow": [workflow_job()]}) for _ in range(7 - len(taken))]  # those whose nonce was overtaken
    assert all(result.status_code == 200 for result in late)
    assert paid.pay({"workflow": [workflow_job()]}).status_code == 400
    with session():
        assert (Payment.select().count(), Attempt.select().count(), Job.select().count()) == (7, 7, 7)
        assert sorted(each.nonce for each in Attempt.select()) == list(range(3, 10))


def signed_start(paid: PaidApi, nonce: int) -> dict[str, Any]:
    """A start of one job."""
    paid.next_nonce()
    return factories.signed({"payment": PAYMENT, "workflow": [workflow_job()]}, "startCompute", nonce)


REFUSED: list[tuple[str, dict[str, Any], int, str]] = [
    ("another token", {"payment": {"chainId": CHAIN_ID, "token": OTHER_TOKEN}}, 400, "does not accept payments"),
    ("another chain", {"payment": {**PAYMENT, "chainId": 5}}, 400, "does not accept payments on chain: 5"),
    ("no payment", {"payment": None}, 400, "payment"),
    ("too much", {"resources": [{"id": "cpu", "amount": 64}]}, 400, "Not enough cpu resources"),
    ("no such environment", {"environment": "0x1-0x2"}, 404, "Invalid C2D Environment"),
    ("a wrong login", {"encryptedDockerRegistryAuth": "00" * 200}, 400, ""),
    ("a DID alone", {"datasets": [{"documentId": "did:op:1", "serviceId": "1"}]}, 404, "resolves no DIDs"),
]  # fmt: skip


@pytest.mark.parametrize("payment", [[], 5, {"resources": 5}, {"chainId": 1, "resources": [5]}, {"chainId": [1]}])
def test_a_payment_that_makes_no_sense_is_no_fault_of_the_node(
    quick_database: str, tmp_path: Path, payment: object
) -> None:
    paid = PaidApi(tmp_path / "data", quick_database)
    for result in (paid.quote(command_body(payment=payment)), paid.pay(command_body(payment=payment))):
        assert result.status_code == 400
    assert paid.start(command_body(payment=payment)).status_code in (200, 400)


@pytest.mark.parametrize(("case", "fields", "status", "said"), REFUSED, ids=[case for case, *_ in REFUSED])
def test_quote_and_start_refuse_alike(
    quick_database: str, tmp_path: Path, case: str, fields: dict[str, Any], status: int, said: str
) -> None:
    paid = PaidApi(tmp_path / "data", quick_database)
    for result in (paid.quote(command_body(**fields)), paid.pay(command_body(**fields))):
        assert (result.status_code, said in result.json["error"]) == (status, True), (case, result.text)
    with session():
        assert (Job.select().count(), Payment.select().count(), Attempt.select().count()) == (0, 0, 0)


def test_a_payer_without_funds_is_told_so_and_the_nonce_is_used_up(paid: PaidApi) -> None:
    body = factories.signed({"payment": PAYMENT, **command_body()}, "startCompute", 9, BOB)
    first, again = paid.post("compute", body), paid.post("compute", body)
    assert first.status_code == 400 and "does not have enough funds" in first.json["error"]
    assert again.status_code == 401
    assert paid.get("nonce", userAddress=address_of(BOB)).json == {"nonce": "9"}


def test_what_costs_nothing_is_not_locked_and_starts_now(paid: PaidApi) -> None:
    fees = {str(CHAIN_ID): [{"feeToken": PAYMENT["token"], "prices": []}]}
    gratis = factories.environment(id=f"{factories.ENGINE_HASH}-gratis", fees=fees)
    factories.put_environment(gratis)
    (record,) = paid.pay(command_body(environment=gratis["id"])).json
    assert (record["status"], record["payment"]["lockTx"], record["payment"]["state"]) == (10, None, "settled")


def test_a_job_that_names_no_environment_goes_where_it_costs_least(paid: PaidApi) -> None:
    half = {str(CHAIN_ID): [{"feeToken": PAYMENT["token"], "prices": [{"id": "cpu", "price": 0.001}]}]}
    cheap = factories.environment(id=f"{factories.ENGINE_HASH}-cheap", fees=half)
    factories.put_environment(cheap)
    (record,) = paid.pay({"workflow": [workflow_job()]}).json
    assert record["environment"] == cheap["id"]


def test_status_finds_a_job_by_the_hash_of_its_lock(paid: PaidApi) -> None:
    (record,) = paid.pay(command_body()).json
    paid.pay({"workflow": [workflow_job()]})
    found = paid.get("compute", agreementId=record["payment"]["lockTx"], consumerAddress=address_of(ALICE)).json
    assert [each["jobId"] for each in found] == [record["jobId"].rpartition("-")[2]]
    assert paid.get("compute", agreementId="0x" + "00" * 32).json == []


def test_a_node_without_chains_says_that_it_takes_no_payments(quick: Api) -> None:
    body = {"payment": PAYMENT, **command_body()}
    quote = quick.post("initializeCompute", {**body, "consumerAddress": address_of(ALICE)})
    start = quick.post("compute", factories.signed(body, "startCompute", quick.next_nonce()))
    for result in (quote, start):
        assert (result.status_code, result.json["code"]) == (404, "not_available")
