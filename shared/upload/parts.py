"""Own the cutting of a stream into parts of a known length, without holding one of them; pure."""

from __future__ import annotations

from collections.abc import Iterator


def cut(chunks: Iterator[bytes], size_bytes: int, part_bytes: int) -> Iterator[tuple[Iterator[bytes], int]]:
    """Yield each part's bytes and length; a part must be read whole before the next is asked for."""
    source = _Source(chunks)
    for start in range(0, size_bytes, part_bytes):
        length = min(part_bytes, size_bytes - start)
        yield source.take(length), length


class _Source:
    """A stream with what is left of its last chunk."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest = chunks, b""

    def take(self, length: int) -> Iterator[bytes]:
        while length > 0:
            data = self._rest or next(self._chunks, b"")
            if not data:
                return
            piece, self._rest = data[:length], data[length:]
            length -= len(piece)
            yield piece
