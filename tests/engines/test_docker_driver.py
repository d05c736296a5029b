"""What only the Docker Engine can show: hardening, pulls, builds, devices, the pods' network."""

from __future__ import annotations

import ipaddress
import secrets
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.drivers.base import GpuRequest, ImageRef
from engines.drivers.docker_driver import DockerDriver
from engines.drivers.registries import check_host, host_of, split_reference
from shared.errors import JobError, SettingsError, Unavailable
from shared.names import Phase, image_name
from tests.contracts.driver_backends import Backend, docker_backend
from tests.needs import busybox_image, needs
from tests.services.registry import registry

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Backend]:
    with docker_backend(tmp_path) as backend:
        yield backend


@pytest.fixture
def puller(engine: Backend) -> Iterator[DockerDriver]:
    """A driver that may pull from this machine; what it pulled is removed."""
    driver = DockerDriver(engine.engine, {}, fetch_allow=LOOPBACK)
    yield driver
    pulled = docker_client("images", "--format", "{{.ID}} {{.Repository}}").splitlines()
    ids = {line.split()[0] for line in pulled if "/c2d-test-" in line}
    if ids:
        docker_client("rmi", "-f", *ids)


def docker_client(*arguments: str) -> str:
    """What the client prints."""
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=60, check=False).stdout


@pytest.fixture
def repository() -> str:
    return f"c2d-test-{secrets.token_hex(4)}/image"


pytestmark = needs("docker")


def test_an_algorithm_has_no_capabilities_and_cannot_gain_any(engine: Backend) -> None:
    job = engine.job()
    script = "id -u; id -g; grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status; echo $HOME; touch /tmp/x"
    seen = engine.run(job, script, user="1000:1000", home_defaults=True)
    assert seen.exit_code == 0
    words = engine.log(job).decode().split()
    assert words[:2] == ["1000", "1000"] and words[-1] == "/tmp"
    facts = dict(zip(words[2:-1:2], words[3:-1:2], strict=True))
    assert facts == {"CapEff:": "0" * 16, "CapBnd:": "0" * 16, "NoNewPrivs:": "1", "Seccomp:": "2"}


def test_a_pod_keeps_the_capabilities_it_is_given(engine: Backend) -> None:
    job = engine.job()
    script = "mkdir /data/in && chmod 700 /data/in && chown 1000:1000 /data/in && touch /data/in/file"
    given = {"user": "0:0", "capabilities": ("CHOWN", "DAC_OVERRIDE", "FOWNER")}
    assert engine.run(job, script, Phase.PROVISION, **given).exit_code == 0
    assert engine.run(job, "touch /data/in/more", Phase.PUBLISH, user="0:0").exit_code == 1


def test_a_pod_reaches_the_node_at_the_gateway(engine: Backend) -> None:
    gateway = engine.driver.capabilities().pod_gateway
    assert gateway is not None
    with socket.create_server((gateway, 0)) as server:
        heard: list[bytes] = []
        thread = threading.Thread(target=lambda: heard.append(server.accept()[0].recv(10)), daemon=True)
        thread.start()
        job = engine.job()
        engine.run(job, f"echo hello | nc -w 5 {gateway} {server.getsockname()[1]}", Phase.PROVISION, network="pod")
        thread.join(10)
    assert heard == [b"hello\n"]


def test_pods_do_not_reach_each_other(engine: Backend) -> None:
    one, other = engine.job(), engine.job()
    script = "ip -4 -o addr show eth0 | sed 's/.*inet \\([0-9.]*\\).*/\\1/'; nc -l -p 5000"
    engine.start(engine.spec(one, script, Phase.PROVISION, network="pod"))
    engine.says(one, b".", Phase.PROVISION)
    address = engine.log(one, Phase.PROVISION).decode().strip()
    seen = engine.run(other, f"nc -w 2 {address} 5000 </dev/null", Phase.PROVISION, network="pod")
    assert seen.exit_code != 0
    engine.driver.stop(one, Phase.PROVISION, 1)


def test_a_device_that_is_not_there_is_told(engine: Backend) -> None:
    job = engine.job()
    gpu = GpuRequest(advanced=({"Devices": ["/dev/no-such-device"]},))
    with pytest.raises(JobError, match="no-such-device"):
        engine.start(engine.spec(job, "true", gpu=gpu))
    seen = engine.driver.observe(job).containers[Phase.RUN]
    assert seen.start_error is not None and "no-such-device" in seen.start_error
    assert seen.exit_code is None and not seen.was_killed


def test_a_missing_image_cannot_be_started(engine: Backend) -> None:
    with pytest.raises(JobError, match="container cannot be made"):
        engine.start(engine.spec(engine.job(), "true", image="sha256:" + "0" * 64))


def test_what_is_written_outside_the_volume_counts_too(engine: Backend) -> None:
    job = engine.job()
    before = engine.driver.measure_disk(job) or 0
    engine.run(job, "head -c 3000000 /dev/zero >/file")
    assert 3_000_000 <= (engine.driver.measure_disk(job) or 0) - before <= 4_000_000


