"""The app with one more command, which checks nothing and commits one row: what any request that writes must cost."""

from __future__ import annotations

from functools import partial
from itertools import count

from handlers import registry
from shared import signers
from shared.db.node_tables import Nonce
from shared.web import JSON_BYTES, Call, Command, Entry, Reply, Rows, Takes, build_app

COMMAND = Command(
    name="null", method="POST", path="/null", takes=Takes.JSON, body="nothing.request", reply="any.reply",
    signer=signers.anyone, rows=Rows.WRITE, is_stream=False, max_bytes=JSON_BYTES,
)  # fmt: skip
_NUMBERS = count()


def respond(call: Call) -> Reply:
    """Commit one row."""
    Nonce.insert(address=f"null {next(_NUMBERS)}", nonce=1).execute()
    return Reply({"ok": True})


create_app = partial(
    build_app, (*registry.ENTRIES, Entry(COMMAND, respond))
)  # gunicorn 'tests.bench.null_app:create_app()'
