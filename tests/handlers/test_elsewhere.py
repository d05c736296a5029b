"""A process that is asked what another of the node's processes serves says so, and never "no such thing"."""

from __future__ import annotations

import pytest
from falcon.testing import TestClient

from handlers import all_in_one, registry, status, stop
from shared.endpoints import ROUTES
from tests.handlers.api import Api

ENTRIES = (*registry.ENTRIES, *all_in_one.ABOUT_ALL)


def test_the_routes_that_are_known_are_those_there_are() -> None:
    declared = {(entry.command.method, path) for entry in ENTRIES for path in entry.command.paths}
    assert declared - ROUTES == {("GET", "/metrics")}, "shared/endpoints.py has every route but that one"
    assert declared >= ROUTES


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/services/compute"),
        ("POST", "/api/services/compute"),
        ("GET", "/api/services/jobs/a-b"),
        ("GET", "/api/services/nonce/"),
        ("DELETE", "/api/services/nonce"),
        ("POST", "/api/services/c2dJobStatusUpdate"),
        ("GET", "/"),
    ],
)
def test_a_route_of_another_process_may_be_asked_again(quick: Api, method: str, path: str) -> None:
    answer = TestClient(stop.create_app(quick.services)).simulate_request(method, path, body="{}")
    assert (answer.status_code, answer.json["code"], answer.headers["Retry-After"]) == (421, "misdirected", "1")
    assert answer.json["status"] == 421 and "Try again" in answer.json["error"]


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/api/services/nothing", (404, "not_available")),
        ("GET", "/api/services/jobs//", (404, "not_available")),
        ("GET", "/api/services/jobs/a/b", (404, "not_available")),
        ("GET", "/metrics", (404, "not_available")),
        ("PATCH", "/api/services/compute", (405, "method_not_allowed")),
        ("DELETE", "/api/services/compute", (404, "not_available")),
    ],
)
def test_a_route_of_nobody_is_not_there(quick: Api, method: str, path: str, expected: tuple[int, str]) -> None:
    answer = TestClient(status.create_app(quick.services)).simulate_request(method, path)
    assert (answer.status_code, answer.json["code"]) == expected
