"""Structured logs: one JSON object a line, with what ties a line to a record; the payload of a record only at DEBUG."""

from __future__ import annotations

import faulthandler
import json
import logging
import sys
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

CHATTY = ("faust", "mode", "httpx2", "processors.runtime.api.app", "processors.runtime.api.agents")
FIELDS = ("stage", "topic", "partition", "offset", "transactional_id", "client_order_id", "symbol", "venue")


class JsonFormatter(logging.Formatter):
    """Writes a log record as one JSON object.

    Parameters
    ----------
    process
        Name of the process, for example ``features-0``.
    """

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; fields given by ``extra=`` that are known stand beside the message."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "process": self._process,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure(process: str, level: str, path: Path | None = None) -> None:
    """Send the logs of this process to standard error, or to a file, as JSON lines.

    Parameters
    ----------
    process
        Name of the process.
    level
        Least level that is logged.
    path
        A file, which is kept below 10 MB; standard error where None.
    """
    faulthandler.enable()  # a crash inside a library leaves a trace of where it happened
    handler = logging.StreamHandler(sys.stderr) if path is None else RotatingFileHandler(path, maxBytes=10_000_000, backupCount=1)
    handler.setFormatter(JsonFormatter(process))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    if level != "DEBUG":
        for name in CHATTY:
            logging.getLogger(name).setLevel(logging.WARNING)
