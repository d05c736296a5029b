"""The wire itself, beside the SDK: every command by directCommand, the traps of wire §26, errors, CORS."""

from __future__ import annotations

import http.client
import itertools
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest
from Crypto.Cipher import AES
from Crypto.Util.Padding import unpad

from shared import ecies
from shared.addresses import address_of, keccak256, public_key_of
from shared.signatures import sign_command
from tests.clients.sdk import VERSIONS, WALLET, running_sdk
from tests.clients.station import SMALL, algorithm
from tests.flows.docker.harness import Place, until
from tests.needs import needs
from tests.services.node import FINALS

pytestmark = [needs("docker", "node")]
VECTOR_ADDRESS = "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"
SHORT = (
    "0xea4b66c1fb506884757c52a7a634e1015225638ab7484fd0f383ed2220bfd3d8"
    "37e82c9a2d646e08ba3e5b7d1d4297156bf90e0826319943c8659295b6595d071b"
)
UNKNOWN = "0x12-" + 64 * "b"


@pytest.fixture(scope="module")
def job(node: Place) -> dict[str, Any]:
    """A job that directCommand started, watched and brought to its end."""
    asked = {
        **node.consumer.signed("freeStartCompute"),
        **command(node, "echo direct; head -c 20000 /dev/urandom > /data/outputs/a"),
    }
    (started,) = direct(node, "freeStartCompute", **asked)

    def look() -> Any:
        (found,) = direct(node, "getComputeStatus", consumerAddress=node.consumer.address, jobId=started["jobId"])
        return found if found["status"] in FINALS else None

    return dict(until(look))


def command(node: Place, script: str) -> dict[str, Any]:
    """What ocean-node's form of a start needs."""
    environment = node.consumer.environment()["id"]
    return {"environment": environment, "datasets": [], "algorithm": algorithm(script), "resources": SMALL}


def direct(node: Place, name: str, **fields: Any) -> Any:
    """The JSON of a direct command that went well."""
    found = node.consumer.call("POST", "/directCommand", {"command": name, **fields})
    assert found.status == 200, found.data
    return found.json()


def raw(node: Place, name: str, **fields: Any) -> bytes:
    """The bytes of a direct command that went well."""
    found = node.consumer.call("POST", "/directCommand", {"command": name, **fields})
    assert found.status == 200, found.data
    return bytes(found.data)


def test_direct_start_and_status(job: dict[str, Any]) -> None:
    assert job["status"] == 70


def test_direct_environments(node: Place) -> None:
    assert direct(node, "getComputeEnvironments") == node.consumer.get("/api/services/computeEnvironments")
    assert direct(node, "getComputeEnvironments", chainId=8996) == []


def test_direct_result_goes_on_from_an_offset(node: Place, job: dict[str, Any]) -> None:
    (index,) = [each["index"] for each in job["results"] if each["type"] == "algorithmLog"]
    wanted = {"jobId": job["jobId"], "index": index}
    assert raw(node, "getComputeResult", **node.consumer.signed("getComputeResult"), **wanted) == b"direct\n"
    signed = node.consumer.signed("getComputeResult")
    found = node.consumer.call(
        "POST", "/directCommand", {"command": "getComputeResult", **signed, **wanted, "offset": 3}
    )
    assert (found.status, found.data) == (206, b"ect\n")


def test_direct_logs_and_events(node: Place, job: dict[str, Any]) -> None:
    signed = node.consumer.signed("getComputeStreamableLogs")
    assert raw(node, "getComputeStreamableLogs", **signed, jobId=job["jobId"]).endswith(b"direct\n")
    assert [each["status"] for each in direct(node, "getComputeEvents", jobId=job["jobId"])][-1] == 70


def test_direct_stop(node: Place, job: dict[str, Any]) -> None:
    assert direct(node, "stopCompute", **node.consumer.signed("stopCompute"), jobId=UNKNOWN) == []


def test_direct_jobs_are_a_list(node: Place, job: dict[str, Any]) -> None:
    found = direct(node, "jobs", fromTimestamp="1", consumerAddrs=[node.consumer.address], runningJobs=False)
    assert job["jobId"] in {each["jobId"] for each in found}
    assert not {"algorithm", "assets"} & set(found[0])


def test_the_jobs_route_is_served_as_it_is_written(node: Place, job: dict[str, Any]) -> None:
    for path in ("/api/services/jobs", "/api/services/jobs/:job"):
        found = node.consumer.get(path, fromTimestamp=1)
        assert job["jobId"] in {each["jobId"] for each in found["jobs"]}


