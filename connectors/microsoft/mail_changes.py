"""What is new in a mailbox's mail since a cursor: every list of the round in one `$batch`, one call where nothing is new
(engine-rules 39). Where a round stands is the matter of `mail_rounds`.

No more is told, and asked for, than what was marked or lies in our folder, unless more is wanted (I7): what is looked at for
its thread alone is asked for its thread alone.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from connectors import mails
from connectors.contract import Record
from connectors.errors import TOO_MUCH, ConnectorError, MailboxRefused, OutcomeUnknown, RecordGone
from connectors.mail_reach import Wanted
from connectors.mail_rows import FoundMails
from connectors.mailboxes import FOLDER_GONE
from connectors.mails import Known, MailChanges
from connectors.microsoft import faults
from connectors.microsoft import mail_codec as codec
from connectors.microsoft import mail_rounds as rounds
from connectors.microsoft.client import GraphClient, Part, Reply, address, segment
from connectors.microsoft.codec import id_of, is_among
from connectors.microsoft.folders import quoted
from connectors.microsoft.mail_places import MailPlaces
from connectors.microsoft.mail_reading import LIST_TEMPLATE, SELECT, MailReader
from connectors.microsoft.mail_rounds import BEGINNING, INBOX, MARKED, OURS, RESTS, SEARCHES, SENT, Cursor
from connectors.microsoft.settings import SYSTEM, MicrosoftSettings
from connectors.text import read_instant, spelt

RESTARTS = 3  # in one call; a round that ends before it began must not go on for ever
SMALLER = 8  # so many times fewer a page, where one is larger than what is read
THREAD_SELECT = "conversationId,receivedDateTime"
_DELTA = "/users/{user}/mailFolders/{folder}/messages/delta"
_FOLDERS = {INBOX: "inbox", SENT: "sentitems"}
# The first of these says how a mail came in that several lists tell of.
_ORDER = (mails.BY_FOLDER, mails.BY_CATEGORY, mails.BY_THREAD, mails.BY_NOTHING)


@dataclass(slots=True)
class _Page:
    """What the lists of one page said: messages by id with how they came in, and the ids that left a folder."""

    rows: dict[str, tuple[Any, str]] = field(default_factory=dict)
    gone: dict[str, None] = field(default_factory=dict)
    at: datetime | None = None

    def add(self, id_: str, row: Any, shared_by: str) -> None:
        """Adds what a list told, unless another one told more of the same mail."""
        before, by = self.rows.get(id_, (row, shared_by))
        self.rows[id_] = (before if codec.is_complete(before) else row, min(shared_by, by, key=_ORDER.index))


class MailRounds:
    """Pages of changes of one mailbox."""

    def __init__(self, client: GraphClient, reader: MailReader, places: MailPlaces, settings: MicrosoftSettings) -> None:
        self._client, self._reader, self._places, self._settings = client, reader, places, settings

    def page(self, text: str, since: datetime, wanted: Wanted, known: Known) -> MailChanges:
        """Returns the next page. A token that Microsoft no longer knows begins its list anew."""
        before = rounds.read_cursor(text, lambda link: self._client.local_or_none(link) is not None) if text else BEGINNING
        is_restart = before is None
        cursor = rounds.fitted(before or BEGINNING, folder=self._places.ours, category=wanted.category, reach=wanted.reach, since=since)
        self._places.remember(cursor.kinds)
        page = _Page()
        size = self._settings.mails_a_page
        left = cursor.open_halves
        for _ in range(RESTARTS):
            replies = self._asked(cursor, left, size, wanted) if left else {}
            left = [name for name, reply in replies.items() if name not in SEARCHES and faults.is_dead_token(reply.status, reply.body)]
            for name, reply in replies.items():
                page.at = page.at or reply.answer.server_time
                if name not in left:
                    cursor = self._read(page, cursor, name, reply, wanted)
            for name in left:
                is_restart = is_restart or bool(cursor.begun_at)
                cursor = replace(cursor.put(name, rounds.begun_anew(name, cursor)), is_whole=True)
        if left:
            raise OutcomeUnknown("knows none of its own links to changes", system=SYSTEM)
        return self._told(page, cursor, wanted, known, is_restart=is_restart)

    # --- asking -----------------------------------------------------------------------------------------------------------
    def _asked(self, cursor: Cursor, names: Sequence[str], size: int, wanted: Wanted) -> dict[str, Reply]:
        """Returns the answers by list. Where they are larger than what is read, less is asked for."""
        while True:
            parts = [self._part(cursor, name, size, wanted) for name in names]
            first = self._places.parts()
            try:
                replies = self._client.read_all([*parts, *first])
            except OutcomeUnknown as trouble:
                if trouble.code != TOO_MUCH or size == 1:
                    raise
                size = max(1, size // SMALLER)
            else:
                self._places.learn(replies[len(parts) :])
                return dict(zip(names, replies, strict=False))

    def _part(self, cursor: Cursor, name: str, size: int, wanted: Wanted) -> Part:
        half = cursor.halves[name]
        if half.link:
            url = self._client.local(half.link)
            return Part("GET", url, LIST_TEMPLATE if name in SEARCHES else _DELTA, page_size=0 if name in SEARCHES else size)
        if name == MARKED:
            return self._search("messages", "lastModifiedDateTime", f"ge {half.bound} and {_has_category(wanted.category)}", size)
        if name in RESTS:
            incoming = next(one for one, rest in rounds.REST.items() if rest == name)
            least = cursor.halves[incoming].bound
            within = f"le {half.bound} and receivedDateTime ge {least}"
            return self._search(f"mailFolders/{_FOLDERS[incoming]}/messages", "receivedDateTime", within, size, is_descending=True)
        folder = segment(self._places.ours) if name == OURS else _FOLDERS[name]
        is_thread_alone = name != OURS and not wanted.is_everything
        options = {"select": THREAD_SELECT if is_thread_alone else SELECT}
        if self._settings.expands_rounds and not is_thread_alone:
            options["expand"] = codec.EXPAND
        if half.bound:
            options["filter"] = f"receivedDateTime ge {half.bound}"
        return Part("GET", address(f"{self._client.root}/mailFolders/{folder}/messages/delta", **options), _DELTA, page_size=size)

    def _search(self, where: str, by: str, within: str, size: int, *, is_descending: bool = False) -> Part:
        """Returns a search in the order of a time. What is ordered by has to stand first in the filter."""
        order = f"{by} desc" if is_descending else by
        options = {"filter": f"{by} {within}", "orderby": order, "select": SELECT, "expand": codec.EXPAND, "top": str(size)}
        return Part("GET", address(f"{self._client.root}/{where}", **options), LIST_TEMPLATE)

    # --- what was said ------------------------------------------------------------------------------------------------------
    def _read(self, page: _Page, cursor: Cursor, name: str, reply: Reply, wanted: Wanted) -> Cursor:
        """Takes what one list said into the page, and returns where the round stands then."""
        if not reply.is_good:
            raise self._refusal(name, reply)
        half = cursor.halves[name]
        said = rounds.options_of(reply.body)
        if said is None:
            raise self._client.unreadable(reply, is_read=True)
        rows, following, end = said
        if name not in SEARCHES and (bool(following) == bool(end) or following == half.link != ""):
            raise self._client.unreadable(reply, is_read=True)
        if link := following or end:
            self._client.local(link)  # refused here, before it is kept
        if not all(id_of(row) for row in rows):
            raise self._client.unreadable(reply, is_read=True)
        for id_, row in {id_of(row): row for row in rows}.items():  # what was said last of a mail holds
            self._take(page, name, id_, row, wanted)
        if name in SEARCHES:
            if following and not rows:
                raise self._client.unreadable(reply, is_read=True)
            last = _last_of(rows, name) if rows else ""
            return cursor.put(name, rounds.searched(half, link=following, last=last))
        times = [text for row in rows if (text := _time_of(row, "receivedDateTime", is_end=True))] if name != OURS else []
        for each, behind in rounds.told(half, name, link=link, is_end=bool(end), times=times).items():
            cursor = cursor.put(each, behind)
        return cursor

    def _take(self, page: _Page, name: str, id_: str, row: Any, wanted: Wanted) -> None:
        if "@removed" in row:
            page.gone[id_] = None
        elif name == OURS:
            page.add(id_, row, mails.BY_FOLDER)
        elif name == MARKED:
            page.add(id_, row, mails.BY_CATEGORY)
        elif _is_in(row, wanted.threads):
            page.add(id_, row, mails.BY_THREAD)
        elif wanted.is_everything:
            marks = row.get("categories")
            page.add(id_, row, mails.BY_CATEGORY if isinstance(marks, list) and is_among(wanted.category, marks) else mails.BY_NOTHING)

    def _refusal(self, name: str, reply: Reply) -> ConnectorError:
        error = self._client.error_of(reply, is_read=True)
        if not isinstance(error, RecordGone) and error.code.casefold() != faults.MALFORMED_ID:
            return error
        common: dict[str, Any] = {"system": SYSTEM, "status": error.status, "exchange": error.exchange}
        if name == OURS:
            return RecordGone("our folder of mails is not there any more", code=FOLDER_GONE, **common)
        return MailboxRefused("has no folder for incoming or sent mails in this mailbox", **common)

    # --- telling ------------------------------------------------------------------------------------------------------------
    def _told(self, page: _Page, cursor: Cursor, wanted: Wanted, known: Known, *, is_restart: bool) -> MailChanges:
        found, unneeded = self._found(page, known)
        records = self._records(page, found, unneeded)
        least = read_instant(cursor.since)
        is_last = not cursor.open_halves
        is_whole = cursor.is_whole
        cursor = replace(cursor, kinds=self._places.known, begun_at=cursor.begun_at or (spelt(page.at) if page.at else ""))
        overlap = timedelta(seconds=self._settings.mail_overlap_seconds)
        return MailChanges(
            mails=tuple(record for record in records if not _is_old(record, least)),
            gone=tuple(dict.fromkeys([*(id_ for id_ in page.gone if id_ not in page.rows), *found.gone])),
            cursor=(rounds.ended(cursor, overlap) if is_last else cursor).text(),
            is_last=is_last,
            is_whole=is_whole,
            is_restart=is_restart,
            unreadable=tuple(found.unreadable.values()),
        )

    def _found(self, page: _Page, known: Known) -> tuple[FoundMails, Collection[str]]:
        """Reads what the lists told too little of. A mail that the caller is done with is left out."""
        unneeded = known(tuple(page.rows)) if page.rows else ()
        lacking = [id_ for id_, (row, _) in page.rows.items() if id_ not in unneeded and not self._is_told_in_full(row)]
        return (self._reader.rows(lacking) if lacking else FoundMails(SYSTEM)), unneeded

    def _is_told_in_full(self, row: Any) -> bool:
        """Tells whether nothing more has to be read of a message. One that never travelled has no headers that say how
        confidential it is: its extended properties do."""
        return codec.is_complete(row) and (self._settings.expands_rounds or bool(row.get(codec.HEADERS)))

    def _records(self, page: _Page, found: FoundMails, unneeded: Collection[str]) -> list[Record]:
        records = []
        for id_, (row, shared_by) in page.rows.items():
            if id_ in unneeded or id_ in found.gone or id_ in found.unreadable:
                continue
            record = self._reader.record(found.rows.get(id_, row), found, shared_by)
            if record is not None:
                records.append(record)
        return records


def _is_in(row: Any, threads: Collection[str]) -> bool:
    thread = row.get("conversationId")
    return isinstance(thread, str) and thread in threads


def _is_old(record: Record, least: datetime | None) -> bool:
    """Tells whether a mail that nobody marked came in before what was asked for: it was only read, or moved."""
    at = record.fields[mails.RECEIVED_AT]
    return record.fields[mails.SHARED_BY] == mails.BY_NOTHING and isinstance(at, datetime) and least is not None and at < least


def _last_of(rows: Sequence[Any], name: str) -> str:
    """Returns where a search stands behind these rows: marks are searched for onwards, what a list left out backwards."""
    return _time_of(rows[-1], "lastModifiedDateTime") if name == MARKED else _time_of(rows[-1], "receivedDateTime", is_end=True)


def _time_of(row: Any, name: str, *, is_end: bool = False) -> str:
    """Returns a time of a row in whole seconds, the next one with `is_end`; "" for none."""
    at = read_instant(row.get(name))
    if at is None:
        return ""
    return spelt(at + timedelta(seconds=1) if is_end and at.microsecond else at)


def _has_category(category: str) -> str:
    return f"categories/any(c:c eq '{quoted(category)}')"
