"""Own the talk with one Kubernetes API server: requests, streams, time limits, and what a failure means.

The pool of connections and the credentials come from the `kubernetes` package, in `kubernetes_connect`; objects are
plain dicts, so that manifests stay documents.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import urllib3

from engines.drivers import api_answer
from engines.drivers.base import NoRoom
from shared.errors import JobError, Unavailable

CONNECT_S = 10
QUICK_S = 60
LONGEST_MESSAGE = 500
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


class NamespaceGone(JobError):
    """The namespace is being removed, or was: with all that was in it, and perhaps with our rights there."""


class Answer(api_answer.Answer):
    """The API server's: what it says may hold a whole object, and names what it is about."""

    @property
    def message(self) -> str:
        """What the server says of a failure, in one line and not too long."""
        return super().message[:LONGEST_MESSAGE]

    @property
    def is_about_a_leaving_namespace(self) -> bool:
        """Whether nothing can be made since the namespace is being removed."""
        return any(each.get("reason") == "NamespaceTerminating" for each in self._details.get("causes") or ())

    @property
    def is_about_no_namespace(self) -> bool:
        """Whether the namespace itself is what was not found."""
        return self.status == 404 and self._details.get("kind") == "namespaces"

    @property
    def is_about_the_object(self) -> bool:
        """Whether an admission rule refused this very object; a missing permission names none."""
        return bool(self._details.get("name"))

    @property
    def _details(self) -> dict[str, Any]:
        details = self.body.get("details") if isinstance(self.body, dict) else None
        return details or {}


