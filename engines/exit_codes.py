"""Own what a pass's command ends with: 0 done, 1 something is out of reach, 2 a wrong setting or argument."""

from __future__ import annotations

import sys
from collections.abc import Callable

from shared.errors import C2DError, Unavailable


def exit_code(who: str, work: Callable[[], None]) -> int:
    """Do the work; what stops it is told in one line on stderr."""
    try:
        work()
    except Unavailable as error:
        print(f"{who}: {error.for_operators}", file=sys.stderr)  # noqa: T201 - what a person at a shell reads
        return 1
    except C2DError as error:
        print(error.detail, file=sys.stderr)  # noqa: T201
        return 2
    return 0
