"""Own a connection to an address that was checked: TLS still verifies the name, and no read outlives its deadline."""

from __future__ import annotations

import functools
import http.client
import io
import socket
import ssl
import time
from typing import Any, NamedTuple, cast

from shared.errors import JobError

_MOST_ADDRESSES = 4


class Origin(NamedTuple):
    """Whom a URL speaks to; a user's headers never leave theirs."""

    scheme: str
    host: str
    port: int


class Patience(NamedTuple):
    """How long to wait for what."""

    connect_s: float
    silence_s: float
    "The longest wait for the next bytes."
    deadline: float | None
    "On the monotonic clock; null = none."

    def next_read_s(self) -> float:
        """The longest the next read may take. Raises: TimeoutError once the deadline has passed."""
        if self.deadline is None:
            return self.silence_s
        left_s = self.deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the deadline has passed")
        return min(self.silence_s, left_s)


class PinnedConnection(http.client.HTTPConnection):
    """HTTP to given addresses, whatever the name would resolve to by now."""

    def __init__(self, origin: Origin, addresses: list[str], patience: Patience) -> None:
        super().__init__(origin.host, origin.port)
        self.default_port = 443 if origin.scheme == "https" else 80
        self._origin, self._addresses, self._patience = origin, addresses, patience

    def connect(self) -> None:
        """Connect to the first address that answers. Raises: OSError; JobError for a false certificate."""
        sock = self._first_that_answers()
        try:
            if self._origin.scheme == "https":
                sock = _tls().wrap_socket(sock, server_hostname=self._origin.host)
        except ssl.SSLCertVerificationError as error:
            sock.close()
            raise JobError(f"the server's certificate is not valid: {error.verify_message}") from error
        self.sock = cast(Any, _BoundedSocket(sock, self._patience))

    def _first_that_answers(self) -> socket.socket:
        failure = OSError("no address")
        for address in self._addresses[:_MOST_ADDRESSES]:
            try:
                wait_s = min(self._patience.connect_s, self._patience.next_read_s())
                return socket.create_connection((address, self._origin.port), wait_s)
            except OSError as error:
                failure = error
        raise failure


@functools.cache
def _tls() -> ssl.SSLContext:
    """Read the machine's certificates once, and not before they are needed: it takes 20 ms."""
    return ssl.create_default_context()


class _BoundedSocket:
    """What `http.client` asks of a socket; the reader closes it, as one made by `socket.makefile` would."""

    def __init__(self, sock: socket.socket, patience: Patience) -> None:
        self._sock, self._patience, self._has_reader = sock, patience, False

    def sendall(self, data: bytes) -> None:
        self._sock.settimeout(self._patience.next_read_s())
        self._sock.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        self._has_reader = True
        return io.BufferedReader(_BoundedReader(self._sock, self._patience), 64 * 1024)

    def close(self) -> None:
        if not self._has_reader:
            self._sock.close()


class _BoundedReader(io.RawIOBase):
    def __init__(self, sock: socket.socket, patience: Patience) -> None:
        self._sock, self._patience = sock, patience

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(self._patience.next_read_s())
        return self._sock.recv_into(buffer)

    def close(self) -> None:
        self._sock.close()
        super().close()
