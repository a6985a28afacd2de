"""Log lines with the run and the request they belong to; `settings.LOGGING` names the formatters. The runner and the
road of staff set `run_id`, the middleware sets `request_id`."""

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

# The run this thread works for; "" outside a run.
run_id: ContextVar[str] = ContextVar("run_id", default="")
# The request this thread answers; "" in the task cluster.
request_id: ContextVar[str] = ContextVar("request_id", default="")

# A one-time link is a key as long as nobody used it; Django's own lines name the path of a request.
_KEYS = re.compile(r"(/sign-in/)[^/\s\"'?]+")


@contextmanager
def during_run(number: object) -> Iterator[None]:
    """Lets the log lines of this block name the run."""
    token = run_id.set(str(number))
    try:
        yield
    finally:
        run_id.reset(token)


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "run": run_id.get(),
            "request": request_id.get(),
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return _without_keys(json.dumps(line, ensure_ascii=False, default=str))


class TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        parts = [("run", run_id.get()), ("request", request_id.get())]
        record.run = "".join(f"[{name} {value}] " for name, value in parts if value)
        return _without_keys(super().format(record))

    def __init__(self) -> None:
        super().__init__("{asctime} {levelname} {name} {run}{message}", style="{")


def _without_keys(line: str) -> str:
    return _KEYS.sub(r"\1•••", line)
