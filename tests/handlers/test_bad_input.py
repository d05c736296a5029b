"""Whatever a caller sends, the answer is an error in our one shape, and never a 500."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handlers import registry
from shared.addresses import address_of
from shared.db.connection import session
from shared.db.tables import Job
from tests import factories
from tests.factories import BOB, signed, workflow_job
from tests.handlers.api import Api

START = "/api/services/freeCompute"
JSON = {"Content-Type": "application/json"}

RAW: list[tuple[str, bytes]] = [
    ("nothing", b""),
    ("half an object", b'{"a": '),
    ("a list", b"[]"),
    ("a number", b"5"),
    ("null", b"null"),
    ("NaN", b'{"consumerAddress": NaN}'),
    ("infinity", b'{"queueMaxWaitTime": 1e999}'),
    ("a number of 5,000 digits", b'{"a": ' + b"9" * 5000 + b"}"),
    ("one key twice", b'{"workflow": [], "workflow": []}'),
    ("depth without end", b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    ("depth of a hundred", b'{"a":' + b"[" * 100 + b"]" * 100 + b"}"),
    ("bytes that are no UTF-8", b'{"a": "\xff\xfe"}'),
    ("UTF-16", '{"a": 1}'.encode("utf-16")),
    ("half a surrogate pair", b'{"a": "\\ud800"}'),
    ("NUL", b'{"a": "\\u0000"}'),
    ("a byte order mark", b"\xef\xbb\xbf{}"),
]


@pytest.mark.parametrize(("case", "raw"), RAW, ids=[case for case, _ in RAW])
@pytest.mark.parametrize("path", [START, "/directCommand", "/api/services/auth/token", "/api/services/fileInfo"])
def test_a_body_is_refused_that_is(quick: Api, path: str, case: str, raw: bytes) -> None:
    result = quick.client.simulate_post(path, body=raw, headers=JSON)
    assert_refused(result)


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "nonsense", ""])
def test_the_content_type_of_a_json_body_does_not_matter(quick: Api, content_type: str) -> None:
    body = json.dumps(signed({"workflow": [workflow_job()]}, "freeStartCompute", 1))
    headers = {"Content-Type": content_type} if content_type else {}
    assert quick.client.simulate_post(START, body=body, headers=headers).status_code == 200


def test_a_body_is_refused_by_its_announced_size_and_by_its_counted_one(quick: Api) -> None:
    announced = quick.client.simulate_post(START, body=b"{}", headers={**JSON, "Content-Length": str(9 << 20)})
    assert announced.status_code == 413
    counted = quick.client.simulate_post(START, body=b" " * (9 << 20), headers=JSON)
    assert (counted.status_code, counted.json["code"]) == (413, "payload_too_large")


QUERIES = [
    "jobId=%ff",
    "jobId=a&jobId=b",
    "jobId=%00",
    "&".join(f"a{i}=1" for i in range(200)),
    "jobId=" + "a" * 5000,
    "jobId=../../etc/passwd",
    "consumerAddress=0x12",
    "consumerAddress=" + "0x" + "g" * 40,
    "jobId=a%20b",
]


@pytest.mark.parametrize("query", QUERIES, ids=range(len(QUERIES)))
@pytest.mark.parametrize("path", ["compute", "computeEvents", "computeResult", "jobs/x", "nonce"])
def test_a_query_is_answered_or_refused_but_never_a_fault(quick: Api, path: str, query: str) -> None:
    result = quick.client.simulate_get(f"/api/services/{path}", query_string=query)
    assert result.status_code in (200, 400, 401, 404), result.text
    assert "error" in result.json or result.status_code == 200


SIGNATURES: list[dict[str, Any]] = [
    {"signature": "0x"}, {"signature": "0x" + "00" * 65}, {"signature": "nonsense"}, {"signature": "0x" + "ff" * 66},
    {"nonce": "abc"}, {"nonce": "-1"}, {"nonce": "0"}, {"nonce": "1e3"}, {"nonce": str(2**53)}, {"nonce": "9" * 60},
    {"nonce": "٣"}, {"nonce": 1.5}, {"nonce": ["1"]}, {"consumerAddress": address_of(BOB)}, {"consumerAddress": "0x"},
    {"consumerAddress": None}, {"signature": None}, {"nonce": None},
]  # fmt: skip


@pytest.mark.parametrize("wrong", SIGNATURES, ids=[json.dumps(each)[:40] for each in SIGNATURES])
def test_nobody_gets_in_with(quick: Api, wrong: dict[str, Any]) -> None:
    result = quick.post("freeCompute", signed({"workflow": [workflow_job()]}, "freeStartCompute", 1) | wrong)
    assert_refused(result)
    assert result.status_code in (400, 401)
    with session():
        assert Job.select().count() == 0


@pytest.mark.parametrize("entry", registry.ENTRIES, ids=[entry.command.name for entry in registry.ENTRIES])
def test_the_text_undefined_is_nothing_on_every_route(quick: Api, entry: Any) -> None:
    headers = {"Authorization": "undefined", "Range": "undefined", "If-None-Match": "undefined"}
    query = "signature=undefined&nonce=undefined&jobId=null&consumerAddress="
    path = entry.command.path.replace("{job}", "x")
    result = quick.client.simulate_request(entry.command.method, path, query_string=query, headers=headers)
    assert result.status_code in (200, 400, 401, 404, 503), result.text
    assert result.status_code != 503 or entry.command.name == "readyz"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "POST"])
@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/api/services/initializeCompute",
        "/api/services/compute",
        "/getP2PPeers",
        "/api/aquarius/assets/ddo/did:op:1",
        "/api/services/persistentStorage/buckets",
    ],
)
def test_what_is_not_built_is_said_in_json(quick: Api, method: str, path: str) -> None:
    result = quick.client.simulate_request(method, path)
    assert result.status_code in (400, 401, 404, 405)
    assert result.json["code"] in ("not_available", "method_not_allowed", "invalid_request", "unauthorized")


def test_commands_that_are_not_built_are_told_from_those_that_do_not_exist(quick: Api) -> None:
    known, unknown = quick.direct("download"), quick.direct("makeCoffee")
    assert (known.status_code, known.json["code"]) == (404, "not_available")
    assert (unknown.status_code, unknown.json["error"]) == (400, 'Invalid or unrecognized command: "makeCoffee"')
    assert quick.direct("status", node="16Uiu2HAmSomebodyElse").json["code"] == "not_available"


def test_the_probe_for_the_nodes_log_without_a_body_is_refused(quick: Api) -> None:
    assert quick.client.simulate_post("/logs").status_code == 400


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["did:op:1", "0x12"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("workflow", "environment", "algorithm", "datasets", "resources", "metadata", "output", "queueMaxWaitTime",
          "additionalViewers", "payment", "maxJobDuration", "authorization", "encryptedDockerRegistryAuth")  # fmt: skip
JSON_LETTERS = '{}[]",:0123456789.eE-+ntrufalsx\\ud '
PLACES = ("index", "runAfter", "input", "algorithm", "compute", "environment", "resources", "layout")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(top=st.dictionaries(st.sampled_from(FIELDS), VALUES), job=st.dictionaries(st.sampled_from(PLACES), VALUES))
def test_no_start_however_strange_is_a_fault_of_the_node(quick: Api, top: dict[str, Any], job: dict[str, Any]) -> None:
    for body in ({**factories.command_body(), **top}, {"workflow": [workflow_job() | job], **top}):
        result = quick.start(body)
        assert result.status_code in (200, 400, 401, 403, 404), result.text


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    raw=st.binary(max_size=200) | st.text(alphabet='{}[]",:0123456789.eE-+ntrufalsx\\ud ', max_size=120).map(str.encode)
)
def test_no_bytes_however_strange_are_a_fault_of_the_node(quick: Api, raw: bytes) -> None:
    assert quick.client.simulate_post("/directCommand", body=raw, headers=JSON).status_code in (400, 404)


def assert_refused(result: Any) -> None:
    """An error in our one shape."""
    assert 400 <= result.status_code < 500, result.text
    assert result.headers["content-type"] == "application/json"
    assert {"error", "code", "title", "status", "detail"} <= set(result.json)
    assert result.json["status"] == result.status_code
