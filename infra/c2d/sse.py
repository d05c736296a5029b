"""Own reading server-sent events from pieces of bytes; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class ServerEvent:
    """One event as it was sent."""

    id: str
    name: str
    data: str


def lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Cut the stream into lines, as they are complete."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.rstrip(b"\r").decode(errors="replace") for line in whole)


def events(chunks: Iterable[bytes]) -> Iterator[ServerEvent]:
    """Yield the events; comments keep the connection alive and say nothing."""
    identity, name, data = "", "message", list[str]()
    for line in lines(chunks):
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if line == "" and data:
            yield ServerEvent(identity, name, "\n".join(data))
        if line == "":
            name, data = "message", []
        elif field == "id":
            identity = value
        elif field == "event":
            name = value
        elif field == "data":
            data.append(value)
