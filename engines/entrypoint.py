"""Own what a published algorithm's `entrypoint` means (container contract §5.2); pure."""

from __future__ import annotations

import re

ALGORITHM = "/data/transformations/algorithm"
_SHELL = re.compile(r"""[|&;<>()$`"'*?\[\]#~{}\\\n]|^[A-Za-z_][A-Za-z0-9_]*=""")
"What makes a shell necessary, once `$ALGO` is replaced."


def command_of(entrypoint: str | None) -> tuple[str, ...] | None:
    """The command to run: exec form where the words are plain, `sh -c` where they have shell syntax.

    Null where no entrypoint is given: the image's own ENTRYPOINT and CMD are kept.
    """
    text = (entrypoint or "").strip()
    if not text:
        return None
    text = re.sub(r"\$\{ALGO\}|\$ALGO\b", ALGORITHM, text)
    if _SHELL.search(text):
        return ("sh", "-c", text)
    return tuple(text.split())
