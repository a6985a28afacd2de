"""Makes remote values storable: what no database and no other system can hold is replaced, and that is said."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from connectors.contract import Value

REPLACEMENT = "\ufffd"


def clean(text: str) -> tuple[str, bool]:
    """Returns the text with NUL and lone surrogates as U+FFFD, and whether anything was replaced (engine-rules 5)."""
    if text.isascii() and "\0" not in text:
        return text, False
    cleaned = "".join(REPLACEMENT if c == "\0" or "\ud800" <= c <= "\udfff" else c for c in text)
    return cleaned, cleaned != text


def cleaned(text: str, name: str, damaged: set[str]) -> str:
    """Returns the text of a field clean, and adds the field to `damaged` where anything was replaced."""
    text, is_damaged = clean(text)
    damaged |= {name} if is_damaged else set()
    return text


def cleaned_field(raw: str | tuple[str, ...] | None) -> tuple[Value, bool]:
    """Returns what a field of texts holds, blank as None, and whether anything was replaced."""
    if isinstance(raw, tuple):
        parts = [clean(text) for text in raw]
        return tuple(text for text, _ in parts), any(is_damaged for _, is_damaged in parts)
    return clean(raw) if raw else (None, False)


def read_plain(raw: Any) -> tuple[Value, bool] | None:
    """Returns the canonical form of a JSON value that is no text, and whether it was damaged; None for a text, which
    each system reads in its own way. What has no canonical form becomes text: objects, and numbers too large to hold."""
    if isinstance(raw, str):  # first: most values of a page are texts
        return None
    if isinstance(raw, float) and not math.isfinite(raw):  # 1e400 is JSON, but neither a number here nor JSON again
        return str(raw), True
    if raw is None or isinstance(raw, (bool, int, float)):
        return raw, False
    if isinstance(raw, list):
        parts = [_read_part(part) for part in raw]
        return tuple(text for text, _ in parts), any(damaged for _, damaged in parts)
    return str(raw), True


def _read_part(raw: Any) -> tuple[str, bool]:
    text, is_damaged = clean(str(raw))
    return text, is_damaged or (isinstance(raw, float) and not math.isfinite(raw))


def read_instant(raw: Any) -> datetime | None:
    """Returns the instant of an ISO text, up to seven decimals; None for anything else, also for one without a zone."""
    try:
        at = datetime.fromisoformat(raw) if isinstance(raw, str) and "T" in raw else None
        return at.astimezone(UTC) if at is not None and at.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def spelt(at: datetime) -> str:
    """Returns an instant as text, in UTC and in whole seconds."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
