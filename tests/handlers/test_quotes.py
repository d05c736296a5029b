"""What a workflow can cost at most, asked for before it is started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.factories import BOB, workflow_job
from tests.handlers.api import Api
from tests.handlers.paying import WHOLE, Shop, both, ready_to_pay, shop, single
from tests.needs import needs
from tests.services.tester_chain import TesterChain

pytestmark = needs("chain")
LIMITS = {"cpu": 2, "ram": 3, "disc": 1, "maxDuration": 300}


@pytest.fixture
def sells(quick_database: str, tmp_path: Path, tester_chain: TesterChain) -> Shop:
    return shop(tmp_path / "data", quick_database, tester_chain)


def test_ocean_nodes_form_is_quoted_with_raw_inputs(sells: Shop) -> None:
    quote = sells.quote(single()).json
    assert quote["algorithm"] == {"validOrder": False}
    assert quote["datasets"] == [{"validOrder": False}]
    payment = quote["payment"]
    assert payment["amount"] == str(10 * 3 * WHOLE // 100)  # 10 minutes of 1 cpu and 1 GiB
    assert payment["minLockSeconds"] == 600 + 900 + 21_600
    assert payment["escrowAddress"].lower() == sells.local.contracts.escrow
    assert payment["token"].lower() == sells.local.contracts.token


def test_a_workflow_costs_the_sum_of_its_jobs_and_lasts_as_long_as_they(sells: Shop) -> None:
    quote = sells.quote(both(workflow_job(0), workflow_job(1, runAfter=0, compute=LIMITS))).json
    amounts = [int(job["amount"]) for job in quote["jobs"]]
    assert amounts == [10 * 3 * WHOLE // 100, 5 * 7 * WHOLE // 100]
    assert quote["payment"]["amount"] == str(sum(amounts))
    assert quote["payment"]["minLockSeconds"] == 86_400 + 600 + 300 + 2 * 900 + 21_600


def test_the_least_time_is_charged_and_minutes_begun_count(sells: Shop) -> None:
    for seconds, minutes in ((1, 1), (60, 1), (61, 2), (10**9, 10)):
        body = both(workflow_job(compute={"cpu": 1, "ram": 1, "maxDuration": seconds}))
        assert sells.quote(body).json["payment"]["amount"] == str(minutes * 3 * WHOLE // 100)


def test_tokens_of_six_decimals_are_counted_in_theirs(sells: Shop) -> None:
    quote = sells.quote(both(), token=sells.local.contracts.coin).json
    assert (quote["payment"]["amount"], quote["payment"]["decimals"]) == ("300000", 6)


@pytest.mark.parametrize(
    ("payment", "said"),
    [
        ({"chainId": 12345}, "does not accept payments on chain: 12345"),
        ({"token": "0x" + "12" * 20}, "does not accept payments on chain"),
        ({"token": "0x12"}, "token"),
        ({"chainId": "one"}, "chainId"),
    ],
)
def test_what_is_not_sold_is_refused_in_the_fields_words(sells: Shop, payment: dict[str, Any], said: str) -> None:
    refused = sells.quote(both(), **payment)
    assert refused.status_code == 400 and said in refused.json["error"]


def test_too_much_is_refused_with_the_jobs_path(sells: Shop) -> None:
    refused = sells.quote(both(workflow_job(compute={"cpu": 99})))
    assert refused.status_code == 400
    assert refused.json["error"] == "workflow[0]: Not enough cpu resources. Requested 99, but max is 2"


def test_a_did_without_files_is_not_available_and_says_so(sells: Shop) -> None:
    refused = sells.quote(both(workflow_job(input=[{"index": 0, "did": "did:op:ab"}])))
    assert (refused.status_code, refused.json["code"]) == (404, "not_available")
    assert "did:op:ab" in refused.json["error"]


def test_a_node_without_chains_says_that_it_takes_no_payments(quick: Api) -> None:
    body = {**both(), "consumerAddress": "0x" + "11" * 20, "payment": {"chainId": 1, "token": "0x" + "12" * 20}}
    refused = quick.post("initializeCompute", body)
    assert (refused.status_code, refused.json["code"]) == (404, "not_available")
    assert "freeStartCompute" in refused.json["error"]


def test_nothing_about_a_quote_depends_on_the_payers_funds(sells: Shop) -> None:
    poor = sells.quote(single(), key=BOB).json
    ready_to_pay(sells.local, BOB)
    assert sells.quote(single(), key=BOB).json == poor


def test_the_enterprise_contracts_least_fee_is_told(
    quick_database: str, tmp_path: Path, tester_chain: TesterChain
) -> None:
    sells = shop(tmp_path / "data", quick_database, tester_chain, enterprise=True)
    payment = sells.quote(single()).json["payment"]
    assert (payment["kind"], payment["leastClaim"]) == ("enterprise", str(5 * 10**16))
    assert payment["escrowAddress"].lower() == tester_chain.contracts.enterprise
