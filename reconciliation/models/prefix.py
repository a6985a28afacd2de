"""Search by the beginning of a name, as a range on an indexed column: the same at a million rows (engine-rules 25)."""

from __future__ import annotations

from django.db import connection
from django.db.models import Q

LAST = "\U0010ffff"


def starts_with(field: str, key: str) -> Q:
    """Returns the condition that a normalised column begins with `key`. PostgreSQL uses its pattern index, whatever the
    database's collation; SQLite compares by code point."""
    if connection.vendor == "postgresql":
        return Q(**{f"{field}__startswith": key})
    return Q(**{f"{field}__gte": key, f"{field}__lt": key + LAST})
