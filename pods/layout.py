"""Own where everything lies below /data before the algorithm starts (container contract §4); pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pods.names import DOOR_FILE, free_name, safe_did, safe_name
from pods.work import ALGORITHM_FAILED, DATA_FAILED, Download, Earlier, Text, Work
from shared import files

CUSTOM_DATA = "algoCustomData.json"


def plan(document: Mapping[str, Any]) -> Work:
    """Lay out what c2dJobProvision answered. Raises: InvalidRequest, NotAvailable for a file object that is not."""
    algorithm = document["algorithm"]
    inputs = document["inputs"]
    earlier = tuple(_earlier(entry) for entry in inputs if entry.get("fromJob") and entry.get("result"))
    return Work(
        (*_input_files(inputs, document.get("layout", "did")), *_algorithm_files(algorithm)),
        earlier,
        (*_ddos(document.get("ddos") or {}), *_code(algorithm), _custom_data(document), _door(document)),
        tuple(f"inputs/{safe_did(entry['fromJob'])}" for entry in inputs if entry.get("fromJob")),
        algorithm.get("checksum"),
    )


def _input_files(inputs: list[Mapping[str, Any]], layout: str) -> list[Download]:
    """Give each file one place: by DID and number, or by a name of its own among the flat ones."""
    found: list[Download] = []
    taken, numbers = {CUSTOM_DATA.lower()}, dict[str, int]()
    taken.update(safe_did(entry["fromJob"]).lower() for entry in inputs if entry.get("fromJob"))
    taken.update(safe_did(entry["did"]).lower() for entry in inputs if entry.get("did"))
    for entry in inputs:
        for at, file in enumerate(entry.get("files") or ()):
            if entry.get("did") and layout == "did":
                folder = safe_did(entry["did"])
                path = f"{folder}/{numbers.setdefault(folder, 0)}"
                numbers[folder] += 1
            else:
                path = free_name(safe_name(file.get("name") or files.name_of(file), str(entry["index"])), taken)
            label = f"input {entry['index']}, file {at}"
            found.append(Download(f"inputs/{path}", label, file, DATA_FAILED))
    return found


def _algorithm_files(algorithm: Mapping[str, Any]) -> list[Download]:
    if algorithm.get("rawcode"):
        return []
    return [
        Download(
            f"transformations/{at or 'algorithm'}",
            f"algorithm, file {at}",
            file,
            ALGORITHM_FAILED,
            0o644 if at else 0o755,
        )
        for at, file in enumerate(algorithm.get("files") or ())
    ]


def _code(algorithm: Mapping[str, Any]) -> list[Text]:
    code = algorithm.get("rawcode")
    return [Text("transformations/algorithm", code, 0o755)] if code else []


def _earlier(entry: Mapping[str, Any]) -> Earlier:
    result, job_id = entry["result"], entry["fromJob"]
    return Earlier(
        f"inputs/{safe_did(job_id)}",
        f"input {entry['index']}, outputs of job {job_id[:12]}…",
        entry["index"],
        safe_name(result["filename"], "output"),
        result["size_bytes"],
        result["sha256"],
        result["archive"],
    )


def _ddos(ddos: Mapping[str, Any]) -> list[Text]:
    return [Text(f"ddos/{safe_did(did)}", json.dumps(ddo, ensure_ascii=False)) for did, ddo in ddos.items()]


def _custom_data(document: Mapping[str, Any]) -> Text:
    """Always there: one published algorithm fails without it, another on `null`."""
    value = document.get("customData")
    return Text(f"inputs/{CUSTOM_DATA}", json.dumps({} if value is None else value, ensure_ascii=False))


def _door(document: Mapping[str, Any]) -> Text:
    """Left for the publishing pod, which has no other way to know how the outputs are to be packed."""
    return Text(DOOR_FILE, document.get("door", "workflow"))
