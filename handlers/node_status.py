"""status: what this node is and has, as ocean-node's command of that name tells it."""

import hashlib
import os
import platform
import time
from importlib.metadata import version
from typing import Any

from shared import signers
from shared.addresses import checksum
from shared.web import QUERY_BYTES, Call, Command, Reply, Rows, Takes, app_factory

STARTED = time.monotonic()

COMMAND = Command(
    name="status", method="GET", path="/api/services/status", takes=Takes.QUERY, body="nothing.request",
    reply="node_status.reply", signer=signers.anyone, rows=Rows.NONE, is_stream=False, max_bytes=QUERY_BYTES,
)  # fmt: skip


def respond(call: Call) -> Reply:
    """Say what is true: no peer-to-peer, no indexer."""
    node, release = call.services.node, version("c2d-node")
    chains = [{"chainId": str(chain.chain_id), "network": chain.network} for chain in
              call.services.settings.chains]  # fmt: skip
    escrows = {str(chain.chain_id): checksum(chain.escrow) for chain in call.services.settings.chains}
    storage = {"url": True, "arwave": False, "ipfs": False, "s3": False, "ftp": False}
    return Reply({
        "id": node.address, "publicKey": node.public_key, "friendlyName": "c2d", "address": node.address,
        "version": release, "http": True, "p2p": False, "provider": chains, "indexer": [],
        "escrowAddress": escrows,
        "supportedStorage": storage, "platform": machine(), "codeHash": hashlib.sha256(release.encode()).hexdigest(),
        "allowedAdmins": {"addresses": [], "accessLists": None}, "uptime": round(time.monotonic() - STARTED, 1),
        "persistentStorage": {"accessLists": []},
    })  # fmt: skip


def machine() -> dict[str, Any]:
    """Say what this process runs on."""
    page = os.sysconf("SC_PAGE_SIZE")
    return {
        "cpus": os.cpu_count() or 1, "freemem": os.sysconf("SC_AVPHYS_PAGES") * page,
        "totalmem": os.sysconf("SC_PHYS_PAGES") * page, "loadavg": list(os.getloadavg()),
        "arch": {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine()),
        "machine": platform.machine(), "platform": "linux", "osType": "Linux", "node": platform.python_version(),
    }  # fmt: skip


create_app = app_factory(COMMAND, respond)  # gunicorn 'handlers.node_status:create_app()'
