"""The calendar of one Microsoft mailbox as a `CalendarBox`.

Microsoft mails the guests of a meeting whenever more than one's own copy of it is changed, and cannot be told not to: what
would do so is refused here, so that no mistake elsewhere mails anybody (D12). `ask_to_mail` names those that a person wants
to be told.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import quote

from connectors.calendars import EVENT, Window
from connectors.checks import Try, run_checks
from connectors.contract import Check, Record, Write, WriteResult
from connectors.errors import ConnectorError, RecordGone, Rejected
from connectors.mailbox_writes import result_of
from connectors.mailboxes import CATEGORIES, FOREIGN_ID
from connectors.meetings import GuardedCalendar, Meetings, is_loud
from connectors.microsoft import codec as contact_codec
from connectors.microsoft import event_codec as codec
from connectors.microsoft.box import MicrosoftBox
from connectors.microsoft.client import Part, Reply, address, segment
from connectors.microsoft.event_changes import EVENT_TEMPLATE, EventRounds
from connectors.microsoft.sending import prepared, send
from connectors.microsoft.settings import PARTS_A_CALL, SYSTEM
from connectors.text import spelt

LIST_TEMPLATE = "/users/{user}/events"
VIEW_TEMPLATE = "/users/{user}/calendarView"
ASK_CALENDARS = "Ask a Microsoft 365 administrator to grant the app Calendars.ReadWrite, and to let it into this mailbox."


class MicrosoftCalendar(GuardedCalendar, MicrosoftBox):
    """One calendar."""

    _rounds: EventRounds

    def _open(self) -> None:
        super()._open()
        self._rounds = EventRounds(self._client, self._settings.events_a_page)
        self._uids: dict[str, str] = {}  # series -> its identity
        self._meetings = Meetings(SYSTEM, "mail the guests of this meeting")

    # --- reading ------------------------------------------------------------------------------------------------------

    def read(self, object_type: str, ids: Sequence[str], columns: Sequence[str]) -> list[Record]:
        asked = list(dict.fromkeys(ids))
        select, expand = ",".join(codec.PROPERTIES), contact_codec.expand([FOREIGN_ID])
        parts = [
            Part("GET", address(f"{self._client.root}/events/{segment(id_)}", select=select, expand=expand), EVENT_TEMPLATE)
            for id_ in asked
        ]
        rows = []
        for reply in self._client.read_all(parts) if parts else ():
            if reply.is_good:
                rows.append(self._sound(reply.body, reply))
            elif not isinstance(error := self._rounds.gone_or_error(reply), RecordGone):
                raise error
        return self._records([row for row in rows if row.get("type") != codec.MASTER])

    def find_events(self, window: Window, *, most: int) -> list[Record]:
        span = f"startDateTime={quote(spelt(window.start))}&endDateTime={quote(spelt(window.end))}"
        # What a calendar view says of times of creation cannot be asked for by name, so everything is taken; our mark is named.
        path = f"{self._client.root}/calendarView?{span}&$top={most}&$expand={quote(contact_codec.expand([FOREIGN_ID]))}"
        (reply,) = self._client.read_all([Part("GET", path, VIEW_TEMPLATE)])
        if not reply.is_good:
            raise self._client.error_of(reply, is_read=True)
        found = reply.body.get("value") if isinstance(reply.body, dict) else None
        if not isinstance(found, list):
            raise self._client.unreadable(reply, is_read=True)
        return self._records([self._sound(row, reply) for row in found[:most]])

    def find_marked(self, object_type: str, markers: Sequence[str], columns: Sequence[str], *, since: datetime) -> list[Record]:
        wanted = [marker for marker in dict.fromkeys(markers) if marker]
        options = {"select": ",".join(codec.PROPERTIES), "expand": contact_codec.expand([FOREIGN_ID])}
        parts = [
            Part("GET", address(f"{self._client.root}/events", filter=contact_codec.has_marker(marker), **options), LIST_TEMPLATE)
            for marker in wanted
        ]
        rows: list[Any] = []
        for reply in self._client.read_all(parts) if parts else ():
            if not reply.is_good:
                raise self._client.error_of(reply, is_read=True)
            body = reply.body if isinstance(reply.body, dict) else {}
            found, link = body.get("value"), body.get("@odata.nextLink")
            if not isinstance(found, list):
                raise self._client.unreadable(reply, is_read=True)
            more = self._client.every(self._client.local(link), template=LIST_TEMPLATE) if isinstance(link, str) else []
            rows += [self._sound(row, reply) for row in [*found, *more]]
        records = self._records([row for row in rows if row.get("type") != codec.MASTER])
        # Microsoft compares values without regard to case.
        return list({r.ref.id: r for r in records if r.fields.get(FOREIGN_ID) in wanted}.values())

    def _sound(self, raw: Any, reply: Reply) -> dict[str, Any]:
        if not codec.is_sound(raw):
            raise self._client.unreadable(reply, is_read=True)
        return {contact_codec.EXTENDED_LIST: [], **raw}  # asked for: an event that has none is told without the list

    def _records(self, rows: Sequence[dict[str, Any]]) -> list[Record]:
        masters = {str(row["seriesMasterId"]) for row in rows if row.get("seriesMasterId")}
        self._uids |= self._rounds.uids_of(sorted(masters - self._uids.keys()))
        records = [codec.read_event(row, uid=self._uids.get(str(row.get("seriesMasterId")))) for row in rows]
        self._meetings.note(records)
        return records

    # --- writing ------------------------------------------------------------------------------------------------------

    def batch_size(self, object_type: str, *, is_create: bool) -> int:
        return PARTS_A_CALL

    def write(self, object_type: str, writes: Sequence[Write]) -> list[WriteResult]:
        """As the contract says, in one call; one more for events that were not read in this version, to see whether they have
        guests."""
        self._look_for_guests(writes)
        settled: dict[int, WriteResult] = {}
        send(self._client, writes, prepared(writes, self._part, settled), settled, self._result)
        return [settled[at] for at in range(len(writes))]

    def _look_for_guests(self, writes: Sequence[Write]) -> None:
        unseen = [w.ref.id for w in writes if w.ref is not None and is_loud(w) and not self._meetings.is_seen(w)]
        if unseen:
            self.read(EVENT, unseen, ())

    def _part(self, write: Write) -> Part:
        if write.ref is None:
            fields = {**write.fields, **({FOREIGN_ID: write.marker} if write.marker else {})}
            body = codec.write_body(fields)
            held = fields.get(CATEGORIES)
            body["categories"] = contact_codec.with_category(list(held) if isinstance(held, tuple) else [], self._category)
            body["transactionId"] = str(uuid.UUID(bytes=hashlib.sha256(f"{write.marker} {write.key}".encode()).digest()[:16], version=4))
            return Part("POST", f"{self._client.root}/events", LIST_TEMPLATE, body)
        path = f"{self._client.root}/events/{segment(write.ref.id)}"
        version = self._meetings.allow(write)[0] if is_loud(write) else write.version
        if write.is_delete:
            return Part("DELETE", path, EVENT_TEMPLATE, if_match=version)
        body = codec.write_body(write.fields)
        if not body:
            raise Rejected("nothing of it is to be written", system=SYSTEM)
        return Part("PATCH", path, EVENT_TEMPLATE, body, if_match=version)

    def _result(self, write: Write, answer: Reply | ConnectorError) -> WriteResult:
        result = result_of(self._client, write, answer, lambda reply: self._written(write, reply.body))
        if result.record is not None and not write.is_delete:
            self._meetings.note([result.record])
        return result

    def _written(self, write: Write, body: Any) -> Record | None:
        """Returns the event that answers a write. Extended properties are never told in it: what was sent is held now."""
        if not codec.is_sound(body):
            return None
        row = {name: value for name, value in body.items() if name != contact_codec.EXTENDED_LIST}
        record = codec.read_event(row, uid=self._uids.get(str(row.get("seriesMasterId"))))
        sent = {FOREIGN_ID: write.fields[FOREIGN_ID]} if FOREIGN_ID in write.fields else {}
        if write.ref is None:
            sent[FOREIGN_ID] = write.marker or sent.get(FOREIGN_ID)
        return replace(record, fields={**record.fields, **sent})

    # --- the calendar itself ------------------------------------------------------------------------------------------

    def check_mailbox(self) -> list[Check]:
        path = address(f"{self._client.root}/events", top="1", select="id")
        look = Try("Read events", "Its calendar can be read.", lambda: next(self._client.pages(path, template=LIST_TEMPLATE)), _remedy)
        return run_checks([look])


def _remedy(error: ConnectorError) -> str:
    return ASK_CALENDARS if error.status == 403 else ""
