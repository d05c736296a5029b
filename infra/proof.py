"""Own the check of the example's results: digests, and every figure computed again from the data in another way."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import statistics
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from infra.c2d.failures import JOB_FAILED, Failure

SPECIES = {"Adelie": 152, "Chinstrap": 68, "Gentoo": 124}
TOLERANCE = 1e-4
SVG = "{http://www.w3.org/2000/svg}"


class Wrong(Failure):
    """A result is not what the data say."""

    exit_code = JOB_FAILED


def check_results(data: Path, files: Sequence[dict[str, Any]]) -> list[str]:
    """Verify all three jobs' outputs against the data; what was found right, in sentences. Raises: Wrong."""
    for file in files:
        expect(f"the digest of {file['path']}", digest(Path(file["path"])), file["sha256"])
    with open(data, newline="") as rows:
        penguins = list(csv.DictReader(rows))
    outputs = [Path(file["path"]).parent for file in files if file["type"] == "output"]
    figures = check_summary(penguins, json.loads(found(outputs, "summary.json").read_text()))
    fits = check_regression(penguins, json.loads(found(outputs, "regression.json").read_text()))
    marks = check_picture(penguins, found(outputs, "report.svg"))
    return [
        f"{len(files)} files have the digests the node gave them",
        f"{figures} figures of the summary and {fits} fitted lines agree with the data, computed another way",
        f"the picture shows {marks} penguins of {len(SPECIES)} species",
    ]


def found(folders: Sequence[Path], name: str) -> Path:
    """A file that a job left, as it came or unpacked. Raises: Wrong."""
    for folder in folders:
        for path in (folder / name, folder / "outputs" / name):
            if path.is_file():
                return path
    raise Wrong(f"no job left a {name}")


def check_summary(penguins: Sequence[dict[str, str]], summary: dict[str, Any]) -> int:
    """Compare counts and means of every species and measurement; how many figures there were."""
    expect("the penguins of each species", {name: facts["count"] for name, facts in summary.items()}, SPECIES)
    figures = len(SPECIES)
    for species, facts in summary.items():
        for name in ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"):
            values = [float(row[name]) for row in penguins if row["species"] == species and row[name] != "NA"]
            near(f"the mean {name} of {species}", facts[name]["mean"], math.fsum(values) / len(values))
            near(f"the median {name} of {species}", facts[name]["median"], statistics.median(values))
            near(f"the deviation of {name} of {species}", facts[name]["deviation"], statistics.stdev(values))
            figures += 3
    return figures


def check_regression(penguins: Sequence[dict[str, str]], fits: dict[str, Any]) -> int:
    """Compare each fitted line with the standard library's."""
    for name, fit in fits.items():
        rows = [row for row in penguins if name in ("all", row["species"]) and row["body_mass_g"] != "NA"]
        mass, flipper = [float(r["body_mass_g"]) for r in rows], [float(r["flipper_length_mm"]) for r in rows]
        slope, intercept = statistics.linear_regression(mass, flipper)
        near(f"the slope of {name}", fit["slope"], slope)
        near(f"the intercept of {name}", fit["intercept"], intercept)
        near(f"R² of {name}", fit["r_squared"], statistics.correlation(mass, flipper) ** 2)
    expect("the lines fitted", set(fits), {*SPECIES, "all"})
    return len(fits)


def check_picture(penguins: Sequence[dict[str, str]], path: Path) -> int:
    """Count the marks of the plot: one a measured penguin, besides those of legend and table."""
    try:
        root = ET.fromstring(path.read_text())
    except ET.ParseError as error:
        raise Wrong(f"{path} is no picture: {error}") from error
    marks = [
        mark
        for tag in ("circle", "path", "rect")
        for mark in root.iter(f"{SVG}{tag}")
        if mark.get("fill-opacity") == "0.62"
    ]
    measured = sum(row["body_mass_g"] != "NA" for row in penguins)
    expect("the marks of the picture", len(marks), measured + 2 * len(SPECIES))
    return measured


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def expect(what: str, given: object, wanted: object) -> None:
    """Raise Wrong unless both are the same."""
    if given != wanted:
        raise Wrong(f"{what}: {given} was expected to be {wanted}")


def near(what: str, given: float, wanted: float) -> None:
    """Raise Wrong unless both are the same but for rounding."""
    if not math.isclose(given, wanted, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
        raise Wrong(f"{what}: {given} was expected to be {wanted}")
