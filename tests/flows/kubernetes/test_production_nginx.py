"""The production-nginx overlay whole on a real cluster, filled in as its README tells, jobs' pods behind nginx too.

The example; a log that arrives as it is written; a large result up and down; what is too large; bodies that stall.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import socket
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import urllib3
import yaml

from infra.cluster import KUBERNETES
from infra.demonstration import data_owner
from tests.flows.kubernetes import overlay
from tests.flows.kubernetes.stage import LIMIT_S, Stage, deployed, until
from tests.flows.kubernetes.work import check_the_examples_results, offered, settings_of, sleeper, submitted
from tests.needs import needs
from tests.services.node import Consumer

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("kubernetes"),
    needs("kube", "docker", "kustomize", "postgres", "s3", "proxy"),
]

MIB = 1 << 20
LARGE_MIB = 300
BLOCK = "hashlib.shake_128(b'%d' % i).digest(1 << 20)"
GROWTH_MIB = 96
"What a process may grow by, however much goes through it: some parts of an upload."
SPEAKER = "import time; print('first', flush=True); time.sleep(300); print('second')"
PUBLISHING, RESULT = "c2d.node/handler=job-publish-result", "c2d.node/handler=result"
PROXY = "c2d.node/role=proxy"


class Whole(Stage):
    """The overlay as an operator's copy of it."""

    def written(self, part: str) -> Path:
        """The copy beside the shipped ones, with what the README says to change."""
        own = self.folder / "kubernetes/overlays/own"
        shutil.copytree(KUBERNETES, self.folder / "kubernetes", dirs_exist_ok=True)
        shutil.copytree(KUBERNETES / "overlays/production-nginx", own, dirs_exist_ok=True)
        for file in (self.folder / "kubernetes").rglob("*.yaml"):
            under_other_names(file, self.wish)
        shipped = dict(line.split("=", 1) for line in (own / "settings.env").read_text().split())
        changed = {**shipped, **self.wish.settings}
        (own / "settings.env").write_text("".join(f"{name}={value}\n" for name, value in changed.items()))
        engines = yaml.safe_load((own / "engines.yaml").read_text())
        engines[0] |= {name: self.wish.engine[name] for name in ("podImage", "storageClass")}
        (own / "engines.yaml").write_text(yaml.safe_dump(engines))
        document = yaml.safe_load((own / "kustomization.yaml").read_text())
        document["images"] = [{"name": "c2d/node", "newName": "c2d/node", "newTag": self.wish.tag}]
        document["patches"] = overlay.fitted(self.wish)
        (own / "kustomization.yaml").write_text(yaml.safe_dump(document))
        return own

    def apply(self, part: str, *kinds: str) -> None:
        """All of it is one overlay."""
        if part == "node":
            super().apply(part, *kinds)

    def peak_mib(self, selector: str) -> int:
        """The most that any process of these pods has ever held."""
        peaks = []
        for name in self.kubectl("get", "pods", "-l", selector, "-o", "name").split():
            said = self.kubectl("exec", name, "--", "sh", "-c", "cat /proc/[0-9]*/status")
            peaks += [int(each) for each in re.findall(r"VmHWM:\s+(\d+) kB", said)]
        return max(peaks) // 1024


def under_other_names(file: Path, wish: overlay.Wish) -> None:
    """The copy's namespaces, of which another test has the shipped ones."""
    names = {"c2d": wish.namespace, "c2d-jobs": wish.jobs}
    key = "name(?:space)?" if file.name == "namespace.yaml" else "namespace"
    text = re.sub(
        rf"\b({key}): (c2d(?:-jobs)?)(?=[\s,}}])", lambda found: f"{found[1]}: {names[found[2]]}", file.read_text()
    )
    file.write_text(text)


def test_the_nginx_overlay_is_a_node_that_streams_and_bounds(tmp_path: Path) -> None:
    from engines.drivers.kubernetes_connect import connect
    from tests.services.kubernetes import CLASS, volumes

    address = os.environ["C2D_KUBE_HOST_IP"]
    with volumes(connect({})), deployed(tmp_path, address, CLASS, {}, kind=Whole) as stage:
        stage.wish.settings["C2D_POD_API_URL"] = stage.url  # type: ignore[index]
        print(f"\ndeployed in {stage.deploy():.0f} s")
        consumer = stage.consumer()
        until(lambda: offered(consumer), "the engine's offer, made by cron")
        the_example(stage, tmp_path, address)
        a_log_arrives_as_it_is_written(consumer)
        a_large_result_goes_up_and_down(stage, consumer)
        what_is_too_large_is_told(stage.url, consumer)
        whoever_stalls_keeps_nobody_out(stage.url, consumer)


def the_example(stage: Stage, folder: Path, address: str) -> None:
    """The same bytes as anywhere."""
    began, settings = time.monotonic(), settings_of(stage.url, folder)
    with data_owner(address) as data:
        assert submitted(data, settings).wait(LIMIT_S) == 0, stage.logs()
        check_the_examples_results(folder / "out", settings)
    print(f"the example's three jobs took {time.monotonic() - began:.0f} s")


