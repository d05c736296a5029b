"""Who is calling: nonces, tokens, direct commands, the caller's address, origins and rates."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from falcon.testing import TestClient

from handlers import all_in_one
from shared.addresses import address_of
from shared.db.connection import session, transaction
from shared.db.node_tables import Engine, Token
from shared.signatures import sign_command
from tests import factories
from tests.factories import ALICE, BOB, workflow_job
from tests.handlers.api import Api


def credentials(command: str, nonce: int, key: bytes = ALICE, **fields: Any) -> dict[str, Any]:
    """What token commands are sent."""
    signature = sign_command(key, nonce, command)
    return {"address": address_of(key), "nonce": str(nonce), "signature": signature, **fields}


def make_token(api: Api, key: bytes = ALICE) -> str:
    """A token of the key's address."""
    result = api.post("auth/token", credentials("createAuthToken", api.next_nonce(), key))
    assert result.status_code == 200, result.text
    return str(result.json["token"])


def test_a_nonce_is_asked_for_without_being_written_and_grows_with_jumps(api: Api) -> None:
    alice = address_of(ALICE)
    assert api.get("nonce", userAddress=alice).json == {"nonce": "0"}
    api.post("auth/token", credentials("createAuthToken", 1769000000123))
    assert api.get("nonce", userAddress=alice.lower()).json == {"nonce": "1769000000123"}
    assert api.direct("nonce", address=alice).text == "1769000000123"
    assert api.post("auth/token", credentials("createAuthToken", 5)).status_code == 401


def test_of_fifty_uses_of_one_nonce_at_once_exactly_one_is_taken(api: Api) -> None:
    body = credentials("createAuthToken", 9)
    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda _: api.post("auth/token", body).status_code, range(50)))
    assert (statuses.count(200), statuses.count(401)) == (1, 49)


def test_a_wrong_signature_uses_up_nothing(api: Api) -> None:
    wrong = credentials("createAuthToken", 1, BOB) | {"address": address_of(ALICE)}
    assert api.post("auth/token", wrong).status_code == 401
    assert api.post("auth/token", credentials("createAuthToken", 1)).status_code == 200


def test_a_token_stands_in_for_the_signature_of_its_own_address_alone(api: Api) -> None:
    headers = {"Authorization": make_token(api)}
    body = {"workflow": [workflow_job()], "consumerAddress": address_of(ALICE)}
    assert api.post("freeCompute", body, headers).status_code == 200
    assert api.post("freeCompute", body, {"Authorization": f"Bearer {headers['Authorization']}"}).status_code == 200
    other = api.post("freeCompute", {**body, "consumerAddress": address_of(BOB)}, headers)
    assert other.status_code == 401
    assert other.json["error"] == "Authenticated address does not match the requested address"


def test_a_signature_comes_before_a_token_and_its_failure_is_final(api: Api) -> None:
    headers = {"Authorization": make_token(api)}
    body = factories.signed({"workflow": [workflow_job()]}, "somethingElse", 50)
    assert api.post("freeCompute", body, headers).status_code == 401


def test_a_token_may_stand_in_the_body_of_a_direct_command(api: Api) -> None:
    token = make_token(api)
    (job,) = api.start_jobs()
    stopped = api.direct("stopCompute", consumerAddress=address_of(ALICE), jobId=job["jobId"], authorization=token)
    assert (stopped.status_code, stopped.json[0]["stopRequested"]) == (200, True)


def test_an_invalidated_expired_or_forged_token_is_no_token(api: Api) -> None:
    token = make_token(api)
    (job,) = api.start_jobs()
    stop = {"Authorization": token}
    path, query = "/api/services/compute", f"jobId={job['jobId']}&consumerAddress={address_of(ALICE)}"
    assert api.client.simulate_put(path, query_string=query, headers=stop).status_code == 200
    foreign = api.post("auth/token/invalidate", credentials("", api.next_nonce(), BOB, token=token))
    assert foreign.status_code == 401
    assert api.client.simulate_put(path, query_string=query, headers=stop).status_code == 200
    done = api.post("auth/token/invalidate", credentials("", api.next_nonce(), token=token))
    assert done.json == {"success": True}
    assert api.client.simulate_put(path, query_string=query, headers=stop).status_code == 401
    expired = make_token(api)
    with transaction():
        Token.update(valid_until_ms=1).execute()
    for bad in (expired, token[:-2] + "xx", "a.b.c", "..", "é"):
        result = api.client.simulate_put(path, query_string=query, headers={"Authorization": bad})
        assert result.status_code == 401, bad


def test_a_token_out_of_date_does_not_stop_an_open_question(api: Api) -> None:
    (job,) = api.start_jobs()
    assert api.get("compute", {"Authorization": "a.b.c"}, jobId=job["jobId"]).status_code == 200


