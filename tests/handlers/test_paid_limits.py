"""What keeps a paid start from going wrong: crowds, limits, lists, silence; nothing is written where it is refused."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from shared.addresses import address_of
from shared.db import payments
from shared.db.connection import session
from shared.db.payment_tables import Attempt, NonceSlot, Payment
from shared.db.tables import Job, Workflow
from shared.names import Address
from shared.payment_states import PaymentState
from tests.factories import ALICE, BOB, workflow_job
from tests.handlers.paying import PAYEE, WHOLE, Shop, both, prices, ready_to_pay, shop, single
from tests.needs import needs
from tests.services.tester_chain import TesterChain

pytestmark = needs("chain")
PRICE = 3 * WHOLE // 10


@pytest.fixture
def sells(database: str, tmp_path: Path, tester_chain: TesterChain) -> Shop:
    """On both databases."""
    return shop(tmp_path / "data", database, tester_chain)


@pytest.fixture
def quickly(quick_database: str, tmp_path: Path, tester_chain: TesterChain) -> Shop:
    return shop(tmp_path / "data", quick_database, tester_chain)


def nothing_is_left() -> bool:
    with session():
        return not any(table.select().exists() for table in (Workflow, Job, Payment, NonceSlot, Attempt))


def test_a_start_answers_the_locks_hash_and_its_bytes_lock_what_was_quoted(sells: Shop) -> None:
    ready_to_pay(sells.local)
    quote = sells.quote(single()).json["payment"]
    (record,) = sells.start(single()).json
    payment = record["payment"]
    assert (payment["state"], payment["amount"], payment["cost"]) == ("lock_prepared", quote["amount"], 0)
    with session():
        (attempt,) = Attempt.select()
        job = Job.get()
    assert attempt.tx_hash == payment["lockTx"] and payment["lockTxs"] == [payment["lockTx"]]
    assert (job.status, job.unmet, job.ready_at_ms, job.is_free) == ("queued", 1, None, False)
    assert sells.local.chain.send(bytes(attempt.signed)) is None
    (told,) = sells.local.mined(attempt.tx_hash).events
    bare = record["jobId"].rpartition("-")[2]
    assert told.onchain_id == int(hashlib.sha256(bare.encode()).hexdigest(), 16) == int(record["jobIdHash"], 16)
    assert (str(told.amount_wei), told.lock_s, told.payee) == (quote["amount"], quote["minLockSeconds"], PAYEE)


def test_a_workflow_has_one_lock_and_every_job_waits_for_it(sells: Shop) -> None:
    ready_to_pay(sells.local)
    records = sells.start(both(workflow_job(0), workflow_job(1, runAfter=0))).json
    assert len({record["payment"]["lockTx"] for record in records}) == 1
    assert records[0]["payment"]["amount"] == str(2 * PRICE)
    with session():
        assert [job.unmet for job in Job.select().order_by(Job.index)] == [1, 2]
    found = payments.find(records[0]["workflowId"])
    assert found is not None and found.onchain_id == "0x" + hashlib.sha256(found.workflow_id.encode()).hexdigest()


def test_resources_show_their_price_and_status_finds_the_lock(sells: Shop) -> None:
    ready_to_pay(sells.local)
    (record,) = sells.start(single()).json
    assert {each["id"]: each["price"] for each in record["resources"]} == {"cpu": 0.02, "ram": 0.01, "disk": 0}
    owner, lock_tx = address_of(ALICE), record["payment"]["lockTx"]
    (found,) = sells.api.get("compute", consumerAddress=owner, agreementId=lock_tx).json
    assert found["payment"]["lockTx"] == lock_tx
    assert sells.api.get("compute", consumerAddress=owner, agreementId="0x" + "ab" * 32).json == []


def test_fifty_starts_at_once_with_funds_for_seven_lock_seven_times(sells: Shop) -> None:
    ready_to_pay(sells.local, deposit_wei=7 * PRICE + 1)
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda nonce: sells.start(both(), nonce=nonce), range(1000, 1050)))
    taken = [answer for answer in answers if answer.status_code == 200]
    late = [answer for answer in answers if answer.status_code == 401]  # a higher nonce was spent before theirs
    refused = [answer for answer in answers if answer.status_code == 400]
    assert len(taken) + len(late) + len(refused) == 50, [answer.text for answer in answers]
    assert len(taken) <= 7 and (len(taken) == 7 or not refused)
    assert all("does not have enough funds" in answer.json["error"] for answer in refused)
    with session():
        assert Payment.select().count() == len(taken)
        assert [slot.nonce for slot in NonceSlot.select().order_by(NonceSlot.nonce)] == list(range(len(taken)))


def test_many_payers_starts_at_once_get_nonces_without_a_gap(sells: Shop) -> None:
    keys = [bytes([number]) * 32 for number in range(80, 86)]
    for key in keys:
        ready_to_pay(sells.local, key, deposit_wei=PRICE)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda key: sells.start(both(), key=key), keys))
    assert [answer.status_code for answer in answers] == [200] * 6, [answer.text for answer in answers]
    with session():
        assert sorted(slot.nonce for slot in NonceSlot.select()) == list(range(6))


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"deposit_wei": PRICE - 1}, "does not have enough funds: deposit at least 1 more wei"),
        ({"most_locked_wei": PRICE - 1}, "will go over limit"),
        ({"most_lock_s": 100}, "maxLockSeconds too low"),
        ({"most_locks": 0}, "too many active locks"),
        ({"payee": Address("0x" + "12" * 20)}, "No escrow auths found"),
    ],
)
def test_what_the_escrow_would_refuse_is_refused_before_anything_is_written(
    quickly: Shop, limits: dict[str, Any], said: str
) -> None:
    quickly.local.fund(Address(address_of(ALICE).lower()))
    quickly.local.prepare_payer(ALICE, **({"payee": PAYEE} | limits))
    refused = quickly.start(both())
    assert (refused.status_code, refused.json["code"]) == (400, "lock_refused")
    assert said in refused.json["error"]
    assert nothing_is_left()


def test_a_refused_call_uses_up_its_nonce(quickly: Shop) -> None:
    assert quickly.start(both(), nonce=9).status_code == 400
    ready_to_pay(quickly.local)
    again = quickly.start(both(), nonce=9)
    assert again.status_code == 401 and "nonce: 9" in again.json["error"]
    assert quickly.start(both(), nonce=10).status_code == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (both(workflow_job(compute={"cpu": 99})), 400),
        (both(workflow_job(environment="0xno-0xwhere")), 404),
        ({**single(), "metadata": {"a": "x" * 2000}}, 400),
        ({**single(), "encryptedDockerRegistryAuth": "00"}, 400),
        ({**single(), "output": "00"}, 400),
    ],
)
def test_what_is_wrong_with_a_request_is_said_before_the_payers_money_is_looked_at(
    quickly: Shop, body: dict[str, Any], status: int
) -> None:
    refused = quickly.start(body)
    assert refused.status_code == status and refused.json["code"] != "lock_refused", refused.text
    assert nothing_is_left()


def test_a_node_without_coin_for_gas_says_so(quick_database: str, tmp_path: Path, tester_chain: TesterChain) -> None:
    sells = shop(tmp_path / "data", quick_database, tester_chain, coins_wei=10**9)
    ready_to_pay(tester_chain)
    refused = sells.start(both())
    assert refused.status_code == 400 and "cannot pay for the lock's gas" in refused.json["error"]
    assert nothing_is_left()


def test_room_is_kept_for_a_job_that_may_not_wait_or_it_is_refused_at_once(quickly: Shop) -> None:
    ready_to_pay(quickly.local)
    large = {**single(), "resources": [{"id": "cpu", "amount": 2}]}
    (first,), (second,) = quickly.start(large).json, quickly.start(large).json
    assert (first["status"], second["status"]) == (1, 1)
    refused = quickly.start(large)
    assert refused.status_code == 400 and "Not enough available cpu" in refused.json["error"]
    with session():
        assert Payment.select().count() == NonceSlot.select().count() == 2


def test_what_costs_nothing_is_started_without_a_lock(
    quick_database: str, tmp_path: Path, tester_chain: TesterChain
) -> None:
    sells = shop(tmp_path / "data", quick_database, tester_chain, fees=prices(tester_chain, cpu=0, ram=0))
    (record,) = sells.start(both()).json
    assert (record["payment"]["state"], record["payment"]["lockTx"]) == (PaymentState.SETTLED, None)
    with session():
        assert Job.get().ready_at_ms is not None


def test_who_holds_a_token_of_the_list_may_buy_and_others_may_not(
    quick_database: str, tmp_path: Path, tester_chain: TesterChain
) -> None:
    access_list, chain_id = tester_chain.contracts.access_list, tester_chain.config.chain_id
    access = {"addresses": [], "accessLists": [{str(chain_id): [access_list]}]}
    sells = shop(tmp_path / "data", quick_database, tester_chain, access=access)
    ready_to_pay(tester_chain)
    refused = sells.start(both())
    assert refused.status_code == 403 and "Access denied" in refused.json["error"]
    tester_chain.transact("AccessList", access_list, "mint", address_of(ALICE), "https://example.org/2")
    assert sells.start(both()).status_code == 200


def test_the_enterprise_contract_is_paid_too_and_too_little_is_refused(
    quick_database: str, tmp_path: Path, tester_chain: TesterChain
) -> None:
    sells = shop(tmp_path / "data", quick_database, tester_chain, enterprise=True)
    ready_to_pay(tester_chain, escrow=tester_chain.contracts.enterprise)
    assert sells.start(both()).json[0]["payment"]["escrowAddress"].lower() == tester_chain.contracts.enterprise
    cheap = sells.start(both(workflow_job(compute={"cpu": 1, "ram": 1, "maxDuration": 60})))
    assert cheap.status_code == 400 and "takes a fee of" in cheap.json["error"]


def test_a_chain_that_is_silent_is_503_and_nothing_is_written_or_used_up(quickly: Shop) -> None:
    ready_to_pay(quickly.local)
    provider = quickly.local.provider
    answer = provider.make_request
    provider.make_request = _silent  # type: ignore[method-assign]
    try:
        assert quickly.start(both(), nonce=5).status_code == 503
    finally:
        provider.make_request = answer  # type: ignore[method-assign]
    assert nothing_is_left()
    assert quickly.start(both(), nonce=5).status_code == 200


def _silent(method: object, params: object) -> None:
    raise ConnectionError("no route")


def test_somebody_elses_signature_starts_nothing(quickly: Shop) -> None:
    ready_to_pay(quickly.local)
    body = {**both(), "payment": quickly.payment, "consumerAddress": address_of(BOB), "nonce": "1"}
    refused = quickly.api.post("compute", {**body, "signature": "0x" + "11" * 65})
    assert refused.status_code == 401 and nothing_is_left()
