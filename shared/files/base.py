"""Own what a file object gives: its bytes as a stream, or what is known of it. One module a type, one contract.

No error here names a host, a path or a header: logs and results go to consumers, and where a dataset lies is
its publisher's secret. Light to import (the pods' start is waited for), so tuples stand where dataclasses would.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from shared.errors import InvalidRequest, JobError

FileObject = Mapping[str, Any]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class FetchRules(NamedTuple):
    """What a fetch may do."""

    allow: tuple[Network, ...] = ()
    "Networks that are not public and may be reached all the same."
    max_bytes: int | None = None
    "Null = no limit."
    total_s: float | None = None
    "For the whole file; null = no limit."
    connect_s: float = 10.0
    silence_s: float = 60.0
    "The longest wait for the next bytes."
    tries: int = 5
    "Failures in a row, no bytes arriving between, before giving up."
    backoff_s: float = 0.25
    "The first wait between tries; doubled each time, at most 10 s."

    @classmethod
    def allowing(cls, networks: list[str], max_bytes: int | None = None) -> FetchRules:
        """Read the networks from text. Raises: InvalidRequest."""
        try:
            return cls(tuple(ipaddress.ip_network(network, strict=False) for network in networks), max_bytes)
        except ValueError as error:
            raise InvalidRequest(f"not a network: {error}; example: 10.0.0.0/8") from error


class FileProbe(NamedTuple):
    """What is known of a file without keeping it."""

    type: str
    name: str
    valid: bool
    "Could it be reached."
    size_bytes: int | None = None
    content_type: str | None = None
    checksum: str | None = None
    "SHA-256 of the whole file in hex, where it was asked for and the limits allowed it."
    reason: str | None = None
    "Why it is not valid."


class Stream(Protocol):
    """Bytes on their way; a broken connection is taken up again where it broke."""

    size_bytes: int | None
    content_type: str | None

    def __iter__(self) -> Iterator[bytes]:
        """Yield the rest; raises JobError when the file cannot be had, Unavailable never."""
        ...

    def sha256(self) -> str:
        """The digest of what was yielded so far, in hex."""
        ...

    def close(self) -> None:
        """Let the connection go; may be repeated."""
        ...


class Fetched(NamedTuple):
    """An open file. Iterate `chunks` once, then close it."""

    name: str
    "The last part of where it lies, percent-decoded and otherwise as found; may be empty, is never safe as a path."
    chunks: Stream

    @property
    def size_bytes(self) -> int | None:
        """How long it is, if the server said."""
        return self.chunks.size_bytes

    @property
    def content_type(self) -> str | None:
        """What the server calls it."""
        return self.chunks.content_type


class Fetcher(NamedTuple):
    """One type of file object."""

    open: Callable[[FileObject, FetchRules], Fetched]
    "Raises: InvalidRequest for a malformed object, Forbidden for a refused address, JobError for the rest."
    probe: Callable[[FileObject, FetchRules, bool], FileProbe]
    "The flag: with checksum. Raises: InvalidRequest for a malformed object."
    name: Callable[[FileObject], str]
    "The last part of where it lies, as in `Fetched`. Raises: InvalidRequest for a malformed object."


def too_large(limit_bytes: int) -> JobError:
    """The one error of a file beyond its limit."""
    return JobError(f"the file is larger than the {limit_bytes:,} bytes allowed")
