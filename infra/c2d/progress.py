"""Own the bar of a download: on a terminal, where rich is installed, and nothing elsewhere."""

from __future__ import annotations

from types import TracebackType

try:
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    HAS_RICH = True
except ImportError:  # the extra `cli` is not installed
    HAS_RICH = False

SHOWN_FROM_BYTES = 1 << 20


class Bar:
    """Bytes moved out of bytes expected; gone when it is done."""

    def __init__(self, total_bytes: int, is_live: bool) -> None:
        self._progress: Progress | None = None
        if is_live and HAS_RICH and total_bytes >= SHOWN_FROM_BYTES:
            columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
            self._progress = Progress(*columns, transient=True)
            self._task = self._progress.add_task("download", total=total_bytes)

    def __enter__(self) -> Bar:
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def advance(self, count: int) -> None:
        """Count bytes that have arrived."""
        if self._progress is not None:
            self._progress.advance(self._task, count)
