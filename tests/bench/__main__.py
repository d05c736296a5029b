"""Measure everything and print one table of ratios: `python -m tests.bench [--quick | --long] [NAME …]`.

Nothing here fails for being slow: the table says so, and a person looks.
"""

from __future__ import annotations

import argparse
import sys

from tests.bench import docker_job, express, idle, imports, orchestration, pod_start, publishing, requests
from tests.bench.measuring import Figure, Size, table
from tests.needs import why_missing

BENCHES = {
    "docker_job": docker_job.measure,
    "orchestration": orchestration.measure,
    "requests": requests.measure,
    "express": express.measure,
    "idle": idle.measure,
    "pod_start": pod_start.measure,
    "imports": imports.measure,
    "publishing": publishing.measure,
}
NEEDED = {"docker_job": "docker", "pod_start": "docker", "express": "node"}
"What a bench cannot be without."


def main() -> int:
    """Measure what was named, or all, and print each as it comes."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--quick", dest="size", action="store_const", const=Size.QUICK, help="about a minute")
    how.add_argument("--long", dest="size", action="store_const", const=Size.LONG, help="the sizes of the design")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHES))
    options = parser.parse_args()
    figures: list[Figure] = []
    for name in options.names or BENCHES:
        if name in NEEDED and why_missing(NEEDED[name]):
            print(f"{name}: not measured, {why_missing(NEEDED[name])}", file=sys.stderr)
            continue
        print(f"{name} …", file=sys.stderr, flush=True)
        figures += BENCHES[name](Size.USUAL if options.size is None else options.size)
    print(table(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
