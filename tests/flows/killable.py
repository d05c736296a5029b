"""A process that can be killed before and after everything it does: each driver verb, storage write and SQL write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from shared.db.base import DATABASE

WRITES = ("INSERT", "UPDATE", "DELETE")
VERBS = ("ensure_image", "ensure_volume", "ensure_created", "recreate", "start", "stop", "remove")
STORAGE = ("write", "delete")


class Killed(BaseException):
    """The process is dead; nothing of ours may catch this."""


class Checkpoints:
    """Counts the places where the process can die, and kills it at one of them; a dead process does nothing more."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.kill_at: int | None = None
        self.is_dead = False
        self._outside = 0

    def reach(self, name: str) -> None:
        """Count one more place; die if it is the one."""
        if self._outside:
            return
        if self.is_dead:
            raise Killed("dead already")
        self.names.append(name)
        if len(self.names) == self.kill_at:
            self.is_dead = True
            raise Killed(name)

    def around(self, name: str, do: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Do something with a place to die before it and one after it."""
        self.reach(f"before {name}")
        done = do(*arguments, **options)
        self.reach(f"after {name}")
        return done

    def check_alive(self) -> None:
        """The dead do not even look."""
        if self.is_dead and not self._outside:
            raise Killed("dead already")

    @contextmanager
    def outside(self) -> Iterator[None]:
        """What happens here is done by others: pods, handlers, the world."""
        self._outside += 1
        try:
            yield
        finally:
            self._outside -= 1

    def start_again(self, lives: int | None = None) -> None:
        """A new process, which dies after so many places, or never."""
        self.is_dead, self.kill_at = False, None if lives is None else len(self.names) + lives


class Watched:
    """Stands before a driver or a storage, with places to die around the named verbs."""

    def __init__(self, inner: Any, verbs: tuple[str, ...], checkpoints: Checkpoints) -> None:
        self._inner, self._verbs, self._checkpoints = inner, verbs, checkpoints

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._inner, name)
        if name not in self._verbs:
            return verb
        return lambda *arguments, **options: self._checkpoints.around(name, verb, *arguments, **options)


@contextmanager
def watched_database(checkpoints: Checkpoints) -> Iterator[None]:
    """Put places to die around every SQL write and every commit of the open database."""
    database = DATABASE.obj
    execute_sql, commit = database.execute_sql, database.commit

    def execute(sql: str, params: Any = None) -> Any:
        if not sql.lstrip().startswith(WRITES):
            checkpoints.check_alive()
            return execute_sql(sql, params)
        return checkpoints.around(" ".join(sql.split()[:3]), execute_sql, sql, params)

    database.execute_sql = execute
    database.commit = lambda: checkpoints.around("COMMIT", commit)
    try:
        yield
    finally:
        del database.execute_sql, database.commit
