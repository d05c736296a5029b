"""The meter: print how many bytes a folder takes, once and whenever that changes.

python -m pods.meter /data

Runs beside an algorithm where no kernel keeps its volume to a size; the engine reads the last line.
"""

from __future__ import annotations

import sys
import time

from shared.disk_usage import folder_bytes

EVERY_S = 1.0


def main(folder: str) -> None:
    """Measure until ended; each line is a number of bytes."""
    last = -1
    while True:
        began = time.monotonic()
        found = folder_bytes(folder)
        if found != last:
            print(found, flush=True)
            last = found
        time.sleep(max(EVERY_S, time.monotonic() - began))  # a large tree is not walked all the time


if __name__ == "__main__":
    main(sys.argv[1])
