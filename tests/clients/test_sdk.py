"""The field's own client, unmodified, against a running node with real Docker: one check a behaviour, both versions."""

from __future__ import annotations

import io
import json
import tarfile
from typing import Any

import pytest

from tests.clients.sdk import WALLET, Sdk, SdkError
from tests.clients.station import Station, algorithm
from tests.needs import needs
from tests.services.registry import registry

pytestmark = [needs("docker", "node")]
VIEWER = "0x52908400098527886E0F7030069857D2E4169EE7"


@pytest.fixture(scope="module")
def begun(station: Station) -> dict[str, dict[str, Any]]:
    """Jobs that only have to end: they run beside each other."""
    from_file = {**algorithm(), "fileObject": station.place.file("algorithm.sh", b"echo from a file")}
    from_file["meta"].pop("rawcode")
    sealed = station.sdk.call(
        "encrypt", {"files": [station.place.file("secret.csv", b"hidden\n")]}, 8996, station.url, WALLET
    )
    assert sealed.startswith("0x04")
    return {
        "file": station.start(from_file),
        "resources": station.start("true", resources=station.environment["resources"]),
        "sealed": station.start("cat /data/inputs/secret.csv", {"fileObject": sealed}),
    }


@pytest.fixture(scope="module")
def finished(station: Station, begun: dict[str, Any]) -> dict[str, Any]:
    """A job with two datasets and everything a start may say, at its end."""
    datasets = [{"fileObject": station.place.file(name, f"{name}\n".encode())} for name in ("a.csv", "b.csv")]
    script = "cat /data/inputs/a.csv /data/inputs/b.csv | tee /data/outputs/both.txt\nenv | grep WHO"
    asked = algorithm(script, algocustomdata={"depth": 3}, envs={"WHO": "me"})
    job = station.start(asked, *datasets, metadata={"name": "run-1"}, additionalViewers=[VIEWER], queueMaxWaitTime=300)
    return {"started": job, "now": station.finished(job)}


def test_the_node_is_a_valid_provider(sdk: Sdk, station: Station) -> None:
    assert sdk.call("isValidProvider", station.url) is True


def test_discovery_finds_what_is_there_and_nothing_else(sdk: Sdk, station: Station) -> None:
    found = json.loads(station.fetch("/")["text"])
    assert {"computeStop", "generateAuthToken", "freeCompute"} <= set(found["serviceEndpoints"])
    assert not [name for name in found["serviceEndpoints"] if name.startswith("persistentStorage")]
    assert found["software"] == "Ocean-Node" and found["providerAddress"] == found["nodeId"]


def test_a_wallet_that_never_signed_has_nonce_0(sdk: Sdk, station: Station) -> None:
    assert sdk.call("getNonce", station.url, VIEWER) == 0


def test_environments_are_listed(sdk: Sdk, station: Station) -> None:
    (found,) = sdk.call("getComputeEnvironments", station.url)
    assert found["id"].startswith("0x") and found["id"].count("-") == 1
    assert found["fees"] == {} and found["free"]["maxJobDuration"] > 0
    assert [each["id"] for each in found["resources"]] == ["cpu", "ram", "disk"]


def test_environments_can_be_asked_for_by_chain(station: Station) -> None:
    assert json.loads(station.fetch("/api/services/computeEnvironments?chainId=8996")["text"]) == []


def test_raw_code_reads_several_datasets(station: Station, finished: dict[str, Any]) -> None:
    assert finished["now"]["status"] == 70
    assert station.result(finished["now"], "algorithmLog").decode() == "a.csv\nb.csv\nWHO=me\n"


def test_outputs_come_as_one_tar_below_outputs(station: Station, finished: dict[str, Any]) -> None:
    with tarfile.open(fileobj=io.BytesIO(station.result(finished["now"], "output"))) as archive:
        assert archive.extractfile("outputs/both.txt").read() == b"a.csv\nb.csv\n"  # type: ignore[union-attr]


def test_results_are_listed_in_the_order_clients_know(finished: dict[str, Any]) -> None:
    results = [(each["index"], each["filename"], each["type"]) for each in finished["now"]["results"]]
    assert results[:4] == [
        (0, "image.log", "imageLog"),
        (1, "configuration.log", "configurationLog"),
        (2, "algorithm.log", "algorithmLog"),
        (3, "outputs.tar", "output"),
    ]
    assert all(each["filesize"] > 0 for each in finished["now"]["results"])


def test_a_start_answers_the_full_id_and_status_the_bare_one(station: Station, finished: dict[str, Any]) -> None:
    engine, _, bare = finished["started"]["jobId"].partition("-")
    assert engine == station.environment["id"].partition("-")[0]
    assert finished["now"]["jobId"] == bare and len(bare) == 64


def test_metadata_and_wait_are_kept(finished: dict[str, Any]) -> None:
    assert finished["started"]["metadata"] == finished["now"]["metadata"] == {"name": "run-1"}
    assert finished["now"]["queueMaxWaitTime"] == 300
    assert finished["started"]["additionalViewers"] == [VIEWER.lower()]