def test_encrypted_text_can_be_read_by_the_node_alone(api: Api) -> None:
    query = factories.signed({}, "encrypt", api.next_nonce())
    result = api.client.simulate_post("/api/services/encrypt", params=query, body=b"hello")
    assert result.status_code == 200, result.text
    assert api.services.decrypt(result.text) == b"hello"
    again = factories.signed({}, "encryptFile", api.next_nonce())
    file = api.client.simulate_post("/api/services/encryptFile", params=again, body=b"\x00bytes")
    assert api.services.decrypt(file.content.hex()) == b"\x00bytes"
    assert file.headers["x-encrypted-method"] == "ecies"
    empty = factories.signed({}, "encrypt", api.next_nonce())
    assert api.client.simulate_post("/api/services/encrypt", params=empty).status_code == 400


# who calls from where


def test_pages_of_any_origin_may_ask_and_preflight_is_answered(quick: Api) -> None:
    result = quick.client.simulate_options("/api/services/compute", headers={"Origin": "https://app.example"})
    assert result.status_code == 204
    assert result.headers["access-control-allow-origin"] == "*"
    assert "PUT" in result.headers["access-control-allow-methods"]
    assert "Range" in result.headers["access-control-allow-headers"]
    refused = quick.get("compute")
    assert refused.status_code == 400 and refused.headers["access-control-allow-origin"] == "*"


def test_a_node_whose_jobs_are_plain_processes_answers_no_foreign_page(quick_database: str, tmp_path: Path) -> None:
    engines = '[{"name": "local", "type": "process"}]'
    client = TestClient(all_in_one.create_app(factories.services(tmp_path, quick_database, C2D_ENGINES=engines)))
    assert client.simulate_get("/healthz", host="localhost").status_code == 200
    assert "access-control-allow-origin" not in client.simulate_get("/healthz", host="localhost").headers
    assert client.simulate_get("/healthz", host="evil.example").status_code == 403
    foreign = {"Origin": "https://evil.example"}
    assert client.simulate_get("/healthz", host="localhost", headers=foreign).status_code == 403
    own = {"Origin": "http://localhost:8001"}
    assert client.simulate_get("/healthz", host="127.0.0.1", headers=own).status_code == 200


def test_too_many_requests_of_one_address_are_refused_with_when_to_come_back(
    quick_database: str, tmp_path: Path
) -> None:
    client = TestClient(all_in_one.create_app(factories.services(tmp_path, quick_database, C2D_RATE_LIMIT="3")))

    def ask(path: str = "/api/services/jobs", address: str = "203.0.113.5", **headers: str) -> Any:
        return client.simulate_get(path, remote_addr=address, headers=headers)

    assert [ask().status_code for _ in range(4)] == [200, 200, 200, 429]
    assert int(ask().headers["retry-after"]) > 0 and ask().json["code"] == "too_many_requests"
    assert ask(path="/").status_code == 200 and ask(path="/healthz").status_code == 200
    assert ask(address="203.0.113.6").status_code == 200
    assert {ask(address="127.0.0.1").status_code for _ in range(9)} == {200}
    assert ask(address="127.0.0.1", **{"X-Forwarded-For": "203.0.113.5"}).status_code == 429
    assert ask(address="203.0.113.7", **{"X-Forwarded-For": "203.0.113.5"}).status_code == 200


@pytest.mark.parametrize(("public", "status"), [("", 403), ("yes", 200)])
def test_figures_are_for_this_machine_alone_unless_opened(
    quick_database: str, tmp_path: Path, public: str, status: int
) -> None:
    services = factories.services(tmp_path, quick_database, C2D_METRICS_PUBLIC=public)
    client = TestClient(all_in_one.create_app(services))
    assert client.simulate_get("/metrics", remote_addr="203.0.113.5").status_code == status
    assert 'c2d_jobs{status="queued"}' in client.simulate_get("/metrics").text


def test_readiness_says_what_is_missing(api: Api) -> None:
    assert api.client.simulate_get("/readyz").status_code == 200
    with session():
        Engine.update(seen_at_ms=1).execute()
    missing = api.client.simulate_get("/readyz")
    assert missing.status_code == 503 and missing.json["checks"]["database"] == "ok"
    assert "pass" in missing.json["checks"]["engines"]


def test_the_root_document_says_where_everything_is_and_when_it_has_not_changed(quick: Api) -> None:
    result = quick.client.simulate_get("/")
    assert result.json["providerAddress"] == address_of(factories.NODE_KEY)
    assert result.json["serviceEndpoints"]["computeStop"] == ["PUT", "/api/services/compute"]
    headers = {"If-None-Match": result.headers["etag"]}
    assert quick.client.simulate_get("/", headers=headers).status_code == 304
