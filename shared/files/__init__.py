"""Own the table of file-object types: what opens each, and what says what is known of it."""

from __future__ import annotations

from shared.errors import InvalidRequest, NotAvailable
from shared.files import url
from shared.files.base import Fetched, Fetcher, FetchRules, FileObject, FileProbe

__all__ = [
    "FETCHERS",
    "PROBE_RULES",
    "FetchRules",
    "Fetched",
    "FileObject",
    "FileProbe",
    "name_of",
    "open_file",
    "probe",
]

FETCHERS: dict[str, Fetcher] = {"url": url.FETCHER}
KNOWN_TYPES = ("url", "ipfs", "arweave", "s3", "ftp", "nodePersistentStorage")
PROBE_RULES = FetchRules(max_bytes=1 << 30, total_s=30.0, silence_s=10.0, tries=2)


def open_file(file: FileObject, rules: FetchRules) -> Fetched:
    """Open a file for reading once. Raises: InvalidRequest, NotAvailable, Forbidden, JobError."""
    return fetcher_of(file).open(file, rules)


def probe(file: FileObject, rules: FetchRules = PROBE_RULES, with_checksum: bool = False) -> FileProbe:
    """Say whether a file can be read and what it holds. Raises: InvalidRequest, NotAvailable."""
    return fetcher_of(file).probe(file, rules, with_checksum)


def name_of(file: FileObject) -> str:
    """Give the name a file has where it lies, which may be empty. Raises: InvalidRequest, NotAvailable."""
    return fetcher_of(file).name(file)


def fetcher_of(file: FileObject) -> Fetcher:
    """Find what fetches this type, whatever its case. Raises: InvalidRequest, NotAvailable."""
    kind = file.get("type")
    known = {name.lower(): name for name in KNOWN_TYPES}
    if not isinstance(kind, str) or kind.lower() not in known:
        raise InvalidRequest(f"Invalid Request: type must be one of {', '.join(KNOWN_TYPES)}")
    name = known[kind.lower()]
    if name not in FETCHERS:
        raise NotAvailable(f"{name}: not available on this node")
    return FETCHERS[name]
