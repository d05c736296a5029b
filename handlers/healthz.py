"""health: the process answers; says nothing of what is behind it (that is readiness)."""

from shared import signers
from shared.web import QUERY_BYTES, Call, Command, Reply, Rows, Takes, app_factory

COMMAND = Command(
    name="healthz", method="GET", path="/healthz", takes=Takes.QUERY, body="nothing.request", reply="healthz.reply",
    signer=signers.anyone, rows=Rows.NONE, is_stream=False, max_bytes=QUERY_BYTES,
)  # fmt: skip


def respond(call: Call) -> Reply:
    """Say so."""
    return Reply({"status": "ok"})


create_app = app_factory(COMMAND, respond)  # gunicorn 'handlers.healthz:create_app()'
