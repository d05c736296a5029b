"""The decision as a table: for a job and what was seen of it, what to do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engines.actions import (
    Action,
    Create,
    EnsureImage,
    EnsureVolume,
    Look,
    Move,
    Record,
    Remove,
    SaveLog,
    ShipLog,
    Start,
    Stop,
)
from engines.decide import GRACE_S, LAST_WORDS_MS, LOOK_MS, MOST_LOOK_MS, RULES, decide
from engines.job_view import GIB, JobView
from engines.observation import ContainerSeen, ContainerState, Seen
from engines.pod_rules import LOOK_MS as POD_LOOK_MS
from engines.pod_rules import SILENCE_MS
from engines.publish_rules import RETRY_MS
from shared.lifecycle import STOPPED_IN_LINE, UNFINISHED, JobStatus, Reason
from shared.names import JobId, Phase

NOW = 1_700_000_000_000
PROVISION, RUN, PUBLISH = Phase.PROVISION, Phase.RUN, Phase.PUBLISH
S = JobStatus
RUNNING = ContainerSeen(ContainerState.RUNNING, started_at_ms=NOW - 1000)
CREATED = ContainerSeen(ContainerState.CREATED)
WAITING = ContainerSeen(ContainerState.RUNNING)
NODE_GONE = ContainerSeen(
    ContainerState.EXITED, was_killed=True, lost="The node the job ran on was lost",
    started_at_ms=NOW - 1000, finished_at_ms=NOW - 10,
)  # fmt: skip
GOOD = ContainerSeen(ContainerState.EXITED, exit_code=0, started_at_ms=NOW - 1000, finished_at_ms=NOW - 10)
BAD = replace(GOOD, exit_code=3)
KILLED = replace(GOOD, exit_code=137, was_killed=True)
OVERFULL = ContainerSeen(ContainerState.EXITED, disk_exceeded=True)
OOM = replace(GOOD, exit_code=137, oom_killed=True)
DONE = {"state": "done"}
NOT_DONE = {"state": "failed", "code": "data_failed", "reason": "404"}


def job(status: JobStatus, **fields: Any) -> JobView:
    return JobView(JobId("j"), status, **fields)


def seen(has_volume: bool = True, used: int | None = None, **containers: ContainerSeen) -> Seen:
    return Seen(has_volume, {Phase(name): each for name, each in containers.items()}, used)


def end(to: JobStatus, reason: Reason | None, detail: str | None, *between: Action) -> list[Action]:
    known = Record({"ending": to.value, "reason": reason.value if reason else None, "reason_detail": detail})
    return [known, *between, Remove(), Move(to, reason, detail)]


def facts(code: int, reason: Reason | None = None, detail: str | None = None, **more: Any) -> Record:
    known = {"exit_code": code, "oom_killed": False, "started_at_ms": NOW - 1000, "stopped_at_ms": NOW - 10}
    return Record(known | {"reason": reason.value if reason else None, "reason_detail": detail} | more)


def replace_exit(known: Record) -> Record:
    """The same of an end that nobody saw."""
    return Record(known.changes | {"exit_code": None})


def again(phase: Phase, starts: int) -> list[Action]:
    said = Record({f"{phase}_report": None, "progress": {"at_ms": NOW, "again": True}})
    counted = Record({f"{phase}_starts": starts, "progress": {"at_ms": NOW}})
    return [said, Create(phase, is_anew=True), counted, Start(phase), Look(NOW + POD_LOOK_MS)]


STOPPED_EARLY = "Stopped by its owner before the algorithm started."
GONE = "The algorithm's container is gone; it is not run a second time."
ENDED = "The engine ended the algorithm; it is not run a second time."
MEMORY = "The algorithm needed more memory than the job was granted."
FULL = "The job wrote more than the 1 GiB it was granted. The engine removed its volume, and its outputs with it."
ONCE = "the algorithm is not run a second time."
NODE = "The node the job ran on was lost"
AGAIN = Record({"reason_detail": f"{NODE}; the provision pod is started again."}, is_told=True)
UNHEARD = "the node it runs on does not answer"
NO_NODE = "queued: no node of the cluster takes it"
REMOVED = "Somebody removed the job's volume while the algorithm ran."
CODE_3 = "The algorithm ended with exit code 3."
SILENT = f"The provision pod said nothing for {SILENCE_MS // 1000} seconds."
USED_UP = "The algorithm used up its 60 seconds."
DISK = "The job wrote more than the 1 GiB it was granted."
started = {"started_at_ms": NOW - 1000, "saved": frozenset({"configuration.log"})}
provisioned = {"provision_starts": 1, "provision_report": DONE}
uploaded = {"publish_starts": 1, "publish_report": DONE, "exit_code": 0, "saved": frozenset({"algorithm.log"})}
waits = {"publish_starts": 1, "reason": Reason.STOPPED, "detail": "Stopped by its owner.", "exit_code": 143} | {
    "saved": frozenset({"algorithm.log"})
}
ran = {"exit_code": 0, "saved": frozenset({"algorithm.log"})}

TABLE: list[tuple[str, JobView, Seen, list[Action]]] = [
    ("a job that is not ready waits", job(S.QUEUED), Seen(), []),
    ("a job in line waits for its end", job(S.QUEUED, queue_ends_at_ms=NOW + 5), Seen(), [Look(NOW + 5)]),
    ("waited too long", job(S.QUEUED, queue_ends_at_ms=NOW), Seen(),
        [Move(S.QUEUE_EXPIRED, Reason.QUEUE, "Waited longer than queueMaxWaitTime allows.")]),
    ("stopped in line", job(S.QUEUED, stop_requested=True, queue_ends_at_ms=NOW), Seen(),
        [Move(S.FINISHED, Reason.STOPPED, STOPPED_IN_LINE)]),
    ("an image is pulled", job(S.PULLING_IMAGE), Seen(), [EnsureImage(), Move(S.CONFIGURING_VOLUMES)]),
    ("an image is built", job(S.BUILDING_IMAGE), Seen(), [EnsureImage(), Move(S.CONFIGURING_VOLUMES)]),
    ("stopped while an image is pulled", job(S.PULLING_IMAGE, stop_requested=True), Seen(),
        end(S.FINISHED, Reason.STOPPED, STOPPED_EARLY)),
    ("a volume is made", job(S.CONFIGURING_VOLUMES), Seen(), [EnsureVolume(), Move(S.PROVISIONING)]),
    ("stopped before there is a volume", job(S.CONFIGURING_VOLUMES, stop_requested=True), Seen(),
        end(S.FINISHED, Reason.STOPPED, STOPPED_EARLY)),
    ("the configuration pod is started", job(S.PROVISIONING), seen(),
        [Create(PROVISION), Record({"provision_starts": 1}), Start(PROVISION), Look(NOW + POD_LOOK_MS)]),
    ("a pod that is only made is started", job(S.PROVISIONING, provision_starts=1), seen(provision=CREATED),
        [Start(PROVISION), Look(NOW + POD_LOOK_MS)]),
    ("a pod that is made and not counted is counted, then started", job(S.PROVISIONING), seen(provision=CREATED),
        [Record({"provision_starts": 1}), Start(PROVISION), Look(NOW + POD_LOOK_MS)]),
    ("a pod that is made anew and not counted is counted, then started",
        job(S.PROVISIONING, provision_starts=1, is_starting_again=True), seen(provision=CREATED),
        again(PROVISION, 2)[2:]),
    ("a pod at work is waited for", job(S.PROVISIONING, provision_starts=1), seen(provision=RUNNING),
        [Look(NOW + POD_LOOK_MS)]),
    ("a pod that told of progress is waited for",
        job(S.PROVISIONING, provision_starts=1, heard_at_ms=NOW - SILENCE_MS),
        seen(provision=replace(RUNNING, started_at_ms=NOW - 9 * SILENCE_MS)), [Look(NOW + POD_LOOK_MS)]),
    ("a silent pod is ended", job(S.PROVISIONING, provision_starts=1, heard_at_ms=NOW - SILENCE_MS - 1),
        seen(provision=replace(RUNNING, started_at_ms=1)),
        end(S.DATA_FAILED, Reason.TIMEOUT, SILENT, Stop(PROVISION, 0), SaveLog(PROVISION))),
    ("a pod that exited without a report fails the job", job(S.PROVISIONING, provision_starts=1), seen(provision=BAD),
        end(S.DATA_FAILED, Reason.ERROR, "The provision pod ended without a good report (exit code 3).",
            SaveLog(PROVISION))),
    ("good exit without a report is no success", job(S.PROVISIONING, provision_starts=1), seen(provision=GOOD),
        end(S.DATA_FAILED, Reason.ERROR, "The provision pod ended without a good report (exit code 0).",
            SaveLog(PROVISION))),
    ("a good report from a pod that still runs is no success yet", job(S.PROVISIONING, **provisioned),
        seen(provision=RUNNING), [Look(NOW + POD_LOOK_MS)]),
    ("a good report with a bad exit fails", job(S.PROVISIONING, **provisioned), seen(provision=BAD),
        end(S.DATA_FAILED, Reason.ERROR, "The provision pod ended without a good report (exit code 3).",
            SaveLog(PROVISION))),
    ("a pod out of memory says so", job(S.PROVISIONING, provision_starts=1), seen(provision=OOM),
        end(S.DATA_FAILED, Reason.ERROR, "The provision pod ended without a good report (out of memory).",
            SaveLog(PROVISION))),
    ("a pod that is gone is started again, its volume too", job(S.PROVISIONING, provision_starts=1), seen(False),
        [EnsureVolume(), *again(PROVISION, 2)]),
    ("a killed pod is started again", job(S.PROVISIONING, provision_starts=3), seen(provision=KILLED),
        [EnsureVolume(), *again(PROVISION, 4)]),
    ("a pod whose node was lost is started again, and its owner is told",
        job(S.PROVISIONING, provision_starts=1), seen(provision=NODE_GONE),
        [AGAIN, EnsureVolume(), *again(PROVISION, 2)]),
    ("a node lost too often fails the job", job(S.PROVISIONING, provision_starts=4), seen(provision=NODE_GONE),
        end(S.DATA_FAILED, Reason.LOST, f"The provision pod was lost 4 times. {NODE}.", SaveLog(PROVISION))),
    ("inputs that went with their volume are fetched anew", job(S.PROVISIONING, **provisioned),
        seen(False, provision=GOOD),
        [Record({"reason_detail": "Somebody removed the job's volume; the provision pod is started again."},
            is_told=True), EnsureVolume(), *again(PROVISION, 2)]),
    ("a pod whose Secret somebody deleted gets it again", job(S.PROVISIONING, provision_starts=1, detail="no secret"),
        seen(provision=replace(WAITING, waiting="no secret", lacks_parts=True)),
        [Create(PROVISION), Look(NOW + POD_LOOK_MS)]),
    ("a pod lost too often fails the job", job(S.PROVISIONING, provision_starts=4), seen(provision=KILLED),
        end(S.DATA_FAILED, Reason.LOST, "The provision pod was lost 4 times.", SaveLog(PROVISION))),
    ("the old container of a pod that is being started again is not judged",
        job(S.PROVISIONING, provision_starts=1, is_starting_again=True), seen(provision=BAD),
        [EnsureVolume(), *again(PROVISION, 2)]),
    ("inputs that are more than the disk", job(S.PROVISIONING, provision_starts=1), seen(False, provision=OVERFULL),
        end(S.DATA_FAILED, Reason.DISK_QUOTA, DISK, SaveLog(PROVISION))),
    ("a pod that cannot start", job(S.PROVISIONING, provision_starts=1),
        seen(provision=replace(CREATED, start_error="no such file")),
        end(S.DATA_FAILED, Reason.ERROR, "no such file", SaveLog(PROVISION))),
    ("a pod that says it failed may end by itself",
        job(S.PROVISIONING, provision_starts=1, provision_report=NOT_DONE, heard_at_ms=NOW), seen(provision=RUNNING),
        [Look(NOW + LAST_WORDS_MS)]),
    ("a pod that says it failed is ended after a while",
        job(S.PROVISIONING, provision_starts=1, provision_report=NOT_DONE, heard_at_ms=NOW - LAST_WORDS_MS),
        seen(provision=RUNNING), end(S.DATA_FAILED, Reason.ERROR, "404", Stop(PROVISION, 0), SaveLog(PROVISION))),
    ("the algorithm could not be had",
        job(S.PROVISIONING, provision_starts=1, provision_report={**NOT_DONE, "code": "algorithm_failed"}),
        seen(provision=BAD), end(S.ALGORITHM_FAILED, Reason.ERROR, "404", SaveLog(PROVISION))),
    ("the algorithm starts", job(S.PROVISIONING, **provisioned), seen(provision=GOOD), [Create(RUN), Move(S.RUNNING)]),
    ("stopped when the algorithm is made and the job does not say so yet",
        job(S.PROVISIONING, stop_requested=True, **provisioned), seen(provision=GOOD, run=CREATED),
        end(S.FINISHED, Reason.STOPPED, STOPPED_EARLY, SaveLog(PROVISION), SaveLog(RUN))),
    ("stopped while provisioning", job(S.PROVISIONING, stop_requested=True, **provisioned), seen(provision=RUNNING),
        end(S.FINISHED, Reason.STOPPED, STOPPED_EARLY, Stop(PROVISION, 0), SaveLog(PROVISION))),
    ("the start is written down", job(S.RUNNING), seen(run=RUNNING), [Record({"started_at_ms": NOW - 1000})]),
    ("a running algorithm's log is shipped", job(S.RUNNING, **started), seen(run=RUNNING, provision=GOOD),
        [ShipLog(RUN), Look(NOW + LOOK_MS)]),
    ("the configuration log is saved while the algorithm runs", job(S.RUNNING, started_at_ms=NOW),
        seen(run=RUNNING, provision=GOOD), [SaveLog(PROVISION), ShipLog(RUN), Look(NOW + LOOK_MS)]),
    ("one that has run for two minutes is looked at less often",
        job(S.RUNNING, **{**started, "started_at_ms": NOW - 120_000}, max_duration_s=3600), seen(run=RUNNING),
        [ShipLog(RUN), Look(NOW + 2000)]),
    ("the longer it runs the less often it is looked at, up to a bound",
        job(S.RUNNING, **{**started, "started_at_ms": NOW - 3_000_000}, max_duration_s=3600), seen(run=RUNNING),
        [ShipLog(RUN), Look(NOW + MOST_LOOK_MS)]),
    ("the end of its time is not overslept", job(S.RUNNING, **{**started, "started_at_ms": NOW - 59_500}),
        seen(run=RUNNING), [ShipLog(RUN), Look(NOW + 500)]),
    ("out of time", job(S.RUNNING, **{**started, "started_at_ms": NOW - 60_000}), seen(run=RUNNING),
        [Record({"reason": "timeout", "reason_detail": USED_UP}), Stop(RUN, GRACE_S)]),
    ("stopped while running", job(S.RUNNING, stop_requested=True, **started), seen(run=RUNNING),
        [Record({"reason": "stopped", "reason_detail": "Stopped by its owner."}), Stop(RUN, GRACE_S)]),
    ("too much on the disk", job(S.RUNNING, **started), seen(run=RUNNING, used=GIB + 1),
        [Record({"reason": "disk", "reason_detail": DISK}), Stop(RUN, GRACE_S)]),
    ("all the disk it was granted is not too much", job(S.RUNNING, **started), seen(run=RUNNING, used=GIB),
        [ShipLog(RUN), Look(NOW + LOOK_MS)]),
    ("told to end, and still there", job(S.RUNNING, reason=Reason.TIMEOUT, detail=USED_UP, **started),
        seen(run=RUNNING), [Stop(RUN, GRACE_S)]),
    ("made and not started", job(S.RUNNING), seen(run=CREATED), [Start(RUN)]),
    ("stopped before it started", job(S.RUNNING, stop_requested=True), seen(run=CREATED),
        [Record({"reason": "stopped", "reason_detail": STOPPED_EARLY}),
         Move(S.PUBLISHING, Reason.STOPPED, STOPPED_EARLY)]),
    ("its time does not begin while it waits for the engine", job(S.RUNNING), seen(run=WAITING),
        [ShipLog(RUN), Look(NOW + LOOK_MS)]),
    ("stopped while it waits for the engine", job(S.RUNNING, stop_requested=True), seen(run=WAITING),
        [Record({"reason": "stopped", "reason_detail": "Stopped by its owner."}), Stop(RUN, GRACE_S)]),
    ("an algorithm that cannot start", job(S.RUNNING), seen(run=replace(CREATED, start_error="not found: x")),
        end(S.RUN_FAILED, Reason.ERROR, "not found: x", SaveLog(RUN))),
    ("ended well", job(S.RUNNING), seen(run=GOOD), [facts(0), Move(S.PUBLISHING)]),
    ("ended badly", job(S.RUNNING), seen(run=BAD), [facts(3, None, CODE_3), Move(S.PUBLISHING, None, CODE_3)]),
    ("ended by the engine", job(S.RUNNING), seen(run=KILLED),
        [facts(137, Reason.LOST, ENDED), Move(S.PUBLISHING, Reason.LOST, ENDED)]),
    ("ended with its node", job(S.RUNNING), seen(run=NODE_GONE),
        [replace_exit(facts(0, Reason.LOST, f"{NODE}; {ONCE}")), Move(S.PUBLISHING, Reason.LOST, f"{NODE}; {ONCE}")]),
    ("whether one whose node was lost used up its time nobody knows",
        job(S.RUNNING, reason=Reason.TIMEOUT, detail=USED_UP, **started), seen(run=NODE_GONE),
        [replace_exit(facts(0, Reason.LOST, f"{NODE}; {ONCE}")), Move(S.PUBLISHING, Reason.LOST, f"{NODE}; {ONCE}")]),
    ("stopped by its owner on a node that was lost",
        job(S.RUNNING, reason=Reason.STOPPED, detail="Stopped by its owner.", **started), seen(run=NODE_GONE),
        [replace_exit(facts(0, Reason.STOPPED, "Stopped by its owner.")),
            Move(S.PUBLISHING, Reason.STOPPED, "Stopped by its owner.")]),
    ("its node does not answer: its owner is told, and nobody is asked for the log",
        job(S.RUNNING, **started), seen(run=replace(RUNNING, waiting=UNHEARD)),
        [Record({"reason_detail": UNHEARD}, is_told=True), Look(NOW + LOOK_MS)]),
    ("its node answers again", job(S.RUNNING, detail=UNHEARD, **started), seen(run=RUNNING),
        [Record({"reason_detail": None}, is_told=True), ShipLog(RUN), Look(NOW + LOOK_MS)]),
    ("stopped while its node does not answer", job(S.RUNNING, stop_requested=True, **started),
        seen(run=replace(RUNNING, waiting=UNHEARD)),
        [Record({"reason": "stopped", "reason_detail": "Stopped by its owner."}), Stop(RUN, GRACE_S)]),
    ("its volume is taken from under it", job(S.RUNNING, **started), seen(False, run=RUNNING),
        [Record({"reason": "lost", "reason_detail": REMOVED}), Stop(RUN, GRACE_S)]),
    ("its pod is being deleted, and its volume with it: it ends soon, and then it is known how",
        job(S.RUNNING, **started), seen(False, run=replace(RUNNING, lost="Gone")), [ShipLog(RUN), Look(NOW + LOOK_MS)]),
    ("ended for want of memory", job(S.RUNNING), seen(run=OOM),
        [facts(137, Reason.OUT_OF_MEMORY, MEMORY, oom_killed=True), Move(S.PUBLISHING, Reason.OUT_OF_MEMORY, MEMORY)]),
    ("ended because it was told to", job(S.RUNNING, reason=Reason.TIMEOUT, detail=USED_UP, **started),
        seen(run=KILLED), [facts(137, Reason.TIMEOUT, USED_UP), Move(S.PUBLISHING, Reason.TIMEOUT, USED_UP)]),
    ("gone before it was seen: it may have run, so it is lost", job(S.RUNNING, stop_requested=True), seen(),
        [Record({"reason": "lost", "reason_detail": GONE}), Move(S.PUBLISHING, Reason.LOST, GONE)]),
    ("gone, and its volume with it", job(S.RUNNING, **started), seen(False),
        end(S.RUN_FAILED, Reason.LOST, f"{GONE} Its outputs are gone.", SaveLog(RUN))),
    ("publishing starts, the log is saved", job(S.PUBLISHING, exit_code=0), seen(run=GOOD),
        [Create(PUBLISH), Record({"publish_starts": 1}), Start(PUBLISH), SaveLog(RUN), Look(NOW + POD_LOOK_MS)]),
    ("both earlier logs are saved while the pod works", job(S.PUBLISHING, publish_starts=1, exit_code=0),
        seen(provision=GOOD, run=GOOD, publish=RUNNING),
        [SaveLog(PROVISION), SaveLog(RUN), Look(NOW + POD_LOOK_MS)]),
    ("a publishing pod at work", job(S.PUBLISHING, publish_starts=1, **ran), seen(run=GOOD, publish=RUNNING),
        [Look(NOW + POD_LOOK_MS)]),
    ("published", job(S.PUBLISHING, **uploaded), seen(run=GOOD, publish=GOOD),
        end(S.FINISHED, None, None, SaveLog(PUBLISH))),
    ("published what a failed algorithm left", job(S.PUBLISHING, **uploaded | {"exit_code": 3, "detail": CODE_3}),
        seen(run=BAD, publish=GOOD), end(S.RUN_FAILED, None, CODE_3, SaveLog(PUBLISH))),
    ("published after a stop", job(S.PUBLISHING, reason=Reason.STOPPED, **uploaded | {"exit_code": 143}),
        seen(publish=GOOD), end(S.FINISHED, Reason.STOPPED, None, SaveLog(PUBLISH))),
    ("published after too much disk", job(S.PUBLISHING, reason=Reason.DISK_QUOTA, **uploaded), seen(publish=GOOD),
        end(S.DISK_EXCEEDED, Reason.DISK_QUOTA, None, SaveLog(PUBLISH))),
    ("published what a lost algorithm left", job(S.PUBLISHING, reason=Reason.LOST, **uploaded), seen(publish=GOOD),
        end(S.RUN_FAILED, Reason.LOST, None, SaveLog(PUBLISH))),
    ("a report alone is not the end", job(S.PUBLISHING, **uploaded), seen(publish=RUNNING), [Look(NOW + POD_LOOK_MS)]),
    ("a lost publishing pod is started again", job(S.PUBLISHING, publish_starts=1, **ran), seen(run=GOOD),
        again(PUBLISH, 2)),
    ("the outputs are gone", job(S.PUBLISHING, publish_starts=1, **ran), seen(False),
        end(S.RUN_FAILED, Reason.LOST, "The job's volume is gone, and its outputs with it.")),
    ("the outputs went with the node", job(S.PUBLISHING, reason=Reason.LOST, detail=f"{NODE}; {ONCE}", **ran),
        seen(False), end(S.RUN_FAILED, Reason.LOST, f"{NODE}; {ONCE} Its outputs are gone.")),
    ("a pod that has the outputs before it may finish though their volume is being removed",
        job(S.PUBLISHING, publish_starts=1, **ran), seen(False, publish=RUNNING), [Look(NOW + POD_LOOK_MS)]),
    ("its owner is told why the outputs wait",
        job(S.PUBLISHING, publish_starts=1, reason=Reason.LOST, detail=f"{NODE}; {ONCE}", **ran),
        seen(publish=replace(WAITING, waiting=NO_NODE)),
        [Record({"reason_detail": NO_NODE}, is_told=True), Look(NOW + POD_LOOK_MS)]),
    ("what a lost algorithm left cannot be published: it stays lost",
        job(S.PUBLISHING, publish_starts=1, reason=Reason.LOST, detail=f"{NODE}; {ONCE}", **ran),
        seen(publish=replace(WAITING, state=ContainerState.EXITED, start_error=NO_NODE)),
        end(S.RUN_FAILED, Reason.LOST, f"{NODE}; {ONCE} Its outputs were not published: {NO_NODE}", SaveLog(PUBLISH))),
    ("stopped, and its outputs wait", job(S.PUBLISHING, stop_requested=True, stopped_at_ms=NOW - SILENCE_MS, **waits),
        seen(publish=replace(WAITING, waiting=NO_NODE)),
        [Record({"reason_detail": NO_NODE}, is_told=True), Look(NOW + POD_LOOK_MS)]),
    ("stopped, and its outputs have waited for long",
        job(S.PUBLISHING, stop_requested=True, stopped_at_ms=NOW - SILENCE_MS - 1, **waits),
        seen(publish=replace(WAITING, waiting=NO_NODE)),
        end(S.FINISHED, Reason.STOPPED, f"Stopped by its owner. Its outputs were not published: {NO_NODE}",
            Stop(PUBLISH, 0), SaveLog(PUBLISH))),
    ("published before the volume went", job(S.PUBLISHING, **uploaded), seen(False, publish=GOOD),
        end(S.FINISHED, None, None, SaveLog(PUBLISH))),
    ("the outputs went with a volume that was full", job(S.PUBLISHING, reason=Reason.DISK_QUOTA, **ran), seen(False),
        end(S.DISK_EXCEEDED, Reason.DISK_QUOTA, FULL)),
    ("the volume was full when all was packed", job(S.PUBLISHING, publish_starts=1, **ran),
        seen(False, publish=OVERFULL), end(S.DISK_EXCEEDED, Reason.DISK_QUOTA, FULL, SaveLog(PUBLISH))),
    ("an upload that failed is tried again, later",
        job(S.PUBLISHING, publish_starts=1, publish_report=NOT_DONE, heard_at_ms=NOW, **ran), seen(publish=BAD),
        [Look(NOW + RETRY_MS)]),
    ("an upload that failed is tried again",
        job(S.PUBLISHING, publish_starts=1, publish_report=NOT_DONE, heard_at_ms=NOW - RETRY_MS, **ran),
        seen(publish=BAD), again(PUBLISH, 2)),
    ("a pod that failed and runs on is ended first",
        job(S.PUBLISHING, publish_starts=1, publish_report=NOT_DONE, heard_at_ms=NOW - RETRY_MS, **ran),
        seen(publish=RUNNING), [Stop(PUBLISH, 0)]),
    ("an upload that fails too often",
        job(S.PUBLISHING, publish_starts=4, publish_report=NOT_DONE, heard_at_ms=NOW, **ran), seen(publish=BAD),
        end(S.PUBLISH_FAILED, Reason.ERROR, "404", SaveLog(PUBLISH))),
    ("a stop no longer matters while publishing", job(S.PUBLISHING, publish_starts=1, stop_requested=True, **ran),
        seen(publish=RUNNING), [Look(NOW + POD_LOOK_MS)]),
    ("a known end is brought about",
        job(S.RUNNING, ending=S.RUN_FAILED, reason=Reason.LOST, detail=GONE, saved=frozenset({"configuration.log"})),
        seen(provision=GOOD, run=RUNNING),
        [Stop(RUN, 0), SaveLog(RUN), Remove(), Move(S.RUN_FAILED, Reason.LOST, GONE)]),
    ("a known end needs nothing outside any more", job(S.PUBLISHING, ending=S.FINISHED), Seen(),
        [Remove(), Move(S.FINISHED)]),
]  # fmt: skip


@pytest.mark.parametrize(("sentence", "row", "outside", "expected"), TABLE, ids=[row[0] for row in TABLE])
def test_what_is_done(sentence: str, row: JobView, outside: Seen, expected: list[Action]) -> None:
    assert decide(row, outside, NOW) == expected


def test_there_is_a_rule_for_each_unfinished_status_and_no_other() -> None:
    assert set(RULES) == UNFINISHED
