"""The calendar of one mailbox of an Exchange server as a `CalendarBox`.

Every write says whether guests are mailed, and says no (SendToNone). But then the guests keep what they had: a meeting that is
moved here alone is two meetings. So what concerns them is refused, as at Microsoft 365, unless a person wants them to be told
(`ask_to_mail`); then Exchange mails them (D12).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from exchangelib import CalendarItem

from connectors.calendars import EVENT, EVENT_SCHEMA, GUESTS, SILENT, EventChanges, Window
from connectors.checks import Try, run_checks
from connectors.contract import CallCount, Check, Identity, Record, Ref, Schema, Value, Write, WriteResult
from connectors.errors import ConnectorError, RecordGone, Rejected, StaleVersion
from connectors.exchange import event_codec as codec
from connectors.exchange.client import EwsClient
from connectors.exchange.codec import with_category
from connectors.exchange.event_changes import CALENDAR, EventRounds
from connectors.exchange.folders import Folders
from connectors.exchange.mailbox import remedy
from connectors.exchange.reading import Finder
from connectors.exchange.settings import SYSTEM, ExchangeSettings
from connectors.exchange.writer import Answered, Prepared, Sender, raise_common_trouble, rests_on, result_of
from connectors.http import HttpClient
from connectors.mailbox_base import NoSweeps
from connectors.mailboxes import CATEGORIES, FOREIGN_ID
from connectors.notices import Seen


class ExchangeCalendar(NoSweeps):
    """One calendar. Its calls go out one after the other."""

    system = SYSTEM
    marker_field = FOREIGN_ID
    concurrency = 1
    is_silent = False
    has_categories = True

    def __init__(
        self,
        address: str,
        http: HttpClient,
        client: EwsClient,
        settings: ExchangeSettings,
        *,
        settle_seconds: int = 0,
        page_address_template: str = "",
    ) -> None:
        self.address = address
        self.settle_seconds = settle_seconds
        self.request_timeout = http.timeout
        self._http, self._client, self._settings = http, client, settings
        self._template = page_address_template
        self._finder = Finder(client, settings)
        self._rounds = EventRounds(client, self._finder, settings)
        self._sender = Sender(client, settings, CalendarItem, lambda: CALENDAR)
        self._folders = Folders(client)
        self._category = ""
        self._told: set[str] = set()  # events whose guests a person wants to be mailed
        self._seen: dict[str, tuple[str, bool]] = {}  # event that was read -> its version, and whether it has guests

    def use_category(self, category: str) -> None:
        self._category = category

    def ask_to_mail(self, ids: Sequence[str]) -> None:
        """Lets writes to these events mail their guests: a person asked for it."""
        self._told.update(ids)

    def make_category(self, name: str) -> None:
        """Has nothing to do: an event bears any name as its category, and the list with the colours is Outlook's own."""

    # --- reading ------------------------------------------------------------------------------------------------------

    def event_changes(self, cursor: str, window: Window) -> EventChanges:
        found = self._rounds.page(cursor, window)
        self._note(found.events)
        return found

    def look(self, cursor: str) -> Sequence[Seen] | None:
        return self._rounds.look(cursor)

    def read(self, object_type: str, ids: Sequence[str], columns: Sequence[str]) -> list[Record]:
        records = self._rounds.read(ids) if ids else []
        self._note(records)
        return records

    def find_events(self, window: Window, *, most: int) -> list[Record]:
        records = self._rounds.find(window, most=most)
        self._note(records)
        return records

    def find_marked(self, object_type: str, markers: Sequence[str], columns: Sequence[str], *, since: datetime) -> list[Record]:
        ids = self._finder.marked(markers, [CALENDAR], CalendarItem) if markers else []
        # Exchange compares values without regard to case.
        return [record for record in self.read(EVENT, ids, columns) if record.fields.get(FOREIGN_ID) in markers]

    def _note(self, records: Sequence[Record]) -> None:
        self._seen |= {r.ref.id: (r.version, bool(r.fields.get(GUESTS))) for r in records}

    # --- writing ------------------------------------------------------------------------------------------------------

    def batch_size(self, object_type: str, *, is_create: bool) -> int:
        return self._settings.items_a_call

    def write(self, object_type: str, writes: Sequence[Write]) -> list[WriteResult]:
        """As the contract says: creates, updates and deletes in a call each; one more for events that were not read in this version,
        to see whether they have guests, and one for creates, to see whether they were made before: Exchange makes what it is told
        twice twice."""
        self._look_for_guests(writes)
        made = self._made_before(writes)
        settled: dict[int, Answered] = {}
        rows = []
        for at, write in enumerate(writes):
            if write.ref is None and write.marker in made:
                continue
            try:
                rows.append(self._prepared(at, write))
            except ConnectorError as error:
                settled[at] = error
        self._sender.send(rows, settled)
        results = [
            self._result(write, settled[at]) if at in settled else WriteResult(write.key, made[write.marker])
            for at, write in enumerate(writes)
        ]
        raise_common_trouble(results)
        return results

    def _made_before(self, writes: Sequence[Write]) -> dict[str, Record]:
        markers = [write.marker for write in writes if write.ref is None and write.marker]
        found = self.find_marked(EVENT, markers, (), since=datetime.min) if markers else []
        return {str(record.fields[FOREIGN_ID]): record for record in found}

    def _look_for_guests(self, writes: Sequence[Write]) -> None:
        known = [w for w in writes if w.ref is not None]
        unseen = [
            w.ref.id for w in known if w.ref is not None and (_is_loud(w) or not w.version) and not self._is_seen(w.ref.id, w.version)
        ]
        deleted = [w.ref.id for w in known if w.ref is not None and w.is_delete]  # Exchange compares no version for a delete
        if unseen or deleted:
            asked = list(dict.fromkeys([*unseen, *deleted]))
            there = {record.ref.id for record in self.read(EVENT, asked, ())}
            for id_ in asked:
                if id_ not in there:
                    self._seen.pop(id_, None)

    def _is_seen(self, id_: str, version: str) -> bool:
        return id_ in self._seen and version in ("", self._seen[id_][0])

    def _prepared(self, at: int, write: Write) -> Prepared:
        if write.ref is None:
            return Prepared(at, write, self._item(self._fields_of(write)))
        is_told = False
        version = write.version
        if _is_loud(write):
            version, is_told = self._loud(write)
        elif not version:
            version = rests_on(write.ref.id, "", {id_: seen[0] for id_, seen in self._seen.items()})
        if write.is_delete:
            return Prepared(at, write, version=version, is_told=is_told)
        elements = codec.updates(write.fields, self._settings.zone, self._client.version)
        if not elements:
            raise Rejected("nothing of it is to be written", system=SYSTEM)
        return Prepared(at, write, elements, version, is_told)

    def _loud(self, write: Write) -> tuple[str, bool]:
        """Returns the version that a write may rest on, the one that was looked at for guests, and whether they are mailed. Raises
        Rejected for a meeting whose guests nobody wants to mail, RecordGone and StaleVersion."""
        assert write.ref is not None
        if write.ref.id not in self._seen:
            raise RecordGone("it is not there (any more)", system=SYSTEM, code="ErrorItemNotFound")
        version, has_guests = self._seen[write.ref.id]
        if write.version not in ("", version):
            raise StaleVersion("the event was changed meanwhile", system=SYSTEM)
        if has_guests and write.ref.id not in self._told:
            raise Rejected("would part this meeting from its guests' own; nobody asked for that", system=SYSTEM, code="would_mail")
        return version, has_guests

    def _fields_of(self, write: Write) -> dict[str, Value]:
        fields: dict[str, Value] = {**write.fields, **({FOREIGN_ID: write.marker} if write.marker else {})}
        held = fields.get(CATEGORIES)
        return fields | {CATEGORIES: with_category(held if isinstance(held, tuple) else (), self._category)}

    def _item(self, fields: dict[str, Value]) -> Any:
        item = codec.new_event(fields, self._settings.zone)
        item.account = self._client.account
        try:
            item.clean(version=self._client.version)
        except (ValueError, TypeError) as error:  # a text that is too long, and its like
            raise Rejected(f"takes no such event: {error}"[:300], system=SYSTEM) from None
        return item

    def _result(self, write: Write, answer: Answered) -> WriteResult:
        fields = write.fields if write.ref is not None else self._fields_of(write)
        result = result_of(self._sender, write, answer, EVENT, codec.sent_fields(fields))
        if result.record is not None and not write.is_delete:
            has_guests = write.ref is not None and self._seen.get(write.ref.id, ("", False))[1]
            self._seen[result.record.ref.id] = (result.record.version, has_guests)
        return result

    # --- the calendar itself ------------------------------------------------------------------------------------------

    def schema(self, object_type: str) -> Schema:
        return EVENT_SCHEMA

    def check_mailbox(self) -> list[Check]:
        return run_checks([Try("Read events", "Its calendar can be read.", lambda: self._folders.look(CALENDAR), remedy)])

    def check(self, *, may_send: bool = True) -> list[Check]:
        return self.check_mailbox()

    def identity(self) -> Identity:
        return Identity(self.address)

    def keep_alive(self) -> None:
        """Nothing of a password dies of not being used."""

    def web_url(self, ref: Ref) -> str:
        return self._template.replace("{object}", ref.object_type).replace("{id}", ref.id)

    def counts(self) -> CallCount:
        return self._http.counts

    def close(self) -> None:
        self._http.close()


def _is_loud(write: Write) -> bool:
    """Tells whether a write touches more than one's own copy of an event."""
    return write.is_delete or bool(set(write.fields) - SILENT)
