"""Own what assets will bring: DIDs resolved to files, orders held against the chain, provider fees.

This node resolves no DIDs yet. A DID that stands beside its files is a name for them; one that stands alone is refused,
here and nowhere else, so that what is to come has one place: `files` finds an asset's files, `order_view` tells whether
it was ordered and what fee is due.
"""

from __future__ import annotations

from typing import Any, NoReturn

from shared.errors import NotAvailable


def files(did: str, path: str) -> NoReturn:
    """Find the files of an asset. Raises: NotAvailable, always: there is no metadata service here."""
    raise NotAvailable(f"{path}: this node resolves no DIDs, so {did[:200]} needs its files beside it", path=path)


def order_view(did: str | None) -> dict[str, Any]:
    """Tell a quote's reader of an asset's order and fee: files that came with the request need neither."""
    return {"validOrder": False} | ({"did": did} if did else {})
