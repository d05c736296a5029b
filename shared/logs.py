"""Own how the log looks: one plain line an entry, facts behind it as name=value; never a key, signature or login."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import MutableMapping
from typing import Any, TextIO

ALWAYS = ("job_id", "workflow_id", "engine")
"Facts that come first wherever they are known."


class PlainFormatter(logging.Formatter):
    """Write `time level module message name=value …`; a fault's trace follows on its own lines."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one entry."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        words = [f"{stamp}.{int(record.msecs):03d}Z", record.levelname.lower(), record.name, record.getMessage()]
        fields: dict[str, Any] = getattr(record, "fields", {})
        names = [name for name in ALWAYS if name in fields] + [name for name in fields if name not in ALWAYS]
        words += [f"{name}={_value(fields[name])}" for name in names]
        line = " ".join(words).replace("\n", "\\n")
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class FieldLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger that puts its own facts into every entry, besides those given with it as `fields={…}`."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Merge the facts."""
        fields = {**(self.extra or {}), **kwargs.pop("fields", {})}
        return msg, {**kwargs, "extra": {"fields": fields}}


def configure(level: int = logging.INFO, stream: TextIO | None = None) -> None:
    """Send the log to a stream (standard error) in our form. Repeating it changes nothing."""
    root = logging.getLogger()
    if any(isinstance(handler.formatter, PlainFormatter) for handler in root.handlers):
        return
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(PlainFormatter())
    root.addHandler(handler)
    root.setLevel(level)


def logger(name: str, **fields: object) -> FieldLogger:
    """Make a logger that knows the facts of what it speaks of, such as `job_id`."""
    return FieldLogger(logging.getLogger(name), fields)


def _value(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return json.dumps(text) if " " in text or not text else text
