"""The cluster's API server is silent or gone for a while in mid-job: the job goes on, and nothing is done twice."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.flows.docker.harness import job
from tests.flows.kubernetes.harness import kubernetes_place
from tests.needs import needs
from tests.services import kubernetes

pytestmark = [
    needs("kube", "docker"),
    pytest.mark.long,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("kubernetes"),
]
AWAY_S = 20


@pytest.mark.parametrize("how", ["silent", "killed and restarted"])
def test_a_server_that_is_away_for_a_while_costs_no_job(tmp_path: Path, how: str) -> None:
    away = held if how == "silent" else killed
    with kubernetes_place(tmp_path) as site:
        workflow = site.submit(
            job(0, "sleep 5; echo run >>/data/outputs/runs.txt"),
            job(1, "cat $INPUTS/*/runs.txt", input=[{"index": 0, "fromJob": 0}]),
        )
        site.until_running(workflow)
        with away(server_process()):
            time.sleep(AWAY_S)
            assert site.consumer.status(workflowId=workflow)[0]["status"] == 40
            told = passes_log(site.node.folder)
        assert how == "silent" or "out of reach" in told, told[-2000:]  # one that is silent is waited for
        one, two = site.consumer.wait(workflow, 200)
        assert [record["status"] for record in (one, two)] == [70, 70]
        assert site.output(one) == b"run\n" and site.log(two) == "run\n"
        site.until_clean()


@contextmanager
def held(pid: int) -> Iterator[None]:
    """Stop a process in its tracks for as long as the block lasts."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def killed(pid: int) -> Iterator[None]:
    """End a process at once, and start it anew after the block, as whoever started it would; it outlives the tests."""
    own = Path(f"/proc/{pid}")
    command = own.joinpath("cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    environment = dict(
        each.split(b"=", 1) for each in own.joinpath("environ").read_bytes().split(b"\0") if b"=" in each
    )
    log, folder = os.readlink(own / "fd/1"), os.readlink(own / "cwd")
    told = [file for file in Path(log).parents[1].rglob("*.pid") if file.read_text().split()[:1] == [str(pid)]]
    os.kill(pid, signal.SIGKILL)
    try:
        yield
    finally:
        with open(log, "ab") as output:
            started = subprocess.Popen(
                command, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip
        born = Path(f"/proc/{started.pid}/stat").read_text().rpartition(") ")[2].split()[19]
        for file in told:
            file.write_text(f"{started.pid} {born}\n")


def passes_log(folder: Path) -> str:
    """What the node's processes have said."""
    return "".join(path.read_text(errors="replace") for path in folder.rglob("*.log"))


def server_process() -> int:
    """The process of this machine that listens where KUBECONFIG points; the test is skipped where there is none."""
    port = urlsplit(kubernetes.server()).port or 443
    inodes = {f"socket:[{inode}]" for table in ("tcp", "tcp6") for inode in listening(table, port)}
    for path in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(path) in inodes and "apiserver" in (path.parents[1] / "cmdline").read_text():
                return int(path.parts[2])
        except OSError:
            continue
    pytest.skip(f"no API server of this machine listens on port {port}")


def listening(table: str, port: int) -> Iterator[str]:
    """The inodes of sockets that listen on a port."""
    for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
        words = line.split()
        if words[3] == "0A" and int(words[1].rpartition(":")[2], 16) == port:
            yield words[9]
