"""Own asking fast: keep-alive connections in threads, which send requests made beforehand."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

from tests.bench.measuring import took


@dataclass(frozen=True)
class Load:
    """What came of it."""

    rate: float
    "Requests a second, all connections together."
    took: Sequence[float]
    "Seconds of each request."


def request(method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    """The bytes of one request."""
    lines = [f"{method} {target} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def send_all(url: str, requests: Sequence[bytes], connections: int) -> Load:
    """Send every request once, shared out among the connections; each must be answered with 200."""
    parts = urlsplit(url)

    def run(connection: socket.socket, share: Sequence[bytes]) -> list[float]:
        return [took(partial(answer, connection, each)) for each in share]

    with ThreadPoolExecutor(connections) as pool, ExitStack() as stack:
        addresses = [(parts.hostname or "", parts.port or 80)] * connections
        opened = [stack.enter_context(socket.create_connection(address)) for address in addresses]
        for connection in opened:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        began = time.perf_counter()
        shares = [requests[place::connections] for place in range(connections)]
        times = [each for share in pool.map(run, opened, shares) for each in share]
        return Load(len(requests) / (time.perf_counter() - began), times)


def answer(connection: socket.socket, sent: bytes) -> bytes:
    """Send one request and read its answer."""
    connection.sendall(sent)
    head = b""
    while b"\r\n\r\n" not in head:
        piece = connection.recv(65536)
        assert piece, "the connection was closed"
        head += piece
    head, _, body = head.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head + body
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
    )
    while len(body) < length:
        body += connection.recv(65536)
    return body
