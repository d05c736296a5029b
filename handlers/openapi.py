"""openapi.json: every command with its fields, replies and examples, from the same schemas that check them."""

from functools import cache

from handlers import registry
from shared import openapi, signers
from shared.strict_json import dumps
from shared.web import QUERY_BYTES, Call, Command, Reply, Rows, Takes, app_factory

COMMAND = Command(
    name="openapi", method="GET", path="/openapi.json", takes=Takes.QUERY, body="nothing.request", reply="any.reply",
    signer=signers.anyone, rows=Rows.NONE, is_stream=False, max_bytes=QUERY_BYTES,
)  # fmt: skip


def respond(call: Call) -> Reply:
    """Send the document."""
    return Reply(data=document(), headers={"Cache-Control": "no-cache"})


@cache
def document() -> bytes:
    """Write the document, once a process."""
    return dumps(openapi.document(registry.ENTRIES))


create_app = app_factory(COMMAND, respond)  # gunicorn 'handlers.openapi:create_app()'
