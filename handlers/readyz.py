"""readiness: whether jobs can be taken now, and what is missing if not."""

from collections.abc import Callable

from shared import signers
from shared.db import environments
from shared.db.connection import check_migrated, session
from shared.errors import Unavailable
from shared.web import QUERY_BYTES, Call, Command, Reply, Rows, Takes, app_factory

SEEN_WITHIN_MS = 300_000
"An engine whose last pass is longer ago is not there; cron runs passes every minute."

COMMAND = Command(
    name="readyz", method="GET", path="/readyz", takes=Takes.QUERY, body="nothing.request", reply="readyz.reply",
    signer=signers.anyone, rows=Rows.NONE, is_stream=False, max_bytes=QUERY_BYTES,
)  # fmt: skip


def respond(call: Call) -> Reply:
    """Look at everything a job needs; 503 where something is missing."""
    looked = {
        "database": attempt(look_at_database),
        "migrations": attempt(check_migrated),
        "storage": attempt(call.services.storage.check),
        "engines": attempt(lambda: look_at_engines(call.now_ms())),
    }
    is_ready = all(found == "ok" for found in looked.values())
    return Reply({"ready": is_ready, "checks": looked}, status=200 if is_ready else 503)


def attempt(look: Callable[[], None]) -> str:
    """Say `ok`, or what is wrong."""
    try:
        look()
    except Unavailable as error:
        return error.detail
    return "ok"


def look_at_database() -> None:
    """Open a session."""
    with session():
        return


def look_at_engines(now_ms: int) -> None:
    """At least one engine must have reported lately. Raises: Unavailable."""
    with session():
        seen = [row for row in environments.engines() if row.seen_at_ms > now_ms - SEEN_WITHIN_MS]
    if not seen:
        raise Unavailable("No engine has reported lately; run its pass (python -m engines.run_docker --watch).")


create_app = app_factory(COMMAND, respond)  # gunicorn 'handlers.readyz:create_app()'
