"""Make the things tests speak of; every field has a default, so that a test names only what it is about."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared import sealing
from shared.addresses import address_of
from shared.db.connection import transaction
from shared.db.node_tables import Engine, Environment, Pool
from shared.db.tables import Job
from shared.lifecycle import JobStatus
from shared.names import JobId
from shared.pod_calls import sign_pod
from shared.rate_limit import RateLimit
from shared.secrets import NodeKeys
from shared.services import Services
from shared.settings import HandlerSettings
from shared.signatures import sign_command
from shared.storage import open_storage
from shared.streams import StreamSlots

NODE_KEY = b"\x22" * 32
ALICE, BOB = b"\x11" * 32, b"\x33" * 32
ENGINE_HASH = "0x" + "1f" * 32
ENVIRONMENT_ID = f"{ENGINE_HASH}-0x{'7a' * 32}"


def settings(folder: Path, database_url: str = "", **variables: str) -> HandlerSettings:
    """Settings of a node that keeps everything in one folder."""
    (folder / "results").mkdir(parents=True, exist_ok=True)
    given = {"C2D_PRIVATE_KEY": NODE_KEY.hex(), "C2D_DATA_DIR": str(folder), "C2D_DATABASE_URL": database_url}
    engines = [{"name": "local", "type": "memory", "environments": [{"id": "main", "maxJobDuration": 3600}]}]
    return HandlerSettings.from_environment({"C2D_ENGINES": json.dumps(engines), **given, **variables})


def services(folder: Path, database_url: str = "", streams: int = 8, **variables: str) -> Services:
    """Services on a database that is open already; replies are held against their schemas."""
    made = settings(folder, database_url, **variables)
    return Services(
        settings=made,
        storage=open_storage(made.storage_url),
        keys=NodeKeys.from_private_key(NODE_KEY),
        rates=RateLimit(made.rate_limit),
        streams=StreamSlots(streams),
        checks_replies=True,
    )


def environment(**fields: Any) -> dict[str, Any]:
    """An environment's document with a free part, as an engine's pass writes it."""
    resources = [
        {"id": "cpu", "type": "cpu", "total": 4, "min": 1, "max": 2},
        {"id": "ram", "type": "ram", "total": 8, "min": 1, "max": 4},
        {"id": "disk", "type": "disk", "total": 20, "min": 1, "max": 10},
    ]
    return {
        "id": ENVIRONMENT_ID,
        "description": "for tests",
        "consumerAddress": address_of(NODE_KEY),
        "platform": {"architecture": "x86_64", "os": "linux"},
        "access": {"addresses": [], "accessLists": None},
        "fees": {},
        "resources": resources,
        "storageExpiry": 3600,
        "minJobDuration": 1,
        "maxJobDuration": 600,
        "maxJobs": 10,
        "enableNetwork": False,
        "free": {"maxJobDuration": 300, "maxJobs": 5, "resources": resources, "allowImageBuild": False},
        **fields,
    }


def put_environment(
    document: Mapping[str, Any] | None = None, engine: str = "local", seen_at_ms: int | None = None
) -> str:
    """Write an engine with one environment; returns the environment's id."""
    document = environment() if document is None else document
    seen_at_ms = time.time_ns() // 1_000_000 if seen_at_ms is None else seen_at_ms
    with transaction():
        known = {"type": "memory", "hash": document["id"].partition("-")[0], "seen_at_ms": seen_at_ms}
        Engine.insert(name=engine, **known).on_conflict_ignore().execute()
        Environment.insert(environment_id=document["id"], engine=engine, position=0, document=document).execute()
        for each in document["resources"]:
            pool = {"engine": engine, "resource_id": each["id"], "total_milli": each["total"] * 1000}
            Pool.insert(**pool).on_conflict_ignore().execute()
    return str(document["id"])


def workflow_job(index: int = 0, **fields: Any) -> dict[str, Any]:
    """One entry of the workflow form."""
    container = {"image": "python", "tag": "3.11-slim", "entrypoint": "python $ALGO"}
    return {"index": index, "algorithm": {"rawcode": "print(1)", "container": container}, **fields}


def command_body(**fields: Any) -> dict[str, Any]:
    """A start as ocean.js sends it."""
    container = {"image": "python", "tag": "3.11-slim", "entrypoint": "python $ALGO", "checksum": ""}
    return {
        "environment": ENVIRONMENT_ID,
        "datasets": [{"fileObject": {"type": "url", "url": "https://example.org/a.csv", "method": "get"}}],
        "dataset": {"fileObject": {"type": "url", "url": "https://example.org/a.csv", "method": "get"}},
        "algorithm": {"meta": {"rawcode": "print(1)", "container": container}},
        "resources": None,
        "metadata": None,
        "additionalViewers": None,
        **fields,
    }


def signed(fields: Mapping[str, Any], command: str, nonce: int, key: bytes = ALICE) -> dict[str, Any]:
    """The fields with who signs, a nonce and the signature."""
    return {
        **fields,
        "consumerAddress": address_of(key),
        "nonce": str(nonce),
        "signature": sign_command(key, nonce, command),
    }


def job_key(job_id: str, keys: NodeKeys | None = None) -> bytes:
    """Open a job's key, as its engine does."""
    box = (keys or NodeKeys.from_private_key(NODE_KEY)).box
    row = Job.get_by_id(job_id)
    return box.open(row.key_sealed, sealing.key_context(JobId(job_id)))


def pod_headers(command: str, job_id: str, body: bytes, key: bytes, node: str = "") -> dict[str, str]:
    """Sign a pod's call; every call with a nonce of its own."""
    nonce, digest = secrets.token_hex(16), hashlib.sha256(body).hexdigest()
    signature = sign_pod(key, command, job_id, node or address_of(NODE_KEY), nonce, digest)
    return {"X-C2D-Job": job_id, "X-C2D-Nonce": nonce, "X-C2D-Digest": digest, "X-C2D-Signature": signature}


def put_status(job_id: str, status: JobStatus, **columns: Any) -> None:
    """Put a job where a test needs it, whatever moves lead there."""
    with transaction():
        Job.update(status=status.value, **columns).where(Job.job_id == job_id).execute()