def a_log_arrives_as_it_is_written(consumer: Consumer) -> None:
    """Its first line is here while the algorithm has minutes to go; then the job is stopped, and the stream ends."""
    [started] = consumer.submit([running(SPEAKER)])
    job_id, job = str(started["jobId"]).rpartition("-")[2], {"jobId": started["jobId"]}
    until(lambda: consumer.status(**job)[0]["status"] == 40, "the algorithm")
    signed = urlencode({**consumer.signed("getComputeStreamableLogs"), "jobId": job_id})
    url = f"{consumer.url}/api/services/computeStreamableLogs?{signed}"
    began, heard = time.monotonic(), b""
    answer = consumer.pool.request("GET", url, preload_content=False, timeout=LIMIT_S)
    assert answer.status == 200, answer.data
    while b"first" not in heard:
        piece = answer.read1(MIB)
        assert piece, heard
        heard += piece
    print(f"the log's first line came after {time.monotonic() - began:.1f} s")
    assert b"second" not in heard and consumer.status(**job)[0]["status"] == 40
    consumer.stop(**job)
    assert b"second" not in answer.read()


def a_large_result_goes_up_and_down(stage: Whole, consumer: Consumer) -> None:
    """Through nginx and the handlers, none of which holds it; the part that is asked for is that part."""
    before = {each: stage.peak_mib(each) for each in (PUBLISHING, RESULT, PROXY)}
    code = f"import hashlib\nwith open('/data/outputs/large.bin', 'wb') as f:\n    for i in range({LARGE_MIB}):\n"
    [started] = consumer.submit([running(f"{code}        f.write({BLOCK})", disk=2)])
    [ended] = consumer.wait(started["workflowId"], LIMIT_S, pause_s=0.5)
    assert ended["status"] == 70, ended
    [file] = [each for each in ended["results"] if each["filesize"] == LARGE_MIB * MIB]
    whole = hashlib.sha256()
    answer = fetched(consumer, ended["jobId"], file["index"])
    for piece in answer.stream(MIB):
        whole.update(piece)
    assert (answer.status, whole.digest()) == (200, expected(range(LARGE_MIB)).digest())
    part = fetched(consumer, ended["jobId"], file["index"], Range=f"bytes={200 * MIB}-{201 * MIB - 1}")
    assert (part.status, part.headers["Content-Range"]) == (206, f"bytes {200 * MIB}-{201 * MIB - 1}/{LARGE_MIB * MIB}")
    assert hashlib.sha256(part.read()).digest() == expected([200]).digest()
    grown = {each: stage.peak_mib(each) - peak for each, peak in before.items()}
    print(f"{LARGE_MIB} MiB up and down; peaks before {before}, grown by {grown} MiB")
    assert max(grown.values()) < GROWTH_MIB, grown
    kept = stage.kubectl("logs", "-l", PROXY, "--tail=-1")
    assert "c2dJobPublishResult" not in kept, "nginx kept a result in a file"


def fetched(consumer: Consumer, job_id: str, index: int, **headers: str) -> urllib3.BaseHTTPResponse:
    """A result's answer, its body unread."""
    query = urlencode({**consumer.signed("getComputeResult"), "jobId": job_id, "index": index})
    url = f"{consumer.url}/api/services/computeResult?{query}"
    return consumer.pool.request("GET", url, headers=headers, preload_content=False, timeout=LIMIT_S)


def expected(blocks: Any) -> Any:
    """The digest of these blocks of the large file."""
    found = hashlib.sha256()
    for i in blocks:
        found.update(hashlib.shake_128(b"%d" % i).digest(MIB))
    return found


def what_is_too_large_is_told(url: str, consumer: Consumer) -> None:
    """By nginx, in the node's words."""
    tries = {
        413: consumer.call("POST", "/api/services/freeCompute", {"padding": "a" * (9 * MIB)}),
        414: consumer.call("GET", "/api/services/compute", q="a" * 9000),
        431: urllib3.request("GET", f"{url}/", headers={"X-Long": "a" * 9000}, retries=False),
    }
    assert {status: (each.status, each.json()["status"]) for status, each in tries.items()} == {
        status: (status, status) for status in tries
    }


def whoever_stalls_keeps_nobody_out(url: str, consumer: Consumer) -> None:
    """More bodies that never end than a handler has threads."""
    head = "POST /api/services/freeCompute HTTP/1.1\r\nHost: node\r\nContent-Length: 1000\r\n\r\n{"
    with contextlib.ExitStack() as stack:
        for _ in range(12):
            stalled = socket.create_connection((url.removeprefix("http://"), 80))
            stack.enter_context(stalled).sendall(head.encode())
        [started] = consumer.submit([sleeper(1)])
    consumer.stop(workflowId=started["workflowId"])


def running(code: str, disk: float = 1) -> dict[str, Any]:
    """A job of this code, within the shipped environment's bounds."""
    job = sleeper(0, cpu=0.25, disk=disk)
    return {**job, "algorithm": {**job["algorithm"], "rawcode": code}}
