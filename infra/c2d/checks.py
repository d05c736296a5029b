"""Own the checks of `c2d doctor` that every node needs: Python, key, database, storage, port."""

from __future__ import annotations

import os
import platform
import secrets
import stat
import sys
from dataclasses import dataclass
from typing import Any

from infra.c2d.local_node import is_free, own_results
from shared.db.connection import check_migrated, open_database
from shared.errors import C2DError, Unavailable
from shared.settings import KEY_FILE, NodeSettings
from shared.signatures import address_of
from shared.storage import open_storage

PROBE_BYTES = 1 << 20


@dataclass(frozen=True)
class Check:
    """One thing looked at."""

    what: str
    state: str
    "`ok`, `warn` or `fail`."
    found: str
    to_do: str = ""

    def row(self) -> list[str]:
        """A line of the table."""
        return [self.state, self.what, self.found, self.to_do]

    def document(self) -> dict[str, Any]:
        """What `--json` shows."""
        return {"what": self.what, "state": self.state, "found": self.found, "toDo": self.to_do}


def python() -> Check:
    """Whether this Python is new enough."""
    state = "ok" if sys.version_info >= (3, 11) else "fail"
    return Check("Python", state, platform.python_version(), "" if state == "ok" else "install Python 3.11 or newer")


def key(settings: NodeSettings) -> Check:
    """Whether the node has a key, and nobody else can read it."""
    path = settings.data_dir / KEY_FILE
    if settings.private_key is None:
        if settings.secrets_key is not None:
            return Check("node key", "warn", "C2D_SECRETS_KEY alone", "enough for handlers; passes need the wallet's")
        return Check("node key", "warn", "none yet", "c2d up makes one; or set C2D_PRIVATE_KEY")
    address = address_of(settings.private_key)
    if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
        return Check("node key", "fail", f"{path} can be read by others", f"chmod 600 {path}")
    return Check("node key", "ok", address)


def database(settings: NodeSettings) -> Check:
    """Whether it can be reached and has this version's tables."""
    kind = settings.database_url.partition(":")[0]
    try:
        open_database(settings.database_url)
        check_migrated()
    except Unavailable as error:
        pending = error.facts.get("pending")
        cause = str(error.facts.get("cause") or error.detail)
        return Check(
            "database", "warn" if pending else "fail", f"{kind}: {cause}", "c2d migrate" if pending else "start it"
        )
    except C2DError as error:
        return Check("database", "fail", error.detail, "set C2D_DATABASE_URL")
    return Check("database", "ok", f"{kind}, up to date")


def storage(settings: NodeSettings) -> Check:
    """Whether a result can be written, read and deleted there."""
    place, probe = f"doctor-{os.getpid()}/{secrets.token_hex(4)}", secrets.token_bytes(PROBE_BYTES)
    where = settings.storage_url.partition("?")[0]
    if where == own_results(settings).as_uri() and not own_results(settings).exists():
        return Check("storage", "warn", f"{where} is not there yet", "c2d up makes it")
    try:
        store = open_storage(settings.storage_url)
        store.write(place, [probe])
        is_same = b"".join(store.read(place)) == probe
        store.delete(place)
    except C2DError as error:
        return Check("storage", "fail", f"{where}: {error.detail}", "set C2D_STORAGE_URL, or mend its rights")
    if not is_same:
        return Check("storage", "fail", f"{where} gives back other bytes than it was given", "do not use it")
    return Check("storage", "ok", f"{where}, written, read and deleted")


def port(host: str, number: int) -> Check:
    """Whether the node can listen."""
    if is_free(host, number):
        return Check("port", "ok", f"{number} of {host} is free")
    return Check("port", "warn", f"{number} of {host} is in use", "a node that is up already, or c2d up --port N")
