"""The node's log: lines for people or JSON for machines, on the standard error stream.

What is logged is decided where it is logged, and nowhere does it contain a personal value (tests scan for canaries).
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Final, Literal

Format = Literal["text", "json"]
TEXT: Final = "%(asctime)s %(levelname)s %(name)s %(message)s"
LEVELS: Final = ("debug", "info", "warning", "error")


class JsonLines(logging.Formatter):
    """One object per line: time (UTC, RFC 3339), level, logger, department, message; error: the traceback, if any."""

    def __init__(self, department: str) -> None:
        super().__init__()
        self._department = department

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "department": self._department,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def begin_logging() -> None:
    """Before the configuration is known: text, from "info"."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format=TEXT)
    logging.getLogger("kehu.api.access").setLevel(logging.WARNING)


def configure_logging(department: str, format_: Format, level: str, *, has_access_log: bool) -> None:
    """As [log] of node.toml says."""
    root = logging.getLogger()
    root.setLevel(level.upper())
    if format_ == "json":
        for handler in root.handlers:
            handler.setFormatter(JsonLines(department))
    logging.getLogger("kehu.api.access").setLevel(logging.INFO if has_access_log else logging.WARNING)