def test_an_image_is_pulled_by_tag_and_by_digest(engine: Backend, puller: DockerDriver, repository: str) -> None:
    notes: list[str] = []
    with registry(repository) as served:
        by_tag = puller.ensure_image(engine.job(), ImageRef(served.reference), notes.append)
        again = puller.ensure_image(engine.job(), ImageRef(served.reference), notes.append)
        name = f"{served.host}/{repository}@{served.digest}"
        by_digest = puller.ensure_image(engine.job(), ImageRef(name), notes.append)
    assert by_tag == again == by_digest and by_tag.startswith("sha256:")
    assert any(note.startswith("pulled") for note in notes)


def test_a_private_image_needs_its_login(engine: Backend, puller: DockerDriver, repository: str) -> None:
    with registry(repository, login=("me", "pass:word")) as served:
        with pytest.raises(JobError):
            puller.ensure_image(engine.job(), ImageRef(served.reference), print)
        with pytest.raises(JobError):
            puller.ensure_image(
                engine.job(), ImageRef(served.reference, {"username": "me", "password": "wrong"}), print
            )
        login = {"auth": "bWU6cGFzczp3b3Jk"}
        assert puller.ensure_image(engine.job(), ImageRef(served.reference, login), print)
    assert "pass" not in repr(ImageRef("x", {"username": "me", "password": "pass:word"}))


def test_a_missing_image_may_be_misspelt_or_private(engine: Backend, puller: DockerDriver, repository: str) -> None:
    with (
        registry(repository) as served,
        pytest.raises(JobError, match=r"127.0.0.1:\d+/.*:2 .*misspelt.*private"),
    ):
        puller.ensure_image(engine.job(), ImageRef(f"{served.host}/{repository}:2"), print)


def test_an_image_for_another_machine_is_refused(engine: Backend, puller: DockerDriver, repository: str) -> None:
    with (
        registry(repository, architecture="s390x") as served,
        pytest.raises(JobError, match="s390x"),
    ):
        puller.ensure_image(engine.job(), ImageRef(served.reference), print)


def test_a_registry_on_the_inside_is_refused_unless_allowed(engine: Backend, repository: str) -> None:
    with registry(repository) as served, pytest.raises(JobError, match="not public"):
        engine.driver.ensure_image(engine.job(), ImageRef(served.reference), print)
    for host in ("localhost:5000", "10.0.0.1", "169.254.169.254:80", "[::1]:5000", "[::ffff:10.0.0.1]:1"):
        with pytest.raises(JobError, match="not public"):
            check_host(host, ())
    check_host("docker.io", ())
    check_host("127.0.0.1:5000", LOOPBACK)


@pytest.mark.parametrize(
    ("reference", "host", "tag"),
    [
        ("python", "docker.io", "latest"),
        ("library/python:3.11", "docker.io", "3.11"),
        ("ghcr.io/a/b:1", "ghcr.io", "1"),
        ("host:5000/a", "host:5000", "latest"),
        ("localhost/a:b", "localhost", "b"),
        ("a/b:1@sha256:00", "docker.io", "sha256:00"),
    ],
)
def test_a_reference_tells_its_registry_and_its_tag(reference: str, host: str, tag: str) -> None:
    name, found = split_reference(reference)
    assert (host_of(name), found) == (host, tag)


def test_an_image_is_built_without_network_and_removed_with_its_job(engine: Backend) -> None:
    job = engine.job()
    notes: list[str] = []
    dockerfile = f"""FROM {busybox_image()}
COPY src/hello /hello
RUN tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' ' >/nets
ENV MADE=here
USER 1234
CMD ["sh", "-c", "cat /hello /nets; id -u; echo $MADE"]
"""
    ref = ImageRef("ignored", dockerfile=dockerfile, extra_files={"src/hello": "hello\n"})
    image = engine.driver.ensure_image(job, ref, notes.append)
    assert image.startswith("sha256:") and any("Step 1" in note for note in notes)
    engine.run(job, "", image=image, command=None, user="1000:1000", home_defaults=True)
    assert engine.log(job) == b"hello\nlo\n1234\nhere\n"
    assert docker_client("images", "-q", image_name(job))
    assert job in engine.driver.list_jobs()
    engine.driver.remove(job)
    assert not docker_client("images", "-q", image_name(job))
    assert engine.driver.list_jobs() == {}


def test_a_build_that_fails_says_why(engine: Backend) -> None:
    notes: list[str] = []
    ref = ImageRef("ignored", dockerfile=f"FROM {busybox_image()}\nRUN echo before; exit 9")
    with pytest.raises(JobError, match="code: 9"):
        engine.driver.ensure_image(engine.job(), ref, notes.append)
    assert "before" in notes


def test_a_base_image_that_would_fetch_from_the_inside_is_refused(
    engine: Backend, puller: DockerDriver, repository: str
) -> None:
    with registry(repository, on_build=("ADD http://169.254.169.254/ /x",)) as served:
        ref = ImageRef("ignored", dockerfile=f"FROM {served.reference}")
        with pytest.raises(JobError, match="would fetch"):
            puller.ensure_image(engine.job(), ref, print)


def test_a_wrong_connection_is_a_wrong_setting() -> None:
    with pytest.raises(SettingsError):
        DockerDriver("x", {"host": "ftp://somewhere"})


def test_nobody_listening_on_tcp_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        DockerDriver("x", {"host": "tcp://127.0.0.1:9"}).daemon_id()
