"""Own a stream that is read in pieces of a known length, and the bound on how much of it is read."""

from __future__ import annotations

from collections.abc import Iterator

from shared.errors import JobError

_CHUNK = 256 * 1024


class Incoming:
    """Bytes that arrive in chunks of any length. Every method raises JobError where they end too soon."""

    def __init__(self, chunks: Iterator[bytes], most_bytes: int) -> None:
        self._chunks, self._held, self._left = chunks, b"", most_bytes

    def some(self, most: int = _CHUNK) -> bytes:
        """Give what is at hand, at least one byte and at most so many; empty at the end."""
        while not self._held:
            chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            self._held = chunk
            self._left -= len(chunk)
            if self._left < 0:
                raise JobError("the earlier job's outputs are larger than this job's disk allows")
        data, self._held = self._held[:most], self._held[most:]
        return data

    def exactly(self, length: int) -> bytes:
        """Give so many bytes."""
        return b"".join(self.pieces(length))

    def pieces(self, length: int) -> Iterator[bytes]:
        """Yield so many bytes in pieces."""
        while length:
            data = self.some(min(length, _CHUNK))
            if not data:
                raise JobError("the earlier job's outputs end too soon")
            length -= len(data)
            yield data

    def put_back(self, data: bytes) -> None:
        """Give back what was read too far."""
        self._held = data + self._held
