"""Own how callers write files: one object, a list, `{"files": […]}`, or all of that encrypted for the node; pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from shared import schemas
from shared.errors import InvalidRequest, NotAvailable
from shared.files import KNOWN_TYPES
from shared.strict_json import loads

FileObject = Mapping[str, Any]
Decrypt = Callable[[str], bytes]
"Open what was encrypted for the node; hex in, bytes out."

READABLE = frozenset({"url"})
"Types that can be fetched now; a test holds it against `shared.files.FETCHERS`."
_HEX = re.compile(r"(0x)?[0-9a-fA-F]+")


def parse_files(value: Any, path: str, decrypt: Decrypt) -> tuple[FileObject, ...]:
    """Read files however they are written. Raises: InvalidRequest with the path, NotAvailable for a type not built."""
    if isinstance(value, str):
        value = _decrypted(value, path, decrypt)
    if isinstance(value, dict) and "files" in value:
        value, path = value["files"], f"{path}.files"
    if isinstance(value, dict):
        return (_checked(value, path),)
    return tuple(_checked(entry, f"{path}[{place}]") for place, entry in enumerate(value))


def with_userdata(files: Iterable[FileObject], userdata: Any, path: str) -> tuple[FileObject, ...]:
    """Append the consumer's own parameters to the query of url files, as the field's nodes do."""
    parameters = _parameters(userdata, path)
    return tuple(_with_query(file, parameters) if parameters else file for file in files)


def _decrypted(text: str, path: str, decrypt: Decrypt) -> Any:
    if not _HEX.fullmatch(text) or len(text) % 2:
        raise InvalidRequest(f"{path}: a file object, a list of them, or encrypted hex is expected", path=path)
    try:
        opened = loads(decrypt(text))
        schemas.check("files", opened)
    except InvalidRequest as error:
        raise InvalidRequest(f"{path}: {error.detail}", path=path) from error
    if isinstance(opened, str):
        raise InvalidRequest(f"{path}: what was encrypted is no file object", path=path)
    return opened


def _checked(file: FileObject, path: str) -> FileObject:
    kind = str(file["type"])
    known = next((name for name in READABLE if name == kind.lower()), None)
    if kind.lower() not in {name.lower() for name in KNOWN_TYPES}:
        raise InvalidRequest(f"Invalid Request: type must be one of {', '.join(KNOWN_TYPES)}", path=f"{path}.type")
    if known is None:
        raise NotAvailable(f"{path}: files of type {kind!r} are not available on this node.", path=path)
    if not _is_fetchable(str(file.get("url", ""))):
        raise InvalidRequest(f"{path}.url: an http(s) address is expected", path=f"{path}.url")
    return {**file, "type": known}


def _is_fetchable(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False


def _parameters(userdata: Any, path: str) -> dict[str, Any]:
    """Read user data: an object, or the text of one."""
    if isinstance(userdata, str) and userdata.strip():
        try:
            userdata = json.loads(userdata)
        except ValueError as error:
            raise InvalidRequest(f"{path}: the text is not JSON", path=path) from error
    return dict(userdata) if isinstance(userdata, dict) else {}


def _with_query(file: FileObject, parameters: Mapping[str, Any]) -> FileObject:
    parts = urlsplit(str(file["url"]))
    query = "&".join(part for part in (parts.query, urlencode(parameters, doseq=True)) if part)
    return {**file, "url": urlunsplit(parts._replace(query=query))}
