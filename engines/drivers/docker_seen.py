"""Own reading what Docker tells of a container, and judging who ended one that was killed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from engines.drivers.docker_api import DockerApi, clear_line, demultiplexed, in_path, json_lines, label_filter
from engines.observation import ContainerSeen, ContainerState
from shared.names import Phase

STATES = {"created": ContainerState.CREATED, "exited": ContainerState.EXITED, "dead": ContainerState.EXITED}
"All others run: paused, restarting, being removed."
BY_SIGNAL = frozenset({137, 143})
LOST_TRACK = 255
"What the engine writes where it could not learn how a container ended; a program may also exit with it."
COULD_NOT_EXEC = frozenset({126, 127})
INIT_FAILED = "[FATAL tini "
RESTORE_MS = 120_000
"An engine that starts again ends what it still finds running within this time."


class DockerSeen:
    """Read containers of one engine; what cannot change any more is remembered."""

    def __init__(self, api: DockerApi) -> None:
        self._api = api
        self._known: dict[str, ContainerSeen] = {}

    def container(self, listed: Mapping[str, Any], phase: Phase) -> ContainerSeen | None:
        """Tell of one container from the engine's list; null where it is gone by now."""
        identity = str(listed["Id"])
        known = self._known.get(identity)
        if known is not None and known.state is STATES.get(str(listed["State"]), ContainerState.RUNNING):
            return known
        found = self._api.is_there(f"/containers/{identity}/json")
        if found is None:
            return None
        seen = self._judge(found, phase)
        if seen.state is not ContainerState.CREATED:
            self._remember(identity, seen)
        return seen

    def _remember(self, identity: str, seen: ContainerSeen) -> None:
        while len(self._known) >= 10_000:
            self._known.pop(next(iter(self._known)), None)
        self._known[identity] = seen

    def _judge(self, found: Mapping[str, Any], phase: Phase) -> ContainerSeen:
        state = found["State"]
        is_ended = STATES.get(str(state["Status"])) is ContainerState.EXITED
        exit_code = int(state["ExitCode"])
        start_error = clear_line(str(state.get("Error") or "")) or None
        if is_ended and exit_code in COULD_NOT_EXEC and not start_error:
            start_error = self._init_error(str(found["Id"]))
        is_oom = bool(state.get("OOMKilled"))
        return ContainerSeen(
            state=STATES.get(str(state["Status"]), ContainerState.RUNNING),
            exit_code=exit_code if is_ended else None,
            oom_killed=is_oom,
            was_killed=is_ended and not is_oom and self._was_killed(found, phase, exit_code),
            started_at_ms=time_ms(state.get("StartedAt")),
            finished_at_ms=end_ms(state) if is_ended else None,
            start_error=start_error,
        )

    def _was_killed(self, found: Mapping[str, Any], phase: Phase, exit_code: int) -> bool:
        """Whether somebody else ended it. An algorithm's word, its exit code, is not enough: lost ones cost nothing."""
        if exit_code not in BY_SIGNAL and exit_code != LOST_TRACK:
            return False
        if exit_code in BY_SIGNAL and phase is not Phase.RUN:
            return True  # our own pods never end so by themselves
        return self._ended_with_engine(found["State"]) or self._was_signalled(found)

    def _ended_with_engine(self, state: Mapping[str, Any]) -> bool:
        """Whether it began under an earlier run of the engine and ended then, or when this one began.

        The default bridge is made anew whenever the engine starts; an engine without one cannot tell: then yes.
        """
        bridge = self._api.is_there("/networks/bridge")
        if bridge is None:
            return True
        engine_at = time_ms(bridge.get("Created")) or 0
        started_at, finished_at = time_ms(state.get("StartedAt")) or 0, time_ms(state.get("FinishedAt")) or 0
        return started_at < engine_at and finished_at < engine_at + RESTORE_MS

    def _was_signalled(self, found: Mapping[str, Any]) -> bool:
        """Whether the engine remembers having been asked to kill it (it keeps its latest 256 events)."""
        query = {
            "since": epoch(found["State"].get("StartedAt")),
            "until": epoch(found["State"].get("FinishedAt"), ahead_s=1),
            "filters": label_filter(container=[str(found["Id"])], event=["kill"]),
        }
        with self._api.stream("GET", "/events", query=query) as response:
            return any("Action" in line for line in json_lines(response))

    def _init_error(self, identity: str) -> str | None:
        """Why the container's init could not start the command: its one line of log."""
        query = {"stdout": 1, "stderr": 1, "tail": 1}
        with self._api.stream("GET", f"/containers/{in_path(identity)}/logs", query=query) as response:
            if response.status_code != 200:
                return None
            line = b"".join(demultiplexed(response.iter_content(4096)))[:1000].decode(errors="replace").strip()
        if not line.startswith(INIT_FAILED):
            return None
        return "The command cannot be started: " + line.partition("] ")[2].removeprefix("exec ").replace(
            " failed:", ":"
        )


def time_ms(text: object) -> int | None:
    """Docker's time (RFC 3339 with nanoseconds) as Unix ms; its zero time is none."""
    if not isinstance(text, str) or text.startswith("0001-"):
        return None
    whole = re.sub(r"(\.\d{1,6})\d*", r"\1", text).replace("Z", "+00:00")
    return round(datetime.fromisoformat(whole).timestamp() * 1000)


def end_ms(state: Mapping[str, Any]) -> int | None:
    """When a container ended; Docker reads two clocks, so a short one may end before it starts by its word."""
    finished_at_ms = time_ms(state.get("FinishedAt"))
    return None if finished_at_ms is None else max(finished_at_ms, time_ms(state.get("StartedAt")) or 0)


def epoch(text: object, ahead_s: int = 0) -> str:
    """The same as seconds, as the engine's parameters take it."""
    return f"{(time_ms(text) or 0) / 1000 + ahead_s:.3f}"