def test_direct_nonce_is_text_and_tokens_are_made_and_ended(node: Place) -> None:
    other = node.node.consumer()
    assert raw(node, "nonce", address=other.address) == b"0"
    signed = other.signed("createAuthToken")
    address = {"address": signed.pop("consumerAddress")}
    token = direct(node, "createAuthToken", **address, **signed)["token"]
    (started,) = direct(
        node, "freeStartCompute", consumerAddress=other.address, authorization=token, **command(node, "sleep 60")
    )
    (stopped,) = direct(node, "stopCompute", consumerAddress=other.address, authorization=token, jobId=started["jobId"])
    assert stopped["stopRequested"] is True
    nonce = str(int(raw(node, "nonce", address=other.address)) + 1)
    ended = {"nonce": nonce, "signature": sign_command(other.key, nonce, ""), "token": token}
    assert direct(node, "invalidateAuthToken", **address, **ended) == {"success": True}


def test_direct_status_says_what_the_fields_suites_look_for(node: Place) -> None:
    found = direct(node, "status")
    assert found["http"] is True and found["p2p"] is False, "peer-to-peer is a known difference"
    needed = {"id", "publicKey", "address", "version", "provider", "indexer", "supportedStorage", "uptime", "platform"}
    assert needed | {"codeHash", "allowedAdmins"} <= set(found)


def test_direct_file_info_and_encrypt(node: Place) -> None:
    file = node.file("direct.csv", b"abc")
    assert direct(node, "fileInfo", **file, checksum=True)[0]["contentLength"] == "3"
    sealed = raw(node, "encrypt", **node.consumer.signed("encrypt"), blob="hidden").decode()
    assert sealed.startswith("0x04") and len(bytes.fromhex(sealed[2:])) == 65 + 16 + 16 + len("hidden")


def test_encrypt_file_takes_a_file_object_and_bytes(node: Place) -> None:
    key = bytes.fromhex((node.node.folder / "node.key").read_text().strip().removeprefix("0x"))
    for method, body, content_type in (
        ("ecies", json.dumps(node.file("plain.csv", b"plain")).encode(), "application/json"),
        ("ecies", b"plain", "application/octet-stream"),
        ("aes", b"plain", "application/octet-stream"),
    ):
        signed = node.consumer.signed("encryptFile")
        url = node.consumer.url + "/api/services/encryptFile"
        found = node.consumer.pool.request(
            "POST",
            f"{url}?{query({**signed, 'encryptMethod': method})}",
            body=body,
            headers={"Content-Type": content_type},
        )
        assert found.status == 200, found.data
        assert opened(method, key, found.data) == b"plain"
        assert found.headers["X-Encrypted-Method"] == method
        assert found.headers["X-Encrypted-By"] == node.consumer.get("/")["nodeId"]


def opened(method: str, key: bytes, data: bytes) -> bytes:
    if method == "ecies":
        return ecies.decrypt(key, data)
    cipher = AES.new(key, AES.MODE_CBC, iv=bytes.fromhex(public_key_of(key))[:16])
    return unpad(cipher.decrypt(data), 16)


def query(fields: dict[str, Any]) -> str:
    return "&".join(f"{name}={value}" for name, value in fields.items())


def test_the_short_hash_of_the_vector_is_accepted(node: Place) -> None:
    asked = {"consumerAddress": VECTOR_ADDRESS, "nonce": "137", "signature": SHORT, "jobId": 64 * "b", "index": 0}
    found = node.consumer.call("GET", "/api/services/computeResult", **asked)
    assert (found.status, found.json()["code"]) == (404, "not_found"), "the signature was taken; there is no such job"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_wallet_whose_hash_begins_with_a_zero_gets_in(node: Place, version: str) -> None:
    with running_sdk(version, node.node.url, next(short_keys("1createAuthToken"))) as sdk:
        assert sdk.call("generateAuthToken", WALLET, node.node.url).count(".") == 2


def short_keys(rest: str) -> Iterator[bytes]:
    """Wallets whose message with this ending has a hash of at most 31 bytes."""
    for number in itertools.count(int(time.time())):
        key = number.to_bytes(32, "big")
        if keccak256((address_of(key) + rest).encode())[0] == 0:
            yield key


