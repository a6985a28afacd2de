"""Where a round over a mailbox's mails stands: the lists that it goes through, and how each goes on. Pure.

Lists of changes (delta) are of one folder: ours, and Inbox and Sent where more is asked for than what was marked. What was
marked is searched for by when it was changed, wherever it lies (engine-rules 39). A search goes on by value, never by offset:
a mail that changes between two pages would move others past the one that was asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.cursors import KeptCursor, read_kept
from connectors.mail_reach import EVERYTHING, MARKS_ALONE, THREADS
from connectors.text import read_instant, spelt

OURS, MARKED, INBOX, SENT = "ours", "marked", "inbox", "sent"
REST = {INBOX: "inbox_rest", SENT: "sent_rest"}  # searches for what a first list of changes left out
RESTS = frozenset(REST.values())
SEARCHES = frozenset({MARKED, *RESTS})
MOST_FILTERED = 5000  # messages of a first list of changes that asks for new ones only (reference section 9)
MARGIN = timedelta(days=1)  # a mail may come to lie in the Inbox later than it was received
FAR_PAST = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Half:
    """How far one list was gone through. `link` leads on, "" from the start. `bound` is an instant: of a list of changes the one
    from which on mails were received, "" for all; of a search where it stands. `count` and `oldest` are of what a first list of
    changes told; `sure_until`: everything received before was told in an earlier round."""

    link: str = ""
    bound: str = ""
    is_done: bool = False
    count: int = 0
    oldest: str = ""
    sure_until: str = ""


@dataclass(frozen=True, slots=True)
class Cursor(KeptCursor):
    """Where the round stands. `begun_at`: the clock of the server at its first page, "" between rounds."""

    halves: Mapping[str, Half]
    folder: str = ""
    category: str = ""
    reach: str = MARKS_ALONE
    since: str = ""
    begun_at: str = ""
    is_whole: bool = True
    kinds: Mapping[str, str] = field(default_factory=dict)  # of folders, by id

    def put(self, name: str, half: Half) -> Cursor:
        return replace(self, halves={**self.halves, name: half})

    @property
    def open_halves(self) -> list[str]:
        return [name for name, half in self.halves.items() if not half.is_done]


BEGINNING = Cursor({})


def read_cursor(text: str, is_local: Callable[[str], bool]) -> Cursor | None:
    """Returns the cursor, None for a text that is none of ours, or that leads to another host."""
    cursor = read_kept(Cursor, text)
    if cursor is None or not set(cursor.halves) <= {OURS, MARKED, INBOX, SENT, *RESTS}:
        return None
    return cursor if all(is_local(half.link) for half in cursor.halves.values() if half.link) else None


def earlier(text: str, by: timedelta) -> str:
    """Returns an instant of a cursor, so much earlier."""
    at = read_instant(text)
    return spelt(at - by) if at is not None else text


def fitted(cursor: Cursor, *, folder: str, category: str, reach: str, since: datetime) -> Cursor:
    """Returns the cursor as it serves what is asked for now: another folder or category, a wider reach, or an earlier `since`
    begin their lists anew."""
    begin = spelt(since)
    is_new = not cursor.since or begin < cursor.since
    halves: dict[str, Half] = {}
    if folder:
        halves[OURS] = cursor.halves.get(OURS, Half()) if folder == cursor.folder else Half()
    if category:
        goes_on = category.casefold() == cursor.category.casefold() and not is_new
        halves[MARKED] = cursor.halves.get(MARKED, Half(bound=begin)) if goes_on else Half(bound=begin)
    if reach != MARKS_ALONE:
        halves |= _incoming(cursor, reach, begin, is_new=is_new)
    is_anew = any(half.link == "" and name not in RESTS and half != cursor.halves.get(name) for name, half in halves.items())
    return replace(
        cursor,
        halves=halves,
        folder=folder,
        category=category,
        reach=reach,
        since=begin if is_new else cursor.since,
        is_whole=cursor.is_whole or is_anew,
    )


def _incoming(cursor: Cursor, reach: str, begin: str, *, is_new: bool) -> dict[str, Half]:
    """Returns the lists of Inbox and Sent. What they ask for of a mail stands in their tokens, so that another reach begins
    them anew; a smaller one where the last round ended."""
    is_wider = is_new or INBOX not in cursor.halves or (cursor.reach, reach) == (THREADS, EVERYTHING)
    if is_wider:
        return {name: Half(bound=begin) for name in (INBOX, SENT)}
    if reach != cursor.reach:
        return {name: begun_anew(name, cursor) for name in (INBOX, SENT)}
    return {name: half for name, half in cursor.halves.items() if name in (INBOX, SENT, *RESTS)}


def begun_anew(name: str, cursor: Cursor) -> Half:
    """Returns a list of changes whose token is dead, from the start: of our folder all of it, of the others what came since the
    last round that ended."""
    if name == OURS:
        return Half()
    until = cursor.halves[name].sure_until
    return Half(bound=max(cursor.since, earlier(until, MARGIN)) if until else cursor.since, sure_until=until)


def told(half: Half, name: str, *, link: str, is_end: bool, times: list[str]) -> dict[str, Half]:
    """Returns where a list of changes stands behind a page, and the search for what it left out: a first one that asks for new
    mails tells the newest 5,000 only. `times`: when the mails of the page were received."""
    seen = min([half.oldest, *times] if half.oldest else times, default="")
    behind = replace(half, link=link, is_done=is_end, count=half.count + len(times), oldest=seen)
    if name in REST and is_end and half.bound and behind.count >= MOST_FILTERED:
        return {name: behind, REST[name]: Half(bound=behind.oldest)}
    return {name: behind}


def searched(half: Half, *, link: str, last: str) -> Half:
    """Returns where a search stands behind a page that ends with a mail of this time. Only where all of a page are of one time is
    its own link followed."""
    if not link:
        return replace(half, link="", is_done=True)
    return replace(half, link="", bound=last) if last and last != half.bound else replace(half, link=link)


def ended(cursor: Cursor, overlap: timedelta) -> Cursor:
    """Returns where the next round begins once all lists are through."""
    halves = {}
    for name, half in cursor.halves.items():
        if name == MARKED:
            halves[name] = Half(bound=earlier(cursor.begun_at, overlap) if cursor.begun_at else half.bound)
        elif name not in RESTS:  # count is of first lists alone
            halves[name] = Half(link=half.link, sure_until=cursor.begun_at or half.sure_until)
    return replace(cursor, halves=halves, begun_at="", is_whole=False)


def options_of(said: Any) -> tuple[list[Any], str, str] | None:
    """Returns rows, link to the next page and link to the next round of an answer; None for what is no list."""
    body = said if isinstance(said, Mapping) else {}
    rows, following, end = body.get("value"), body.get("@odata.nextLink", ""), body.get("@odata.deltaLink", "")
    if not isinstance(rows, list) or not isinstance(following, str) or not isinstance(end, str):
        return None
    return rows, following, end
