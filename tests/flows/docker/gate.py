"""A door between the node and a service: shut, it cuts every connection and refuses new ones."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Gate:
    """Forwards what comes to `port` of loopback to a service."""

    target: tuple[str, int]
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    is_shut: bool = False
    open_sockets: set[socket.socket] = field(default_factory=set)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.listener.getsockname()[1])

    def shut(self) -> None:
        """Cut everything."""
        self.is_shut = True
        for each in list(self.open_sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def open(self) -> None:
        """Let everything through again."""
        self.is_shut = False

    def serve(self) -> None:
        """Take callers until the listener is closed."""
        with contextlib.suppress(OSError):
            while True:
                caller, _ = self.listener.accept()
                if self.is_shut:
                    caller.close()
                    continue
                threading.Thread(target=self.join, args=(caller,), daemon=True).start()

    def join(self, caller: socket.socket) -> None:
        """Copy both ways until one side ends."""
        with caller, contextlib.suppress(OSError), socket.create_connection(self.target) as service:
            self.open_sockets |= {caller, service}
            back = threading.Thread(target=copy, args=(service, caller), daemon=True)
            back.start()
            copy(caller, service)
            back.join()
            self.open_sockets -= {caller, service}


def copy(source: socket.socket, sink: socket.socket) -> None:
    """Copy until the source ends."""
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def gate_to(url: str) -> Iterator[Gate]:
    """A gate to the service at a URL."""
    parts = urlsplit(url)
    gate = Gate((str(parts.hostname), int(parts.port or 80)))
    threading.Thread(target=gate.serve, daemon=True).start()
    try:
        yield gate
    finally:
        gate.shut()
        gate.listener.close()
