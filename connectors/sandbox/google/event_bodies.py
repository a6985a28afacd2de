"""Events as clients write them: bodies checked against the types of the API, merged as a patch does, and taken into a row's fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from connectors.sandbox.google import checking, recurrence
from connectors.sandbox.google.calendar_refusal import CalendarRefused, bad_request, invalid, required
from connectors.sandbox.google.calendar_schema import (
    DEFAULTS,
    FIELDS,
    LONGEST_KEY,
    LONGEST_REMINDER,
    LONGEST_VALUE,
    MOST_PROPERTIES,
    MOST_REMINDERS,
    RESPONSES,
    TYPES,
    WORDS,
)
from connectors.sandbox.google.calls import Call
from connectors.sandbox.google.event_times import is_all_day, read_span
from connectors.sandbox.google.refusal import Refused
from connectors.sandbox.wire import read_json

ADDRESS = re.compile(r"[^@\s,;<>()]+@[^@\s,;<>()]+\.[^@\s,;<>()]+")
ID = re.compile(r"[0-9a-v]{5,1024}")
_ATTENDEE = ("email", "displayName", "optional", "resource", "responseStatus", "comment", "additionalGuests")
DEEPEST = 20
# Parts that are only written by clients which say that they know them: the parameter, and what it must be.
_VERSIONED = {
    "conferenceData": ("conferenceDataVersion", "1"),
    "attachments": ("supportsAttachments", "true"),
    "eventLabelId": ("eventLabelVersion", "1"),
}


def read(call: Call) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the body of a call checked, and as it came: null says in a patch that a part goes. Raises Refused."""
    try:
        raw = read_json(call.body or b"{}")
    except ValueError:
        raise CalendarRefused(400, "parseError", "Parse Error") from None
    try:
        return checking.read(_without_nulls(raw), "Event", "", TYPES), raw
    except Refused as refused:
        raise bad_request(refused.message) from None


def _without_nulls(value: Any, depth: int = 0) -> Any:
    if not isinstance(value, dict):
        return value
    if depth > DEEPEST:
        raise bad_request("The body nests too deep.")
    return {name: _without_nulls(each, depth + 1) for name, each in value.items() if each is not None}


def unversioned(call: Call) -> tuple[str, ...]:
    """Returns the parts of an event that a call does not write, whatever its body says."""
    return tuple(name for name, (parameter, word) in _VERSIONED.items() if call.text(parameter).lower() != word)


def merged(present: Mapping[str, Any], checked: Mapping[str, Any], raw: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an object with a patch: objects are merged, lists and values replaced, and null takes a part away."""
    result = dict(present)
    for name, value in raw.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            old = present.get(name)
            result[name] = merged(old if isinstance(old, dict) else {}, checked[name], value)
        else:
            result[name] = checked[name]
    return result


def fields_of(body: Mapping[str, Any], *, zone: str) -> dict[str, Any]:
    """Returns the fields of a whole event as they are kept, defaults and blanks left out. `zone` is the calendar's. Raises
    Refused."""
    fields = {name: body[name] for name in FIELDS if body.get(name) not in (None, "", [], {})}
    _check_words(fields)
    start, end = read_span(body.get("start"), body.get("end"), zone=zone, recurs="recurrence" in fields)
    fields |= {"start": start, "end": end}
    if "recurrence" in fields:
        _check_recurrence(fields["recurrence"], start)
    if "attendees" in fields:
        fields["attendees"] = attendees_of(fields["attendees"])
    if "reminders" in fields:
        _check_reminders(fields["reminders"])
    if "extendedProperties" in fields:
        fields["extendedProperties"] = _properties(fields["extendedProperties"])
    left = {name: value for name, value in fields.items() if value != DEFAULTS.get(name) and value != {}}
    return {name: value for name, value in left.items() if (name, value) not in (("status", "confirmed"), ("eventType", "default"))}


def _check_words(fields: Mapping[str, Any]) -> None:
    for name, words in WORDS.items():
        if name in fields and fields[name] not in words:
            raise invalid(f"Invalid value for {name}: {fields[name][:80]}")
    if "colorId" in fields and fields["colorId"] not in {str(n) for n in range(1, 12)}:
        raise invalid("Invalid color id.")


def _check_recurrence(lines: list[str], start: Mapping[str, str]) -> None:
    try:
        recurrence.read(lines, zone=None if is_all_day(start) else ZoneInfo(start["timeZone"]))
    except ValueError:
        raise invalid("Invalid recurrence rule.") from None


def attendees_of(given: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns attendees as they are kept, each address once. Raises Refused for one without an address."""
    taken: dict[str, dict[str, Any]] = {}
    for each in given:
        email = each.get("email", "").strip().lower()
        if not ADDRESS.fullmatch(email):
            raise invalid("Invalid attendee email.") if email else required("Missing attendee email.")
        kept = {name: each[name] for name in _ATTENDEE if each.get(name) not in (None, "", False, 0)}
        kept |= {"email": email, "responseStatus": each.get("responseStatus", RESPONSES[0])}
        if kept["responseStatus"] not in RESPONSES:
            raise invalid("Invalid attendee response status.")
        taken[email] = kept
    return list(taken.values())


def _check_reminders(reminders: Mapping[str, Any]) -> None:
    overrides = reminders.get("overrides", [])
    if overrides and reminders.get("useDefault"):
        told = "Cannot specify both default reminders and overrides at the same time."
        raise CalendarRefused(400, "cannotUseDefaultRemindersAndSpecifyOverride", told, domain="calendar")
    if len(overrides) > MOST_REMINDERS:
        raise invalid(f"An event has at most {MOST_REMINDERS} reminders.")
    for each in overrides:
        if each.get("method") not in ("email", "popup") or not 0 <= each.get("minutes", -1) <= LONGEST_REMINDER:
            raise invalid("Invalid reminder.")


def _properties(given: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """Returns properties without empty maps. Sizes beyond what the reference knows are refused rather than cut."""
    for part in given.values():
        if len(part) > MOST_PROPERTIES:
            raise invalid("Too many extended properties.")
        for key, value in part.items():
            if not 1 <= len(key) <= LONGEST_KEY or len(value) > LONGEST_VALUE:
                raise invalid(f"Invalid extended property {key[:LONGEST_KEY]!r}.")
    return {name: dict(part) for name, part in given.items() if part}


def check_new_id(event_id: str) -> None:
    """Raises Refused for an id that no client may give."""
    if not ID.fullmatch(event_id):
        raise invalid("Invalid resource id value.")
