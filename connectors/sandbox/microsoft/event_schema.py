"""The properties of an event: which there are, what a body may set, and what stands where nothing was set."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from connectors.sandbox.microsoft import recurrence, values
from connectors.sandbox.microsoft.extended import read_properties
from connectors.sandbox.microsoft.refusal import bad_request
from connectors.sandbox.microsoft.schema import ADDRESS_PARTS
from connectors.sandbox.microsoft.zones import is_midnight, read_zone, shown_name, to_utc, to_wall

ENUMS = {
    "importance": ("low", "normal", "high"),
    "sensitivity": ("normal", "personal", "private", "confidential"),
    "showAs": ("unknown", "free", "tentative", "busy", "oof", "workingElsewhere"),
    "onlineMeetingProvider": ("unknown", "skypeForBusiness", "skypeForConsumer", "teamsForBusiness"),
}
_ENUM_TYPES = {"showAs": "freeBusyStatus", "onlineMeetingProvider": "onlineMeetingProviderType"}
DEFAULTS: dict[str, Any] = {
    "subject": "", "body": {"contentType": "html", "content": ""}, "importance": "normal", "sensitivity": "normal", "showAs": "busy",
    "isReminderOn": True, "reminderMinutesBeforeStart": 15, "responseRequested": True, "allowNewTimeProposals": True,
    "hideAttendees": False, "isOnlineMeeting": False, "onlineMeetingProvider": "unknown", "categories": [], "locations": [],
    "attendees": [], "isAllDay": False,
}  # fmt: skip
# What belongs to whose mailbox it is: never mailed, and an organizer's change does not touch it in a copy.
PERSONAL = ("categories", "isReminderOn", "reminderMinutesBeforeStart", "showAs", "sensitivity")
TIMES = ("start", "end", "isAllDay")
READ_ONLY = ("id", "changeKey", "createdDateTime", "lastModifiedDateTime", "iCalUId", "type", "seriesMasterId", "bodyPreview", "webLink",
             "isOrganizer", "isCancelled", "isDraft", "hasAttachments", "responseStatus", "originalStart", "originalStartTimeZone",
             "originalEndTimeZone", "onlineMeeting", "onlineMeetingUrl", "cancelledOccurrences")  # fmt: skip
PROPERTIES = (*READ_ONLY, *DEFAULTS, "start", "end", "location", "recurrence", "organizer", "transactionId")
TYPES = ("singleInstance", "occurrence", "exception", "seriesMaster")
UNSET = "0001-01-01T00:00:00Z"
_WHEN = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d(?::\d\d)?)(?:\.\d+)?")
_ATTENDEE_TYPES = ("required", "optional", "resource")
_LOCATION_TYPES = ("default", "conferenceRoom", "homeAddress", "businessAddress", "geoCoordinates", "streetAddress", "hotel", "restaurant",
                   "localBusiness", "postalAddress")  # fmt: skip
_COORDINATES = ("accuracy", "altitude", "altitudeAccuracy", "latitude", "longitude")
_LOCATION = {"displayName": str, "locationEmailAddress": str, "locationType": str, "locationUri": str, "uniqueId": str, "uniqueIdType": str,
             "address": dict, "coordinates": dict}  # fmt: skip


@dataclass(slots=True)
class EventBody:
    """What a POST or PATCH sets. `start` and `end` are (wall time, zone, name of the zone); `recurrence` holds the new one where
    `sets_recurrence`, None ends the series."""

    values: dict[str, Any] = field(default_factory=dict)
    extended: dict[str, str | None] = field(default_factory=dict)
    start: tuple[datetime, str, str] | None = None
    end: tuple[datetime, str, str] | None = None
    sets_recurrence: bool = False
    recurrence: recurrence.Recurrence | None = None
    transaction: str | None = None
    names: list[str] = field(default_factory=list)

    @property
    def is_personal(self) -> bool:
        """Tells whether it sets nothing that others at the meeting would see."""
        return set(self.names) <= {*PERSONAL, "singleValueExtendedProperties", "transactionId"}


def read_body(data: Mapping[str, Any]) -> EventBody:
    """Returns what a body sets. Raises Refused for a property that does not exist or cannot be set, and for wrong types."""
    body = EventBody()
    for name, value in data.items():
        if "@odata." in name:
            continue
        if name.lower() == "singlevalueextendedproperties":  # clients write it with a capital, and it is taken
            body.extended = read_properties(_texts_of(value))
            body.names.append("singleValueExtendedProperties")
            continue
        _read_property(body, name, value)
        body.names.append(name)
    return body


def _read_property(body: EventBody, name: str, value: Any) -> None:
    if name in READ_ONLY:
        raise values.read_only(name)
    if name == "start":
        body.start = _read_when(name, value)
    elif name == "end":
        body.end = _read_when(name, value)
    elif name == "recurrence":
        body.sets_recurrence, body.recurrence = True, None if value is None else recurrence.read(value)
    elif name == "transactionId":
        body.transaction = values.text(name, value)
    elif name == "organizer":
        _recipient(name, value)  # whose mailbox it is, whatever stands here
    elif name == "location":
        body.values["locations"] = [] if value is None else [_location(value)]
    elif name == "locations":
        body.values["locations"] = [_location(each) for each in _collection(name, value)]
    elif name == "body":
        body.values["body"] = dict(DEFAULTS["body"]) if value is None else values.item_body(name, value, default="text")
    elif name == "attendees":
        body.values["attendees"] = [_attendee(each) for each in _collection(name, value)]
    elif name in DEFAULTS:
        body.values[name] = _read_value(name, value)
    else:
        raise values.unknown(name, "event")


def _read_value(name: str, value: Any) -> Any:
    if name in ENUMS:
        return DEFAULTS[name] if value is None else values.one_of(name, value, ENUMS[name], _ENUM_TYPES.get(name, name))
    if name == "subject":
        return values.text(name, value) or ""
    if name == "categories":
        return values.texts(name, [] if value is None else value)
    if name == "reminderMinutesBeforeStart":
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise values.wrong(name, "Edm.Int32")
        return DEFAULTS[name] if value is None else value
    if isinstance(value, str) and value.lower() in ("true", "false"):  # the service's reader takes booleans as texts too
        value = value.lower() == "true"
    if value is not None and not isinstance(value, bool):
        raise values.wrong(name, "Edm.Boolean")
    return DEFAULTS[name] if value is None else value


def _collection(name: str, value: Any) -> list[Any]:
    return [] if value is None else values.collection(name, value)


def _texts_of(value: Any) -> Any:
    """Returns extended properties with booleans as the texts they are read as."""
    if not isinstance(value, list):
        return value
    return [{**each, "value": str(each["value"]).lower()} if isinstance(each, dict) and isinstance(each.get("value"), bool) else each
            for each in value]  # fmt: skip


def _location(value: Any) -> dict[str, Any]:
    given = values.parts("location", value, tuple(_LOCATION), "location")
    for name, kind in _LOCATION.items():
        if given.get(name) is not None and not isinstance(given[name], kind):
            raise values.wrong(f"location/{name}", "Edm.String" if kind is str else "microsoft.graph.physicalAddress")
    if given.get("locationType") is not None:
        given["locationType"] = values.one_of("locationType", given["locationType"], _LOCATION_TYPES, "locationType")
    values.parts("location/address", given.get("address") or {}, ADDRESS_PARTS, "physicalAddress")
    numbers = values.parts("location/coordinates", given.get("coordinates") or {}, _COORDINATES, "outlookGeoCoordinates").values()
    if not all(isinstance(each, int | float | None) for each in numbers):
        raise values.wrong("location/coordinates", "Edm.Double")
    return {name: each for name, each in given.items() if each is not None and name not in ("uniqueId", "uniqueIdType")}


def _recipient(name: str, value: Any) -> dict[str, str]:
    """Returns name and address of a recipient; one without a name is called by the address."""
    email = (values.recipient(name, value) or {"emailAddress": {}})["emailAddress"]
    return {"name": email.get("name") or "", "address": email.get("address") or ""}


def _attendee(value: Any) -> dict[str, Any]:
    """Returns an attendee; what a body says of the answer is the server's to say."""
    given = values.parts("attendees", value, ("emailAddress", "type", "status", "proposedNewTime"), "attendee")
    email = _recipient("attendees", {"emailAddress": given.get("emailAddress")})
    if "@" not in email["address"]:
        raise bad_request("At least one recipient isn't valid.", "ErrorInvalidRecipients")
    return {**email, "type": values.one_of("type", given.get("type") or "required", _ATTENDEE_TYPES, "attendeeType")}


