"""Own the table of nonces: the last one each address has used."""

from __future__ import annotations

from shared.db.node_tables import Nonce
from shared.db.statements import Statement
from shared.errors import Unauthorized
from shared.names import Address

_SPEND = Statement(
    lambda address, nonce: (
        Nonce.insert(address=address, nonce=nonce)
        .on_conflict(conflict_target=[Nonce.address], update={Nonce.nonce: nonce}, where=(Nonce.nonce < nonce))
        .returning(Nonce.nonce)
    )
)


def last_used(address: Address) -> int:
    """Give the last nonce an address used; 0 where it never signed. Writes nothing."""
    row = Nonce.select(Nonce.nonce).where(Nonce.address == address.lower()).tuples().first()
    return int(row[0]) if row else 0


def spend(address: Address, nonce: int) -> None:
    """Use up a nonce: one statement compares and sets, so of many replays one wins. Raises: Unauthorized."""
    if nonce < 1 or not _SPEND.tuples(address=address.lower(), nonce=nonce):
        raise Unauthorized(f"nonce: {nonce} is not a valid nonce")
