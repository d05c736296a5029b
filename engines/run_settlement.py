"""Own the command `python -m engines.run_settlement`: locks are sent and watched, claims made, the rest given back."""

from __future__ import annotations

import sys

from engines.settlement.command import run

if __name__ == "__main__":
    sys.exit(run())