def test_a_file_object_may_be_the_algorithm(station: Station, begun: dict[str, Any]) -> None:
    job = station.finished(begun["file"])
    assert (job["status"], station.result(job, "algorithmLog")) == (70, b"from a file\n")


def test_the_environments_resources_can_be_sent_back(station: Station, begun: dict[str, Any]) -> None:
    job = station.finished(begun["resources"])
    assert {each["id"]: each["amount"] for each in job["resources"]} == {"cpu": 0.1, "ram": 0.05, "disk": 0.01}


def test_nothing_asked_for_is_the_least_there_is(station: Station) -> None:
    job = station.start("true", resources=None, queueMaxWaitTime=None)
    assert {each["id"] for each in job["resources"]} == {"cpu", "ram", "disk"}


@pytest.mark.parametrize("is_bare", [True, False])
def test_status_is_found_by_job(station: Station, finished: dict[str, Any], is_bare: bool) -> None:
    wanted = finished["now" if is_bare else "started"]["jobId"]
    (found,) = station.sdk.call("computeStatus", station.url, WALLET, wanted)
    assert found["jobId"] == finished["now"]["jobId"]


def test_status_lists_all_of_an_owner(station: Station, finished: dict[str, Any]) -> None:
    found = station.sdk.call("computeStatus", station.url, WALLET)
    assert finished["now"]["jobId"] in {each["jobId"] for each in found}


def test_status_by_agreement_never_fails(station: Station, finished: dict[str, Any]) -> None:
    job = finished["started"]["jobId"]
    did = station.sdk.call("computeStatus", station.url, WALLET, job, "did:op:ab12")
    assert [each["jobId"] for each in did] == [finished["now"]["jobId"]]
    assert station.sdk.call("computeStatus", station.url, WALLET, job, "0x" + 64 * "a") == []
    assert station.sdk.call("computeStatus", station.url, WALLET, None, "did:op:ab12")


def test_status_of_a_job_nobody_knows_is_an_empty_list(station: Station) -> None:
    assert station.sdk.call("computeStatus", station.url, WALLET, "0x12-" + 64 * "b") == []


def test_a_running_job_is_stopped(station: Station) -> None:
    job = station.start("echo began; sleep 100")
    station.until(job, lambda found: found["status"] == 40)
    (stopped,) = station.sdk.call("computeStop", job["jobId"], station.url, WALLET)
    assert stopped["stopRequested"] is True and stopped["jobId"] in job["jobId"]
    ended = station.finished(job)
    assert (ended["status"], ended["terminationDetails"]["reason"]) == (70, "stopped")


def test_stopping_what_nobody_knows_is_an_empty_list(station: Station) -> None:
    assert station.sdk.call("computeStop", "0x12-" + 64 * "b", station.url, WALLET) == []


def test_a_result_goes_on_from_an_offset(station: Station, finished: dict[str, Any]) -> None:
    whole = station.result(finished["now"], "output")
    assert station.result(finished["now"], "output", 100) == whole[100:]
    assert station.result(finished["now"], "algorithmLog", 6) == b"b.csv\nWHO=me\n"


def test_a_result_there_is_not_is_an_error(station: Station, finished: dict[str, Any]) -> None:
    with pytest.raises(SdkError, match="404"):
        station.sdk.call("getComputeResult", station.url, WALLET, finished["started"]["jobId"], 99)


def test_a_results_url_works_once(station: Station, finished: dict[str, Any]) -> None:
    url = station.sdk.call("getComputeResultUrl", station.url, WALLET, finished["started"]["jobId"], 2)
    path = url.removeprefix(station.url)
    first, second = station.fetch(path), station.fetch(path)
    assert (first["status"], first["text"]) == (200, "a.csv\nb.csv\nWHO=me\n")
    assert second["status"] == 401 and "not a valid nonce" in json.loads(second["text"])["error"]


def test_logs_stream_while_the_job_runs(station: Station) -> None:
    job = station.start("echo early; while [ ! -e /data/outputs/go ]; do sleep 0.2; done; echo late")
    station.until(job, lambda found: found["status"] == 40)
    call = station.sdk.ask("first", "computeStreamableLogs", station.url, WALLET, job["jobId"])
    assert station.sdk.answer(call)
    station.sdk.call("computeStop", job["jobId"], station.url, WALLET)
    rest = station.sdk.call("rest", call)
    assert b"late" not in rest


def test_logs_stream_after_the_end(station: Station, finished: dict[str, Any]) -> None:
    text = station.sdk.call("computeStreamableLogs", station.url, WALLET, finished["started"]["jobId"]).decode()
    assert text.endswith("a.csv\nb.csv\nWHO=me\n") and "\0" not in text


def test_logs_of_a_job_nobody_knows_are_null(station: Station) -> None:
    assert station.sdk.call("computeStreamableLogs", station.url, WALLET, "0x12-" + 64 * "b") is None


