"""Requests made up from our own OpenAPI document: no fault of ours, and no answer outside what the document says."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS
from schemathesis.generation.stateful import APIStateMachine

from handlers import all_in_one
from shared.addresses import address_of
from shared.db import results, tokens
from shared.db.connection import transaction
from shared.db.tables import Job
from shared.lifecycle import JobStatus
from shared.names import JobId
from shared.services import Services
from shared.tokens import TokenClaims, make_token
from tests import factories
from tests.factories import ALICE, ENVIRONMENT_ID, workflow_job
from tests.handlers.api import Api

SHORT_S, SHORT, LONG = 9, 12, 1250
"Requests an operation: in every check, and with --long (more than 20,000 in all)."
POD_COMMANDS = ("c2dJobProvision", "c2dJobStatusUpdate", "c2dJobPublishResult")
LINKED = [
    "freeStartCompute", "getComputeStatus", "stopCompute", "getComputeResult", "getComputeStreamableLogs",
    "getComputeEvents",
]  # fmt: skip
SOUND = {"generation": {"mode": "positive", "allow-x00": False}}
"A walk is about what follows a good answer."
HELD = ("response_schema_conformance", "content_type_conformance", "status_code_conformance")


class Node:
    """The app with a finished job of Alice's, and a token of hers."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.api = Api(services)
        now_ms = services.now_ms()
        self.token = make_token(services.keys.token, TokenClaims(address_of(ALICE), "1", now_ms))
        with transaction():
            tokens.insert_token(self.token, address_of(ALICE).lower(), now_ms, now_ms + 10**8)
        (job,) = self.api.start_jobs()
        self.job_id = str(job["jobId"])
        self.finish()
        app = all_in_one.create_app(services)
        self.schema = schemathesis.openapi.from_wsgi("/openapi.json", app)
        self.sound = schemathesis.openapi.from_wsgi("/openapi.json", app, config=schemathesis.Config.from_dict(SOUND))

    def finish(self) -> None:
        """Bring every job to its end, with a result: nothing that follows one is then endless."""
        with transaction():
            unfinished = [row.job_id for row in Job.select(Job.job_id).where(Job.finished_at_ms.is_null())]
        for job_id in unfinished:
            stored = self.services.storage.write(f"{job_id}/algorithm.log", [b"made up\n"])
            results.record_result(JobId(job_id), "algorithm.log", stored, 1)
            factories.put_status(job_id, JobStatus.FINISHED, finished_at_ms=self.services.now_ms(), exit_code=0)

    def call(self, case: schemathesis.Case, is_known: bool) -> None:
        """Send a request, half of them as somebody who may; hold the answer against the document."""
        self.prepare(case, is_known)
        response = case.call()
        said = f"{case.method} {case.formatted_path} {case.query} {case.body!r} → {response.status_code}"
        is_told = response.status_code == 503 and case.path == "/readyz"
        assert response.status_code < 500 or is_told, f"{said}: {response.content[:500]!r}"
        case.validate_response(response, checks=CHECKS.get_by_names(HELD))
        self.finish()

    def prepare(self, case: schemathesis.Case, is_known: bool) -> None:
        """Let the request come from Alice and be about her job; let no request reach beyond this machine."""
        fields = case.body if isinstance(case.body, dict) else case.query
        if isinstance(case.body, dict) and isinstance(case.body.get("url"), str):
            case.body["url"] = "http://127.0.0.1:1/a"
        if not is_known or not isinstance(fields, dict):
            return
        for name in ("nonce", "signature", "authorization"):
            fields.pop(name, None)
        known = {"consumerAddress": address_of(ALICE), "jobId": self.job_id, "environment": ENVIRONMENT_ID}
        fields |= {name: value for name, value in known.items() if name in fields}
        case.headers = {**(case.headers or {}), "Authorization": self.token}


