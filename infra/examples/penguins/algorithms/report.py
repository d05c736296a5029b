"""Draw the penguins, the lines fitted to them and the table of means: one picture out of the two jobs before."""

import csv
import json
import os
from pathlib import Path

INPUTS, OUTPUTS = Path(os.environ.get("INPUTS", "/data/inputs")), Path(os.environ.get("OUTPUTS", "/data/outputs"))
COLOURS = {"Adelie": "#e07a2f", "Chinstrap": "#8e4fa8", "Gentoo": "#1c7c8c"}
INK, SOFT, GRID, PAPER = "#1f2a37", "#64748b", "#e5e9ef", "#ffffff"
LEFT, RIGHT, TOP, BOTTOM = 92, 1148, 138, 640  # the plot's edges, in pixels
MASS, FLIPPER = (2500, 6500), (165, 240)  # the axes' ranges, in g and mm


def main() -> None:
    """Read the penguins and what the earlier jobs left, write report.svg."""
    with open(INPUTS / "penguins.csv", newline="") as file:
        penguins = [row for row in csv.DictReader(file) if row["body_mass_g"] != "NA"]
    summary, fits = earlier("summary.json"), earlier("regression.json")
    parts = [*frame(), *axes(), *points(penguins), *lines(fits), *legend(summary), *table(summary, fits), "</svg>"]
    (OUTPUTS / "report.svg").write_text("\n".join(parts) + "\n")
    print(f"report.svg shows {len(penguins)} penguins of {len(summary)} species")


def earlier(name: str) -> dict:
    """Read a file from the outputs of an earlier job, whose id stands in DIDS."""
    folders = [INPUTS / job for job in json.loads(os.environ.get("DIDS", "[]"))]
    found = [folder / name for folder in folders if (folder / name).is_file()]
    if not found:
        raise SystemExit(f"no earlier job left a {name}; its folders: {[str(folder) for folder in folders]}")
    return json.loads(found[0].read_text())


def across(mass: float) -> float:
    """Place a body mass (g) on the picture."""
    return LEFT + (mass - MASS[0]) / (MASS[1] - MASS[0]) * (RIGHT - LEFT)


def down(flipper: float) -> float:
    """Place a flipper length (mm) on the picture."""
    return BOTTOM - (flipper - FLIPPER[0]) / (FLIPPER[1] - FLIPPER[0]) * (BOTTOM - TOP)


def text(x: float, y: float, words: str, size: int = 14, colour: str = INK, more: str = "") -> str:
    """Write words; `more` are further attributes."""
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" {more}>{words}</text>'


def frame() -> list:
    """Open the picture: paper, title, what it is about."""
    return [
        '<svg xmlns="http://www.w3.org/2000/svg" width="1200" height="940" viewBox="0 0 1200 940" '
        'font-family="Inter, Helvetica Neue, Helvetica, Arial, DejaVu Sans, sans-serif">',
        "<title>Palmer penguins: flipper length and body mass</title>",
        f'<rect width="1200" height="940" fill="{PAPER}"/>',
        text(48, 58, "Heavier penguins have longer flippers", 30, INK, 'font-weight="700"'),
        text(
            48,
            88,
            "Body mass and flipper length of three species on the Palmer Archipelago, Antarctica, 2007–2009;",
            16,
            SOFT,
        ),
        text(48, 110, "each line is a least-squares fit to one species, the dashed one a fit to all.", 16, SOFT),
    ]


