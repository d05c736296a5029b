"""What it means that a cluster does not take an object, and that a log cannot be had."""

from __future__ import annotations

from typing import Any

import pytest

from engines.drivers.base import NoRoom
from engines.drivers.kubernetes_api import Answer, NamespaceGone, namespace_in, refused
from engines.drivers.kubernetes_nodes import LOG_PATIENCE_MS, has_long_ended
from shared.errors import JobError, Unavailable

PATH = "/api/v1/namespaces/jobs/pods"


def said(status: int, message: str = "no", name: str | None = "c2d-1", **details: Any) -> Answer:
    """An answer as API servers write it."""
    about = {**details, **({"name": name} if name else {})}
    return Answer(status, {"kind": "Status", "message": message, "details": about})


LEAVING = {"causes": [{"reason": "NamespaceTerminating", "message": "namespace jobs is being terminated"}]}
NO_ACCOUNT = 'pods "c2d-1" is forbidden: error looking up service account jobs/default: serviceaccount not found'
MEANT: list[tuple[str, Answer, type[Exception], str]] = [
    ("a quota is used up", said(403, "exceeded quota: q, requested: pods=1"), NoRoom, "quota of the cluster's"),
    ("an admission rule says no", said(403, "not from here"), JobError, "Pod cannot be made: not from here"),
    ("a right is missing", said(403, name=None), Unavailable, "permission"),
    ("the namespace goes", said(403, **LEAVING), NamespaceGone, "namespace jobs is being removed"),
    ("there is none", said(404, name="jobs", kind="namespaces"), NamespaceGone, "namespace jobs does not exist"),
    ("the API has no such kind", said(404, name=None), Unavailable, "failed at POST"),
    ("pods have no account yet", said(403, NO_ACCOUNT), NoRoom, "no service account"),
    ("somebody was faster", said(409), Unavailable, "failed at POST"),
    ("it makes no sense", said(422, "spec: wrong"), JobError, "spec: wrong"),
]


@pytest.mark.parametrize(("answer", "kind", "words"), [each[1:] for each in MEANT], ids=[each[0] for each in MEANT])
def test_a_refusal_is_understood(answer: Answer, kind: type[Exception], words: str) -> None:
    error = refused("Pod cannot be made", PATH, answer)
    assert type(error) is kind and words in error.detail


def test_a_log_that_nobody_can_give_is_waited_for_only_so_long() -> None:
    ended = {"name": "main", "state": {"terminated": {"exitCode": 0, "finishedAt": "2023-11-14T22:00:00Z"}}}
    pod = {"status": {"containerStatuses": [ended, {"name": "other", "state": {"running": {}}}]}}
    at_ms = 1_699_999_200_000 + LOG_PATIENCE_MS
    assert has_long_ended(pod, "main", at_ms + 1) and not has_long_ended(pod, "main", at_ms)
    assert not has_long_ended(pod, "other", at_ms * 2) and not has_long_ended({"status": {}}, "main", at_ms * 2)


def test_the_namespace_is_read_off_a_path() -> None:
    found = [namespace_in(each) for each in (PATH, f"{PATH}/c2d-1", "/api/v1/nodes", "/api/v1/namespaces")]
    assert found == ["jobs", "jobs", None, None]
