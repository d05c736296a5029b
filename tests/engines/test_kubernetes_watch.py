"""Following pods on the real API server: connections that are cut, versions it has forgotten, storms of events."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from engines.drivers.kubernetes_api import KubernetesApi
from engines.drivers.kubernetes_connect import connect
from engines.drivers.kubernetes_watch import watch_pods
from shared.errors import Unavailable
from shared.names import LABEL_ENGINE, LABEL_JOB, JobId
from tests.needs import needs
from tests.services import kubernetes

pytestmark = [needs("kube"), pytest.mark.full, pytest.mark.timeout(120), pytest.mark.xdist_group("kubernetes")]
ENGINE = "watched"
STORM = 60
FUTURE = "900000000000"
"A version that no cluster comes to while we look."


@dataclass
class Follower:
    """One thread that watches, as an engine's does, and what it was told."""

    api: KubernetesApi
    namespace: str
    known: dict[str, str] = field(default_factory=dict)
    woken: Counter[str] = field(default_factory=Counter)
    asked: list[dict[str, Any]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    open: list[Any] = field(default_factory=list)
    is_cut: bool = False

    def __post_init__(self) -> None:
        stream, call = self.api.stream, self.api.call

        @contextmanager
        def watched(path: str, **options: Any) -> Iterator[Any]:
            self.asked.append({"verb": "watch", **options["query"]})
            if self.is_cut:
                raise Unavailable("cut")
            with stream(path, **options) as response:
                self.open.append(response)
                yield response

        def listed(method: str, path: str, **options: Any) -> Any:
            self.asked.append({"verb": "list"})
            return call(method, path, **options)

        self.api.stream, self.api.call = watched, listed  # type: ignore[method-assign, assignment]

    def wake(self, job_id: JobId) -> None:
        """Count it."""
        self.woken[job_id] += 1

    @contextmanager
    def following(self) -> Iterator[None]:
        """Watch again and again, as the pass does, for as long as the block lasts."""
        ended = threading.Event()

        def follow() -> None:
            while not ended.is_set():
                try:
                    watch_pods(self.api, ENGINE, self.namespace, self.wake, ended.is_set, self.known)
                except Unavailable as error:
                    self.broken.append(error.detail)
                    time.sleep(0.1)

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        until(lambda: self.open)
        try:
            yield
        finally:
            ended.set()
            thread.join(20)
        assert not thread.is_alive()

    def cut(self) -> None:
        """Cut the connection under the watch, if the last cut is not still being felt."""
        with suppress(OSError, ValueError, AttributeError):
            self.open[-1].connection.sock.shutdown(socket.SHUT_RDWR)

    def lists(self) -> int:
        """How often everything was listed."""
        return sum(each["verb"] == "list" for each in self.asked)


@pytest.fixture
def namespace() -> Iterator[str]:
    with kubernetes.namespace() as name:
        yield name


def make_pod(api: KubernetesApi, namespace: str, job_id: str) -> None:
    """A pod of the engine's that no node takes."""
    about = {"name": job_id, "labels": {LABEL_ENGINE: ENGINE}, "annotations": {LABEL_JOB: job_id}}
    security = {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
    inside = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    spec = {
        "schedulerName": "nobody",
        "securityContext": security,
        "containers": [{"name": "main", "image": "none:1", "securityContext": inside}],
    }
    assert api.create(f"/api/v1/namespaces/{namespace}/pods", {"kind": "Pod", "metadata": about, "spec": spec})


def until(look: Callable[[], Any]) -> None:
    """Look ten times a second."""
    end = time.monotonic() + 60
    while not look():
        assert time.monotonic() < end, "nothing to be seen"
        time.sleep(0.1)


def test_what_happens_while_a_watch_is_cut_is_told_when_it_is_taken_up(namespace: str) -> None:
    api, follower = connect({}), Follower(connect({}), namespace)
    with follower.following():
        make_pod(api, namespace, "before")
        until(lambda: follower.woken["before"])
        follower.is_cut = True
        follower.cut()
        until(lambda: follower.broken)
        make_pod(api, namespace, "meanwhile")
        api.delete(f"/api/v1/namespaces/{namespace}/pods/before", grace_s=0)
        follower.woken.clear()
        follower.is_cut = False
        until(lambda: follower.woken["meanwhile"] and follower.woken["before"])
    assert follower.lists() == 1, "a cut watch goes on from where it was"


def test_from_the_first_version_of_all_every_pod_is_told_be_it_forgotten_or_not(namespace: str) -> None:
    api, follower = connect({}), Follower(connect({}), namespace)
    make_pod(api, namespace, "there")
    follower.known[namespace] = "1"  # a server of some age has forgotten it, one just made has not
    with follower.following():
        until(lambda: follower.woken["there"])
        make_pod(api, namespace, "later")
        until(lambda: follower.woken["later"])
    assert follower.lists() <= 1 and not follower.broken


def test_of_a_storm_each_pod_is_told_and_nothing_is_listed_again(namespace: str) -> None:
    api, follower = connect({}), Follower(connect({}), namespace)
    names = [f"storm-{number}" for number in range(STORM)]
    with follower.following():
        for number, name in enumerate(names):
            make_pod(api, namespace, name)
            if number % 20 == 10:
                follower.cut()
        until(lambda: all(follower.woken[name] for name in names))
        first = dict(follower.woken)
        for name in names:
            api.delete(f"/api/v1/namespaces/{namespace}/pods/{name}", grace_s=0)
        until(lambda: all(follower.woken[name] > first[name] for name in names))
    assert follower.lists() == 1 and 1 < len(follower.open) < 10


def test_of_a_server_restored_from_a_backup_everything_is_looked_at_and_followed_from_there(namespace: str) -> None:
    """What the watch knows is then of the future: the server tells nothing up to it, and does not say so either."""
    api, follower = connect({}), Follower(connect({}), namespace)
    follower.known[namespace] = FUTURE
    with follower.following():
        make_pod(api, namespace, "unheard-of")
        until(lambda: follower.woken["unheard-of"])
        assert follower.lists() == 1 and follower.asked[0]["resourceVersion"] == FUTURE
        until(lambda: len(follower.open) == 2)
        make_pod(api, namespace, "later")
        until(lambda: follower.woken["later"])
    assert follower.lists() == 1 and not follower.broken
    assert int(follower.known[namespace]) < int(FUTURE)
