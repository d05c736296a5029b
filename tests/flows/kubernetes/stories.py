"""What else may happen to a job on a cluster while its passes die: its pod deleted, a stop, a publishing pod lost."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass

from shared.names import Phase
from tests.flows.docker.harness import until
from tests.flows.kills import Life, Story

MANY_FILES = 30_000
"So many that publishing them takes seconds."


@dataclass(frozen=True)
class Stretch:
    """A story, and the stretch of it at whose places passes die."""

    story: Story
    first: str
    last: str
    kinds: tuple[str, ...] = ("claim", "emptyDir")
    "Of volume, which the story can happen to."


def pod_deleted(life: Life) -> None:
    """Delete the pod that brings the input, in the middle of it."""
    until(lambda: life.served.requests)
    first = life.place.pod(life.record, Phase.PROVISION)
    life.place.api.delete(life.place.path("pods", first["metadata"]["name"]), grace_s=0)

    def is_another() -> bool:
        pod = life.place.pod(life.record, Phase.PROVISION)
        return pod is not None and pod["metadata"]["uid"] != first["metadata"]["uid"]

    until(is_another)
    life.go_on()


def stopped(life: Life) -> None:
    """Stop it once the algorithm is well under way."""
    until(lambda: "up" in life.place.says(life.record, Phase.RUN))
    life.consumer.stop(jobId=life.record["jobId"])


def publishing_ended(life: Life) -> None:
    """Tell the first container that publishes to end, in the middle of its work."""
    pod = until(lambda: life.place.pod(life.record, Phase.PUBLISH))["metadata"]["name"]
    exec_in = [os.environ.get("C2D_KUBE_KUBECTL", "kubectl"), "-n", life.place.namespace, "exec", pod, "-c", "publish"]

    def is_told() -> bool:
        return subprocess.run([*exec_in, "--", "sh", "-c", "kill -TERM 1"], capture_output=True).returncode == 0

    until(is_told)
    until(lambda: not is_told())  # before its first line it does not hear


SLEEPS = "trap 'exit 7' TERM; cat /data/inputs/in.txt; echo run >>/data/outputs/runs.txt; echo up; sleep 600 & wait"
MUCH = f"i=0; while [ $i -lt {MANY_FILES} ]; do : >/data/outputs/$i; i=$((i+1)); done; cat /data/inputs/in.txt"
STRETCHES = {
    "its pod is deleted": Stretch(
        Story(happens=pod_deleted, is_held_up=True), "before ensure_volume #2", "after start #2"
    ),
    "it is stopped": Stretch(Story(SLEEPS, stopped), "before stop #1", "after stop #1"),
    "publishing is ended": Stretch(
        Story(MUCH, publishing_ended, output=None, compute={"cpu": 0.3}),
        "before recreate #1",
        "after start #4",
        kinds=("emptyDir",),  # elsewhere it is a pod, and deleted as the first story's
    ),
}
