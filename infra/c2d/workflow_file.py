"""Own the file that `c2d submit` reads: what it leaves open, the code it names, and what is plainly wrong in it."""

from __future__ import annotations

import graphlib
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.c2d.failures import Failure

try:
    import yaml
except ImportError:  # the extra `node` is not installed: JSON alone
    yaml = None  # type: ignore[assignment]

OPEN = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
RESERVED = frozenset({"ALGO"})
"The container contract's own `${ALGO}` is left for the node to fill in."


def read_workflow(file: str, given: Mapping[str, str]) -> dict[str, Any]:
    """Read a workflow, fill in what it leaves open and the code it names. Raises: Failure, naming the field."""
    folder = Path() if file == "-" else Path(file).parent
    document = filled(parsed(file), given, "")
    body = {"workflow": document} if isinstance(document, list) else document
    if not isinstance(body, dict) or not isinstance(body.get("workflow"), list) or not body["workflow"]:
        raise Failure(f"{file} is no workflow: a list of jobs is expected, or an object whose `workflow` is one")
    check_jobs(body["workflow"])
    jobs = [with_code(job, f"workflow[{place}]", folder) for place, job in enumerate(body["workflow"])]
    return {**body, "workflow": jobs}


def parsed(file: str) -> Any:
    """Read JSON, or YAML where the file's name says so."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{file} cannot be read: {error}") from error
    if Path(file).suffix in (".yaml", ".yml"):
        return parsed_yaml(file, text)
    try:
        return json.loads(text)
    except ValueError as error:
        raise Failure(f"{file} is not JSON: {error}") from error


def parsed_yaml(file: str, text: str) -> Any:
    """Read YAML, where the library is there."""
    if yaml is None:
        raise Failure(f"{file} is YAML, and PyYAML is not installed", "write it as JSON, or install the extra `node`")
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise Failure(f"{file} is not YAML: {error}") from error


def filled(value: Any, given: Mapping[str, str], path: str) -> Any:
    """Replace every `${NAME}` in every text. Raises: Failure for one that was not given."""
    if isinstance(value, dict):
        return {key: filled(inner, given, f"{path}.{key}".lstrip(".")) for key, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner, given, f"{path}[{place}]") for place, inner in enumerate(value)]
    if not isinstance(value, str):
        return value
    missing = [name for name in OPEN.findall(value) if name not in given and name not in RESERVED]
    if missing:
        raise Failure(f"the file leaves {missing[0]} open (at {path})", f"give it with --set {missing[0]}=VALUE")
    return OPEN.sub(lambda match: given.get(match[1], match[0]), value)


def check_jobs(jobs: list[Any]) -> None:
    """Refuse what no node would take: no index, one index twice, waiting for a job that is not there, circles."""
    after: dict[int, list[int]] = {}
    for place, job in enumerate(jobs):
        path = f"workflow[{place}]"
        if not isinstance(job, dict) or not isinstance(job.get("algorithm"), dict):
            raise Failure(f"a job is an object with `index`, `input` and `algorithm` (at {path})")
        index = job.get("index")
        if isinstance(index, bool) or not isinstance(index, int):
            raise Failure(f"a whole number is expected (at {path}.index)")
        if index in after:
            raise Failure(f"index {index} is there twice (at {path}.index)")
        after[index] = earlier_indexes(job)
    for index, earlier in after.items():
        missing = [other for other in earlier if other not in after]
        if missing:
            raise Failure(f"job {index} runs after job {missing[0]}, which is not in the workflow")
    try:
        graphlib.TopologicalSorter(after).prepare()
    except graphlib.CycleError as error:
        raise Failure("jobs wait for each other in a circle: " + " → ".join(map(str, error.args[1]))) from error


def earlier_indexes(job: Mapping[str, Any]) -> list[int]:
    """The indexes a job names in `runAfter` and in its inputs; ids of earlier workflows' jobs are the node's affair."""
    run_after = job.get("runAfter")
    named = run_after if isinstance(run_after, list) else [run_after]
    inputs = [entry for entry in job.get("input") or [] if isinstance(entry, dict)]
    named = [*named, *(entry.get("fromJob", entry.get("previousStage")) for entry in inputs)]
    return [index for index in named if isinstance(index, int) and not isinstance(index, bool)]


def with_code(job: Mapping[str, Any], path: str, folder: Path) -> dict[str, Any]:
    """Put the code of a file named by `rawcodeFile` where `rawcode` belongs."""
    algorithm = dict(job["algorithm"])
    code = algorithm.get("rawcode")
    name = algorithm.pop("rawcodeFile", code.get("rawcodeFile") if isinstance(code, dict) else None)
    if name is None:
        return dict(job)
    try:
        algorithm["rawcode"] = (folder / str(name)).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{folder / str(name)} cannot be read: {error} (at {path}.algorithm.rawcodeFile)") from error
    return {**job, "algorithm": algorithm}