@pytest.mark.parametrize(
    "path", ["/", "/api/services/computeEnvironments", "/api/services/nonce?userAddress=" + VECTOR_ADDRESS]
)
@pytest.mark.parametrize("given", ["undefined", "null", ""])
def test_what_says_nothing_is_not_given(node: Place, path: str, given: str) -> None:
    found = node.consumer.pool.request("GET", node.consumer.url + path, headers={"Authorization": given})
    assert found.status == 200


def test_an_open_question_may_come_with_an_undefined_signature(node: Place) -> None:
    asked = {"consumerAddress": VECTOR_ADDRESS, "nonce": "undefined", "signature": "undefined", "jobId": "undefined"}
    assert node.consumer.get("/api/services/compute", **asked) == []


def test_a_stop_has_no_body_and_a_get_may_name_a_content_type(node: Place) -> None:
    parts = urlsplit(node.node.url)
    connection = http.client.HTTPConnection(parts.netloc)
    signed = node.consumer.signed("stopCompute")
    headers = {"Content-Type": "application/json", "Content-Length": "0"}
    connection.request("PUT", f"/api/services/compute?{query({**signed, 'jobId': UNKNOWN})}", headers=headers)
    stopped = connection.getresponse()
    assert (stopped.status, json.loads(stopped.read())) == (200, [])
    connection.request("GET", "/api/services/computeEnvironments", headers={"Content-Type": "application/json"})
    assert connection.getresponse().status == 200
    connection.close()


def test_an_upload_may_come_in_chunks(node: Place) -> None:
    signed = node.consumer.signed("encrypt")
    connection = http.client.HTTPConnection(urlsplit(node.node.url).netloc)
    connection.request(
        "POST", f"/api/services/encrypt?{query(signed)}", iter([b"a" * 70_000, b"b"]), encode_chunked=True
    )
    answer = connection.getresponse()
    assert answer.status == 200 and len(answer.read()) == 2 + 2 * (97 + 70_001)
    connection.close()


def test_of_twenty_replays_of_one_nonce_at_once_one_wins(node: Place) -> None:
    consumer = node.node.consumer()
    signed = consumer.signed("stopCompute")
    with ThreadPoolExecutor(20) as pool:
        found = pool.map(lambda _: consumer.call("PUT", "/api/services/compute", **signed, jobId=UNKNOWN), range(20))
        statuses = sorted(each.status for each in found)
    assert statuses == [200] + 19 * [401]


def test_a_resumed_download_has_identical_bytes(node: Place, job: dict[str, Any]) -> None:
    (index,) = [each["index"] for each in job["results"] if each["type"] == "output"]
    whole, parts = node.consumer.result(job["jobId"], index), b""
    while len(parts) < len(whole):
        url = f"{node.consumer.url}/api/services/computeResult"
        asked = {**node.consumer.signed("getComputeResult"), "jobId": job["jobId"], "index": index}
        span = {"Range": f"bytes={len(parts)}-{len(parts) + 2999}"}
        found = node.consumer.pool.request("GET", f"{url}?{query(asked)}", headers=span)
        assert found.status == 206 and found.headers["Content-Range"].endswith(f"/{len(whole)}")
        parts += found.data
    assert parts == whole


def test_addresses_are_compared_without_regard_to_case(node: Place, job: dict[str, Any]) -> None:
    owner = node.consumer.address.lower()
    assert node.consumer.get("/api/services/compute", consumerAddress=owner, jobId=job["jobId"])[0]["owner"] != owner


def test_a_preflight_allows_what_browsers_need(node: Place) -> None:
    asked = {
        "Origin": "https://app.example.org", "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "authorization, content-type, range",
    }  # fmt: skip
    found = node.consumer.pool.request("OPTIONS", node.consumer.url + "/api/services/compute", headers=asked)
    assert found.status in (200, 204) and found.headers["Access-Control-Allow-Origin"] == "*"
    assert {"PUT", "PATCH", "DELETE"} <= set(found.headers["Access-Control-Allow-Methods"].split(", "))
    assert {"authorization", "content-type", "range"} <= set(
        found.headers["Access-Control-Allow-Headers"].lower().split(", ")
    )


def test_browsers_may_read_answers_and_errors(node: Place) -> None:
    for path in ("/", "/nothing"):
        found = node.consumer.pool.request("GET", node.consumer.url + path, headers={"Origin": "https://a.example.org"})
        assert found.headers["Access-Control-Allow-Origin"] == "*"
        assert {"Content-Range", "Content-Length"} <= set(found.headers["Access-Control-Expose-Headers"].split(", "))