@pytest.fixture
def node(quick_database: str, tmp_path: Path) -> Iterator[Node]:
    """An app on SQLite, asked without a network."""
    factories.put_environment()
    yield Node(factories.services(tmp_path / "data", quick_database, streams=10**6))  # its transport closes no stream


def settings(examples: int) -> hypothesis.settings:
    """As many as asked for, whatever the time; the same ones each time."""
    checks = list(hypothesis.HealthCheck)
    phases = [hypothesis.Phase.generate]
    return hypothesis.settings(
        max_examples=examples, deadline=None, suppress_health_check=checks, phases=phases, derandomize=True,
        database=None, stateful_step_count=6, print_blob=False,
    )  # fmt: skip


def hammer(node: Node, operation: Any, examples: int) -> int:
    """Send made-up requests to one operation, sound ones and unsound ones; how many."""
    sent = 0

    @settings(examples)
    @hypothesis.given(data=st.data())
    def once(data: st.DataObject) -> None:
        nonlocal sent
        mode = data.draw(st.sampled_from([GenerationMode.POSITIVE, GenerationMode.POSITIVE, GenerationMode.NEGATIVE]))
        try:
            case = data.draw(operation.as_strategy(generation_mode=mode))
        except hypothesis.errors.Unsatisfiable:
            return
        sent += 1
        node.call(case, data.draw(st.booleans()))

    once()
    return sent


def operations(node: Node) -> Mapping[str, Any]:
    """Every operation by its name; the pods' need a signature over headers, and have tests of their own."""
    found = (each.ok() for each in node.schema.get_all_operations())
    return {operation.label: operation for operation in found if not operation.path.endswith(POD_COMMANDS)}


def test_made_up_requests_are_answered_as_the_document_says(node: Node) -> None:
    until = time.monotonic() + SHORT_S
    for operation in operations(node).values():
        if time.monotonic() < until:
            hammer(node, operation, SHORT)


@pytest.mark.long
@pytest.mark.timeout(0)
def test_twenty_thousand_made_up_requests_are_answered_as_the_document_says(node: Node) -> None:
    sent = {label: hammer(node, operation, LONG) for label, operation in operations(node).items()}
    print(f"\n{sum(sent.values()):,} requests to {len(sent)} operations")
    assert sum(sent.values()) >= 20_000


def walk(node: Node, walks: int) -> set[str]:
    """Follow the document's links from start to status to result; the operations that were reached by one."""
    reached: set[str] = set()

    class Walk(node.sound.include(operation_id=LINKED).as_state_machine()):  # type: ignore[misc]
        def before_call(self, case: schemathesis.Case) -> None:
            if case.method == "POST":
                case.body = {"consumerAddress": address_of(ALICE), "workflow": [workflow_job()]}
            is_linked = "jobId" in (case.query or {}) and not isinstance(case.body, dict)
            job_id = case.query.get("jobId") if is_linked else None
            node.prepare(case, is_known=True)
            if job_id:
                case.query["jobId"] = job_id

        def after_call(self, response: Any, case: schemathesis.Case) -> None:
            reached.add(f"{case.operation.label} {response.status_code}")
            node.finish()

        def validate_response(self, response: Any, case: schemathesis.Case, **_: Any) -> None:
            assert response.status_code < 500 or case.path == "/readyz", response.content
            case.validate_response(response, checks=CHECKS.get_by_names(HELD))

    machine: type[APIStateMachine] = Walk
    machine.run(settings=settings(walks))
    return reached


def test_the_documents_links_lead_from_a_start_to_its_result(node: Node) -> None:
    wanted = {
        f"{step} 200"
        for step in ("POST /api/services/freeCompute", "GET /api/services/compute", "GET /api/services/computeResult")
    }
    reached: set[str] = set()
    for walks in (6, 30, 150):  # where walks lead depends on what else is loaded: Hypothesis draws from its constants
        reached |= walk(node, walks)
        if wanted <= reached:
            return
    raise AssertionError(f"never reached: {wanted - reached}")
