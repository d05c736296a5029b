"""Own following an engine's events: who waits for a container's start or end is told at once."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import parsedate_to_datetime

from urllib3.exceptions import ReadTimeoutError

from engines.drivers.docker_api import DockerApi, json_lines, label_filter
from shared.errors import Unavailable
from shared.names import LABEL_ENGINE, LABEL_JOB, JobId

LOOKS_UP_S = 1.0
"How often to see whether to stop, while nothing happens."


def watch_containers(
    api: DockerApi, engine: str, wake: Callable[[JobId], None], is_stopped: Callable[[], bool]
) -> None:
    """Call `wake` for every start and end of an engine's containers. Raises: Unavailable when it goes away."""
    since = ""
    while not is_stopped():
        since = _watch_once(api, engine, since, wake, is_stopped)


def _watch_once(
    api: DockerApi, engine: str, since: str, wake: Callable[[JobId], None], is_stopped: Callable[[], bool]
) -> str:
    """Follow until there is silence; returns where to take up again, so that nothing is missed in between."""
    filters = label_filter(type=["container"], event=["start", "die"], label=[f"{LABEL_ENGINE}={engine}"])
    query = {"filters": filters} | ({"since": since} if since else {})
    with api.stream("GET", "/events", query=query, timeout_s=LOOKS_UP_S) as response:
        if response.status_code != 200:
            raise Unavailable(f"The Docker Engine gives no events: status {response.status_code}.")
        since = f"{parsedate_to_datetime(response.headers['Date']).timestamp():.0f}"
        lines = json_lines(response)
        while not is_stopped():
            try:
                event = next(lines)
            except StopIteration as error:  # what listens there next may be another engine
                raise Unavailable("The Docker Engine ended its events.") from error
            except OSError as error:
                if not _is_silence(error):
                    raise
                return since
            since = f"{event['timeNano'] // 10**9}.{event['timeNano'] % 10**9 + 1:09d}"
            if event["Action"] == "die":  # told before the list shows it; to inspect waits until it does
                api.is_there(f"/containers/{event['Actor']['ID']}/json")
            wake(JobId(event["Actor"]["Attributes"].get(LABEL_JOB, "")))
    return since


def _is_silence(error: OSError) -> bool:
    """Whether nothing came for a while, which is no trouble."""
    return isinstance(error, TimeoutError) or any(isinstance(cause, ReadTimeoutError) for cause in error.args)
