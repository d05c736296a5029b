"""Own what a command declares, what it is given and what it answers; nothing of a framework."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from shared.credentials import Policy, Signer
from shared.db.connection import transaction
from shared.services import Services
from shared.web.incoming import Takes


class Rows(StrEnum):
    """What a command does with the database."""

    NONE = "none"
    "No session is held while it answers: it needs no rows, waits for others, or looks by itself."
    READ = "read"
    "The signer's nonce is used up first, by itself."
    WRITE = "write"
    "Everything it writes is one transaction with the signer's nonce; a refusal uses up the nonce alone."
    LOOK = "look"
    "It may look outside first, holding no session; then it writes all in one, `Call.together`. A refusal as above."


@dataclass(frozen=True)
class Command:
    """What a core command declares; every field is required, so none can be without a policy."""

    name: str
    "Its name for directCommand."
    method: str
    path: str
    "Empty for what only directCommand reaches."
    takes: Takes
    body: str
    "Schema of the fields, wherever they come from."
    reply: str
    "Schema of a JSON reply, or a media type."
    signer: Policy
    rows: Rows
    is_stream: bool
    "Answers with a stream: refused before anything is spent where all slots are taken."
    max_bytes: int
    also: tuple[str, ...] = ()
    "Further paths that clients use."
    asks_chains: bool = False
    "Its process loads the chains' libraries as it starts, where chains are set, so that no call waits for them."

    @property
    def paths(self) -> tuple[str, ...]:
        """Every path it is served at."""
        return (*((self.path,) if self.path else ()), *self.also)


@dataclass(frozen=True)
class Reply:
    """What goes out: a value (JSON), bytes, or chunks."""

    value: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    data: bytes | None = None
    chunks: Iterable[bytes] | None = None
    media_type: str = "application/json"
    etag: str | None = None
    "Without quotes; a caller who has it already is told so (304)."


@dataclass(frozen=True)
class Call:
    """One checked call, as `respond` gets it."""

    command: Command
    body: Mapping[str, Any]
    signer: Signer
    services: Services
    header: Callable[[str], str | None]
    chunks: Iterator[bytes]
    "The body of a command that takes bytes; counted and bounded, read once."
    peer: str
    "The caller's network address."
    is_gone: Callable[[], bool]
    "Whether the caller has hung up."
    is_direct: bool
    "Came through directCommand."
    dispatch: Callable[[Entry, Mapping[str, Any]], Reply]
    "Run another command on fields of this call's body (directCommand only)."

    def now_ms(self) -> int:
        """Unix milliseconds."""
        return self.services.now_ms()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Use up the signer's nonce and write, all or nothing (`Rows.LOOK`). Raises: Unauthorized."""
        with transaction():
            self.signer.spend()
            yield


@dataclass(frozen=True)
class Entry:
    """A command and what answers it."""

    command: Command
    respond: Callable[[Call], Reply]
