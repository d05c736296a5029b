"""The workflow's graph and its two forms; pure."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import command_form, file_objects, workflow
from shared.errors import NotAvailable
from shared.files import FETCHERS
from shared.run_after import find_cycle
from tests.factories import command_body, workflow_job

URL = {"type": "url", "url": "https://example.org/a.csv"}


def read(*jobs: dict[str, Any], **fields: Any) -> workflow.Workflow:
    """Read the workflow form; nothing in it is encrypted."""
    return workflow.from_body({"workflow": list(jobs), **fields}, bytes.fromhex)


@given(st.dictionaries(st.integers(0, 9), st.lists(st.integers(0, 9), max_size=4), max_size=10))
def test_a_cycle_is_found_exactly_where_no_order_exists(after: dict[int, list[int]]) -> None:
    graph = {each: [other for other in others if other in after] for each, others in after.items()}
    cycle = find_cycle(graph)
    assert bool(cycle) is not has_order(graph)
    assert all(later in graph[earlier] for earlier, later in pairwise(cycle))
    assert not cycle or cycle[0] == cycle[-1]


def has_order(graph: dict[int, list[int]]) -> bool:
    """Whether taking away what waits for nothing, again and again, leaves nothing."""
    left = dict(graph)
    while left:
        free = [each for each, others in left.items() if not any(other in left for other in others)]
        if not free:
            return False
        for each in free:
            del left[each]
    return True


def test_what_is_ready_follows_from_what_has_succeeded() -> None:
    parsed = read(workflow_job(0), workflow_job(1), workflow_job(2, runAfter=[0, 1]))
    assert [job.index for job in workflow.ready(parsed.jobs, ())] == [0, 1]
    assert [job.index for job in workflow.ready(parsed.jobs, (0, 1))] == [0, 1, 2]


def test_defaults_of_the_workflow_form_are_a_days_wait_and_the_environments_limits() -> None:
    parsed = read(workflow_job(), environment="0x1-0x2")
    (job,) = parsed.jobs
    assert (parsed.door, parsed.queue_max_wait_s) == ("workflow", 86_400)
    assert (job.environment_id, dict(job.wanted), job.max_duration_s) == ("0x1-0x2", {}, None)


def test_disc_and_further_resources_are_wanted_by_the_environments_names() -> None:
    compute = {"cpu": 0.5, "ram": 2, "disc": 3, "maxDuration": 10.2}
    (job,) = read(workflow_job(compute=compute, resources=[{"id": "gpu0", "amount": 1}, {"id": "fpga"}])).jobs
    assert job.wanted == {"cpu": 0.5, "ram": 2, "disk": 3, "gpu0": 1}
    assert job.max_duration_s == 11


@pytest.mark.parametrize("files", [URL, [URL, URL], {"files": [URL]}], ids=["one", "list", "object"])
def test_files_are_read_however_they_are_written(files: Any) -> None:
    (job,) = read(workflow_job(input=[{"index": 0, "files": files}])).jobs
    assert all(file == URL for file in job.inputs[0].files) and job.inputs[0].files


def test_an_input_from_an_earlier_job_implies_run_after_once() -> None:
    job = workflow_job(1, runAfter=[0], input=[{"index": 0, "fromJob": 0}, {"index": 1, "previousStage": 0}])
    assert read(workflow_job(0), job).jobs[1].run_after == (0,)


def test_ocean_nodes_form_becomes_a_workflow_of_one_job() -> None:
    parsed = command_form.from_body(command_body(maxJobDuration=60, queueMaxWaitTime=5), bytes.fromhex)
    (job,) = parsed.jobs
    assert (parsed.door, parsed.queue_max_wait_s, job.max_duration_s) == ("command", 5, 60)
    assert job.inputs[0].files[0]["url"] == URL["url"] and job.algorithm.rawcode == "print(1)"


def test_empty_ids_of_the_command_form_mean_none() -> None:
    dataset = {"documentId": "", "serviceId": "", "fileObject": URL}
    (job,) = command_form.from_body(command_body(datasets=[dataset]), bytes.fromhex).jobs
    assert (job.inputs[0].did, job.inputs[0].service_id) == (None, None)


def test_a_did_alone_is_refused_where_none_can_be_resolved() -> None:
    with pytest.raises(NotAvailable) as refused:
        command_form.from_body(command_body(datasets=[{"documentId": "did:op:1"}]), bytes.fromhex)
    assert refused.value.facts["path"] == "datasets[0]"


def test_the_types_that_are_accepted_are_those_that_can_be_fetched() -> None:
    assert set(FETCHERS) == file_objects.READABLE
