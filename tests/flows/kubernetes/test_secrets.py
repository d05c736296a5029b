"""What is secret of a node and its consumers is shown nowhere: in no log, no answer, and nothing of the cluster's.

Every secret is a word that stands nowhere else. Things go well and go wrong meanwhile, since errors are what talks.
"""

from __future__ import annotations

import base64
import json
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from urllib3.exceptions import HTTPError

from engines.drivers.kubernetes_api import KubernetesApi
from engines.drivers.kubernetes_connect import connect
from engines.drivers.kubernetes_manifests import KEEP
from shared.ecies import encrypt
from shared.names import JobId, Phase, container_name
from tests.file_server import Served, serve_files
from tests.flows.docker.harness import environment, job, new_name, until
from tests.flows.kubernetes.harness import engine_of, lines_of
from tests.needs import needs
from tests.services import kubernetes
from tests.services.kubernetes_account import least_rights
from tests.services.moto_server import MotoServer
from tests.services.node import Consumer, RealNode, free_port, real_node
from tests.services.postgres import PostgresServer

pytestmark = [
    needs("kube", "docker", "postgres", "s3"),
    pytest.mark.full,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("kubernetes"),
]
NAMES = (
    "database", "wallet", "store", "url", "user", "header", "redirect", "missing", "registry", "target", "put", "proof",
)  # fmt: skip
KINDS = ("pods", "events", "configmaps", "persistentvolumeclaims")


@dataclass
class Told:
    """All that is to be kept, and all that was said."""

    words: dict[str, str] = field(default_factory=lambda: {name: f"sesame{secrets.token_hex(12)}" for name in NAMES})
    heard: dict[str, list[str]] = field(default_factory=dict)

    def hear(self, where: str, text: str) -> None:
        """Something was said somewhere."""
        self.heard.setdefault(where, []).append(text)

    def leaks(self) -> list[str]:
        """Which secret stands where, in clear or as it travels."""
        return [
            f"{name} in {where}: …{text[max(0, at - 200) : at + 60]}…"
            for name, word in self.words.items()
            for shape in (word, base64.b64encode(word.encode()).decode().rstrip("=")[:-1])
            for where, texts in self.heard.items()
            for text in texts
            if (at := text.find(shape)) >= 0
        ]


def test_no_secret_is_shown_anywhere(tmp_path: Path, own_postgres: PostgresServer, moto_server: MotoServer) -> None:
    told, api, address = Told(), connect({}), kubernetes.host()
    words, served = told.words, Served({"/data.csv": b"a,b\n"})
    url = own_postgres.create_database()
    with (
        kubernetes.namespace() as namespace,
        least_rights(namespace, tmp_path) as account,
        watched(api, namespace, told),
    ):
        engine = engine_of(new_name(), namespace, environment(), kubeconfig=account)
        port, key = free_port(), secrets.token_hex(32)
        words["wallet"] = key
        settings = {
            "C2D_ENGINES": json.dumps([engine]),
            "C2D_FETCH_ALLOW": f"{address}/32,127.0.0.0/8",
            "C2D_POD_API_URL": f"http://{address}:{port}",
            "C2D_PRIVATE_KEY": key,
            "C2D_DATABASE_URL": url.replace("postgres@", f"postgres:{words['database']}@"),
            "C2D_STORAGE_URL": moto_server.storage_url(moto_server.make_bucket()),
            "AWS_ACCESS_KEY_ID": "anybody", "AWS_SECRET_ACCESS_KEY": words["store"],
        }  # fmt: skip
        with (
            serve_files(served, address) as data,
            real_node(tmp_path, "--host", address, "--port", str(port), **settings) as node,
        ):
            tell_of_logs = partial(hear_of_pods, api, namespace, told)
            use(node, data, served, told, moto_server, tell_of_logs)
            away(node, own_postgres)
            told.hear("the database", everything(own_postgres, url))
        for kind in KINDS:
            told.hear(kind, json.dumps(api.items(f"/api/v1/namespaces/{namespace}/{kind}")))
    for log in (tmp_path / "node" / "logs").rglob("*"):
        told.hear(f"the log {log.name}", log.read_text(errors="replace"))
    assert {"pods", "events", "the database", "a reply", "a result"} <= told.heard.keys()
    assert sum(name.startswith("the log") for name in told.heard) >= 2
    assert len([name for name in words if name.startswith("key of ")]) >= 2, "no job's key was seen"
    assert told.leaks() == []
    told.words = {"what is no secret": KEEP}
    assert told.leaks(), "nothing would be found"


