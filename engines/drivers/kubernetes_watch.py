"""Own following an engine's pods: one request that stays open, taken up where it broke off; a new look if too old."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import urllib3

from engines.drivers.kubernetes_api import Answer as Answer
from engines.drivers.kubernetes_api import KubernetesApi, failure, parsed, selector
from engines.drivers.kubernetes_things import job_of
from shared.errors import Unavailable
from shared.names import LABEL_ENGINE, JobId

SERVER_S = 240
"After so long the server ends a request, and the next one goes on from there."
TRIAL_S = 12
"The same for a request that takes up what broke off: the server may be another by now."
QUIET_S = 10
"""When a request ends that told nothing for so long, everything is looked at once: to a server restored from a backup
the version we hold is of the future, up to which it is as silent as where nothing happens."""
LOOKS_UP_S = 0.5
"How often to see whether to stop, while nothing happens."
GONE = 410
"What was missed is not known any more."

Wake = Callable[[JobId], None]


def watch_pods(
    api: KubernetesApi,
    engine: str,
    namespace: str,
    wake: Wake,
    is_stopped: Callable[[], bool],
    known: dict[str, str] | None = None,
) -> None:
    """Call `wake` for each change of an engine's pods in a namespace. Raises: Unavailable when the server goes away.

    `known`: for a namespace, up to where its changes are told. Given again after a break, it is followed from there.
    """
    path = f"/api/v1/namespaces/{namespace}/pods"
    labels = {"labelSelector": selector({LABEL_ENGINE: engine})}
    known = {} if known is None else known
    heard_at, lasts_s = time.monotonic(), TRIAL_S if known.get(namespace) else SERVER_S
    while not is_stopped():
        if not known.get(namespace) or time.monotonic() - heard_at > QUIET_S:
            known[namespace] = _look_over(api, path, labels, wake if namespace in known else _nobody)
            heard_at = time.monotonic()
        before, asked = known[namespace], {**labels, "timeoutSeconds": lasts_s}
        _follow(api, path, asked, namespace, known, wake, is_stopped)
        heard_at = heard_at if known[namespace] == before else time.monotonic()
        lasts_s = SERVER_S


def _look_over(api: KubernetesApi, path: str, labels: dict[str, str], wake: Wake) -> str:
    """List everything and wake for it; returns from where to follow."""
    found = api.call("GET", path, query=labels).body
    for pod in found.get("items") or ():
        wake(job_of(pod))
    return str(found["metadata"]["resourceVersion"])


def _follow(
    api: KubernetesApi,
    path: str,
    asked: dict[str, Any],
    namespace: str,
    known: dict[str, str],
    wake: Wake,
    is_stopped: Callable[[], bool],
) -> None:
    """Follow until the server ends it, and keep from where to go on; nothing where only a look over can tell."""
    query = {**asked, "watch": "true", "allowWatchBookmarks": "true", "resourceVersion": known[namespace]}
    with api.stream(path, query=query, timeout_s=SERVER_S + 60) as response:
        if response.status != 200:
            known[namespace] = ""
            if response.status == GONE:
                return
            raise failure("GET", path, Answer(response.status, parsed(response.read(4096))))
        events = Reader(response)
        try:
            while not is_stopped():
                event = events.next()
                if event is None:
                    continue
                if event is END:
                    return
                if event["type"] == "ERROR":
                    known[namespace] = ""
                    return _check_gone(event["object"])
                if event["type"] != "BOOKMARK":
                    wake(job_of(event["object"]))
                known[namespace] = str(event["object"]["metadata"]["resourceVersion"])
        finally:
            events.close()


def _check_gone(status: dict[str, Any]) -> None:
    """Go on after a look over where the server has forgotten what was missed. Raises: Unavailable for all else."""
    if status.get("code") != GONE:
        raise Unavailable(f"The Kubernetes API ended its watch: {status.get('message')}")


def _nobody(job_id: JobId) -> None:
    """At the first look nobody has missed anything yet."""


END: dict[str, Any] = {"type": "END"}


class Reader:
    """Reads lines in a thread of its own, so that who waits for one can look up in between."""

    def __init__(self, response: Any) -> None:
        self._response = response
        self._lines: queue.SimpleQueue[dict[str, Any] | Exception] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._read, name="kubernetes-watch", daemon=True)
        self._thread.start()

    def next(self) -> dict[str, Any] | None:
        """The next event, `END` after the last; null where there was none for a while. Raises: what broke it off."""
        try:
            found = self._lines.get(timeout=LOOKS_UP_S)
        except queue.Empty:
            return None
        if isinstance(found, Exception):
            raise found
        return found

    def close(self) -> None:
        """End the reading, wherever it is."""
        try:
            self._response.shutdown()
        except (ValueError, OSError, RuntimeError):
            """Ended already."""
        self._thread.join(LOOKS_UP_S)

    def _read(self) -> None:
        try:
            rest = b""
            for chunk in self._response.stream(1 << 16):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if line.strip():
                        self._lines.put(json.loads(line))
            self._lines.put(END)
        except (urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError) as error:
            self._lines.put(error if isinstance(error, OSError) else OSError(str(error)))
