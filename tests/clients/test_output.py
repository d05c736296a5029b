"""Results that go elsewhere (wire §19.5), as the field's own client asks for it: to a web server, to S3, encrypted."""

from __future__ import annotations

import io
import secrets
import tarfile
from collections.abc import Iterator
from typing import Any

import pytest
from Crypto.Cipher import AES
from Crypto.Util.Padding import unpad

from tests.clients.sdk import VERSIONS, Sdk, SdkError, running_sdk
from tests.clients.station import Station, algorithm
from tests.clients.targets import Uploads
from tests.flows.docker.harness import Place
from tests.needs import needs
from tests.services.moto_server import MotoServer

pytestmark = [needs("docker", "node")]
SCRIPT = "echo sent away > /data/outputs/a.txt"


@pytest.fixture(scope="module", params=[VERSIONS[0], pytest.param(VERSIONS[1], marks=pytest.mark.full)])
def sdk(request: pytest.FixtureRequest, node: Place) -> Iterator[Sdk]:
    """The newer version always, the other where there is time."""
    with running_sdk(request.param, node.node.url) as running:
        yield running


@pytest.fixture(scope="module")
def bucket(moto_server: MotoServer) -> Iterator[str]:
    """A bucket of the consumer's own."""
    name = moto_server.make_bucket()
    yield name
    moto_server.remove_bucket(name)


def at(server: MotoServer, bucket: str, key: str) -> dict[str, Any]:
    """A target in the bucket, as a consumer writes it."""
    access = {
        "endpoint": server.endpoint, "bucket": bucket, "objectKey": key, "region": "eu-west-1",
        "accessKeyId": "test", "secretAccessKey": "test-secret", "forcePathStyle": True,
    }  # fmt: skip
    return {"remoteStorage": {"type": "s3", "s3Access": access}}


def to(uploads: Uploads, path: str, **more: Any) -> dict[str, Any]:
    """A target on the web server."""
    return {"remoteStorage": {"type": "url", "url": uploads.url + path, "method": "get", **more}}