class KubernetesApi:
    """Talk to one API server; threads share it. Nothing is sent before the first call."""

    def __init__(self, pool: Any, host: str, credentials: Callable[[], Mapping[str, str]]) -> None:
        """`pool`: urllib3's, with the server's and our certificates; `credentials`: headers, fresh for each call."""
        self._pool = pool
        self._host = host.rstrip("/")
        self._credentials = credentials

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        accept: tuple[int, ...] = (),
        content_type: str = "application/json",
        as_type: str = "application/json",
        timeout_s: float = QUICK_S,
    ) -> Answer:
        """Send one request and return the answer. Raises: Unavailable for a status of 400 and more not in `accept`."""
        headers = {"Accept": as_type} | ({"Content-Type": content_type} if body is not None else {})
        answer = self._answer(method, path, query or {}, body, headers, timeout_s)
        if answer.status >= 400 and answer.status not in accept:
            self._check_namespace(path, answer)
            raise failure(method, path, answer)
        return answer

    def _check_namespace(self, path: str, answer: Answer) -> None:
        """Tell rights that went with their namespace from such as never were there. Raises: NamespaceGone."""
        name = namespace_in(path)
        if answer.status != 403 or name is None:
            return
        found = self._answer("GET", f"/api/v1/namespaces/{name}", {}, None, {"Accept": "application/json"}, QUICK_S)
        if found.status == 404 or (found.status == 200 and found.body["status"].get("phase") == "Terminating"):
            raise NamespaceGone(f"The cluster's namespace {name} is being removed, or was.")

    def find(self, path: str) -> dict[str, Any] | None:
        """The object at a path, or null where there is none; in a namespace that goes there is nothing any more."""
        try:
            answer = self.call("GET", path, accept=(404,))
        except NamespaceGone:
            return None
        found: dict[str, Any] | None = None if answer.status == 404 else answer.body
        return found

    def items(self, path: str, *, labels: Mapping[str, str] | None = None, as_type: str = "application/json") -> Any:
        """The objects below a path with these labels; none in a namespace that goes."""
        query = {"labelSelector": selector(labels)} if labels else {}
        try:
            return self.call("GET", path, query=query, as_type=as_type).body.get("items") or []
        except NamespaceGone:
            return []

    def create(self, path: str, body: Mapping[str, Any]) -> bool:
        """Create an object; false where its name is taken. Raises: JobError, NoRoom, Unavailable."""
        answer = self.call("POST", path, body=body, accept=(403, 404, 409, 422))
        if answer.status < 400:
            return True
        if answer.status == 409 and answer.body.get("reason") == "AlreadyExists":
            return False
        if not answer.is_about_the_object:
            self._check_namespace(path, answer)
        raise refused(f"{body['kind']} cannot be made", path, answer)

    def delete(self, path: str, *, grace_s: int | None = None, uid: str | None = None) -> bool:
        """Delete an object, only the one with the uid if given; false where that one is not there."""
        options: dict[str, Any] = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        options |= {} if grace_s is None else {"gracePeriodSeconds": grace_s}
        options |= {} if uid is None else {"preconditions": {"uid": uid}}
        return self.call("DELETE", path, body=options, accept=(404, 409)).status < 400

    def patch(self, path: str, body: Mapping[str, Any], *, content_type: str = MERGE) -> bool:
        """Patch an object; false where it is not there, or changed under our hands."""
        return self.call("PATCH", path, body=body, content_type=content_type, accept=(404, 409)).status < 400

    @contextmanager
    def stream(self, path: str, *, query: Mapping[str, Any] | None = None, timeout_s: float = QUICK_S) -> Iterator[Any]:
        """Give the open response; it is closed at the end. Whatever breaks it off inside is `Unavailable`."""
        response = self._send("GET", path, query or {}, None, {"Accept": "*/*"}, timeout_s)
        try:
            yield response
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Unavailable(f"The Kubernetes API broke off: {told(error)}") from error
        finally:
            response.close()

    def _answer(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any],
        body: Any,
        headers: Mapping[str, str],
        timeout_s: float,
    ) -> Answer:
        response = self._send(method, path, query, body, headers, timeout_s)
        try:
            return Answer(response.status, parsed(response.read()))
        except urllib3.exceptions.HTTPError as error:
            raise Unavailable(f"The Kubernetes API broke off: {told(error)}") from error
        finally:
            response.release_conn()

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any],
        body: Any,
        headers: Mapping[str, str],
        timeout_s: float,
    ) -> Any:
        url = self._host + path + (f"?{urlencode(query)}" if query else "")
        try:
            return self._pool.request(
                method,
                url,
                body=None if body is None else json.dumps(body).encode(),
                headers={**self._credentials(), **headers},
                timeout=urllib3.Timeout(connect=CONNECT_S, read=timeout_s),
                preload_content=False,
                retries=False,
                redirect=False,
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Unavailable(f"The Kubernetes API is out of reach: {told(error)}") from error


def namespace_in(path: str) -> str | None:
    """The namespace that a path is in; null where it is in none."""
    return path.partition("/namespaces/")[2].partition("/")[0] or None


def parsed(data: bytes) -> Any:
    """An answer's body: JSON, or text where it is none."""
    try:
        return json.loads(data) if data else {}
    except ValueError:
        return data.decode(errors="replace")


def told(error: Exception) -> str:
    """An exception's own words, without the objects urllib3 puts before them."""
    return str(error).rpartition(">: ")[2] or type(error).__name__


def failure(method: str, path: str, answer: Answer) -> Unavailable:
    """What an answer nobody reckoned with means: nothing is known, the same call may succeed later."""
    if answer.status == 401:
        return Unavailable("The Kubernetes API refuses the credentials.", status=401)
    if answer.status == 403:
        return Unavailable(f"A permission is missing (`c2d doctor` shows the rule): {answer.message}", status=403)
    return Unavailable(f"The Kubernetes API failed at {method} {path}: {answer.message}", status=answer.status)


def refused(what: str, path: str, answer: Answer) -> JobError | NoRoom | Unavailable:
    """What it means that an object was not taken: no room now, never, or not ours to do.

    The server has one code for what passes and for what it will never take: only its words tell them apart.
    """
    if answer.is_about_a_leaving_namespace or answer.is_about_no_namespace:
        state = "is being removed" if answer.is_about_a_leaving_namespace else "does not exist"
        return NamespaceGone(f"{what}: the cluster's namespace {namespace_in(path)} {state}.")
    if answer.status == 403 and not answer.is_about_the_object:
        return failure("POST", path, answer)
    if answer.status == 403 and "exceeded quota" in answer.message:
        asked = answer.message.partition("exceeded quota: ")[2]
        return NoRoom(f"queued: the quota of the cluster's namespace is used up ({asked})")
    if answer.status == 403 and "error looking up service account" in answer.message:
        return NoRoom("queued: the cluster's namespace has no service account for pods; the cluster makes it anew")
    if answer.status in (404, 409):
        return failure("POST", path, answer)
    return JobError(f"{what}: {answer.message}")


def selector(labels: Mapping[str, str]) -> str:
    """A label selector."""
    return ",".join(f"{name}={value}" for name, value in labels.items())
