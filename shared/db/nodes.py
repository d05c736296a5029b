"""Own the one row of the node itself, so that processes without the wallet key know its address."""

from __future__ import annotations

from shared.db.node_tables import Node

THE_NODE = 1


def record_node(address: str, public_key: str) -> None:
    """Write who the node is; the same again changes nothing."""
    known = {Node.address: address, Node.public_key: public_key}
    Node.insert(id=THE_NODE, address=address, public_key=public_key).on_conflict(
        conflict_target=[Node.id], update=known
    ).execute()


def read_node() -> tuple[str, str] | None:
    """Give the node's address and compressed public key, if a process with the key has been here."""
    row = Node.select(Node.address, Node.public_key).where(Node.id == THE_NODE).tuples().first()
    return (row[0], row[1]) if row else None
