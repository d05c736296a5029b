"""A deployed node whose engine runs from the cluster's cron, and that sells: a paid job on a real chain.

Settlement runs as two pods and from cron at once; its pods are killed while the job runs and when it has ended. What
was locked is claimed exactly once.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from shared.addresses import address_of
from shared.escrow.words import EventName
from shared.names import Address
from tests.flows.kubernetes.stage import KEY, Stage, deployed, until
from tests.flows.kubernetes.work import offered, sleeper
from tests.needs import needs
from tests.services.node import Consumer, good

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("kubernetes"),
    needs("kube", "docker", "kustomize", "postgres", "s3", "proxy", "anvil"),
]

PARTS = ("parts/nginx", "parts/passes-cron", "parts/settlement", "parts/settlement-cron")
AWAKE = ("healthz", "nonce", "environments", "initialize-compute", "start-compute", "status", "result", "pods")


def test_a_paid_job_run_from_cron_is_claimed_once_though_settlement_is_killed(tmp_path: Path) -> None:
    from engines.drivers.kubernetes_connect import connect
    from tests.services.anvil import AnvilChain
    from tests.services.kubernetes import CLASS, volumes

    address, key = os.environ["C2D_KUBE_HOST_IP"], secrets.token_bytes(32)
    with ExitStack() as stack:
        chain = AnvilChain(address)
        stack.callback(chain.stop)
        payee = Address(address_of(KEY).lower())
        chain.fund(payee)
        chain.fund(Address(address_of(key).lower()))
        chain.prepare_payer(key, payee=payee)
        config = {"chainId": chain.config.chain_id, "rpc": chain.url, "escrow": chain.contracts.escrow}
        stack.enter_context(volumes(connect({})))
        stage = stack.enter_context(deployed(
            tmp_path, address, CLASS, {"environments": [priced(chain)], "slackSeconds": 300},
            parts=PARTS, awake=AWAKE, ports=(chain.port,),
            settings={"C2D_CHAINS": json.dumps([config | {"finalityBlocks": 1}])},
        ))  # fmt: skip
        stage.deploy()
        consumer = Consumer(stage.url, key)
        until(lambda: offered(consumer), "the engine's offer, made by cron")
        began = time.monotonic()
        job_id = bought(consumer, {"chainId": chain.config.chain_id, "token": chain.contracts.token})
        until(lambda: job(consumer, job_id)["status"] == 40, "the job's algorithm")
        killed = stage.kill("c2d.node/role=settlement")
        until(lambda: job(consumer, job_id)["status"] >= 50, "the algorithm's end")
        killed += stage.kill("c2d.node/role=settlement")
        until(lambda: job(consumer, job_id)["payment"]["state"] == "settled", "the claim")
        done = job(consumer, job_id)
        until(lambda: ended(stage) >= {"passes", "settlement"}, "the end of a job of each CronJob")
        events = chain.chain.events(0, chain.chain.head().number, payee)
        print(f"\nbought, run and claimed in {time.monotonic() - began:.0f} s; killed {killed} pods of settlement")
        assert done["status"] == 70, done
        assert [event.name for event in events] == [EventName.LOCK, EventName.CLAIMED], events
        assert 0 < events[1].amount_wei < events[0].amount_wei


def priced(chain: Any) -> dict[str, Any]:
    """An environment that is paid for alone."""
    prices = [{"id": "cpu", "price": 0.6}, {"id": "ram", "price": 0}]
    shares = [
        {"id": "cpu", "total": 1.5, "min": 0.05, "max": 1},
        {"id": "ram", "total": 4, "min": 0.1, "max": 2},
        {"id": "disk", "total": 20, "min": 0.1, "max": 5},
    ]
    fees = {str(chain.config.chain_id): [{"feeToken": chain.contracts.token, "prices": prices}]}
    return {"id": "main", "maxJobs": 4, "minJobDuration": 60, "maxJobDuration": 600, "resources": shares, "fees": fees}


def bought(consumer: Consumer, payment: dict[str, Any]) -> str:
    """Quote and start, as a client does; the job's id."""
    body = {"workflow": [sleeper(20)], "environment": consumer.environment()["id"], "payment": payment}
    asked = {**body, "consumerAddress": consumer.address}
    quote = good(consumer.call("POST", "/api/services/initializeCompute", asked))
    assert int(quote["payment"]["amount"]) > 0, quote
    [started] = good(consumer.call("POST", "/api/services/compute", {**body, **consumer.signed("startCompute")}))
    return str(started["jobId"]).rpartition("-")[2]


def job(consumer: Consumer, job_id: str) -> dict[str, Any]:
    """Its record."""
    [found] = consumer.status(jobId=job_id)
    return found


def ended(stage: Stage) -> set[str]:
    """The CronJobs of which a job has ended well."""
    found = json.loads(stage.kubectl("get", "jobs", "-o", "json"))["items"]
    return {each["metadata"]["ownerReferences"][0]["name"] for each in found if each["status"].get("succeeded")}
