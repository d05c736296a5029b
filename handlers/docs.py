"""docs: the commands as one plain page that loads nothing from elsewhere."""

from functools import cache

from handlers import registry
from shared import docs_page, signers
from shared.web import QUERY_BYTES, Call, Command, Reply, Rows, Takes, app_factory

COMMAND = Command(
    name="docs", method="GET", path="/docs", takes=Takes.QUERY, body="nothing.request", reply="text/html",
    signer=signers.anyone, rows=Rows.NONE, is_stream=False, max_bytes=QUERY_BYTES,
)  # fmt: skip
HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'", "Cache-Control": "no-cache"}


def respond(call: Call) -> Reply:
    """Send the page."""
    return Reply(data=page(), media_type="text/html; charset=utf-8", headers=HEADERS)


@cache
def page() -> bytes:
    """Write the page, once a process."""
    return docs_page.page(registry.ENTRIES).encode()


create_app = app_factory(COMMAND, respond)  # gunicorn 'handlers.docs:create_app()'
