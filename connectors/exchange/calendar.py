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

from connectors.calendars import EVENT, Window
from connectors.checks import Try, run_checks
from connectors.contract import Check, Record, Value, Write, WriteResult
from connectors.errors import Rejected
from connectors.exchange import event_codec as codec
from connectors.exchange.box import ExchangeBox, remedy
from connectors.exchange.event_changes import CALENDAR, EventRounds
from connectors.exchange.folders import Folders
from connectors.exchange.reading import Finder
from connectors.exchange.settings import SYSTEM
from connectors.exchange.writer import Answered, Prepared, Sender, checked, fields_of_create, rests_on
from connectors.mailbox_writes import raise_common_trouble
from connectors.mailboxes import FOREIGN_ID
from connectors.meetings import GuardedCalendar, Meetings, is_loud
from connectors.notices import Seen


class ExchangeCalendar(GuardedCalendar, ExchangeBox):
    """One calendar."""

    _rounds: EventRounds

    def _open(self) -> None:
        self._finder = Finder(self._client, self._settings)
        self._rounds = EventRounds(self._client, self._finder, self._settings)
        self._sender = Sender(self._client, self._settings, CalendarItem, lambda: CALENDAR)
        self._folders = Folders(self._client)
        self._meetings = Meetings(SYSTEM, "part this meeting from its guests' own")

    # --- reading ------------------------------------------------------------------------------------------------------

    def look(self, cursor: str) -> Sequence[Seen] | None:
        return self._rounds.look(cursor)

    def read(self, object_type: str, ids: Sequence[str], columns: Sequence[str]) -> list[Record]:
        records = self._rounds.read(ids) if ids else []
        self._meetings.note(records)
        return records

    def find_events(self, window: Window, *, most: int) -> list[Record]:
        records = self._rounds.find(window, most=most)
        self._meetings.note(records)
        return records

    def find_marked(self, object_type: str, markers: Sequence[str], columns: Sequence[str], *, since: datetime) -> list[Record]:
        ids = self._finder.marked(markers, [CALENDAR], CalendarItem) if markers else []
        # Exchange compares values without regard to case.
        return [record for record in self.read(EVENT, ids, columns) if record.fields.get(FOREIGN_ID) in markers]

    # --- writing ------------------------------------------------------------------------------------------------------

    def batch_size(self, object_type: str, *, is_create: bool) -> int:
        return self._settings.items_a_call

    def write(self, object_type: str, writes: Sequence[Write]) -> list[WriteResult]:
        """As the contract says: creates, updates and deletes in a call each; one more for events that were not read in this version,
        to see whether they have guests, and one for creates, to see whether they were made before: Exchange makes what it is told
        twice twice."""
        self._look_for_guests(writes)
        made = self._made_before(writes)
        new = [(at, write) for at, write in enumerate(writes) if write.ref is not None or write.marker not in made]
        settled = self._sender.carry_out(new, self._prepared)
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
        known = [(write.ref.id, write) for write in writes if write.ref is not None]
        unseen = [id_ for id_, write in known if (is_loud(write) or not write.version) and not self._meetings.is_seen(write)]
        deleted = [id_ for id_, write in known if write.is_delete]  # Exchange compares no version for a delete
        asked = dict.fromkeys([*unseen, *deleted])
        there = {record.ref.id for record in self.read(EVENT, list(asked), ())}
        self._meetings.forget(asked.keys() - there)

    def _prepared(self, at: int, write: Write) -> Prepared:
        if write.ref is None:
            return Prepared(at, write, self._item(fields_of_create(write, self._category)))
        is_told = False
        version = write.version
        if is_loud(write):
            version, is_told = self._meetings.allow(write)
        elif not version:
            version = rests_on(write.ref.id, "", self._meetings.versions)
        if write.is_delete:
            return Prepared(at, write, version=version, is_told=is_told)
        elements = codec.updates(write.fields, self._settings.zone, self._client.version)
        if not elements:
            raise Rejected("nothing of it is to be written", system=SYSTEM)
        return Prepared(at, write, elements, version, is_told)

    def _item(self, fields: dict[str, Value]) -> Any:
        item = codec.new_event(fields, self._settings.zone)
        item.account = self._client.account
        return checked(item, self._client, "event")

    def _result(self, write: Write, answer: Answered) -> WriteResult:
        fields = write.fields if write.ref is not None else fields_of_create(write, self._category)
        result = self._sender.result_of(write, answer, EVENT, codec.sent_fields(fields))
        if result.record is not None and not write.is_delete:
            self._meetings.note_written(write, result.record)
        return result

    # --- the calendar itself ------------------------------------------------------------------------------------------

    def check_mailbox(self) -> list[Check]:
        return run_checks([Try("Read events", "Its calendar can be read.", lambda: self._folders.look(CALENDAR), remedy)])
