"""Own a node deployed on the real cluster: its images, its database and store here, and what is done to it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from engines.drivers.kubernetes_connect import connect
from shared.secrets import NodeKeys
from tests.flows.kubernetes import overlay
from tests.infra.kubernetes.built import Document, as_older, built
from tests.needs import busybox_image, proxy_binary, python_image
from tests.services.kubernetes import let_go_of_all, to_nodes
from tests.services.moto_server import CREDENTIALS, MotoServer, start_moto_server
from tests.services.node import Consumer
from tests.services.postgres import RUN_DIR, PostgresServer, new_server

ROOT = Path(__file__).parents[3]
LIMIT_S = 240
KEY = bytes.fromhex("5e" * 32)
UPGRADE = '''\
"""A version's new column, which the version before does not know."""


def up(migrator, db):
    """Add it."""
    db.execute_sql("ALTER TABLE job ADD COLUMN upgraded INTEGER")
'''


@dataclass
class Stage:
    """A deployed node."""

    wish: overlay.Wish
    folder: Path
    postgres: PostgresServer
    url: str = ""
    "Where consumers find it: nginx's ClusterIP."

    def kubectl(self, *words: str, given: str | None = None, namespace: str = "") -> str:
        """One command, in the node's namespace if no other is said; what it printed."""
        where = ["-n", namespace or self.wish.namespace]
        command = [os.environ.get("C2D_KUBE_KUBECTL", "kubectl"), *where, *words]
        done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=LIMIT_S, check=False)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
        return done.stdout

    def written(self, part: str) -> Path:
        """The folder of a part as it is wished for now."""
        overlay.write(self.folder / "overlay", self.wish)
        return self.folder / "overlay" / part

    def documents(self, part: str) -> list[Document]:
        """What kustomize makes of ours, as this server calls it."""
        found = built(self.written(part))
        if "policy/v1" in self.kubectl("api-versions").split():
            return found
        return [as_older(each) for each in found]  # 1.20 or older

    def apply(self, part: str, *kinds: str) -> None:
        """Apply a part, or of it these kinds."""
        chosen = [each for each in self.documents(part) if not kinds or each["kind"] in kinds]
        spaces = [each["metadata"].get("namespace", "") for each in chosen]
        for space in sorted(set(spaces)):  # what has none, the namespaces themselves, comes first
            items = [each for each, own in zip(chosen, spaces, strict=True) if own == space]
            listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
            self.kubectl("apply", "-f", "-", given=listed, namespace=space)

    def deploy(self) -> float:
        """Apply all, and wait until every Deployment is what it should be; seconds."""
        began = time.monotonic()
        self.apply("node")
        for name in self.kubectl("get", "deployments", "-o", "name").split():
            self.kubectl("rollout", "status", name, f"--timeout={LIMIT_S}s")
        return time.monotonic() - began

    def kill(self, selector: str) -> int:
        """End these pods at once, as a lost machine would; how many."""
        names = self.kubectl("get", "pods", "-l", selector, "-o", "name").split()
        self.kubectl("delete", "--grace-period=0", "--force", "--wait=false", *names)
        return len(names)

    def consumer(self) -> Consumer:
        """A new wallet."""
        return Consumer(self.url)

    def logs(self) -> str:
        """The last words of passes and of whoever restarts, for a failed test."""
        return self.kubectl("logs", "-l", "c2d.node/role=passes", "--tail=60") + self.kubectl("get", "pods")


@contextlib.contextmanager
def deployed(
    folder: Path,
    address: str,
    storage_class: str,
    engine: Mapping[str, Any],
    kind: type[Stage] = Stage,
    **more: Any,
) -> Iterator[Stage]:
    """A node on the cluster, with PostgreSQL and a store at this machine's address; all of it is gone afterwards.

    `more` is of the wish: its parts, its handlers that are awake; settings beside those every stage has.
    """
    tag = f"t-{secrets.token_hex(4)}"
    pod_image = to_nodes(built_image("pod"))
    moto, own = start_moto_server(address), Path(tempfile.mkdtemp(prefix="kube-", dir=os.environ[RUN_DIR]))
    own.chmod(0o755)
    postgres = new_server(own, address)
    wish = overlay.Wish(
        namespace=f"c2d-{tag}", jobs=f"c2d-{tag}-jobs", tag=tag, proxy_image=to_nodes(proxy_image(folder, tag)),
        ports=(port_of(moto.endpoint), postgres.port, *more.pop("ports", ())),
        settings=settings_of(moto, address) | more.pop("settings", {}), **more,
        engine={"name": "kubernetes", "type": "kubernetes", "namespace": f"c2d-{tag}-jobs", "podImage": pod_image,
                "storageClass": storage_class, **engine},
    )  # fmt: skip
    stage = kind(wish, folder, postgres)
    docker("tag", built_image("node"), f"c2d/node:{tag}")
    to_nodes(f"c2d/node:{tag}")
    try:
        begin(stage, postgres.create_database().replace("127.0.0.1", address))
        with refused_without_pods(stage.wish.addresses.values()):
            yield stage
    finally:
        stage.kubectl("delete", "namespace", wish.namespace, wish.jobs, "--wait=false", "--ignore-not-found")
        let_go_of_all(connect({}), wish.jobs)
        for kind in ("clusterrolebinding", "clusterrole"):
            stage.kubectl("delete", kind, f"c2d-engine:{wish.jobs}", "--ignore-not-found")
        docker("rmi", "--force", f"c2d/node:{tag}", f"c2d/node:{tag}-next", wish.proxy_image, check=False)
        moto.stop()
        postgres.stop("immediate")
        shutil.rmtree(own)


def begin(stage: Stage, database_url: str) -> None:
    """Namespaces, secrets and Services; then the settings that need the Services' addresses."""
    stage.apply("jobs")
    stage.apply("node", "Namespace", "Service", "ServiceAccount")
    secret = {
        "c2d-wallet": {"C2D_PRIVATE_KEY": KEY.hex()},
        "c2d-secrets": {
            "C2D_SECRETS_KEY": NodeKeys.from_private_key(KEY).secrets_key,
            "C2D_DATABASE_URL": database_url,
        },
        "c2d-storage": CREDENTIALS,
    }
    for name, values in secret.items():
        document = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}
        stage.kubectl("apply", "-f", "-", given=json.dumps(document))
    items = json.loads(stage.kubectl("get", "services", "-o", "json"))["items"]
    addresses = {each["metadata"]["name"]: each["spec"]["clusterIP"] for each in items}
    settings = {**stage.wish.settings, "C2D_POD_API_URL": f"http://{addresses['pods']}:8000"}
    stage.wish = replace(stage.wish, addresses=addresses, settings=settings)
    stage.url = f"http://{addresses['c2d']}"


@contextlib.contextmanager
def refused_without_pods(addresses: Iterable[str]) -> Iterator[None]:
    """Refuse what is sent to a Service while it has no pod, as the shipped policies and the cluster's proxy mean to.

    Where a node's pods are on Docker's bridge, Docker lets them out before that proxy's rule is asked, and whoever
    answers for all addresses outside would be taken for the node.
    """
    rule = ["DOCKER-USER", "-p", "tcp", "-d", ",".join(addresses), "-j", "REJECT", "--reject-with", "tcp-reset"]
    is_docker = (
        shutil.which("iptables")
        and not subprocess.run(
            ["iptables", "-w", "-n", "-L", "DOCKER-USER"], capture_output=True, check=False
        ).returncode
    )
    try:
        if is_docker:
            subprocess.run(["iptables", "-w", "-I", *rule], check=True)
        yield
    finally:
        if is_docker:
            subprocess.run(["iptables", "-w", "-D", *rule], check=True)


def port_of(url: str) -> int:
    """Where something of this machine listens."""
    port = urlsplit(url).port
    assert port is not None, url
    return port


def settings_of(moto: MotoServer, address: str) -> dict[str, str]:
    """What the overlay's settings.env says."""
    return {
        "C2D_DATA_DIR": "/tmp/c2d",
        "C2D_STORAGE_URL": moto.storage_url(moto.make_bucket()),
        "C2D_ENGINES": "/etc/c2d/engines.yaml",
        "C2D_FETCH_ALLOW": f"{address}/32",
        "C2D_RATE_LIMIT": "off",
    }


def next_version(stage: Stage) -> None:
    """Make an image with one more migration, and wish for it."""
    tag = f"{stage.wish.tag}-next"
    with tempfile.TemporaryDirectory() as context:
        (Path(context) / "upgrade.py").write_text(UPGRADE)
        (Path(context) / "Dockerfile").write_text(
            f"FROM c2d/node:{stage.wish.tag}\nCOPY upgrade.py shared/db/migrations/9000_upgrade.py\n"
        )
        docker("build", "-q", "-t", f"c2d/node:{tag}", context)
    to_nodes(f"c2d/node:{tag}")
    stage.wish = replace(stage.wish, tag=tag)


def proxy_image(folder: Path, tag: str) -> str:
    """This machine's nginx with the libraries it needs, on the tests' busybox."""
    binary, context, name = proxy_binary(), folder / "proxy", f"c2d-test/nginx:{tag}"
    listed = subprocess.run(["ldd", binary], capture_output=True, text=True, check=True).stdout
    for path in [*re.findall(r"(/\S+) \(0x", listed)]:
        (context / "files" / path.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, context / "files" / path.lstrip("/"))
    (context / "files/usr/sbin").mkdir(parents=True)
    shutil.copy(binary, context / "files/usr/sbin/nginx")
    (context / "Dockerfile").write_text(
        f"FROM {busybox_image()}\nCOPY files /\nENV PATH=/usr/sbin:/usr/bin:/sbin:/bin\n"
    )
    docker("build", "-q", "-t", name, str(context))
    return name


def built_image(what: str) -> str:
    """The name of an image of the project, built where it is not there."""
    environment = {**os.environ, "C2D_PYTHON_IMAGE": python_image()}
    done = subprocess.run(
        [ROOT / "infra/images/build", what], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout.strip()


def docker(*words: str, check: bool = True) -> None:
    """One command of the engine."""
    environment = {**os.environ, "DOCKER_BUILDKIT": "0"}
    done = subprocess.run(["docker", *words], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, done.stderr


def until(is_so: Callable[[], object], what: str, limit_s: float = LIMIT_S) -> None:
    """Wait for what the cluster will do."""
    deadline = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < deadline, f"{what} was not there within {limit_s} s"
        time.sleep(0.2)
