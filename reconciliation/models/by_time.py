"""Rows of a table whose keys grow with time, from an instant on, without an index on the time."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models import QuerySet


def first_newer(rows: QuerySet[models.Model], column: str, limit: datetime) -> int:
    """Returns the key from which on rows are newer than the limit: keys grow with time, so a bisection finds it."""
    ends = rows.aggregate(low=models.Min("pk"), high=models.Max("pk"))
    if ends["low"] is None:
        return 0
    low, high = ends["low"], ends["high"] + 1
    while low < high:
        middle = (low + high) // 2
        found = rows.filter(pk__gte=middle).order_by("pk").values_list("pk", column).first()
        if found is None or found[1] >= limit:
            high = middle
        else:
            low = found[0] + 1
    return int(low)
