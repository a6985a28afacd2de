"""Changes of meetings as a mail system tells them to an address of ours, and the watches that make it tell.

What is told is a hint and never the whole: it names an event, and what it holds has to be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

CREATED, UPDATED, DELETED = CHANGES = ("created", "updated", "deleted")
# What becomes of a watch: something was not told, it is gone, its permission has to be shown again.
MISSED, REMOVED, UNSURE = LIFE = ("missed", "removed", "unsure")
MEETING, APPOINTMENT, ALL_DAY = "meeting", "appointment", "all-day"  # what an event is, for S4.42
NOT_REACHED = "address_not_reached"  # the `code` of an error: the mail system got no right answer at our address
OTHERS_WATCH = "others_watch"  # the same: another site watches this calendar through our app


@dataclass(frozen=True, slots=True)
class Watch:
    """One calendar that is watched, as the mail system keeps it: of which changes it tells, where to, and until when."""

    id: str
    changes: tuple[str, ...]
    address: str
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that was told: `what` is one of CHANGES, or of LIFE, which name no event. `secret` is what the watch was made
    with, as the sender says. `version` is the event's after the change, "" where none is said, as of one that was deleted."""

    watch_id: str
    secret: str = field(repr=False)
    what: str
    event_id: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """One thing that a look at a calendar showed: `what` is one of CHANGES. `kind` is what the event is now, "" of one that is gone;
    `version` the event's."""

    what: str
    event_id: str
    kind: str = ""
    version: str = ""


class LooksAtCalendar(Protocol):
    """The calendar of one mailbox of a mail system that tells nobody of changes, and is asked."""

    def look(self, cursor: str) -> Sequence[Seen] | None:
        """Returns what happened behind the cursor of a run, single events and series, in one call, and changes nothing. None where
        only a run can tell: between its pages, where there is more than one call tells, or where the cursor is known no more."""
        ...

    def close(self) -> None: ...


class KeepsWatches(Protocol):
    """The watches of one mailbox's calendar."""

    def make(self, *, address: str, life_address: str, secret: str, changes: Sequence[str], ends_at: datetime) -> Watch:
        """Makes the watch; one of ours that leads to the same address is replaced. The mail system asks both addresses before
        it answers. Raises ConnectorError; its `code` is NOT_REACHED or OTHERS_WATCH where that is the reason."""
        ...

    def renew(self, id_: str, *, ends_at: datetime) -> Watch:
        """Lets the watch last until then. Raises RecordGone for one that is there no more."""
        ...

    def drop(self, id_: str) -> None:
        """Ends the watch. One that is gone already is no error."""
        ...

    def kinds(self, ids: Sequence[str]) -> dict[str, str]:
        """Returns what each event is: MEETING, APPOINTMENT or ALL_DAY. Those that are not there (any more) are left out."""
        ...

    def close(self) -> None: ...


class OpensWatches(Protocol):
    """A connection to a mail system that tells of changes."""

    def watches(self, address: str) -> KeepsWatches:
        """Returns the watches of one mailbox's calendar. Costs no call; the caller closes it."""
        ...
