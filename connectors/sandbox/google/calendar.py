"""The Calendar API, played: what stands under `/calendar/v3/`. Everybody has one calendar, and sees nobody else's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from connectors.sandbox.google import event_bodies
from connectors.sandbox.google.calendar_refusal import (
    bad_request,
    deleted,
    duplicate,
    invalid,
    not_found,
    required,
    stale,
)
from connectors.sandbox.google.calendar_schema import CANCELLED, HOST, READS, READS_CALENDARS, SEND_UPDATES, WRITES
from connectors.sandbox.google.calls import Call
from connectors.sandbox.google.event_lists import DEFAULT_REMINDERS, OF_READING, EventLists, number, reader_zone
from connectors.sandbox.google.event_paging import EventPages
from connectors.sandbox.google.event_store import EventStore, instance_with
from connectors.sandbox.google.event_views import etag_of, shown
from connectors.sandbox.google.events_by_hand import EventsByHand
from connectors.sandbox.google.meetings import SILENT, Act, Meetings, with_answer
from connectors.sandbox.google.paging import Pager
from connectors.sandbox.google.quotas import Quotas
from connectors.sandbox.google.service import Method, Service
from connectors.sandbox.google.store import Store
from connectors.sandbox.google.table import Row

ROOT = "/calendar/v3"
_EVENTS = f"{ROOT}/calendars/{{calendar}}/events"
KNOWN = frozenset(
    (
        _EVENTS, f"{_EVENTS}/import", f"{_EVENTS}/{{id}}", f"{_EVENTS}/{{id}}/instances", f"{ROOT}/calendars/{{calendar}}",
        f"{ROOT}/users/me/calendarList", f"{ROOT}/users/me/calendarList/{{calendar}}",
    )
)  # fmt: skip
OF_SENDING = ("sendUpdates", "sendNotifications")
OF_WRITING = ("conferenceDataVersion", "eventLabelVersion", "supportsAttachments")


class Calendar(Service):
    """What the Calendar API answers for the mailboxes of one Workspace, and what people do in Google Calendar."""

    name, host, root = "calendar", HOST, ROOT

    def __init__(self, store: Store, quotas: Quotas, pager: Pager, tell: Callable[[dict[str, Any]], None]) -> None:
        super().__init__(store, quotas)
        self.events = EventStore(store, tell)
        self._meetings, self._lists, self._pages = Meetings(self.events), EventLists(self.events, pager), EventPages(pager)
        self.by_hand = EventsByHand(self.events, self._meetings)

    def calls_per_minute(self) -> int | None:
        return self._store.switches.calendar_calls_per_minute

    def method(self, call: Call) -> Method | None:
        parts, verb = call.parts, call.method
        if parts[:1] == ("calendars",) and len(parts) > 1:
            return self._method_of_calendar(call)
        if parts[:3] == ("users", "me", "calendarList") and verb == "GET" and len(parts) in (3, 4):
            return Method(self._calendar_list if len(parts) == 3 else self._calendar_list_entry, READS_CALENDARS)
        return None

    def _method_of_calendar(self, call: Call) -> Method | None:
        rest, verb = call.parts[2:], call.method
        if not rest:
            return Method(self._calendar, READS_CALENDARS) if verb == "GET" else None
        if rest[0] != "events":
            return None
        if len(rest) == 1:
            return {"GET": Method(self._list, READS), "POST": Method(self._insert, WRITES)}.get(verb)
        if rest[1:] == ("import",) and verb == "POST":
            return Method(self._import, WRITES)
        if len(rest) == 2:
            return {
                "GET": Method(self._get, READS),
                "PATCH": Method(self._patch, WRITES),
                "PUT": Method(self._put, WRITES),
                "DELETE": Method(self._delete, WRITES),
            }.get(verb)
        return Method(self._instances, READS) if rest[2:] == ("instances",) and verb == "GET" else None

    # --- calendars ------------------------------------------------------------------------------------------------------
    def _check_calendar(self, call: Call, place: int = 1) -> None:
        """Raises Refused for a calendar that is not the caller's own."""
        if call.parts[place].lower() not in ("primary", call.mailbox):
            raise not_found()

    def _calendar(self, call: Call) -> dict[str, Any]:
        call.allow()
        self._check_calendar(call)
        told = {"kind": "calendar#calendar", "etag": '"calendar-1"', "id": call.mailbox, "summary": call.mailbox}
        return {**told, "timeZone": self.events.zone}

    def _calendar_list(self, call: Call) -> dict[str, Any]:
        call.allow("maxResults", "minAccessRole", "pageToken", "showDeleted", "showHidden", "showOwnOrganizationOnly", "syncToken")
        number(call, "maxResults")
        store, list_ = self._store, "calendarList"
        now = store.now().timestamp()
        position = self._pages.position(call, list_=list_, present=1, now=now, days=store.switches.sync_token_days)
        token = self._pages.sync_token(call, list_=list_, position=position, now=now)
        items = [] if position.since else [self._entry(call.mailbox)]
        return {"kind": "calendar#calendarList", "etag": '"calendars-1"', "items": items, "nextSyncToken": token}

    def _calendar_list_entry(self, call: Call) -> dict[str, Any]:
        call.allow()
        self._check_calendar(call, 3)
        return self._entry(call.mailbox)

    def _entry(self, mailbox: str) -> dict[str, Any]:
        told = {"kind": "calendar#calendarListEntry", "etag": '"entry-1"', "id": mailbox, "summary": mailbox}
        colors = {"colorId": "14", "backgroundColor": "#9fe1e7", "foregroundColor": "#000000"}
        rest = {"timeZone": self.events.zone, "selected": True, "accessRole": "owner", "defaultReminders": DEFAULT_REMINDERS}
        return {**told, **colors, **rest, "primary": True}

    # --- reading --------------------------------------------------------------------------------------------------------
    def _list(self, call: Call) -> dict[str, Any]:
        self._check_calendar(call)
        return self._lists.list(call)

    def _instances(self, call: Call) -> dict[str, Any]:
        return self._lists.instances(call, self._found(call))

    def _get(self, call: Call) -> dict[str, Any]:
        call.allow(*OF_READING)
        return self._shown(call, self._found(call))

    def _found(self, call: Call) -> Row:
        """Returns the event that a path names, deleted or not. Raises Refused."""
        self._check_calendar(call)
        row = self.events.find(call.mailbox, call.parts[3])
        if row is None:
            raise not_found()
        return row

    def _shown(self, call: Call, row: Row) -> dict[str, Any]:
        return shown(row, zone=reader_zone(call, self.events.zone), most_attendees=number(call, "maxAttendees"))

    # --- writing --------------------------------------------------------------------------------------------------------
    def _insert(self, call: Call) -> dict[str, Any]:
        call.allow(*OF_SENDING, *OF_WRITING, "maxAttendees")
        self._check_calendar(call)
        act, (body, _) = _act(call), event_bodies.read(call)
        if body.get("eventType", "default") != "default":
            raise invalid("Events of this type cannot be created by this client.")
        if "id" in body and "iCalUID" in body:
            raise invalid("Only one of id and iCalUID can be given.")
        fields = self._fields_of({name: value for name, value in body.items() if name not in event_bodies.unversioned(call)})
        event_id, uid = body.get("id", ""), body.get("iCalUID", "")
        if event_id:
            event_bodies.check_new_id(event_id)
        if (event_id and self.events.find(call.mailbox, event_id)) or (uid and self.events.with_uid(call.mailbox, uid)):
            raise duplicate()
        private = {"private_copy": True} if body.get("privateCopy") else {}
        row = self.events.new_row(call.mailbox, fields, event_id=event_id, uid=uid, sequence=body.get("sequence", 0), **private)
        call.touched.append(row["event_id"])
        return self._shown(call, self._meetings.add(row, act))

    def _import(self, call: Call) -> dict[str, Any]:
        """Puts a private copy of an event into a calendar, or refreshes the one with the same iCalUID. Nobody else is told."""
        call.allow(*OF_WRITING)
        self._check_calendar(call)
        body, _ = event_bodies.read(call)
        if not body.get("iCalUID"):
            raise required("Missing iCalUID.")
        fields = self._fields_of({**body, "eventType": "default"})
        present = self.events.with_uid(call.mailbox, body["iCalUID"])
        if present is not None:
            return self._shown(call, self._meetings.change(present, fields, Act(call.mailbox), sequence=body.get("sequence", 0)))
        more: dict[str, Any] = {"private_copy": True, "sequence": body.get("sequence", 0)}
        if email := body.get("organizer", {}).get("email"):
            more["organizer"] = {name: body["organizer"][name] for name in ("email", "displayName") if body["organizer"].get(name)}
            more["organizer"]["email"] = email.lower()
        row = self.events.new_row(call.mailbox, fields, uid=body["iCalUID"], **more)
        call.touched.append(row["event_id"])
        return self._shown(call, self._meetings.add(row, Act(call.mailbox)))

    def _patch(self, call: Call) -> dict[str, Any]:
        call.allow(*OF_SENDING, *OF_WRITING, "maxAttendees", "alwaysIncludeEmail")
        row = self._found(call)
        body, raw = event_bodies.read(call)
        left = {name: value for name, value in raw.items() if name not in event_bodies.unversioned(call)}
        return self._changed(call, row, body, event_bodies.merged(_present(row), body, left))

    def _put(self, call: Call) -> dict[str, Any]:
        call.allow(*OF_SENDING, *OF_WRITING, "maxAttendees", "alwaysIncludeEmail")
        row = self._found(call)
        body, _ = event_bodies.read(call)
        kept = {name: row["fields"][name] for name in event_bodies.unversioned(call) if name in row["fields"]}
        given = {name: value for name, value in body.items() if name not in event_bodies.unversioned(call)}
        special = {"eventType": row["fields"]["eventType"]} if "eventType" in row["fields"] else {}
        return self._changed(call, row, body, {"status": "confirmed", **special, **given, **kept})

    def _changed(self, call: Call, row: Row, body: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
        """Stores a whole event in the place of another. `body` is what the client wrote. Raises Refused."""
        act = _act(call)
        _check_version(call, row)
        if body.get("sequence", row["sequence"]) < row["sequence"]:
            told = "The specified sequence number is below the current sequence number of the resource."
            raise invalid(f"Invalid sequence value. {told} Re-fetch the resource and use its sequence number on the following request.")
        present = row["fields"].get("eventType", "default")
        if body.get("eventType", present) != present:
            raise invalid("The event type cannot be changed.")
        master = self.events.table.named(call.mailbox, row["master"]) if row["master"] else None
        if master is not None and (master["is_deleted"] or instance_with(master, row["suffix"]) is None):
            raise deleted()  # the series is gone, or does not take place then any more: nothing brings its instance back
        if row["master"] and body.get("recurrence"):
            raise invalid("An instance of a recurring event cannot recur itself.")
        if body.get("attendeesOmitted"):
            whole["attendees"] = _own_answer(row, whole)
        if whole.get("status") == CANCELLED:
            return self._shown(call, row if row["is_deleted"] else self._meetings.delete(row, act))
        if row["master"]:
            whole.pop("recurrence", None)
        fields = self._fields_of(whole)
        return self._shown(call, self._meetings.change(row, fields, act, sequence=body.get("sequence", 0)))

    def _delete(self, call: Call) -> None:
        call.allow(*OF_SENDING)
        row = self._found(call)
        _check_version(call, row)
        if row["is_deleted"]:
            raise deleted()
        self._meetings.delete(row, _act(call))

    def _fields_of(self, body: dict[str, Any]) -> dict[str, Any]:
        if body.get("status") == CANCELLED:
            raise bad_request("A new event cannot be cancelled.")
        return event_bodies.fields_of(body, zone=self.events.zone)


def _present(row: Row) -> dict[str, Any]:
    """Returns what a patch is merged into. A deleted event stays deleted unless the patch says otherwise."""
    return {**row["fields"], "status": CANCELLED} if row["is_deleted"] else dict(row["fields"])


def _check_version(call: Call, row: Row) -> None:
    """Raises Refused when a call is made from an older version."""
    wanted = call.headers.get("if-match", "")
    if wanted and wanted not in ("*", etag_of(row)):
        raise stale()


def _own_answer(row: Row, whole: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the attendees with no more changed than the caller's own answer: his list was cut."""
    own = [each for each in whole.get("attendees", []) if str(each.get("email", "")).lower() == row["mailbox"]]
    if not own:
        raise invalid("With attendeesOmitted only the own response can be changed.")
    answer = own[0].get("responseStatus", "needsAction")
    return list(with_answer(row["fields"], row["mailbox"], answer).get("attendees", []))


def _act(call: Call) -> Act:
    """Returns who acts, and to whom mails go: to nobody unless the call says so."""
    sends = call.text("sendUpdates")
    if sends and sends not in SEND_UPDATES:
        raise invalid(f"Invalid value '{sends[:80]}'.", parameter="sendUpdates")
    return Act(call.mailbox, sends or ("all" if call.flag("sendNotifications") else SILENT))
