"""getLogs: the node's own log is its operator's and is not served; clients' probes get a proper answer."""

from shared import signers
from shared.errors import NotAvailable
from shared.web import JSON_BYTES, Call, Command, Reply, Rows, Takes, app_factory

COMMAND = Command(
    name="getLogs", method="POST", path="/logs", takes=Takes.JSON, body="node_logs.request", reply="error.reply",
    signer=signers.anyone, rows=Rows.NONE, is_stream=False, max_bytes=JSON_BYTES, also=("/log/{id}",),
)  # fmt: skip


def respond(call: Call) -> Reply:
    """Refuse; a call that does not even say who asks has been refused by the schema."""
    raise NotAvailable("The node's log is not served over HTTP: read it where the node runs.")


create_app = app_factory(COMMAND, respond)  # gunicorn 'handlers.node_logs:create_app()'
