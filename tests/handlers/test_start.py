"""Starting: both doors, what is written, what is refused and where the fault is said to be."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from shared import sealing
from shared.addresses import address_of, public_key_of
from shared.db.connection import session
from shared.db.tables import Dependency, Event, Input, Job, Workflow
from shared.digests import body_digest
from shared.ecies import encrypt
from shared.lifecycle import JobStatus
from shared.signatures import sign_bound
from tests import factories
from tests.factories import ALICE, BOB, ENVIRONMENT_ID, NODE_KEY, command_body, signed, workflow_job
from tests.handlers.api import Api

URL = {"type": "url", "url": "https://example.org/a.csv"}
FILE = {"type": "url", "url": "file:///etc/passwd"}


def test_a_workflow_is_answered_with_a_record_for_each_job_in_order(api: Api) -> None:
    records = api.start_jobs(workflow_job(5), workflow_job(2, runAfter=5), workflow_job(9, runAfter=[5, 2]))
    first, second, third = records
    assert [record["index"] for record in records] == [5, 2, 9]
    assert len({record["workflowId"] for record in records}) == 1
    assert second["runAfter"] == [first["jobId"]]
    assert sorted(third["runAfter"]) == sorted([first["jobId"], second["jobId"]])
    assert all(record["status"] == 1 and record["statusText"] == "Job queued" for record in records)
    assert all(len(record["jobId"]) == 64 for record in records)


def test_only_jobs_that_wait_for_nothing_are_in_line(api: Api) -> None:
    first, second = api.start_jobs(workflow_job(0), workflow_job(1, runAfter=0))
    with session():
        rows = {row.job_id: row for row in Job.select()}
        assert Dependency.select().count() == 1
    assert rows[first["jobId"]].ready_at_ms is not None and rows[first["jobId"]].due_at_ms is not None
    assert rows[second["jobId"]].unmet == 1 and rows[second["jobId"]].ready_at_ms is None


def test_an_input_from_an_earlier_job_makes_it_run_after_it(api: Api) -> None:
    first, second = api.start_jobs(workflow_job(0), workflow_job(1, input=[{"index": 0, "previousStage": 0}]))
    assert second["runAfter"] == [first["jobId"]]
    with session():
        assert Input.get().from_job_id == first["jobId"]


def test_nothing_that_is_secret_lies_in_a_row_in_plain_text(api: Api) -> None:
    url = {"type": "url", "url": "https://example.org/?key=hush-url", "headers": {"X": "hush-header"}}
    job = workflow_job(input=[{"index": 0, "files": url}])
    job["algorithm"] |= {"rawcode": "hush-code", "envs": {"A": "hush-env"}, "algocustomdata": "hush-data"}
    (record,) = api.start_jobs(job)
    with session():
        rows = [*Job.select().dicts(), *Input.select().dicts(), *Workflow.select().dicts(), *Event.select().dicts()]
        sealed = Job.get_by_id(record["jobId"]).sealed
    assert "hush" not in repr(rows)
    opened = api.services.keys.box.open_json(sealed, sealing.job_context(record["jobId"]))
    assert opened["rawcode"] == "hush-code" and opened["envs"] == {"A": "hush-env"}


def test_a_job_may_run_after_one_of_an_earlier_workflow_of_the_same_owner(api: Api) -> None:
    (earlier,) = api.start_jobs()
    (waiting,) = api.start_jobs(workflow_job(runAfter=earlier["jobId"]))
    factories.put_status(earlier["jobId"], JobStatus.FINISHED, exit_code=0, finished_at_ms=1)
    (ready,) = api.start_jobs(workflow_job(runAfter=[earlier["jobId"]]))
    with session():
        assert Job.get_by_id(waiting["jobId"]).unmet == 1
        assert Job.get_by_id(ready["jobId"]).unmet == 0
    assert ready["runAfter"] == [earlier["jobId"]]


def test_nobody_runs_after_the_job_of_another_owner_or_one_that_failed(api: Api) -> None:
    (earlier,) = api.start_jobs()
    other = api.start({"workflow": [workflow_job(runAfter=earlier["jobId"])]}, BOB)
    factories.put_status(earlier["jobId"], JobStatus.RUN_FAILED, exit_code=1, finished_at_ms=1)
    failed = api.start({"workflow": [workflow_job(runAfter=earlier["jobId"])]})
    assert (other.status_code, other.json["path"]) == (400, "workflow[0].runAfter")
    assert (failed.status_code, failed.json["path"]) == (400, "workflow[0].runAfter")


def test_ocean_nodes_form_reserves_now_and_is_answered_with_the_full_id(api: Api) -> None:
    result = api.start(command_body())
    assert result.status_code == 200, result.text
    (record,) = result.json
    assert record["jobId"].startswith(f"{factories.ENGINE_HASH}-")
    assert (record["status"], record["environment"]) == (10, ENVIRONMENT_ID)
    assert {each["id"]: each["amount"] for each in record["resources"]} == {"cpu": 1, "ram": 1, "disk": 1}
    assert record["maxJobDuration"] == 300


def test_ocean_nodes_form_is_refused_when_nothing_is_left_and_waits_if_it_says_so(api: Api) -> None:
    all_of_it = [{"id": "cpu", "amount": 2}]
    assert api.start(command_body(resources=all_of_it)).status_code == 200
    assert api.start(command_body(resources=all_of_it)).status_code == 200
    refused = api.start(command_body(resources=all_of_it))
    assert (refused.status_code, refused.json["code"]) == (400, "not_enough_resources")
    waiting = api.start(command_body(resources=all_of_it, queueMaxWaitTime=60))
    assert waiting.json[0]["status"] == 1
    with session():
        assert Job.select().count() == 3


def test_fields_ocean_nodes_form_does_not_have_are_ignored(api: Api) -> None:
    body = command_body(somethingNew=1, payment={"maxJobDuration": 5}, userdata={"a": 1}, policyServer=[])
    assert api.start(body).status_code == 200


def test_user_data_is_appended_to_the_query_of_the_url(api: Api) -> None:
    dataset = {"fileObject": {"type": "URL", "url": "https://example.org/a?b=1", "method": "GET"}, "userdata": {"c": 2}}
    job_id = api.start(command_body(datasets=[dataset])).json[0]["jobId"].partition("-")[2]
    with session():
        row = Input.get(Input.job_id == job_id)
    (file,) = api.services.keys.box.open_json(row.sealed, sealing.input_context(job_id, 0))
    assert (file["type"], file["url"]) == ("url", "https://example.org/a?b=1&c=2")


def test_files_may_be_encrypted_for_the_node_and_so_may_a_registry_login(api: Api) -> None:
    public_key = public_key_of(NODE_KEY)
    files = encrypt(public_key, json.dumps({"files": [URL]}).encode()).hex()
    login = encrypt(public_key, json.dumps({"username": "u", "password": "p"}).encode()).hex()
    body = command_body(datasets=[{"fileObject": files}], encryptedDockerRegistryAuth=login)
    job_id = api.start(body).json[0]["jobId"].partition("-")[2]
    with session():
        sealed = Job.get_by_id(job_id).sealed
    opened = api.services.keys.box.open_json(sealed, sealing.job_context(job_id))
    assert opened["registryAuth"] == {"username": "u", "password": "p"}
    wrong = api.start(command_body(datasets=[{"fileObject": "00" * 200}]))
    assert (wrong.status_code, wrong.json["path"]) == (400, "datasets[0].fileObject")


def nested(depth: int) -> Any:
    """Lists in lists."""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


WRONG: list[tuple[str, dict[str, Any], int, str]] = [
    ("an unknown field", {"workflow": [workflow_job(colour="red")]}, 400, "workflow[0].colour"),
    ("an unknown field at the top", {"workflow": [workflow_job()], "chainId": 1}, 400, "chainId"),
    ("no image", {"workflow": [workflow_job(algorithm={"container": {}})]}, 400, "[0].algorithm.container.image"),
    ("no container", {"workflow": [workflow_job(algorithm={})]}, 400, "workflow[0].algorithm.container"),
    ("a text for a number", {"workflow": [workflow_job(compute={"cpu": "1"})]}, 400, "workflow[0].compute.cpu"),
    ("no jobs", {"workflow": []}, 400, "workflow"),
    ("one index twice", {"workflow": [workflow_job(0), workflow_job(0)]}, 400, "workflow[1].index"),
    ("a job nobody sent", {"workflow": [workflow_job(0, runAfter=7)]}, 400, "workflow[0].runAfter"),
    ("itself", {"workflow": [workflow_job(0, runAfter=0)]}, 400, "workflow[0].runAfter"),
    ("a cycle", {"workflow": [workflow_job(0, runAfter=1), workflow_job(1, runAfter=[0])]}, 400, "[0].runAfter"),
    ("a stranger's id", {"workflow": [workflow_job(0, runAfter="ab" * 32)]}, 400, "workflow[0].runAfter"),
    ("an unknown environment", {"workflow": [workflow_job()], "environment": "0x1-0x2"}, 404, "environment"),
    ("too much", {"workflow": [workflow_job(compute={"cpu": 64})]}, 400, "workflow[0]"),
    ("an unknown resource", {"workflow": [workflow_job(resources=[{"id": "gpu", "amount": 1}])]}, 400, "workflow[0]"),
    ("a build", {"workflow": [workflow_job(algorithm={"container": {"image": "x", "dockerfile": "FROM x"}})]}, 400, ""),
    ("another scheme", {"workflow": [workflow_job(input=[{"index": 0, "files": FILE}])]}, 400, "url"),
    ("another type", {"workflow": [workflow_job(input=[{"index": 0, "files": {"type": "ipfs"}}])]}, 404, "files"),
    ("a DID alone", {"workflow": [workflow_job(input=[{"index": 0, "did": "did:op:1"}])]}, 404, "workflow[0].input[0]"),
    ("two inputs of one index", {"workflow": [workflow_job(input=[{"index": 0, "files": URL}] * 2)]}, 400, "input"),
    ("metadata too long", {"workflow": [workflow_job()], "metadata": {"a": "b" * 1024}}, 400, "metadata"),
    ("a viewer who is none", {"workflow": [workflow_job()], "additionalViewers": ["0x12"]}, 400, "Viewers[0]"),
    ("an endless wait", {"workflow": [workflow_job()], "queueMaxWaitTime": 1e300}, 400, "queueMaxWaitTime"),
    ("no algorithm", {"environment": ENVIRONMENT_ID}, 400, "algorithm"),
    ("no environment", {"algorithm": {"meta": {"container": {"image": "x"}}}}, 400, "environment"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "body", "status", "path"), WRONG, ids=[case for case, *_ in WRONG])
def test_a_start_is_refused_with_the_path_of(
    quick: Api, case: str, body: dict[str, Any], status: int, path: str
) -> None:
    result = quick.start(body)
    assert (result.status_code, result.headers["content-type"]) == (status, "application/json")
    assert path in str(result.json.get("path")) or not path
    assert result.json["error"] and result.json["status"] == status
    with session():
        assert Job.select().count() == 0 and Workflow.select().count() == 0


def test_a_refused_start_uses_up_its_nonce_so_that_nobody_can_send_it_again_later(api: Api) -> None:
    body = signed({"workflow": [workflow_job(compute={"cpu": 64})]}, "freeStartCompute", 7)
    assert api.post("freeCompute", body).status_code == 400
    assert api.post("freeCompute", body).status_code == 401
    assert api.get("nonce", userAddress=address_of(ALICE)).json == {"nonce": "7"}


def test_of_fifty_replays_at_once_exactly_one_is_taken(api: Api) -> None:
    body = signed({"workflow": [workflow_job()]}, "freeStartCompute", 1)
    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda _: api.post("freeCompute", body).status_code, range(50)))
    assert (statuses.count(200), statuses.count(401)) == (1, 49)
    with session():
        assert Job.select().count() == 1


def test_a_signature_bound_to_the_body_is_good_for_this_body_and_node_alone(api: Api) -> None:
    fields = {"workflow": [workflow_job()], "consumerAddress": address_of(ALICE), "nonce": "3"}
    good = sign_bound(ALICE, "3", "freeStartCompute", address_of(NODE_KEY), body_digest(fields))
    other = sign_bound(ALICE, "3", "freeStartCompute", address_of(BOB), body_digest(fields))
    changed = {**fields, "workflow": [workflow_job(3)]}
    assert api.post("freeCompute", {**fields, "signature": other}).status_code == 401
    assert api.post("freeCompute", {**changed, "signature": good}).status_code == 401
    assert api.post("freeCompute", {**fields, "signature": good}).status_code == 200


def test_only_those_an_environment_lets_in_may_use_it(api: Api) -> None:
    closed = factories.environment(
        id=f"{factories.ENGINE_HASH}-closed", access={"addresses": [address_of(BOB)], "accessLists": None}
    )
    factories.put_environment(closed)
    assert api.start(command_body(environment=closed["id"])).status_code == 403
    assert api.start(command_body(environment=closed["id"]), BOB).status_code == 200
    gated = factories.environment(
        id=f"{factories.ENGINE_HASH}-gated", access={"addresses": [], "accessLists": [{"8996": ["0x12"]}]}
    )
    factories.put_environment(gated)
    assert api.start(command_body(environment=gated["id"]), BOB).status_code == 403


def test_an_environment_without_a_free_part_takes_no_free_job(quick: Api) -> None:
    paid = factories.environment(id=f"{factories.ENGINE_HASH}-paid", free=None)
    factories.put_environment(paid)
    result = quick.start(command_body(environment=paid["id"]))
    assert (result.status_code, result.json["error"]) == (400, "This env does not support free jobs")
