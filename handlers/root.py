"""root document: who this node is and where its services are; asked for before every call of the field's clients."""

import hashlib
from importlib.metadata import version

from shared import signers
from shared.endpoints import SERVICE_ENDPOINTS
from shared.services import Services
from shared.strict_json import dumps
from shared.web import QUERY_BYTES, Call, Command, Reply, Rows, Takes, app_factory

COMMAND = Command(
    name="root", method="GET", path="/", takes=Takes.QUERY, body="nothing.request", reply="root.reply",
    signer=signers.anyone, rows=Rows.NONE, is_stream=False, max_bytes=QUERY_BYTES,
)  # fmt: skip

PREPARED: dict[str, bytes] = {}
"Node address → the document, written once a process."


def respond(call: Call) -> Reply:
    """Send the prepared bytes."""
    address = call.services.node.address
    if address not in PREPARED:
        PREPARED[address] = dumps(document(call.services))
    data = PREPARED[address]
    return Reply(data=data, etag=hashlib.sha256(data).hexdigest()[:32], headers={"Cache-Control": "no-cache"})


def document(services: Services) -> dict[str, object]:
    """Write the document."""
    return {
        "nodeId": services.node.address,
        "chainIds": [str(chain.chain_id) for chain in services.settings.chains],
        "providerAddress": services.node.address,
        "nodePublicKey": services.node.public_key,
        "serviceEndpoints": {name: list(endpoint) for name, endpoint in SERVICE_ENDPOINTS.items()},
        "software": "Ocean-Node",
        "version": version("c2d-node"),
    }


create_app = app_factory(COMMAND, respond)  # gunicorn 'handlers.root:create_app()'
