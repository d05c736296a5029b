"""Own the list of what was submitted from here, so that ids may be shortened and the last one left out."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.c2d.failures import Failure

ID_LENGTH = 64


@dataclass(frozen=True)
class Submission:
    """One workflow handed in."""

    node: str
    workflow_id: str
    job_ids: tuple[str, ...]
    file: str
    submitted_at: int

    def document(self) -> dict[str, Any]:
        """As it stands in the list."""
        return {
            "node": self.node, "workflowId": self.workflow_id, "jobIds": list(self.job_ids),
            "file": self.file, "submittedAt": self.submitted_at,
        }  # fmt: skip


@dataclass(frozen=True)
class Target:
    """What an id given on the command line means."""

    workflow_id: str | None = None
    job_id: str | None = None

    def query(self) -> dict[str, str]:
        """How status, stop and events are asked about it."""
        if self.job_id is not None:
            return {"jobId": self.job_id}
        return {"workflowId": str(self.workflow_id)}

    @property
    def id(self) -> str:
        """The id itself."""
        return self.job_id or str(self.workflow_id)


def history_file() -> Path:
    """Where the list lies."""
    data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(data) / "c2d" / "submissions.jsonl"


def remember(submission: Submission) -> None:
    """Add one to the list."""
    path = history_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as file:
        file.write(json.dumps(submission.document()) + "\n")


def submissions(node: str) -> list[Submission]:
    """What was submitted to this node, the oldest first; lines that cannot be read are passed over."""
    path = history_file()
    lines = path.read_text().splitlines() if path.exists() else []
    found = [entry for line in lines if (entry := parsed(line)) is not None]
    return [entry for entry in found if entry.node == node.rstrip("/")]


def parsed(line: str) -> Submission | None:
    """Read one line of the list."""
    try:
        entry = json.loads(line)
        return Submission(
            entry["node"], entry["workflowId"], tuple(entry["jobIds"]), entry["file"], entry["submittedAt"]
        )
    except (ValueError, KeyError, TypeError):
        return None


def resolve(given: str | None, known: Sequence[Submission]) -> Target:
    """Find the workflow or job that an id, its beginning, or nothing (the last one) means. Raises: Failure."""
    if given is None:
        if not known:
            raise Failure("nothing was submitted to this node from here", "give the id of a job or a workflow")
        return Target(workflow_id=known[-1].workflow_id)
    wanted = given.lower()
    targets = {
        **{job: Target(job_id=job) for entry in known for job in entry.job_ids if job.startswith(wanted)},
        **{e.workflow_id: Target(workflow_id=e.workflow_id) for e in known if e.workflow_id.startswith(wanted)},
    }
    if len(targets) > 1:
        raise Failure(f"{given} begins {len(targets)} ids", "type more of it")
    if targets:
        return next(iter(targets.values()))
    bare = wanted.rsplit("-", 1)[-1]
    if len(bare) == ID_LENGTH and all(letter in "0123456789abcdef" for letter in bare):
        return Target(job_id=bare)
    raise Failure(f"no id that was submitted from here begins with {given}", "give the whole id")
