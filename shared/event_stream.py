"""Own events as server-sent events: resumed after the last id seen, kept alive, ended with the last job."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator
from typing import Any

from shared.db import events, job_views
from shared.db.connection import session
from shared.db.job_views import Wanted
from shared.errors import Unavailable
from shared.streams import Wakeups
from shared.strict_json import dumps

KEEP_ALIVE_S = 15
OVERLAP = 64
"How many events back one that was committed late is still found."
KEEP_ALIVE = b": still here\n\n"
RETRY = b"retry: 2000\n\n"
END = b"event: end\ndata: {}\n\n"
View = Callable[[Any], dict[str, Any]]


def follow(
    wanted: Wanted, after: int, view: View, is_shown: Callable[[Any], bool], wakeups: Wakeups
) -> Iterator[bytes]:
    """Yield events until every job asked for is finished; holds no database connection while it waits."""
    yield RETRY
    told: deque[int] = deque(maxlen=OVERLAP)
    while True:
        seen = wakeups.count()
        try:
            is_over, found = _look(wanted, after, told)
        except Unavailable:
            wakeups.wait(seen, 1.0)
            continue
        for event in found:
            told.append(event.id)
            if is_shown(event):
                yield _message(view(event))
        if found:
            continue
        if is_over:
            yield END
            return
        if not wakeups.wait(seen, KEEP_ALIVE_S):
            yield KEEP_ALIVE


def last_seen(text: object) -> int:
    """Read the id after which to go on; what is no id counts as none."""
    found = str(text or "")
    return int(found) if found.isascii() and found.isdecimal() and len(found) < 16 else 0


def _look(wanted: Wanted, after: int, told: Collection[int]) -> tuple[bool, list[Any]]:
    """Look at the jobs first: events of a job seen finished are all there.

    Two transactions may commit their events in another order than their ids', so the last ones are read again.
    """
    with session():
        is_over = job_views.all_finished(wanted)
        found = events.list_events(
            job_ids=[job_views.bare(wanted.job_id)] if wanted.job_id else [],
            workflow_id=wanted.workflow_id,
            after=max(after, max(told, default=0) - OVERLAP),
        )
        return is_over, [event for event in found if event.id not in told]


def _message(document: dict[str, Any]) -> bytes:
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (document["id"], document["kind"].encode(), dumps(document))
