"""Whole workflows over HTTP whose phases are pods of a real cluster: how they end, what third parties do to them."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.demonstration import EXAMPLE, data_owner, fetched
from infra.proof import check_results
from shared.names import Phase, volume_name
from tests.flows.docker.harness import environment, job, python_job, until
from tests.flows.kubernetes.harness import KubernetesPlace, kubernetes_place
from tests.needs import needs, python_image

pytestmark = [
    needs("kube", "docker"),
    pytest.mark.full,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("kubernetes"),
]
SLEEPS = "trap 'echo asked; exit 5' TERM; echo up; echo early >/data/outputs/early; while :; do sleep 0.1; done"
GPUS = [
    {"id": "cpu", "total": 2, "min": 0.1, "max": 2},
    {"id": "ram", "total": 4, "min": 0.05, "max": 4},
    {"id": "disk", "total": 40, "min": 0.01, "max": 40},
    {"id": "gpu", "total": 4, "min": 0, "max": 4},
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubernetesPlace]:
    with_gpus = environment(id="gpus", resources=GPUS, kubernetes={"resources": {"gpu": "example.org/gpu"}})
    with kubernetes_place(tmp_path_factory.mktemp("kubernetes"), environment(), with_gpus) as found:
        yield found
        found.until_clean()


def ending(record: dict[str, Any]) -> tuple[int, int | None, str | None]:
    """Status, exit code, reason."""
    details = record["terminationDetails"]
    return record["status"], details["exitCode"], details["reason"]


def test_the_example_gives_the_bytes_it_gives_everywhere(site: KubernetesPlace, tmp_path: Path) -> None:
    image, _, tag = python_image().rpartition(":")
    settings = {
        **os.environ, "C2D_NODE_URL": site.node.url, "XDG_CONFIG_HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path),
    }  # fmt: skip
    with data_owner(site.data_url.split("/")[2].partition(":")[0]) as data:
        words = [f"DATA_URL={data}", f"IMAGE={image}", f"TAG={tag}"]
        given = [part for word in words for part in ("--set", word)]
        submit = [sys.executable, "-m", "infra.c2d", "submit", str(EXAMPLE / "workflow.json"), *given, "--follow"]
        subprocess.run(submit, env=settings, stdin=subprocess.DEVNULL, check=True, timeout=200)
        files = fetched(["results", "-o", str(tmp_path / "out"), "--unpack"], settings)
    check_results(EXAMPLE / "data" / "penguins.csv", files)
    [report] = [Path(file["path"]) for file in files if file["path"].endswith("report.svg")]
    assert report.read_bytes() == (EXAMPLE / "report.svg").read_bytes()


def test_many_endings_side_by_side(site: KubernetesPlace) -> None:
    flood = "echo first >/data/outputs/a; while :; do head -c 10000000 /dev/zero >>/data/logs/more; sleep 0.3; done"
    found = endings_side_by_side(site, disk=job(0, flood, compute={"disc": 0.05}))
    assert ending(found["disk"])[::2] == (42, "disk")
    assert zipfile.ZipFile(io.BytesIO(site.output(found["disk"]))).read("a") == b"first\n"


def endings_side_by_side(site: KubernetesPlace, **more: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every ending that both kinds of volume have in common, checked; records by name, those of more jobs too."""
    memory = "open('/data/outputs/before', 'w').write('kept')\nprint('going', flush=True)\nx = bytearray(300 << 20)\n"
    wanted = {
        "fails": job(0, "echo half >/data/outputs/part.txt; echo out; sleep 0.2; echo bad >&2; exit 3"),
        "memory": python_job(0, memory, compute={"ram": 0.1}),
        "time": job(0, SLEEPS, compute={"maxDuration": 3}),
        **more,
        "image": job(0, "true", image="127.0.0.1:9/no-such-image:1"),
        "program": job(0, "true", entrypoint="no-such-program $ALGO"),
        "data": job(0, "true", input=[{"index": 0, "files": missing_file(site)}]),
    }
    started = {name: site.submit(each) for name, each in wanted.items()}
    found = {name: site.consumer.wait(workflow, 200)[0] for name, workflow in started.items()}
    assert ending(found["fails"]) == (41, 3, None)
    assert site.log(found["fails"]) == "out\nbad\n" and site.output(found["fails"]) == b"half\n"
    assert ending(found["memory"]) == (41, 137, "oom") and site.output(found["memory"]) == b"kept"
    assert ending(found["time"]) == (70, 5, "timeout") and site.log(found["time"]) == "up\nasked\n"
    assert ending(found["image"]) == (11, None, "error") and "127.0.0.1:9" in site.log(found["image"], "imageLog")
    assert found["program"]["status"] == 41 and "no-such-program" in site.log(found["program"])
    assert ending(found["data"]) == (31, None, "error") and "404" in site.log(found["data"], "configurationLog")
    return found


