"""The gate: hold an algorithm back until the cluster's network keeps its pod from connecting anywhere.

python -m pods.gate 60 http://10.0.0.1:8000

A network plugin learns of a pod after it has begun, and enforces its policies a moment later; in that moment an
algorithm could reach whatever the cluster can. Runs before it, in the same pod: ends with 0 once neither the API server
nor the URLs given can be connected to, and with 9 if that is not so within the seconds given. A URL with a name is left
out: behind a wall no name is found, and looking takes long.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import select
import socket
import sys
import time
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from pods.ending import end_when_told

CONNECT_S = 0.5
"A connection inside a cluster takes milliseconds."
EVERY_S = 0.2
CALM = 2
"How often in a row nothing may be open: rules may be put in place one by one."
OPEN = 9
"The exit code of a gate that gave up."
Address = tuple[str, int]


def main(limit_s: float, urls: Iterable[str], environment: Mapping[str, str] = os.environ) -> int:
    """Wait until nothing is open; the exit code."""
    addresses, calm, until = list(addresses_of(urls, environment)), 0, time.monotonic() + limit_s
    if not addresses:
        print("there is no address to try", flush=True)
        return OPEN
    while True:
        still_open = open_of(addresses)
        calm = 0 if still_open else calm + 1
        if calm >= CALM:
            return 0
        if time.monotonic() > until:
            print("the network lets this pod reach", *(f"{host}:{port}" for host, port in still_open), flush=True)
            return OPEN
        time.sleep(EVERY_S)


def addresses_of(urls: Iterable[str], environment: Mapping[str, str]) -> Iterable[Address]:
    """Where to try: the API server, which every pod is told of, and these URLs."""
    if "KUBERNETES_SERVICE_HOST" in environment:
        yield environment["KUBERNETES_SERVICE_HOST"], int(environment.get("KUBERNETES_SERVICE_PORT", "443"))
    for url in urls:
        parts = urlsplit(url)
        with contextlib.suppress(ValueError):
            host = ipaddress.ip_address(parts.hostname or "")
            yield str(host), parts.port or (443 if parts.scheme == "https" else 80)


def open_of(addresses: Iterable[Address]) -> list[Address]:
    """With whom a connection comes about; all are tried at once."""
    waiting: dict[socket.socket, Address] = {}
    for address in addresses:
        tried = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        tried.setblocking(False)
        if tried.connect_ex(address) in (0, errno.EINPROGRESS):
            waiting[tried] = address
        else:
            tried.close()
    found, until = [], time.monotonic() + CONNECT_S
    pending = set(waiting)
    while pending and (left := until - time.monotonic()) > 0:
        for tried in select.select([], list(pending), [], left)[1]:
            pending.discard(tried)
            if tried.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                found.append(waiting[tried])
    for tried in waiting:
        tried.close()
    return found


if __name__ == "__main__":
    end_when_told()
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