def use(
    node: RealNode, data: str, served: Served, told: Told, store: MotoServer, tell_of_logs: Callable[[], set[str]]
) -> None:
    """Jobs that fetch, fail to fetch, pull, deliver and fail to deliver with secrets of their owner's."""
    consumer, words = node.consumer(), told.words
    public = consumer.get("/")["nodePublicKey"]
    host = data.removeprefix("http://")
    served.redirects["/moved"] = f"{data}/gone?token={words['redirect']}"
    good = [
        link(f"{data}/data.csv?token={words['url']}"),
        link(f"http://me:{words['user']}@{host}/data.csv"),
        link(f"{data}/data.csv", headers={"Authorization": f"Bearer {words['header']}"}),
    ]
    sealed = {"files": encrypt(public, json.dumps(good).encode()).hex()}
    jobs = {
        "good": job(0, "cat /data/inputs/*/* >/data/outputs/all; echo done", input=[{"index": 0, **sealed}]),
        "missing": job(0, "true", input=[{"index": 0, "files": link(f"{data}/none?token={words['missing']}")}]),
        "moved": job(0, "true", input=[{"index": 0, "files": link(f"{data}/moved")}]),
        "nowhere": job(0, "true", input=[{"index": 0, "files": link(f"http://127.0.0.1:9/?token={words['missing']}")}]),
    }
    bucket = store.make_bucket()
    started = {"delivered": delivers(consumer, s3_target(store, bucket, words["target"]))}
    targets = {
        "refused": s3_target(store, "no-such-bucket", words["target"]),
        "put": {"remoteStorage": {"type": "url", "url": f"{data}/put/?token={words['put']}", "method": "PUT"}},
    }
    trying = [str(delivers(consumer, target)[0]["jobId"]) for target in targets.values()]  # again and again
    started |= {name: consumer.submit([each]) for name, each in jobs.items()}
    started["pulled"] = consumer.start(behind_a_login(consumer, public, words["registry"]))
    ended = {name: consumer.wait(records[0]["workflowId"], 200)[0] for name, records in started.items()}
    assert (ended["good"]["status"], ended["delivered"]["status"]) == (70, 70), ended
    assert (ended["missing"]["status"], ended["moved"]["status"], ended["pulled"]["status"]) == (31, 31, 11)
    wanted = {container_name(JobId(each), Phase.PUBLISH) for each in trying}
    until(lambda: wanted <= tell_of_logs(), lambda: f"{wanted} had nothing to say")
    for job_id in (*trying, *(records[0]["jobId"] for records in started.values())):
        hear_of(consumer, job_id, told)


def delivers(consumer: Consumer, target: dict[str, Any]) -> list[dict[str, Any]]:
    """Start a job whose output goes somewhere else."""
    return consumer.submit([job(0, "echo x >/data/outputs/x")], output=target)


def hear_of_pods(api: KubernetesApi, namespace: str, told: Told) -> set[str]:
    """All that the namespace's pods have printed; the names of those that have printed anything."""
    talked = set()
    for pod in api.items(f"/api/v1/namespaces/{namespace}/pods"):
        name = pod["metadata"]["name"]
        with api.stream(f"/api/v1/namespaces/{namespace}/pods/{name}/log") as response:
            text = response.read().decode(errors="replace") if response.status == 200 else ""
        if text:
            told.hear(f"the log of pod {name}", text)
            talked.add(name)
    return talked


