"""What is new in a Gmail mailbox since a cursor: its history, one call where nothing is new (engine-rules 39).

A history lives for a week, or for hours. Where there is none to go on with, lists take its place: of all that bears our label,
and of what came in since where that is wanted. The history to go on with was noted before, so that nothing falls between. Lists
tell ids alone; what the caller is done with is not read again (the quota lets 300 messages a minute be read).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors import mails
from connectors.contract import Record
from connectors.cursors import KeptCursor, read_kept
from connectors.errors import ConnectorError, RecordGone, Rejected
from connectors.google import gmail_codec as codec
from connectors.google.gmail_calls import ME, MESSAGES, GmailCalls
from connectors.google.gmail_labels import GmailLabels
from connectors.google.gmail_reading import GmailReader
from connectors.google.settings import SYSTEM, GoogleSettings
from connectors.http import Answer, unreadable
from connectors.mail_reach import MARKS_ALONE, REACHES, Wanted
from connectors.mail_rows import FoundMails
from connectors.mailboxes import FOLDER_GONE
from connectors.mails import Known, MailChanges
from connectors.text import spelt

HISTORY = f"{ME}/history"
HISTORY_PAGE = 500
MARGIN = timedelta(days=1)  # a search goes by whole seconds, and mails may come late
OURS, INCOMING = "ours", "incoming"  # the lists
NOT_INCOMING = frozenset({"DRAFT", "SPAM", "TRASH", "CHAT"})
_KINDS = ("messageAdded", "messageDeleted", "labelAdded", "labelRemoved")


@dataclass(frozen=True, slots=True)
class Cursor(KeptCursor):
    """Where a round stands. `lists` are those still to be gone through before the history behind `history` is; `page` leads to the
    next page of the first of them, or of the history; `next_history` is where the next round begins. `sure_until`: what came in
    before was told."""

    history: str = ""
    page: str = ""
    next_history: str = ""
    lists: tuple[str, ...] = ()
    label: str = ""
    reach: str = MARKS_ALONE
    since: str = ""
    sure_until: str = ""
    is_under_way: bool = False
    is_whole: bool = True
    labels: Mapping[str, str] = field(default_factory=dict)


def read_cursor(text: str) -> Cursor | None:
    """Returns the cursor, None for a text that is none of ours."""
    cursor = read_kept(Cursor, text)
    return cursor if cursor is not None and set(cursor.lists) <= {OURS, INCOMING} and cursor.reach in REACHES else None


def fitted(cursor: Cursor, *, label: str, reach: str, since: datetime) -> Cursor:
    """Returns the cursor as it serves what is asked for now: another label, a wider reach, or an earlier `since` are made up for
    by lists, before the history goes on."""
    begin = spelt(since)
    is_new = not cursor.since or begin < cursor.since
    lists = list(cursor.lists)
    if label != cursor.label:
        lists = [name for name in lists if name != OURS] + ([OURS] if label else [])
    is_wider = is_new or REACHES.index(reach) > REACHES.index(cursor.reach)
    if reach == MARKS_ALONE:
        lists = [name for name in lists if name != INCOMING]
    elif is_wider and INCOMING not in lists:
        lists.append(INCOMING)
    is_same = tuple(lists) == cursor.lists and label == cursor.label and (reach == MARKS_ALONE) == (cursor.reach == MARKS_ALONE)
    return replace(
        cursor,
        page=cursor.page if is_same else "",  # a page belongs to its list, and to what a history was asked for
        lists=tuple(lists),
        label=label,
        reach=reach,
        since=begin if is_new else cursor.since,
        sure_until="" if is_wider and reach != MARKS_ALONE else cursor.sure_until,
        is_whole=cursor.is_whole or not set(lists) <= set(cursor.lists),
    )


def _begun_anew(cursor: Cursor, refusal: ConnectorError) -> Cursor:
    """Returns the round from the start. Where its history is over that is all of our label, and what came in since the last round
    that ended; where only a page is not known any more, the same list again."""
    if cursor.lists or not isinstance(refusal, RecordGone):
        return replace(cursor, page="")
    lists = ([OURS] if cursor.label else []) + ([INCOMING] if cursor.reach != MARKS_ALONE else [])
    return replace(cursor, history="", page="", next_history="", lists=tuple(lists), is_whole=True)


def _instant(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class _Told:
    """What a page says: how messages came in, by id, and the ids that left."""

    shared: dict[str, str] = field(default_factory=dict)
    gone: dict[str, None] = field(default_factory=dict)

    def add(self, id_: str, shared_by: str) -> None:
        self.gone.pop(id_, None)
        before = self.shared.get(id_)
        if before is None or shared_by == mails.BY_FOLDER or before == mails.BY_NOTHING:
            self.shared[id_] = shared_by

    def leave(self, id_: str) -> None:
        self.shared.pop(id_, None)
        self.gone[id_] = None


class GmailRounds:
    """Pages of changes of one mailbox."""

    def __init__(self, calls: GmailCalls, reader: GmailReader, labels: GmailLabels, settings: GoogleSettings) -> None:
        self._calls, self._reader, self._labels, self._settings = calls, reader, labels, settings

    def page(self, text: str, since: datetime, wanted: Wanted, known: Known) -> MailChanges:
        """Returns the next page. Where the history is over, lists take its place."""
        before = read_cursor(text) if text else Cursor()
        is_restart = before is None
        cursor = fitted(before or Cursor(), label=self._labels.ours, reach=wanted.reach, since=since)
        self._labels.remember(cursor.labels)
        if not cursor.label and wanted.reach == MARKS_ALONE:  # nothing shares a mail yet
            return self._ended(cursor, _Told(), FoundMails(SYSTEM), [], is_restart=is_restart)
        try:
            told, behind = self._gone_on(cursor, wanted)
        except (RecordGone, Rejected) as refusal:
            if refusal.code == FOLDER_GONE or not (isinstance(refusal, RecordGone) or cursor.page):
                raise
            is_restart = is_restart or cursor.is_under_way
            told, behind = self._gone_on(_begun_anew(cursor, refusal), wanted)
        return self._shown(behind, told, known, is_restart=is_restart)

    def _gone_on(self, cursor: Cursor, wanted: Wanted) -> tuple[_Told, Cursor]:
        """Returns what the next page says, and where the round stands then. Raises RecordGone where the history is over, or our
        label is not there; Rejected where a page is not known any more."""
        told = _Told()
        try:
            if cursor.history and not cursor.lists:
                return told, self._history(cursor, told, wanted)
            cursor = cursor if cursor.history else self._noted(cursor)
            return told, self._listed(cursor, told, wanted)
        except Rejected:
            if cursor.label:
                self._labels.verify()
            raise

    # --- the history --------------------------------------------------------------------------------------------------------
    def _history(self, cursor: Cursor, told: _Told, wanted: Wanted) -> Cursor:
        """Takes a page of the history, and returns where the round stands then."""
        options = [("startHistoryId", cursor.history), *(("historyTypes", kind) for kind in _KINDS), ("maxResults", str(HISTORY_PAGE))]
        options += [("labelId", cursor.label)] if wanted.reach == MARKS_ALONE else []
        options += [("pageToken", cursor.page)] if cursor.page else []
        answer = self._calls.client.get(HISTORY, options, is_of_record=True)
        rows, following, last = answer.data.get("history") or [], answer.data.get("nextPageToken") or "", answer.data.get("historyId")
        if not isinstance(rows, list) or not isinstance(following, str) or not _is_number(last) or following == cursor.page != "":
            raise unreadable(SYSTEM, answer, is_read=True)
        for row in rows:
            self._take(row, told, cursor, wanted, answer)
        # The clock of the first page counts: what happens while later ones are asked for is told again.
        next_history = cursor.next_history or str(last)
        behind = replace(cursor, page=following, next_history=next_history, is_under_way=True)
        if following:
            return behind
        return self._through(replace(behind, history=next_history), answer)

    def _take(self, row: Any, told: _Told, cursor: Cursor, wanted: Wanted, answer: Answer) -> None:
        """Takes one record of the history; what comes later holds."""
        for key in ("messagesAdded", "labelsAdded", "labelsRemoved", "messagesDeleted"):
            for id_, thread, labels, changed in _changes(row, key, answer):
                if key == "messagesDeleted" or (key == "labelsRemoved" and cursor.label in changed):
                    told.leave(id_)
                elif key == "labelsRemoved" and not {"SPAM", "TRASH"} & set(changed):
                    continue
                elif cursor.label and cursor.label in (changed if key == "labelsAdded" else labels):
                    told.add(id_, mails.BY_FOLDER)
                elif key != "labelsAdded" or {"INBOX", "SENT"} & set(changed):
                    self._incoming(told, id_, thread, labels, wanted)

    @staticmethod
    def _incoming(told: _Told, id_: str, thread: str, labels: Sequence[str], wanted: Wanted) -> None:
        if NOT_INCOMING & set(labels):
            return
        if thread in wanted.threads:
            told.add(id_, mails.BY_THREAD)
        elif wanted.is_everything:
            told.add(id_, mails.BY_NOTHING)

    # --- lists --------------------------------------------------------------------------------------------------------------
    def _noted(self, cursor: Cursor) -> Cursor:
        """Returns the cursor with the history that begins now."""
        answer = self._calls.get(f"{ME}/profile", template=f"{ME}/profile")
        history = answer.data.get("historyId")
        if not _is_number(history):
            raise unreadable(SYSTEM, answer, is_read=True)
        return replace(cursor, history=str(history))

    def _listed(self, cursor: Cursor, told: _Told, wanted: Wanted) -> Cursor:
        """Takes a page of a list, and returns where the round stands then."""
        if not cursor.lists:
            return self._through(cursor, None)
        name = cursor.lists[0]
        options = [("maxResults", str(self._settings.mails_a_page))]
        options += [("labelIds", cursor.label)] if name == OURS else [("q", self._query(cursor))]
        options += [("pageToken", cursor.page)] if cursor.page else []
        answer = self._calls.client.get(MESSAGES, options)
        rows, following = answer.data.get("messages") or [], answer.data.get("nextPageToken") or ""
        is_sound = isinstance(rows, list) and all(codec.id_of(row) for row in rows) and isinstance(following, str)
        if not is_sound or following == cursor.page != "":
            raise unreadable(SYSTEM, answer, is_read=True)
        for row in rows:
            if name == OURS:
                told.add(row["id"], mails.BY_FOLDER)
            else:
                self._incoming(told, row["id"], str(row.get("threadId") or ""), (), wanted)
        behind = replace(cursor, page=following, is_under_way=True)
        if following:
            return behind
        behind = replace(behind, lists=cursor.lists[1:])
        return behind if behind.lists else self._through(behind, answer)

    @staticmethod
    def _query(cursor: Cursor) -> str:
        begin = _instant(cursor.since)
        if cursor.sure_until:
            begin = max(begin, _instant(cursor.sure_until) - MARGIN)
        return f"after:{int(begin.timestamp())} -in:chats -in:drafts"

    def _through(self, cursor: Cursor, answer: Answer | None) -> Cursor:
        """Returns where the next round begins."""
        at = answer.server_time if answer is not None else None
        sure = spelt(at) if at is not None else cursor.sure_until
        return replace(cursor, page="", next_history="", lists=(), is_under_way=False, sure_until=sure)

    # --- telling ------------------------------------------------------------------------------------------------------------
    def _shown(self, cursor: Cursor, told: _Told, known: Known, *, is_restart: bool) -> MailChanges:
        unneeded = known(tuple(told.shared)) if told.shared else ()
        found = self._reader.rows(id_ for id_ in told.shared if id_ not in unneeded)
        records = self._reader.records(found, told.shared)
        return self._ended(cursor, told, found, records, is_restart=is_restart)

    def _ended(self, cursor: Cursor, told: _Told, found: FoundMails, records: Sequence[Record], *, is_restart: bool) -> MailChanges:
        is_last = not cursor.is_under_way
        least = _instant(cursor.since)
        following = replace(cursor, labels=self._labels.names, is_whole=cursor.is_whole and not is_last)
        return MailChanges(
            mails=tuple(record for record in records if not _is_unwanted(record, least)),
            gone=tuple(dict.fromkeys([*told.gone, *found.gone])),
            cursor=following.text(),
            is_last=is_last,
            is_whole=cursor.is_whole,
            is_restart=is_restart,
            unreadable=tuple(found.unreadable.values()),
        )


def _changes(row: Any, key: str, answer: Answer) -> Iterator[tuple[str, str, list[str], list[str]]]:
    """Yields the changes of one kind in a record of the history: message, thread, the message's labels and those that changed."""
    found = row.get(key) or [] if isinstance(row, Mapping) else None
    if not isinstance(found, list):
        raise unreadable(SYSTEM, answer, is_read=True)
    for each in found:
        message = each.get("message") if isinstance(each, Mapping) else None
        id_ = codec.id_of(message)
        if not id_ or not isinstance(message, Mapping):
            raise unreadable(SYSTEM, answer, is_read=True)
        labels, changed = (raw if isinstance(raw, list) else [] for raw in (message.get("labelIds"), each.get("labelIds")))
        yield id_, str(message.get("threadId") or ""), [str(t) for t in labels], [str(t) for t in changed]


def _is_unwanted(record: Record, least: datetime) -> bool:
    """Tells whether a mail that nobody marked came in before what was asked for, or was thrown away meanwhile."""
    if record.fields[mails.SHARED_BY] != mails.BY_NOTHING:
        return False
    at = record.fields[mails.RECEIVED_AT]
    return record.fields[mails.FOLDER] in (mails.BIN, mails.JUNK) or (isinstance(at, datetime) and at < least)


def _is_number(raw: Any) -> bool:
    return isinstance(raw, str) and raw.isascii() and raw.isdigit() and len(raw) < 21
