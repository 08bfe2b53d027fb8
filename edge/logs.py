"""Log lines as JSON, without personal data: an exception leaves its type and its place in the code, never what it said."""

import logging
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson

_PROJECT = Path(__file__).resolve().parent.parent


class JsonLines(logging.Formatter):
    """One JSON object a line: ts (UTC), level, service, logger, event, and the record's `fields`."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "event": record.getMessage(),
        }
        line |= getattr(record, "fields", {})
        if record.exc_info and record.exc_info[1] is not None:
            line |= failure(record.exc_info[1])
        return orjson.dumps(line, default=str).decode()


def failure(error: BaseException) -> dict[str, str]:
    """An exception as log fields: its type, where it was raised and which line of ours led there; never its text."""
    places = list(_places(error.__traceback__))
    ours = [place for place, is_ours in places if is_ours]
    return {
        "error": type(error).__name__,
        "raised_at": places[-1][0] if places else "unknown",
        "called_at": ours[-1] if ours else "unknown",
    }


def _places(trace: TracebackType | None) -> list[tuple[str, bool]]:
    found = []
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        is_ours = file.is_relative_to(_PROJECT) and "site-packages" not in file.parts
        found.append((f"{file.relative_to(_PROJECT) if is_ours else file.name}:{trace.tb_lineno}", is_ours))
        trace = trace.tb_next
    return found


def install(service: str, level: str) -> None:
    """Send every log line of this process to standard output as JSON; the web server's own lines for each request are off.

    For processes that serve, never on import: it replaces whatever logging was set up before.
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines(service))
    for logger in [item for item in logging.root.manager.loggerDict.values() if isinstance(item, logging.Logger)]:
        if logger.handlers:
            logger.handlers = []
            logger.propagate = True
    logging.root.handlers = [handler]
    logging.root.setLevel(logging.WARNING)
    logging.getLogger("opora").setLevel(level)
    logging.getLogger("uvicorn.access").disabled = True