def link(url: str, **more: Any) -> dict[str, Any]:
    """A file object."""
    return {"type": "url", "url": url, "method": "GET", **more}


def s3_target(store: MotoServer, bucket: str, secret: str) -> dict[str, Any]:
    """Where a job's outputs are to go."""
    access = {
        "endpoint": store.endpoint, "region": "eu-west-1", "bucket": bucket, "objectKey": "out/",
        "accessKeyId": "somebody", "secretAccessKey": secret, "forcePathStyle": True,
    }  # fmt: skip
    return {"remoteStorage": {"type": "s3", "s3Access": access}}


def behind_a_login(consumer: Consumer, public: str, password: str) -> dict[str, Any]:
    """A job whose image is in a registry that is not there."""
    container = {"image": "127.0.0.1:9/private", "tag": "1", "entrypoint": "sh $ALGO", "checksum": ""}
    login = json.dumps({"username": "me", "password": password}).encode()
    shares = [{"id": "cpu", "amount": 0.1}, {"id": "ram", "amount": 0.1}, {"id": "disk", "amount": 0.1}]
    return {
        "environment": consumer.environment()["id"], "datasets": [], "resources": shares, "maxJobDuration": 60,
        "algorithm": {"meta": {"rawcode": "true", "container": container}},
        "encryptedDockerRegistryAuth": encrypt(public, login).hex(),
    }  # fmt: skip


def hear_of(consumer: Consumer, job_id: str, told: Told) -> None:
    """All that the node says of a job: to its owner, and to anybody."""
    [record] = consumer.status(jobId=job_id)
    told.hear("a reply", json.dumps(record))
    for signed in ({}, consumer.signed("getComputeEvents")):
        told.hear("a reply", json.dumps(consumer.get("/api/services/computeEvents", **signed, jobId=job_id)))
    for each in record["results"]:
        told.hear("a result", consumer.result(record["jobId"], int(each["index"])).decode(errors="replace"))


def away(node: RealNode, postgres: PostgresServer) -> None:
    """The database goes and comes back while somebody asks; so does the wrong caller."""
    consumer = node.consumer()
    assert consumer.call("POST", "/api/services/compute", {"nonce": "1"}).status == 400
    postgres.stop()
    for path in ("/api/services/jobs", "/readyz", "/api/services/computeEnvironments"):
        answer = consumer.call("GET", path)
        assert answer.status == 503 and str(postgres.port) not in answer.data.decode(), answer.data  # nor where it is
    postgres.start()


def everything(postgres: PostgresServer, url: str) -> str:
    """All rows of all tables."""
    import psycopg

    with psycopg.connect(url) as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        rows = [connection.execute(f'SELECT t::text FROM "{name}" t').fetchall() for (name,) in names]
    return str(rows)


@contextmanager
def watched(api: KubernetesApi, namespace: str, told: Told) -> Iterator[None]:
    """Hear each state of each thing in the namespace; from its Secrets, learn what nothing else may say."""

    def learn(text: str) -> None:
        about = json.loads(text)["object"]
        for name, value in (about.get("data") or {}).items():
            if name == "privateKey":
                told.words[f"key of {about['metadata']['name']}"] = base64.b64decode(value).decode()

    with (
        following(api, namespace, "secrets", learn),
        following(api, namespace, "pods", lambda text: told.hear("pods", text)),
        following(api, namespace, "events", lambda text: told.hear("events", text)),
    ):
        yield


@contextmanager
def following(api: KubernetesApi, namespace: str, kind: str, hear: Callable[[str], None]) -> Iterator[None]:
    """Hear what becomes of the namespace's things of a kind, a line of JSON each time."""

    def follow(response: Any) -> None:
        with suppress(HTTPError, OSError, ValueError, AttributeError):
            for line in lines_of(response):
                hear(line.decode())

    path = f"/api/v1/namespaces/{namespace}/{kind}"
    with api.stream(path, query={"watch": "true"}, timeout_s=3600) as response:
        thread = threading.Thread(target=follow, args=(response,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            response.shutdown()
            thread.join(10)
