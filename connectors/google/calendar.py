"""The calendar of one Google mailbox as a `CalendarBox`: the primary calendar of its user.

Every write says `sendUpdates=none`, so that no guest is mailed (D12); `ask_to_mail` names the events whose guests a person wants
to be told. Google knows no categories of events: they are shared by themselves or from our own page, and the marker in the private
properties of the user's copy says which are.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import quote

from connectors.calendars import EVENT, EVENT_SCHEMA, EventChanges, Window
from connectors.checks import Try, run_checks
from connectors.contract import Check, Record, Ref, Schema, Write, WriteResult
from connectors.errors import ConnectionTrouble, ConnectorError, RecordGone, Rejected
from connectors.google import event_codec as codec
from connectors.google.box import GoogleBox
from connectors.google.event_changes import EVENTS, EventRounds, read_page
from connectors.google.settings import SYSTEM
from connectors.http import Answer, unreadable
from connectors.mailbox_base import NoSweeps
from connectors.mailbox_writes import write_in_turn
from connectors.mailboxes import FOREIGN_ID
from connectors.meetings import is_loud

EVENT_TEMPLATE = f"{EVENTS}/{{event}}"
WRITES_A_CALL = 20
TAKEN = "duplicate"  # the code of a create whose id is taken: it was made before, and the answer lost
GONE = 410  # the status of an event that was deleted
MOST_LIVES = 10  # so often the same event is made anew after somebody deleted it
PAGE = "https://www.google.com/calendar/event?eid="
ASK_CALENDARS = "Allow the scope {scope}, switch the Google Calendar API on, and see that Calendar is on for this user."


class GoogleCalendar(NoSweeps, GoogleBox):
    """One calendar. Without `{object}` in its `page_address_template` people are led to Google's own page."""

    marker_field = FOREIGN_ID
    is_silent = True
    has_categories = False

    def _open(self) -> None:
        self._rounds = EventRounds(self._client, self.address, self._settings.events_a_page)
        self._told: set[str] = set()  # events whose guests a person wants to be mailed

    def use_category(self, category: str) -> None:
        """Does nothing: no event of Google bears one."""

    def make_category(self, name: str) -> None:
        """Does nothing: no event of Google bears one."""

    def ask_to_mail(self, ids: Sequence[str]) -> None:
        """Lets writes to these events mail their guests: a person asked for it."""
        self._told.update(ids)

    # --- reading ------------------------------------------------------------------------------------------------------

    def event_changes(self, cursor: str, window: Window) -> EventChanges:
        return self._rounds.page(cursor, window)

    def read(self, object_type: str, ids: Sequence[str], columns: Sequence[str]) -> list[Record]:
        """As the contract says. A series is left out: its occurrences are the events."""
        answers = self._client.get_each([_path(id_) for id_ in dict.fromkeys(ids)], template=EVENT_TEMPLATE)
        found = [a for a in answers if a is not None and not codec.is_gone(a.data) and not codec.is_series(a.data)]
        return [codec.read_event(self._sound(answer, is_read=True), self.address) for answer in found]

    def find_events(self, window: Window, *, most: int) -> list[Record]:
        return self._rounds.find(window, most=most)

    def find_marked(self, object_type: str, markers: Sequence[str], columns: Sequence[str], *, since: datetime) -> list[Record]:
        """As the contract says, a call for each marker: several properties in one call must all be there."""
        found: dict[str, Record] = {}
        for marker in dict.fromkeys(markers):
            for row in self._marked(marker) if marker else ():
                record = codec.read_event(row, self.address)
                if record.fields.get(FOREIGN_ID) == marker:
                    found[record.ref.id] = record
        return list(found.values())

    def _marked(self, marker: str) -> list[Any]:
        params = [("privateExtendedProperty", f"{codec.MARKER_KEY}={marker}"), ("maxResults", str(self._settings.events_a_page))]
        rows: list[Any] = []
        token = ""
        while True:
            answer = self._client.get(EVENTS, [*params, *([("pageToken", token)] if token else [])])
            some, following, _ = read_page(answer, may_be_series=True)
            rows += [row for row in some if not codec.is_gone(row) and not codec.is_series(row)]
            if not following:
                return rows
            if following == token:  # round in a circle
                raise unreadable(SYSTEM, answer, is_read=True)
            token = following

    def _sound(self, answer: Answer, *, is_read: bool) -> dict[str, Any]:
        if not codec.is_sound(answer.data):
            raise unreadable(SYSTEM, answer, is_read=is_read)
        row: dict[str, Any] = answer.data
        return row

    # --- writing ------------------------------------------------------------------------------------------------------

    def batch_size(self, object_type: str, *, is_create: bool) -> int:
        return WRITES_A_CALL

    def write(self, object_type: str, writes: Sequence[Write]) -> list[WriteResult]:
        """As the contract says, a call each and one after another. Trouble with one leaves those behind it unsent."""
        return write_in_turn(writes, self._write_one)

    def _write_one(self, write: Write) -> WriteResult:
        if write.ref is None:
            return self._made(write)
        options: dict[str, Any] = {"params": self._sends(write), "template": EVENT_TEMPLATE, "if_match": write.version}
        if write.is_delete:
            answer = self._client.delete(_path(write.ref.id), **options)
            return WriteResult(write.key, Record(write.ref, {}, is_deleted=True), exchange=answer.exchange)
        body = codec.write_body(write.fields)
        if not body:
            raise Rejected("nothing of it is to be written", system=SYSTEM)
        answer = self._client.patch(_path(write.ref.id), body, **options)
        return WriteResult(write.key, self._record(answer, write.ref.id), exchange=answer.exchange)

    def _made(self, write: Write) -> WriteResult:
        """Makes an event under an id of our own, so that the same create makes it once (reference 5.3): where the id is taken, it
        is the event that an earlier try made. Google never gives the id of a deleted event away again: one that is made anew has
        the next of our ids."""
        fields = {**write.fields, **({FOREIGN_ID: write.marker} if write.marker else {})}
        for life in range(MOST_LIVES):
            id_ = own_id(write, life)
            try:
                answer = self._client.post(EVENTS, {**codec.write_body(fields), "id": id_}, params=self._sends(write))
            except Rejected as refusal:
                if refusal.code != TAKEN:
                    raise
                earlier = self._of_earlier_try(id_, write)
                if earlier is None:
                    continue
                return WriteResult(write.key, earlier, exchange=refusal.exchange)
            return WriteResult(write.key, self._record(answer, id_), exchange=answer.exchange)
        raise Rejected(f"was made and deleted {MOST_LIVES} times; it is not made again", system=SYSTEM, code=TAKEN)

    def _of_earlier_try(self, id_: str, write: Write) -> Record | None:
        """Returns the event that has this id, None where it was deleted. One that Google does not show under an id that is taken was
        deleted long ago, or shows late: then our marker may lead there."""
        try:
            answer = self._client.get(_path(id_), template=EVENT_TEMPLATE, is_of_record=True)
            is_deleted = isinstance(answer.data, dict) and codec.is_gone(answer.data)
            return None if is_deleted else self._record(answer, id_)
        except RecordGone as gone:
            shown = self.find_marked(EVENT, [write.marker], (), since=datetime.min) if gone.status != GONE else []
            return next((record for record in shown if record.ref.id == id_), None)
        except ConnectionTrouble as trouble:
            trouble.may_have_happened = True  # it has: the id is taken
            raise

    def _record(self, answer: Answer, id_: str) -> Record:
        """Returns the event of an answer to a write. A patch brings nothing back: a deleted event is told as cancelled."""
        row = answer.data
        if not isinstance(row, dict) or row.get("id") != id_:
            raise unreadable(SYSTEM, answer, is_read=False)
        if codec.is_gone(row):
            raise RecordGone("it was deleted meanwhile", system=SYSTEM, code="deleted", exchange=answer.exchange)
        return codec.read_event(self._sound(answer, is_read=False), self.address)

    def _sends(self, write: Write) -> list[tuple[str, str]]:
        """Returns whom a write mails: nobody, unless a person asked for it and the guests would see a change at all."""
        is_asked_for = write.ref is not None and write.ref.id in self._told
        return [("sendUpdates", "all" if is_loud(write) and is_asked_for else "none")]

    # --- the calendar itself ------------------------------------------------------------------------------------------

    def schema(self, object_type: str) -> Schema:
        return EVENT_SCHEMA

    def check_mailbox(self) -> list[Check]:
        few = [("maxResults", "1"), ("singleEvents", "true")]
        return run_checks([Try("Read events", "Its calendar can be read.", lambda: self._client.get(EVENTS, few), self._remedy)])

    def _remedy(self, error: ConnectorError) -> str:
        return ASK_CALENDARS.format(scope=self._client.api.scope.name) if error.status == 403 else ""

    def web_url(self, ref: Ref) -> str:
        if "{object}" in self._template:
            return super().web_url(replace(ref, id=quote(ref.id, safe="")))
        return PAGE + base64.urlsafe_b64encode(f"{ref.id} {self.address}".encode()).decode().rstrip("=")


def own_id(write: Write, life: int = 0) -> str:
    """Returns the id of an event that we make: the same for the same create, of the characters that Google takes (0-9, a-v). `life`
    counts how often one that had such an id was deleted."""
    born = f" {life}" if life else ""
    return hashlib.sha256(f"{write.marker} {write.key}{born}".encode()).hexdigest()[:40]


def _path(id_: str) -> str:
    return f"{EVENTS}/{quote(id_, safe='')}"