BROKEN = [
    ("GET", "/api/services/nonce", None, 400),
    ("GET", "/api/services/compute", None, 400),
    ("GET", "/api/services/compute?consumerAddress=0x12", None, 400),
    ("PUT", "/api/services/compute?jobId=" + UNKNOWN, None, 401),
    (
        "PUT",
        f"/api/services/compute?jobId={UNKNOWN}&consumerAddress={VECTOR_ADDRESS}&nonce=5&signature=0x00",
        None,
        401,
    ),
    ("GET", f"/api/services/computeStreamableLogs?jobId={UNKNOWN}&consumerAddress={VECTOR_ADDRESS}", None, 401),
    ("GET", f"/api/services/computeResult?jobId={UNKNOWN}&index=x&consumerAddress={VECTOR_ADDRESS}", None, 400),
    ("POST", "/api/services/freeCompute", {}, 400),
    ("POST", "/api/services/fileInfo", {"type": "what"}, 400),
    ("POST", "/api/services/fileInfo", {}, 400),
    ("POST", "/api/services/initializeCompute", {}, 400),
    ("POST", "/api/services/compute", {}, 400),
    ("POST", "/api/services/auth/token", {}, 400),
    ("POST", "/api/services/encrypt", None, 401),
    ("POST", "/directCommand", {}, 400),
    ("POST", "/directCommand", {"command": "makeCoffee"}, 400),
    ("POST", "/logs", None, 400),
]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"), BROKEN, ids=[f"{each[0]} {each[1][:40]}" for each in BROKEN]
)
def test_an_error_is_json_that_the_client_can_show(node: Place, method: str, path: str, body: Any, status: int) -> None:
    found = node.consumer.call(method, path, body)
    said = found.json()
    assert found.headers["Content-Type"] == "application/json" and isinstance(said["error"], str) and said["error"]
    assert (found.status, said["status"]) == (status, status)


NOT_BUILT = [
    ("DELETE", "/api/services/compute"),
    ("POST", "/api/services/decrypt"), ("GET", "/api/services/initialize"), ("GET", "/api/services/download"),
    ("POST", "/api/services/PolicyServerPassthrough"), ("POST", "/api/services/initializePSVerification"),
    ("GET", "/api/services/indexQueue"), ("GET", "/api/aquarius/assets/ddo/did:op:ab12"),
    ("GET", "/api/aquarius/assets/metadata/did:op:ab12"), ("POST", "/api/aquarius/assets/metadata/query"),
    ("GET", "/api/aquarius/state/ddo"), ("POST", "/api/aquarius/assets/ddo/validate"),
    ("POST", "/api/services/persistentStorage/buckets"), ("GET", "/api/services/persistentStorage/buckets"),
    ("PATCH", "/api/services/persistentStorage/buckets/1"), ("GET", "/getP2PPeers"), ("POST", "/getP2PPeer"),
    ("GET", "/getP2pNetworkStats"), ("GET", "/findPeer"), ("GET", "/api/services/escrow/events"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), NOT_BUILT, ids=[" ".join(each) for each in NOT_BUILT])
def test_what_is_not_built_is_not_available_in_json(node: Place, method: str, path: str) -> None:
    found = node.consumer.call(method, path, {} if method in ("POST", "PATCH") else None)
    assert (found.status, found.json()["code"]) == (404, "not_available")


@pytest.mark.parametrize("name", ["stopJob", "getDDO", "persistentStorageGetBuckets", "getP2PPeers"])
def test_commands_not_built_are_not_available_in_json(node: Place, name: str) -> None:
    found = node.consumer.call("POST", "/directCommand", {"command": name})
    assert (found.status, found.json()["code"]) == (404, "not_available")


def test_an_address_with_a_slash_at_its_end_is_the_same_node(node: Place) -> None:
    with running_sdk(VERSIONS[0], node.node.url) as sdk:
        assert sdk.call("getComputeEnvironments", node.node.url + "/")


def test_what_the_node_encrypts_only_its_own_key_opens(node: Place) -> None:
    node_key = (node.node.folder / "node.key").read_text().strip().removeprefix("0x")
    assert node.consumer.get("/")["nodePublicKey"].removeprefix("0x") == public_key_of(bytes.fromhex(node_key))