def test_a_token_stands_in_for_the_wallet_until_it_is_invalidated(station: Station) -> None:
    token = station.sdk.call("generateAuthToken", WALLET, station.url)
    job = station.start("sleep 100", signer=token)
    (found,) = station.sdk.call("computeStatus", station.url, token, job["jobId"])
    assert found["owner"] == station.sdk.call("address")
    (stopped,) = station.sdk.call("computeStop", job["jobId"], station.url, token)
    assert stopped["stopRequested"] is True
    assert station.sdk.call("computeStreamableLogs", station.url, token, job["jobId"]) is not None
    assert station.sdk.call("invalidateAuthToken", WALLET, token, station.url) == {"success": True}
    with pytest.raises(SdkError, match="Invalid token"):
        station.start("true", signer=token)


def test_a_token_expires(station: Station) -> None:
    signed = station.consumer.signed("createAuthToken")
    body = {"address": signed.pop("consumerAddress"), **signed, "validUntil": 1}
    token = json.loads(station.fetch("/api/services/auth/token", "POST", body)["text"])["token"]
    with pytest.raises(SdkError, match="Invalid token"):
        station.start("true", signer=token)


def test_encrypted_files_can_be_used_as_a_dataset(station: Station, begun: dict[str, Any]) -> None:
    job = station.finished(begun["sealed"])
    assert station.result(job, "algorithmLog") == b"hidden\n"


def test_file_info_tells_length_and_checksum(station: Station) -> None:
    file = station.place.file("known.csv", b"hello")
    (plain,) = station.sdk.call("getFileInfo", file, station.url)
    assert (plain["valid"], plain["contentLength"], plain["name"], plain["type"]) == (True, "5", "known.csv", "url")
    (checked,) = station.sdk.call("getFileInfo", file, station.url, True)
    assert checked["checksum"] == "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    (missing,) = station.sdk.call("getFileInfo", {**file, "url": file["url"] + "x"}, station.url, True)
    assert missing["valid"] is False


def test_file_info_of_a_type_not_built_is_json(station: Station) -> None:
    with pytest.raises(SdkError, match="not_available"):
        station.sdk.call("getFileInfo", {"type": "arweave", "transactionId": "a" * 43}, station.url)


def test_the_nodes_status_is_known(station: Station) -> None:
    found = station.sdk.call("getNodeStatus", station.url)
    assert found["http"] is True and found["p2p"] is False
    needed = {"id", "publicKey", "address", "version", "provider", "indexer", "supportedStorage", "uptime", "platform"}
    assert needed | {"codeHash", "allowedAdmins"} <= set(found)


def test_the_nodes_jobs_are_listed(station: Station, finished: dict[str, Any]) -> None:
    found = station.sdk.call("getNodeJobs", station.url, 1)
    (mine,) = [each for each in found if each["jobId"] == finished["now"]["jobId"]]
    assert mine["metadata"] is None and mine["additionalViewers"] is None


def test_a_login_for_a_private_registry_is_used(station: Station) -> None:
    with registry(f"c2d-clients-{station.sdk.version.replace('.', '')}", login=("me", "pass:word")) as served:
        image, _, tag = served.reference.rpartition(":")
        asked = algorithm("true")
        asked["meta"]["container"] |= {"image": image, "tag": tag, "entrypoint": "/file"}
        refused = station.start(asked, dockerRegistryAuth={"username": "me", "password": "wrong"})
        taken = station.start(asked, dockerRegistryAuth={"username": "me", "password": "pass:word"})
        refused, taken = station.finished(refused), station.finished(taken)
    assert refused["status"] == 11
    assert taken["status"] == 41, "the image was pulled; that what is in it cannot run is another matter"


def test_a_login_that_is_none_is_refused(station: Station) -> None:
    with pytest.raises(SdkError, match="Invalid encryptedDockerRegistryAuth"):
        station.start("true", dockerRegistryAuth={"username": "me"})


def test_what_needs_a_chain_is_refused_in_words_by_a_node_without_one(station: Station) -> None:
    arguments = [[], algorithm("true"), station.environment["id"], VIEWER, 60, station.url, VIEWER, [], 8996]
    with pytest.raises(SdkError, match="This node takes no payments"):
        station.sdk.call("initializeCompute", *arguments)
    paid = [station.url, WALLET, station.environment["id"], [], algorithm("true"), 60, VIEWER, [], 8996]
    with pytest.raises(SdkError, match="This node takes no payments"):
        station.sdk.call("computeStart", *paid)


def test_a_wallet_of_another_may_not_have_the_results(station: Station, finished: dict[str, Any]) -> None:
    stranger = type(station.consumer)(station.url)
    signed = stranger.signed("getComputeResult")
    refused = stranger.call("GET", "/api/services/computeResult", **signed, jobId=finished["now"]["jobId"], index=0)
    assert refused.status == 403 and stranger.address.lower() in refused.json()["error"]
