"""Fit a straight line, flipper length from body mass, to each species and to all penguins together."""

import csv
import json
import math
import os
import statistics
from pathlib import Path

INPUTS, OUTPUTS = Path(os.environ.get("INPUTS", "/data/inputs")), Path(os.environ.get("OUTPUTS", "/data/outputs"))


def main() -> None:
    """Read the penguins, write regression.json."""
    with open(INPUTS / "penguins.csv", newline="") as file:
        measured = [row for row in csv.DictReader(file) if "NA" not in (row["body_mass_g"], row["flipper_length_mm"])]
    groups = {
        name: [row for row in measured if row["species"] == name] for name in {row["species"] for row in measured}
    }
    fits = {name: least_squares(*columns(groups[name])) for name in sorted(groups)}
    fits["all"] = least_squares(*columns(measured))
    (OUTPUTS / "regression.json").write_text(json.dumps(fits, indent=2) + "\n")
    for name, fit in fits.items():
        print(
            f"{name:<10} flipper = {fit['intercept']:.1f} mm + {1000 * fit['slope']:.2f} mm/kg · mass"
            f"   R² = {fit['r_squared']:.3f}, n = {fit['count']}"
        )


def columns(rows: list) -> tuple:
    """Give body masses (g) and flipper lengths (mm)."""
    return [float(row["body_mass_g"]) for row in rows], [float(row["flipper_length_mm"]) for row in rows]


def least_squares(x: list, y: list) -> dict:
    """Fit y = intercept + slope · x, with the slope's standard error and the share of variance explained."""
    count, mean_x, mean_y = len(x), statistics.fmean(x), statistics.fmean(y)
    spread = math.fsum((a - mean_x) ** 2 for a in x)
    slope = math.fsum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / spread
    intercept = mean_y - slope * mean_x
    unexplained = math.fsum((b - intercept - slope * a) ** 2 for a, b in zip(x, y, strict=True))
    total = math.fsum((b - mean_y) ** 2 for b in y)
    return {
        "count": count,
        "slope": round(slope, 8),
        "slope_error": round(math.sqrt(unexplained / (count - 2) / spread), 8),
        "intercept": round(intercept, 5),
        "r_squared": round(1 - unexplained / total, 6),
        "from": min(x),
        "to": max(x),
    }


main()
