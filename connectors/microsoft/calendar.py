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

from connectors.calendars import EVENT, EVENT_SCHEMA, GUESTS, SILENT, EventChanges, Window
from connectors.checks import Try, run_checks
from connectors.contract import CallCount, Check, Identity, Record, Ref, Schema, Write, WriteResult
from connectors.errors import ConnectionTrouble, ConnectorError, RecordGone, Rejected, StaleVersion, not_sent
from connectors.http import HttpClient
from connectors.mailbox_base import NoSweeps
from connectors.mailboxes import CATEGORIES, FOREIGN_ID
from connectors.microsoft import codec as contact_codec
from connectors.microsoft import event_codec as codec
from connectors.microsoft.categories import make_category
from connectors.microsoft.client import GraphClient, Part, Reply, address, segment
from connectors.microsoft.event_changes import EVENT_TEMPLATE, EventRounds, spelt
from connectors.microsoft.settings import PARTS_A_CALL, SYSTEM, MicrosoftSettings

LIST_TEMPLATE = "/users/{user}/events"
VIEW_TEMPLATE = "/users/{user}/calendarView"
ASK_CALENDARS = "Ask a Microsoft 365 administrator to grant the app Calendars.ReadWrite, and to let it into this mailbox."


class MicrosoftCalendar(NoSweeps):
    """One calendar."""

    system = SYSTEM
    marker_field = FOREIGN_ID
    is_silent = False
    has_categories = True

    def __init__(
        self,
        address_: str,
        http: HttpClient,
        client: GraphClient,
        settings: MicrosoftSettings,
        *,
        settle_seconds: int = 0,
        page_address_template: str = "",
    ) -> None:
        self.address = address_
        self.settle_seconds = settle_seconds
        self.concurrency = settings.concurrency
        self.request_timeout = http.timeout
        self._http, self._client, self._settings = http, client, settings
        self._template = page_address_template
        self._rounds = EventRounds(client, settings.events_a_page)
        self._category = ""
        self._uids: dict[str, str] = {}  # series -> its identity
        self._told: set[str] = set()  # events whose guests a person wants to be mailed
        self._seen: dict[str, tuple[str, bool]] = {}  # event that was read -> its version, and whether it has guests

    def use_category(self, category: str) -> None:
        self._category = category

    def ask_to_mail(self, ids: Sequence[str]) -> None:
        """Lets writes to these events mail their guests: a person asked for it."""
        self._told.update(ids)

    def make_category(self, name: str) -> None:
        make_category(self._client, name, self._settings.category_colour)

    # --- reading ------------------------------------------------------------------------------------------------------

    def event_changes(self, cursor: str, window: Window) -> EventChanges:
        found = self._rounds.page(cursor, window)
        self._note(found.events)
        return found

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
        self._note(records)
        return records

    def _note(self, records: Sequence[Record]) -> None:
        self._seen |= {r.ref.id: (r.version, bool(r.fields.get(GUESTS))) for r in records}

    # --- writing ------------------------------------------------------------------------------------------------------

    def batch_size(self, object_type: str, *, is_create: bool) -> int:
        return PARTS_A_CALL

    def write(self, object_type: str, writes: Sequence[Write]) -> list[WriteResult]:
        """As the contract says, in one call; one more for events that were not read in this version, to see whether they have
        guests."""
        self._look_for_guests(writes)
        settled: dict[int, WriteResult] = {}
        parts: dict[int, Part] = {}
        for at, write in enumerate(writes):
            try:
                parts[at] = self._part(write)
            except ConnectorError as error:
                settled[at] = WriteResult(write.key, error=error)
        order = sorted(parts)
        for start in range(0, len(order), PARTS_A_CALL):
            some = order[start : start + PARTS_A_CALL]
            try:
                answers = self._client.write_all([parts[at] for at in some])
            except ConnectionTrouble as trouble:
                if not settled and len(some) == len(writes):
                    raise
                settled |= {at: WriteResult(writes[at].key, error=trouble, exchange=trouble.exchange) for at in some}
                settled |= {at: WriteResult(writes[at].key, error=not_sent(trouble)) for at in order[start + PARTS_A_CALL :]}
                break
            settled |= {at: self._result(writes[at], answer) for at, answer in zip(some, answers, strict=True)}
        return [settled[at] for at in range(len(writes))]

    def _look_for_guests(self, writes: Sequence[Write]) -> None:
        unseen = [w.ref.id for w in writes if w.ref is not None and _is_loud(w) and not self._is_seen(w.ref.id, w.version)]
        if unseen:
            self.read(EVENT, unseen, ())

    def _is_seen(self, id_: str, version: str) -> bool:
        return id_ in self._seen and version in ("", self._seen[id_][0])

    def _part(self, write: Write) -> Part:
        if write.ref is None:
            fields = {**write.fields, **({FOREIGN_ID: write.marker} if write.marker else {})}
            body = codec.write_body(fields)
            held = fields.get(CATEGORIES)
            body["categories"] = contact_codec.with_category(list(held) if isinstance(held, tuple) else [], self._category)
            body["transactionId"] = str(uuid.UUID(bytes=hashlib.sha256(f"{write.marker} {write.key}".encode()).digest()[:16], version=4))
            return Part("POST", f"{self._client.root}/events", LIST_TEMPLATE, body)
        path = f"{self._client.root}/events/{segment(write.ref.id)}"
        version = self._version_without_mail(write) if _is_loud(write) else write.version
        if write.is_delete:
            return Part("DELETE", path, EVENT_TEMPLATE, if_match=version)
        body = codec.write_body(write.fields)
        if not body:
            raise Rejected("nothing of it is to be written", system=SYSTEM)
        return Part("PATCH", path, EVENT_TEMPLATE, body, if_match=version)

    def _version_without_mail(self, write: Write) -> str:
        """Returns the version that a write may rest on: the one that was seen to have no guests, so that one whom somebody invites
        in this very moment is not mailed either. Raises Rejected for a meeting, RecordGone and StaleVersion."""
        assert write.ref is not None
        if write.ref.id not in self._seen:
            raise RecordGone("it is not there (any more)", system=SYSTEM, code="ErrorItemNotFound")
        version, has_guests = self._seen[write.ref.id]
        if write.version not in ("", version):
            raise StaleVersion("the event was changed meanwhile", system=SYSTEM)
        if has_guests and write.ref.id not in self._told:
            raise Rejected("would mail the guests of this meeting; nobody asked for that", system=SYSTEM, code="would_mail")
        return version

    def _result(self, write: Write, answer: Reply | ConnectorError) -> WriteResult:
        if isinstance(answer, ConnectorError):
            return WriteResult(write.key, error=answer, exchange=answer.exchange)
        if not answer.is_good:
            return WriteResult(write.key, error=self._client.error_of(answer, is_read=False), exchange=answer.exchange)
        if write.is_delete and write.ref is not None:
            return WriteResult(write.key, Record(write.ref, {}, is_deleted=True), exchange=answer.exchange)
        if not codec.is_sound(answer.body) or (write.ref is not None and answer.body["id"] != write.ref.id):
            return WriteResult(write.key, error=self._client.unreadable(answer, is_read=False), exchange=answer.exchange)
        row = {name: value for name, value in answer.body.items() if name != contact_codec.EXTENDED_LIST}
        record = codec.read_event(row, uid=self._uids.get(str(row.get("seriesMasterId"))))
        self._note([record])
        sent = {FOREIGN_ID: write.fields[FOREIGN_ID]} if FOREIGN_ID in write.fields else {}
        if write.ref is None:
            sent[FOREIGN_ID] = write.marker or sent.get(FOREIGN_ID)
        return WriteResult(write.key, replace(record, fields={**record.fields, **sent}), exchange=answer.exchange)

    # --- the calendar itself ------------------------------------------------------------------------------------------

    def schema(self, object_type: str) -> Schema:
        return EVENT_SCHEMA

    def check_mailbox(self) -> list[Check]:
        path = address(f"{self._client.root}/events", top="1", select="id")
        look = Try("Read events", "Its calendar can be read.", lambda: next(self._client.pages(path, template=LIST_TEMPLATE)), _remedy)
        return run_checks([look])

    def check(self, *, may_send: bool = True) -> list[Check]:
        return self.check_mailbox()

    def identity(self) -> Identity:
        return Identity(self.address)

    def keep_alive(self) -> None:
        """The mailbox itself keeps its tokens alive."""

    def web_url(self, ref: Ref) -> str:
        return self._template.replace("{object}", ref.object_type).replace("{id}", segment(ref.id))

    def counts(self) -> CallCount:
        return self._http.counts

    def close(self) -> None:
        self._http.close()


def _is_loud(write: Write) -> bool:
    """Tells whether a write touches more than one's own copy of an event."""
    return write.is_delete or bool(set(write.fields) - SILENT)


def _remedy(error: ConnectorError) -> str:
    return ASK_CALENDARS if error.status == 403 else ""
