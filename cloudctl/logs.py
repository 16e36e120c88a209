"""How log lines look: text for people, JSON lines for machines; in the journal of systemd, each with its priority.
Library code only logs, to `cloudctl.*` loggers; programs call `set_up`.
"""

import json
import logging
import os
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import TextIO

# The priorities of syslog(3) from each level on, the highest first.
PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (0, 7))


class LogFormat(StrEnum):
    """How a log line is written."""

    TEXT = "text"
    JSON = "json"


class TextFormatter(logging.Formatter):
    """`TIME LEVEL logger: event`; what follows (a traceback) is indented, so that every event begins at the margin."""

    def format(self, record: logging.LogRecord) -> str:
        event = record.getMessage().replace("\n", "\n  ")
        line = f"{_time(record)} {record.levelname} {record.name}: {event}"
        if record.exc_info:
            line += "\n  " + _traceback(record).replace("\n", "\n  ")
        return line


class JsonFormatter(logging.Formatter):
    """One JSON object on one line: time, level, logger, event, and traceback where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        event, _, detail = record.getMessage().partition("\n")
        fields = {"time": _time(record), "level": record.levelname, "logger": record.name, "event": event}
        if record.exc_info:
            detail = f"{detail}\n{_traceback(record)}".strip()
        if detail:
            fields["detail"] = detail
        return json.dumps(fields, ensure_ascii=False)


class JournalFormatter(logging.Formatter):
    """What another formatter writes, with the priority of sd-daemon(3) before each line: the journal reads it from
    there.
    """

    def __init__(self, lines: logging.Formatter) -> None:
        super().__init__()
        self._lines = lines

    def format(self, record: logging.LogRecord) -> str:
        priority = next(priority for level, priority in PRIORITIES if record.levelno >= level)
        return "\n".join(f"<{priority}>{line}" for line in self._lines.format(record).split("\n"))


class _Handler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to standard error; what cannot be written (a full disk, a closed pipe) is lost, and the program goes
    on.
    """

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        return


def set_up(log_format: LogFormat = LogFormat.TEXT, level: str = "INFO") -> None:
    """Send the log lines of `cloudctl.*` from `level` on to standard error, in place of an earlier set-up."""
    handler = _Handler(sys.stderr)
    lines = JsonFormatter() if log_format is LogFormat.JSON else TextFormatter()
    handler.setFormatter(JournalFormatter(lines) if is_journal(sys.stderr, os.environ) else lines)
    logger = logging.getLogger("cloudctl")
    logger.handlers = [handler]
    logger.setLevel(level)


def is_journal(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Return whether a stream leads to the journal itself: JOURNAL_STREAM names it by device and inode."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _traceback(record: logging.LogRecord) -> str:
    return "".join(traceback.format_exception(*record.exc_info)).rstrip() if record.exc_info else ""
