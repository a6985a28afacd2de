"""Makes remote text storable: what no database and no other system can hold is replaced, and that is said."""

from __future__ import annotations

REPLACEMENT = "\ufffd"


def clean(text: str) -> tuple[str, bool]:
    """Returns the text with NUL and lone surrogates as U+FFFD, and whether anything was replaced (engine-rules 5)."""
    if text.isascii() and "\0" not in text:
        return text, False
    cleaned = "".join(REPLACEMENT if c == "\0" or "\ud800" <= c <= "\udfff" else c for c in text)
    return cleaned, cleaned != text
