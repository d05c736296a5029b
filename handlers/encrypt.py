"""encrypt: encrypt text for this node's key, so that only it can read what is published."""

from shared import ecies, signers
from shared.errors import InvalidRequest
from shared.web import Call, Command, Reply, Rows, Takes, app_factory

MOST_BYTES = 25 << 20

COMMAND = Command(
    name="encrypt", method="POST", path="/api/services/encrypt", takes=Takes.BYTES, body="encrypt.request",
    reply="application/octet-stream", signer=signers.consumer("encrypt"), rows=Rows.NONE, is_stream=False,
    max_bytes=MOST_BYTES,
)  # fmt: skip


def respond(call: Call) -> Reply:
    """Answer 0x and hex; clients take the text for the ciphertext, so errors never look like it."""
    plaintext = b"".join(call.chunks)
    if not plaintext:
        raise InvalidRequest("Missing required body")
    text = "0x" + ecies.encrypt(call.services.node.public_key, plaintext).hex()
    return Reply(data=text.encode(), media_type="application/octet-stream")


create_app = app_factory(COMMAND, respond)  # gunicorn 'handlers.encrypt:create_app()'
