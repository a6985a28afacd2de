"""What people do in Google Calendar: events as flat records of the control port and of the browse pages.

Everything is sent to everybody, as people do. `start` and `end` are days of an all-day event (the end is the day behind the
last), otherwise times, with an offset or in `timeZone`. With `recurringEventId` and `originalStart` a new record is one
instance of a series, changed or, with the status cancelled, taken out of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from connectors.sandbox.google import event_bodies
from connectors.sandbox.google.calendar_schema import CANCELLED, CONFIRMED
from connectors.sandbox.google.event_store import EventStore
from connectors.sandbox.google.event_times import Moment, duration, later, read_instant, read_span
from connectors.sandbox.google.event_views import etag_of, shown, status_of
from connectors.sandbox.google.meetings import Act, Meetings, answer_of, with_answer
from connectors.sandbox.google.refusal import Refused
from connectors.sandbox.google.table import Row
from connectors.sandbox.wire import read_id

TEXTS = ("summary", "location", "description", "visibility", "transparency")
TIMES = ("start", "end", "timeZone", "isAllDay")
LISTS = ("attendees", "recurrence")
NEW_ONLY = ("mailbox", "organizer", "eventType", "recurringEventId", "originalStart")
SHOWN_ONLY = ("id", "eventId", "iCalUID", "responses", "createdAt", "updatedAt", "etag", "htmlLink")
KNOWN = (*TEXTS, *TIMES, *LISTS, "status", "responseStatus", "privateProperties", *NEW_ONLY, *SHOWN_ONLY)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class EventsByHand:
    """Events as tools see them, and the same changes as people make them."""

    def __init__(self, events: EventStore, meetings: Meetings) -> None:
        self._events, self._meetings = events, meetings

    def find_id(self, object_type: str, text: str) -> int | None:
        """Returns the number of an event: by number, or by the event's id, of which there may be one in each calendar."""
        number = read_id(text)
        row = self._events.table.rows.get(number or 0)
        row = row or next((each for each in self._events.table.live() if each["event_id"] == text), None)
        return None if row is None or row["is_deleted"] else int(row["id"])

    def count(self, object_type: str) -> int:
        return sum(1 for _ in self._events.table.live())

    def all(self, object_type: str) -> list[dict[str, Any]]:
        return [self._shown(row) for row in self._events.table.live()]

    def get(self, object_type: str, id_: int) -> dict[str, Any] | None:
        row = self._events.table.rows.get(id_)
        return None if row is None or row["is_deleted"] else self._shown(row)

    def create(self, object_type: str, values: Mapping[str, Any]) -> dict[str, Any]:
        _check_names(values)
        mailbox = str(values.get("mailbox", "")).lower()
        if self._events.store.user(mailbox) is None:
            raise ValueError("mailbox must be the address of a user")
        if values.get("recurringEventId"):
            return self._shown(_in_plain_words(lambda: self._change_instance(mailbox, values)))
        return self._shown(_in_plain_words(lambda: self._add(mailbox, values)))

    def update(self, object_type: str, id_: int, values: Mapping[str, Any]) -> dict[str, Any]:
        _check_names(values)
        row = self._existing(id_)
        if "mailbox" in values and str(values["mailbox"]).lower() != row["mailbox"]:
            raise ValueError("an event stays in its calendar")
        return self._shown(_in_plain_words(lambda: self._change(row, values)))

    def delete(self, object_type: str, id_: int) -> None:
        row = self._existing(id_)
        _in_plain_words(lambda: self._meetings.delete(row, Act(row["mailbox"], "all")))

    def _existing(self, id_: int) -> Row:
        row = self._events.table.rows.get(id_)
        if row is None or row["is_deleted"]:
            raise ValueError(f"there is no event {id_}")
        return row

    # --- what people do -------------------------------------------------------------------------------------------------
    def _add(self, mailbox: str, values: Mapping[str, Any]) -> Row:
        """Makes an event; with an `organizer` from elsewhere it is an invitation that came in, which nobody here sent."""
        fields = self._fields({}, values, mailbox)
        organizer = str(values.get("organizer") or mailbox).lower()
        if organizer == mailbox:
            return self._meetings.add(self._events.new_row(mailbox, fields), Act(mailbox, "all"))
        if self._events.store.user(organizer) is not None:
            raise ValueError("organizer must be somebody without a mailbox here; make the event in the organiser's calendar")
        guests = [*fields.get("attendees", [])]
        if not any(each["email"] == mailbox for each in guests):
            guests.append({"email": mailbox, "responseStatus": "needsAction"})
        person = {"email": organizer}
        row = self._events.new_row(mailbox, {**fields, "attendees": guests}, organizer=person, creator=person)
        return self._events.put(row)

    def _change_instance(self, mailbox: str, values: Mapping[str, Any]) -> Row:
        name, start = str(values["recurringEventId"]), str(values.get("originalStart", ""))
        at = read_instant(start)
        suffix = f"{at:%Y%m%dT%H%M%SZ}" if at is not None and at.utcoffset() == timedelta() else start.replace("-", "")
        row = self._events.find(mailbox, f"{name}_{suffix}")
        if row is None or row["is_deleted"]:
            raise ValueError("originalStart must be the day, or the instant in UTC, of an instance of the series")
        return self._change(row, {key: value for key, value in values.items() if key not in NEW_ONLY})

    def _change(self, row: Row, values: Mapping[str, Any]) -> Row:
        act = Act(row["mailbox"], "all")
        if values.get("status") == CANCELLED:
            return self._meetings.delete(row, act)
        return self._meetings.change(row, self._fields(row["fields"], values, row["mailbox"]), act)

    def _fields(self, present: Mapping[str, Any], values: Mapping[str, Any], mailbox: str) -> dict[str, Any]:
        """Returns the fields of an event with what a person fills in. Raises ValueError or Refused."""
        body = dict(present)
        for name in (*TEXTS, "status", "eventType"):
            if name in values:
                if not isinstance(values[name] or "", str):
                    raise ValueError(f"{name} must be a text")
                body[name] = values[name] or None
        if "recurrence" in values:
            body["recurrence"] = _lines(values["recurrence"], "recurrence")
        if "attendees" in values:
            known = {each["email"]: each for each in present.get("attendees", [])}
            body["attendees"] = [known.get(each.lower(), {"email": each}) for each in _lines(values["attendees"], "attendees")]
        if values.get("privateProperties"):
            properties = present.get("extendedProperties", {})
            body["extendedProperties"] = {**properties, "private": _texts(values["privateProperties"])}
        body |= dict(zip(("start", "end"), self._span(present, values), strict=True))
        fields = event_bodies.fields_of(body, zone=self._events.zone)
        return with_answer(fields, mailbox, str(values["responseStatus"])) if values.get("responseStatus") else fields

    def _span(self, present: Mapping[str, Any], values: Mapping[str, Any]) -> tuple[Moment, Moment]:
        """Returns start and end. An event that is moved keeps its length; a new one takes an hour, or the day."""
        if not any(name in values for name in TIMES) and present:
            return present["start"], present["end"]
        is_all_day = values.get("isAllDay", "date" in present.get("start", {}))
        zone = str(values.get("timeZone") or present.get("start", {}).get("timeZone") or self._events.zone)
        start = values.get("start") or _text(present.get("start", {}), is_all_day=is_all_day)
        first = _moment(start, zone, is_all_day=is_all_day)
        if values.get("end"):
            return read_span(first, _moment(values["end"], zone, is_all_day=is_all_day), zone=self._events.zone, recurs=False)
        kept, _ = read_span(first, first, zone=self._events.zone, recurs=False) if not is_all_day else (first, first)
        is_of_a_kind = present and ("date" in present["start"]) == is_all_day
        length = duration(present["start"], present["end"]) if is_of_a_kind else DAY if is_all_day else HOUR
        return read_span(kept, later(kept, length, zone), zone=self._events.zone, recurs=False)

    # --- showing --------------------------------------------------------------------------------------------------------
    def _shown(self, row: Row) -> dict[str, Any]:
        fields, whole = row["fields"], shown(row, zone=self._events.zone)
        told: dict[str, Any] = {"id": row["id"], "mailbox": row["mailbox"], "summary": fields.get("summary", "")}
        is_all_day = "date" in fields["start"]
        told |= {name: _text(fields[name], is_all_day=is_all_day) for name in ("start", "end")}
        told |= {"timeZone": fields["start"].get("timeZone", ""), "isAllDay": is_all_day, "location": fields.get("location", "")}
        guests = fields.get("attendees", [])
        told |= {"attendees": [each["email"] for each in guests], "visibility": fields.get("visibility", "default")}
        told |= {"transparency": fields.get("transparency", "opaque"), "description": fields.get("description", "")}
        told |= {"recurrence": list(fields.get("recurrence", [])), "status": status_of(row) or CONFIRMED}
        told |= {"responseStatus": answer_of(fields, row["mailbox"]) if guests else "", "organizer": row["organizer"]["email"]}
        told |= {"responses": [f"{each['email']} {each['responseStatus']}" for each in guests], "eventType": whole["eventType"]}
        told |= {"eventId": row["event_id"], "iCalUID": row["uid"], "recurringEventId": row["master"]}
        told["originalStart"] = _text(row["original"], is_all_day=is_all_day) if row["original"] else ""
        told["privateProperties"] = dict(fields.get("extendedProperties", {}).get("private", {}))
        return {**told, "createdAt": row["created"], "updatedAt": row["updated"], "etag": etag_of(row), "htmlLink": whole["htmlLink"]}


