"""Own the way from a storage URL to its backend; a backend's module is loaded only when a URL asks for it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from urllib.parse import SplitResult, urlsplit

from shared.errors import SettingsError
from shared.storage.base import Storage, StoredObject

__all__ = ["BACKENDS", "Storage", "StoredObject", "open_storage"]

BACKENDS = {
    "file": "shared.storage.local:from_url",
    "s3": "shared.storage.s3:from_url",
}
EXAMPLES = "file:///srv/c2d/results or s3://bucket/prefix?endpoint=https://s3.example.org&region=eu-west-1"


def open_storage(url: str) -> Storage:
    """Open the storage that C2D_STORAGE_URL names; touches neither disk nor network. Raises: SettingsError."""
    try:
        parts = urlsplit(url)
        return _backend(parts.scheme)(parts)
    except ValueError as error:
        raise SettingsError(f"C2D_STORAGE_URL: {error}; for example {EXAMPLES}", setting="C2D_STORAGE_URL") from error


def _backend(scheme: str) -> Callable[[SplitResult], Storage]:
    if scheme not in BACKENDS:
        raise ValueError(f"begins with {' or '.join(f'{known}://' for known in BACKENDS)}, not {scheme or 'nothing'}")
    module, _, name = BACKENDS[scheme].partition(":")
    try:
        factory: Callable[[SplitResult], Storage] = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise ValueError(f"{scheme}:// needs the package {error.name}: pip install 'c2d-node[node]'") from error
    return factory
