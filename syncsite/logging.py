"""Log lines with the run they belong to; `settings.LOGGING` names the formatters, the engine sets `run_id`."""

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime

# The run this thread works for; "" outside a run.
run_id: ContextVar[str] = ContextVar("run_id", default="")


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "run": run_id.get(),
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        record.run = f"[run {run_id.get()}] " if run_id.get() else ""
        return super().format(record)

    def __init__(self) -> None:
        super().__init__("{asctime} {levelname} {name} {run}{message}", style="{")