# --- when ---------------------------------------------------------------------------------------------------------------
def _read_when(name: str, value: Any) -> tuple[datetime, str, str]:
    given = values.parts(name, value, ("dateTime", "timeZone"), "dateTimeTimeZone")
    text, zone = values.text(f"{name}/dateTime", given.get("dateTime")), values.text(f"{name}/timeZone", given.get("timeZone")) or "UTC"
    match = _WHEN.fullmatch(text or "")
    try:
        wall = datetime.fromisoformat(f"{match[1]}T{match[2]}") if match else None
    except ValueError:
        wall = None
    if wall is None:  # also one with an offset: the zone stands beside it
        raise bad_request(f"Cannot convert the value '{str(text)[:60]}' of '{name}/dateTime' to a date and time.", "ErrorInvalidRequest")
    return wall, read_zone(zone), shown_name(zone)


def read_times(body: EventBody, stored: Mapping[str, Any] | None, *, is_all_day: bool) -> dict[str, Any]:
    """Returns when an event takes place after a write: {"start", "end"} wall times in "zone", and the "names" of the zones as
    they read. Raises Refused for times that are missing or make no sense."""
    sides = [body.start, body.end]
    if stored is not None:
        kept = ((datetime.fromisoformat(stored[name]), stored["zone"], stored["names"][at]) for at, name in enumerate(("start", "end")))
        sides = [side or old for side, old in zip(sides, kept, strict=True)]
    start, end = sides
    if start is None or end is None:
        raise bad_request(f"The required property '{'end' if start else 'start'}' is missing.", "ErrorInvalidRequest")
    if is_all_day:
        _check_all_day(start, end)
    zone = start[1]
    last = end[0] if end[1] == zone else to_wall(to_utc(end[0], end[1]), zone)
    if to_utc(last, zone) < to_utc(start[0], zone):
        raise bad_request("At least one property failed validation. The end is before the start.", "ErrorPropertyValidationFailure")
    return {"start": start[0].isoformat(), "end": last.isoformat(), "zone": zone, "names": [start[2], end[2]]}


def _check_all_day(start: tuple[datetime, str, str], end: tuple[datetime, str, str]) -> None:
    for name, side in (("Start", start), ("End", end)):
        if not is_midnight(side[0]):
            raise bad_request(f"The Event.{name} property for an all-day event needs to be set to midnight.", "ErrorInvalidRequest")
    if start[1] != end[1]:
        raise bad_request("The start and end of an all-day event need to be in the same time zone.", "ErrorInvalidRequest")
    if end[0] <= start[0]:
        raise bad_request("The duration of an event marked as All day must be at least 24 hours.", "ErrorInvalidRequest")
