"""Draw jobs and claims a second over the number of pass processes: an SVG of nothing but lines and words."""

from __future__ import annotations

from collections.abc import Sequence

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 60, 610, 40, 310
FONT = 'font-family="sans-serif" font-size="13"'
COLOURS = ("#1f77b4", "#d62728")


def drawn(points: Sequence[tuple[int, float, float]]) -> str:
    """`points`: processes, jobs a second, claims a second."""
    most = rounded_up(max(max(jobs, claims) for _, jobs, claims in points))
    places = [LEFT + (RIGHT - LEFT) * number / max(len(points) - 1, 1) for number in range(len(points))]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" {FONT}>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="22" font-size="15">One engine, PostgreSQL: jobs and claims a second</text>',
    ]
    for step in range(5):
        value, y = most * step / 4, BOTTOM - (BOTTOM - TOP) * step / 4
        parts.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{RIGHT}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    for place, (processes, *_) in zip(places, points, strict=True):
        parts.append(f'<text x="{place:.1f}" y="{BOTTOM + 20}" text-anchor="middle">{processes}</text>')
    parts.append(f'<text x="{(LEFT + RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle">processes of passes</text>')
    for number, (what, colour) in enumerate(zip(("jobs all the way", "claims"), COLOURS, strict=True)):
        heights = [BOTTOM - (BOTTOM - TOP) * point[number + 1] / most for point in points]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(places, heights, strict=True))
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in zip(places, heights, strict=True)
        ]
        parts.append(f'<text x="{RIGHT}" y="{TOP - 22 + 16 * number}" text-anchor="end" fill="{colour}">{what}</text>')
    return "\n".join([*parts, "</svg>", ""])


def rounded_up(value: float) -> float:
    """The next number of one digit and zeros that divides well."""
    step = 10 ** max(len(str(int(value))) - 1, 0)
    return max(4.0, float(-(-value // step) * step))