def missing_file(site: KubernetesPlace) -> dict[str, Any]:
    """A file object for what is not there."""
    return {"type": "url", "url": f"{site.data_url}/not-there.csv", "method": "GET"}


def test_stopped_while_running_it_is_finished_with_what_there_is(site: KubernetesPlace) -> None:
    workflow = site.submit(job(0, SLEEPS), job(1, "true", runAfter=0))
    running = site.until_status(workflow, 40)
    until(lambda: "running" in str((site.pod(running, Phase.RUN) or {}).get("status")))
    site.consumer.stop(jobId=running["jobId"])
    record, dependant = site.consumer.wait(workflow)
    assert ending(record) == (70, 5, "stopped") and ending(dependant) == (31, None, "dependency")


def test_an_owner_is_told_what_the_cluster_lacks(site: KubernetesPlace) -> None:
    [environment_id] = [each["id"] for each in site.consumer.get("/api/services/computeEnvironments") if has_gpus(each)]
    asked = {"resources": [{"id": "gpu", "amount": 2}], "environment": environment_id}
    workflow = site.submit(job(0, "true", **asked))
    told = "queued: no node has 2 GPUs free"
    record = site.until_status(workflow, 40)
    until(lambda: told in site.events(record["jobId"]), lambda: site.events(record["jobId"]))
    site.consumer.stop(jobId=record["jobId"])
    assert ending(site.consumer.wait(workflow)[0]) == (70, None, "stopped")


def has_gpus(environment: dict[str, Any]) -> bool:
    """Whether an environment offers GPUs."""
    return any(each["id"] == "gpu" for each in environment["resources"])


def test_an_algorithm_that_somebody_deletes_is_lost_and_never_run_again(site: KubernetesPlace) -> None:
    workflow = site.submit(job(0, "echo run >>/data/outputs/runs.txt; echo up; exec sleep 100"))
    record = site.until_status(workflow, 40)
    until(lambda: "running" in str((site.pod(record, Phase.RUN) or {}).get("status", {}).get("containerStatuses")))
    pod = site.pod(record, Phase.RUN)
    assert pod is not None
    site.api.delete(site.path("pods", pod["metadata"]["name"]), grace_s=0)
    record = site.consumer.wait(workflow)[0]
    assert record["status"] == 41 and record["terminationDetails"]["reason"] == "lost"
    assert site.output(record) == b"run\n"


def test_a_pod_of_ours_that_somebody_deletes_is_started_again(site: KubernetesPlace) -> None:
    from threading import Event

    site.served.drip = drip = Event()
    workflow = site.submit(job(0, "echo ran", input=[{"index": 0, "files": site.file("slow", b"slow")}]))
    record = site.until_status(workflow, 30)
    first = until(lambda: site.pod(record, Phase.PROVISION))
    until(lambda: any(each[1].endswith("/slow") for each in site.served.requests))
    site.api.delete(site.path("pods", first["metadata"]["name"]), grace_s=0)
    until(lambda: (pod := site.pod(record, Phase.PROVISION)) and pod["metadata"]["uid"] != first["metadata"]["uid"])
    site.served.drip = None
    drip.set()
    record = site.consumer.wait(workflow)[0]
    assert ending(record) == (70, 0, None) and site.log(record) == "ran\n"


def test_nothing_of_a_job_is_left_and_no_secret_was_shown(site: KubernetesPlace) -> None:
    workflow = site.submit(job(0, "echo run >>/data/outputs/runs.txt; sleep 3"))
    record = site.until_status(workflow, 40)
    claim = site.api.find(site.path("persistentvolumeclaims", volume_name(record["jobId"])))
    assert claim is not None and claim["spec"]["resources"]["requests"]["storage"] == str(1 << 30)
    pod = site.pod(record, Phase.PROVISION)
    assert pod is not None
    [key] = [each for each in pod["spec"]["containers"][0]["env"] if each["name"] == "privateKey"]
    assert "value" not in key and "secretKeyRef" in key["valueFrom"]
    assert ending(site.consumer.wait(workflow)[0]) == (70, 0, None)
    site.until_clean()
