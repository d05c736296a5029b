"""Own reading the fields that both forms of a start have; pure."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from shared.errors import InvalidRequest

MOST_METADATA = 1024
MOST_DURATION_S = 10**9


def checked_metadata(metadata: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Pass metadata on that is short enough. Raises: InvalidRequest."""
    if metadata is not None and len(json.dumps(metadata, separators=(",", ":"), ensure_ascii=False)) > MOST_METADATA:
        raise InvalidRequest(f"Metadata size is too large: at most {MOST_METADATA} characters", path="metadata")
    return metadata


def lower_addresses(addresses: Iterable[str] | None) -> tuple[str, ...] | None:
    """Addresses as they are compared."""
    return None if addresses is None else tuple(dict.fromkeys(address.lower() for address in addresses))


def amounts(resources: Iterable[Mapping[str, Any]] | None) -> dict[str, float]:
    """Resource id → amount, of those that have one."""
    return {str(entry["id"]): entry["amount"] for entry in resources or [] if entry.get("amount") is not None}


def seconds(duration: float | None) -> int | None:
    """Whole seconds, rounded up; null stays null."""
    return None if duration is None else max(1, min(math.ceil(duration), MOST_DURATION_S))


def shown_container(container: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a container that may be shown."""
    names = ("image", "tag", "checksum", "entrypoint")
    return {name: container[name] for name in names if container.get(name)}


def texts(values: Mapping[str, Any] | None) -> dict[str, str]:
    """Values as text, the way an environment has them."""
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in (values or {}).items()}