def content(archive: bytes) -> bytes:
    """The one file in the tar."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        return opened.extractfile("outputs/a.txt").read()  # type: ignore[union-attr]


def test_outputs_are_put_on_a_web_server_and_are_no_result_here(station: Station, uploads: Uploads) -> None:
    asked = to(uploads, "/mine/", headers={"X-Own": "yes"})
    job = station.start(SCRIPT, output=asked)
    now = station.finished(job)
    engine, _, bare = job["jobId"].partition("-")
    name = f"outputs-{engine}-{bare}.tar"
    assert now["status"] == 70 and "output" not in {each["type"] for each in now["results"]}
    assert content(uploads.files[f"/mine/{name}"]) == b"sent away\n"
    headers = uploads.headers[f"/mine/{name}"]
    assert headers["x-own"] == "yes" and name in headers["content-disposition"]


def test_outputs_are_encrypted_as_the_field_does_it(station: Station, uploads: Uploads) -> None:
    key, path = secrets.token_bytes(40), f"/{station.sdk.version}.aes"
    asked = {**to(uploads, path), "encryption": {"encryptMethod": "AES", "key": key.hex()}}
    assert station.finished(station.start(SCRIPT, output=asked))["status"] == 70
    node_key = bytes.fromhex(station.place.consumer.get("/")["nodePublicKey"])
    plain = AES.new(key[:32], AES.MODE_CBC, iv=node_key[:16]).decrypt(uploads.files[path])
    assert content(unpad(plain, 16)) == b"sent away\n"


@pytest.mark.needs("s3")
def test_outputs_are_put_into_a_bucket(station: Station, moto_server: MotoServer, bucket: str) -> None:
    job = station.start(SCRIPT, output=at(moto_server, bucket, f"{station.sdk.version}/"))
    assert station.finished(job)["status"] == 70
    engine, _, bare = job["jobId"].partition("-")
    key = f"{station.sdk.version}/outputs-{engine}-{bare}.tar"
    assert content(moto_server.client().get_object(Bucket=bucket, Key=key)["Body"].read()) == b"sent away\n"


@pytest.mark.full
@pytest.mark.needs("s3")
def test_large_outputs_are_put_into_a_bucket_in_parts(station: Station, moto_server: MotoServer, bucket: str) -> None:
    key, script = f"{station.sdk.version}-large.tar", "head -c 40000000 /dev/zero > /data/outputs/a.txt"
    job = station.finished(station.start(script, output=at(moto_server, bucket, key)))
    found = moto_server.client().get_object(Bucket=bucket, Key=key)
    assert job["status"] == 70 and found["ETag"].endswith('-3"')
    assert content(found["Body"].read()) == bytes(40_000_000)


@pytest.mark.full
def test_a_target_that_refuses_ends_the_job_at_62_with_its_logs(station: Station, uploads: Uploads) -> None:
    uploads.refused.add("/refused.tar")
    now = station.finished(station.start(SCRIPT, output=to(uploads, "/refused.tar")))
    assert now["status"] == 62
    assert {"algorithmLog", "configurationLog"} <= {each["type"] for each in now["results"]}


@pytest.mark.full
def test_a_target_that_is_busy_is_tried_again(station: Station, uploads: Uploads) -> None:
    uploads.statuses.extend([503, 429])
    path = f"/{station.sdk.version}-busy.tar"
    assert station.finished(station.start(SCRIPT, output=to(uploads, path)))["status"] == 70
    assert uploads.tries.count(path) == 3 and content(uploads.files[path]) == b"sent away\n"


KEY = {"encryptMethod": "AES", "key": "ab" * 32}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"remoteStorage": {"type": "ipfs", "hash": "Qm"}}, "Storage class has no support for upload"),
        ({"remoteStorage": {"type": "url", "method": "get"}}, "URL or method are missing"),
        ({"remoteStorage": {"type": "s3"}}, "s3Access is missing"),
        ({"remoteStorage": {"type": "ftp", "url": "ftp://example.org/"}}, "not_available"),
        ({"encryption": {"encryptMethod": "AES"}}, "Encryption required, but no key"),
        ({"encryption": {**KEY, "encryptMethod": "ECIES"}}, "Only AES encryption is supported"),
        ({"encryption": {**KEY, "key": "ab"}}, r"at least 32 bytes \(64 hex chars\), got 1 bytes"),
    ],
)
def test_a_target_that_cannot_be_is_refused_at_the_start(station: Station, changes: dict[str, Any], said: str) -> None:
    asked = {"remoteStorage": {"type": "url", "url": "https://example.org/x", "method": "get"}, **changes}
    with pytest.raises(SdkError, match=said):
        station.start(SCRIPT, output=asked)


def test_of_a_workflow_each_last_job_sends_its_own_and_what_is_read_stays(station: Station, uploads: Uploads) -> None:
    first, second = (workflow_entry(number, f"echo {number} > /data/outputs/{number}.txt") for number in range(2))
    second["input"] = [{"index": 0, "fromJob": 0}]
    third = workflow_entry(2, "echo 2 > /data/outputs/2.txt")
    asked = to(uploads, f"/flow-{station.sdk.version}/")
    with pytest.raises(AssertionError, match="must end with /"):
        station.consumer.submit([second | {"input": []}, third], output=to(uploads, "/one"))
    records = station.consumer.submit([first, second, third], output=asked)
    ended = station.consumer.wait(records[0]["workflowId"])
    assert [each["status"] for each in ended] == [70, 70, 70]
    assert [sum(result["type"] == "output" for result in each["results"]) for each in ended] == [1, 0, 0]
    sent = {path: data for path, data in uploads.files.items() if path.startswith(f"/flow-{station.sdk.version}/")}
    assert sorted(sent.values()) == [b"1\n", b"2\n"] and all(path.endswith(".txt") for path in sent)


def workflow_entry(index: int, script: str) -> dict[str, Any]:
    """A job of the seeds' form."""
    asked = algorithm(script)["meta"]
    return {
        "index": index,
        "algorithm": {"rawcode": asked["rawcode"], "container": asked["container"]},
        "compute": {"cpu": 0.1, "ram": 0.1, "disc": 1},
    }
