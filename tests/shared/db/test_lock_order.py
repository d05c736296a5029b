"""Who holds several rows takes them in one order, so that no two wait for each other: PostgreSQL would end one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg

from shared import submission
from shared.db import workflows
from shared.db.connection import migrate, transaction
from shared.workflow import Workflow
from tests.databases import opened
from tests.flows.harness import ALICE, job
from tests.needs import needs
from tests.shared.db.rows import BOX, NOW, offer, submit


@needs("postgres")
def test_a_start_that_is_admitted_at_once_and_a_pass_never_wait_for_each_other(postgres_url: str) -> None:
    """A pass holds the engine's promises, then the turn of an owner in line: so must a start."""
    with opened(postgres_url), psycopg.connect(postgres_url) as a_pass, ThreadPoolExecutor(1) as pool:
        migrate()
        [document] = offer()
        submit()
        asked = Workflow(door="command", jobs=(job(0, environment_id=document["id"]),), queue_max_wait_s=0)

        def start() -> None:
            with transaction():
                submission.submit(workflows.Submission(asked, ALICE, ALICE, True, NOW, BOX, lambda text: text))

        a_pass.execute("SELECT name FROM engine FOR UPDATE")
        started = pool.submit(start)
        with psycopg.connect(postgres_url, autocommit=True) as other:
            while not other.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchall():
                assert not started.done() or started.result()
        a_pass.execute("UPDATE turn SET served_at_ms = served_at_ms")
        a_pass.commit()
        started.result(30)
