"""Describe each species: how many penguins, and the mean, spread and range of every measurement."""

import csv
import json
import os
import statistics
from pathlib import Path

INPUTS, OUTPUTS = Path(os.environ.get("INPUTS", "/data/inputs")), Path(os.environ.get("OUTPUTS", "/data/outputs"))
MEASUREMENTS = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g")


def main() -> None:
    """Read the penguins, write summary.json for programs and summary.csv for people."""
    with open(INPUTS / "penguins.csv", newline="") as file:
        penguins = list(csv.DictReader(file))
    summary = {
        species: describe([penguin for penguin in penguins if penguin["species"] == species])
        for species in sorted({penguin["species"] for penguin in penguins})
    }
    (OUTPUTS / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    write_table(summary, OUTPUTS / "summary.csv")
    for species, facts in summary.items():
        print(f"{species:<10} {facts['count']:>4} penguins, {facts['body_mass_g']['mean']:,.0f} g on average")


def describe(penguins: list) -> dict:
    """Count them, by island too, and describe each measurement over those that were measured."""
    islands = sorted({penguin["island"] for penguin in penguins})
    facts = {
        "count": len(penguins),
        "islands": {island: sum(penguin["island"] == island for penguin in penguins) for island in islands},
    }
    for name in MEASUREMENTS:
        values = [float(penguin[name]) for penguin in penguins if penguin[name] != "NA"]
        facts[name] = {
            "measured": len(values),
            "mean": round(statistics.fmean(values), 4),
            "deviation": round(statistics.stdev(values), 4),
            "median": round(statistics.median(values), 4),
            "least": min(values),
            "most": max(values),
        }
    return facts


def write_table(summary: dict, path: Path) -> None:
    """Write one line per species and measurement."""
    with open(path, "w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("species", "measurement", "measured", "mean", "deviation", "median", "least", "most"))
        for species, facts in summary.items():
            for name in MEASUREMENTS:
                table.writerow((species, name, *facts[name].values()))


main()