def _text(moment: Mapping[str, str], *, is_all_day: bool) -> str:
    text = moment.get("date") or moment.get("dateTime", "")
    return text[:10] if is_all_day else text


def _moment(text: Any, zone: str, *, is_all_day: Any) -> Moment:
    if not isinstance(text, str) or not isinstance(is_all_day, bool):
        raise ValueError("start and end must be texts, isAllDay true or false")
    return {"date": text} if is_all_day else {"dateTime": text, "timeZone": zone}


def _lines(given: Any, name: str) -> list[str]:
    """Returns a list of texts, also from one text with blanks between them, as the pages send it."""
    listed = given.split() if isinstance(given, str) else given or []
    if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
        raise ValueError(f"{name} must be a list of texts")
    return listed


def _texts(given: Any) -> dict[str, str]:
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise ValueError("privateProperties must be an object of texts")
    return dict(given)


def _check_names(values: Mapping[str, Any]) -> None:
    if unknown := [name for name in values if name not in KNOWN]:
        raise ValueError(f"there is no {unknown[0][:80]!r}; take {', '.join(KNOWN)}")


def _in_plain_words(act: Callable[[], Row]) -> Row:
    """Does what a person does. Raises ValueError in the system's words."""
    try:
        return act()
    except Refused as refused:
        raise ValueError(refused.message) from None
