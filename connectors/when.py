"""When an event takes place: an instant to an instant, or whole days. One text, so that start and end are one value.

`2026-12-01T10:00:00Z/2026-12-01T10:30:00Z` for times, `2026-12-01/2026-12-02` for whole days, whose end is the day after the
last one. Whole days are dates and never instants: they are the same days in every time zone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class When:
    """Start and end, both instants in UTC of whole seconds, or both days; the end is exclusive."""

    start: datetime | date
    end: datetime | date

    @property
    def is_all_day(self) -> bool:
        return not isinstance(self.start, datetime)

    @property
    def text(self) -> str:
        return f"{_text(self.start)}/{_text(self.end)}"

    @property
    def starts_at(self) -> datetime:
        """The start as an instant; of whole days the midnight in UTC, for comparing with a window only."""
        return _instant(self.start)

    @property
    def ends_at(self) -> datetime:
        return _instant(self.end)

    @property
    def length(self) -> timedelta:
        return self.ends_at - self.starts_at

    def overlaps(self, start: datetime, end: datetime) -> bool:
        """Tells whether any of it lies in the window; whole days reach 14 hours further each way, as far as time zones do."""
        slack = timedelta(hours=14) if self.is_all_day else timedelta(0)
        is_point = self.length <= timedelta(0)
        return self.starts_at - slack < end and (self.ends_at + slack > start or (is_point and self.starts_at >= start))


def timed(start: datetime, end: datetime) -> When:
    """Returns the time from one instant to another, in whole seconds."""
    return When(start.astimezone(UTC).replace(microsecond=0), end.astimezone(UTC).replace(microsecond=0))


def days(first: date, after_last: date) -> When:
    """Returns whole days; at least one."""
    return When(first, max(after_last, first + DAY))


def read_when(text: object) -> When | None:
    """Returns what a text of this module spells, None for any other."""
    first, slash, last = text.partition("/") if isinstance(text, str) else ("", "", "")
    if not slash:
        return None
    try:
        if "T" not in first:
            return When(date.fromisoformat(first), date.fromisoformat(last))
        start, end = datetime.fromisoformat(first), datetime.fromisoformat(last)
    except ValueError:
        return None
    return timed(start, end) if start.tzinfo and end.tzinfo else None


def _text(at: datetime | date) -> str:
    return at.isoformat().replace("+00:00", "Z") if isinstance(at, datetime) else at.isoformat()


def _instant(at: datetime | date) -> datetime:
    return at if isinstance(at, datetime) else datetime.combine(at, time(), UTC)