def axes() -> list:
    """Draw grid, ticks and the names of both axes."""
    parts = []
    for mass in range(MASS[0], MASS[1] + 1, 500):
        x = across(mass)
        parts.append(f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{BOTTOM}" stroke="{GRID}"/>')
        parts.append(text(x, BOTTOM + 24, f"{mass / 1000:.1f}", 13, SOFT, 'text-anchor="middle"'))
    for flipper in range(170, FLIPPER[1] + 1, 10):
        y = down(flipper)
        parts.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{RIGHT}" y2="{y:.1f}" stroke="{GRID}"/>')
        parts.append(text(LEFT - 12, y + 4.5, str(flipper), 13, SOFT, 'text-anchor="end"'))
    parts.append(f'<line x1="{LEFT}" y1="{BOTTOM}" x2="{RIGHT}" y2="{BOTTOM}" stroke="{SOFT}" stroke-width="1.5"/>')
    middle_x, middle_y = (LEFT + RIGHT) / 2, (TOP + BOTTOM) / 2
    parts.append(text(middle_x, BOTTOM + 52, "Body mass (kg)", 15, INK, 'text-anchor="middle"'))
    turned = f'text-anchor="middle" transform="rotate(-90 36 {middle_y:.1f})"'
    parts.append(text(36, middle_y, "Flipper length (mm)", 15, INK, turned))
    return parts


def points(penguins: list) -> list:
    """Draw every penguin; species differ in shape as well as in colour."""
    return [
        mark(penguin["species"], across(float(penguin["body_mass_g"])), down(float(penguin["flipper_length_mm"])))
        for penguin in penguins
    ]


def mark(species: str, x: float, y: float) -> str:
    """Draw one mark: a circle, a triangle or a square."""
    style = f'fill="{COLOURS[species]}" fill-opacity="0.62" stroke="{PAPER}" stroke-width="0.8"'
    if species == "Adelie":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5.2" {style}/>'
    if species == "Chinstrap":
        return f'<path d="M{x:.1f} {y - 6.4:.1f}l6 10.6h-12z" {style}/>'
    return f'<rect x="{x - 4.8:.1f}" y="{y - 4.8:.1f}" width="9.6" height="9.6" rx="1.2" {style}/>'


def lines(fits: dict) -> list:
    """Draw the fit to all penguins, and over it each species' own, as far as its penguins go."""
    return [
        line(fits["all"], SOFT, 'stroke-width="2" stroke-dasharray="7 6"'),
        *(line(fits[species], PAPER, 'stroke-width="7" stroke-opacity="0.75"') for species in COLOURS),
        *(line(fits[species], COLOURS[species], 'stroke-width="3.4"') for species in COLOURS),
    ]


def line(fit: dict, colour: str, style: str) -> str:
    """Draw one fitted line."""
    ends = [(across(mass), down(fit["intercept"] + fit["slope"] * mass)) for mass in (fit["from"], fit["to"])]
    (x1, y1), (x2, y2) = ends
    place = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {place} stroke="{colour}" stroke-linecap="round" {style}/>'


def legend(summary: dict) -> list:
    """Say which mark is which species."""
    parts = [
        f'<rect x="112" y="156" width="196" height="132" rx="10" fill="{PAPER}" fill-opacity="0.92" stroke="{GRID}"/>'
    ]
    for row, (species, colour) in enumerate(COLOURS.items()):
        y = 184 + 29 * row
        parts.append(mark(species, 134, y))
        parts.append(text(150, y + 5, species, 15, colour, 'font-weight="600"'))
        parts.append(text(290, y + 5, str(summary[species]["count"]), 14, SOFT, 'text-anchor="end"'))
    parts.append(f'<line x1="125" y1="270" x2="144" y2="270" stroke="{SOFT}" stroke-width="2" stroke-dasharray="5 4"/>')
    parts.append(text(150, 275, "all together", 15, SOFT))
    parts.append(text(290, 275, str(sum(facts["count"] for facts in summary.values())), 14, SOFT, 'text-anchor="end"'))
    return parts


def table(summary: dict, fits: dict) -> list:
    """Set the means and the fits below the plot."""
    columns = (74, 320, 500, 660, 810, 1000, 1126)
    heads = ("Species", "Penguins", "Mass, kg", "Flipper, mm", "Bill, mm", "Slope, mm per kg", "R²")
    parts = [text(columns[0], 744, heads[0], 13, SOFT)]
    parts += [text(x, 744, head, 13, SOFT, 'text-anchor="end"') for x, head in zip(columns[1:], heads[1:], strict=True)]
    parts.append(f'<line x1="48" y1="758" x2="1148" y2="758" stroke="{SOFT}" stroke-width="1.2"/>')
    for row, species in enumerate(COLOURS):
        y = 790 + 36 * row
        parts.append(mark(species, 56, y - 5))
        parts.append(text(columns[0], y, species, 16, INK, 'font-weight="600"'))
        cells = zip(columns[1:], cells_of(summary[species], fits[species]), strict=True)
        parts += [text(x, y, cell, 16, INK, 'text-anchor="end"') for x, cell in cells]
        parts.append(f'<line x1="48" y1="{y + 12}" x2="1148" y2="{y + 12}" stroke="{GRID}"/>')
    source = "Data: Gorman, Williams and Fraser 2014 (CC0), palmerpenguins."
    return [*parts, text(48, 912, f"Mean ± standard deviation; slope ± standard error. {source}", 13, SOFT)]


def cells_of(facts: dict, fit: dict) -> tuple:
    """Write one species' numbers as the table shows them."""
    mass, flipper, bill = facts["body_mass_g"], facts["flipper_length_mm"], facts["bill_length_mm"]
    return (
        str(facts["count"]),
        f"{mass['mean'] / 1000:.2f} ± {mass['deviation'] / 1000:.2f}",
        f"{flipper['mean']:.1f} ± {flipper['deviation']:.1f}",
        f"{bill['mean']:.1f} ± {bill['deviation']:.1f}",
        f"{1000 * fit['slope']:.2f} ± {1000 * fit['slope_error']:.2f}",
        f"{fit['r_squared']:.2f}",
    )


main()
