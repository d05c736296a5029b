"""A settlement pass killed at any place: before and after each send, storage write, SQL write and commit.

Whoever comes next finds all in the rows: each payment is locked once, and claimed or given back once.
"""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from engines.settlement.passes import settle_once
from shared.db import slots
from shared.db.base import DATABASE
from shared.errors import Unavailable
from shared.escrow.words import EventName
from shared.payment_states import PaymentState
from tests.databases import empty
from tests.engines.settlement.model_chain import PAYEE
from tests.engines.settlement.rows import LOCK, PAYER, Office, end_jobs, office, payment, start, state
from tests.flows.killable import STORAGE, Checkpoints, Killed, Watched, watched_database

CHAIN_VERBS = ("send",)
MOST_ROUNDS = 60
LIFE = (3, 90)
"So many places a process that is killed again and again lives."


def play(folder: Path, kill_at: int | None = None, lives: random.Random | None = None) -> tuple[Office, list[str], int]:
    """Three payments, blocks undone on the way; killed at one place, or again and again. The office, ids, places."""
    node = office(folder)
    points = Checkpoints()
    points.kill_at = kill_at or (lives.randrange(*LIFE) if lives else None)
    chain, storage = (
        Watched(node.till.chain, CHAIN_VERBS, points),
        Watched(node.till.storage, STORAGE, points),
    )
    till = replace(node.till, chain=chain, storage=storage)  # type: ignore[arg-type]
    names = [start(node.till), start(node.till, jobs=2), start(node.till)]
    with watched_database(points):
        for round_ in range(MOST_ROUNDS):
            _settle(points, till, lives)
            with points.outside():
                _world(node, names, round_)
                if round_ > 12 and all(payment(name).is_final for name in names) and not slots.open_slots(8996, PAYEE):
                    break
    return node, names, len(points.names)


def _settle(points: Checkpoints, till: object, lives: random.Random | None) -> None:
    """A process that passes until nothing is left; when it dies another comes."""
    try:
        while settle_once(till):  # type: ignore[arg-type]
            pass
    except Unavailable:
        pass
    except Killed:
        DATABASE.obj.manual_close()
        DATABASE.obj.close_all()  # with a process go its connections, and what they had not committed
        points.start_again(lives.randrange(*LIFE) if lives else None)


def _world(node: Office, names: list[str], round_: int) -> None:
    node.chain.mine()
    node.clock.advance(10)
    if round_ in (5, 9):
        node.chain.reorg(3)
    if round_ == 4:
        node.chain.losing = 0.5
    if round_ == 10:
        node.chain.losing = 0.0
    for place, name in enumerate(names):
        if state(name) is PaymentState.LOCKED:
            end_jobs(node.till, name, ran_s=None if place == 2 else 50)


def check(node: Office, names: list[str]) -> None:
    """All ended as if nothing had happened."""
    assert [state(name) for name in names] == [PaymentState.SETTLED, PaymentState.SETTLED, PaymentState.REFUNDED]
    assert all(payment(name).is_final for name in names)
    events = node.chain.events(0, node.chain.head().number, PAYEE)
    for name in names:
        mine = [each for each in events if each.onchain_id == int(payment(name).onchain_id, 16)]
        assert [each.name for each in mine] == [EventName.LOCK, EventName.CLAIMED]
        assert mine[1].amount_wei == payment(name).claim_amount
    assert node.chain.state.paid == LOCK
    assert node.chain.state.available[PAYER] == 10**27 - LOCK
    assert node.chain.reverted == 0


def test_nobody_killed(database: str, tmp_path: Path) -> None:
    node, names, places = play(tmp_path)
    check(node, names)
    assert places > 60


@pytest.mark.parametrize("seed", range(4))
def test_killed_again_and_again(database: str, tmp_path: Path, seed: int) -> None:
    node, names, _ = play(tmp_path, lives=random.Random(seed))
    check(node, names)


def test_killed_once_at_one_place_in_thirteen(quick_database: str, tmp_path: Path) -> None:
    kill_matrix(tmp_path, step=13)


@pytest.mark.full
def test_killed_once_at_every_place(quick_database: str, tmp_path: Path) -> None:
    kill_matrix(tmp_path, step=1)


def kill_matrix(folder: Path, step: int) -> None:
    """The same story, killed at one place after the other."""
    _, _, places = play(folder)
    for kill_at in range(1, places + 1, step):
        empty()
        node, names, _ = play(folder, kill_at=kill_at)
        check(node, names)
