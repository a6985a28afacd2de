"""How an event reads: all its properties, in the time zone and the form of body that a call prefers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from connectors.sandbox.microsoft import item_body, recurrence
from connectors.sandbox.microsoft.calls import Call
from connectors.sandbox.microsoft.event_schema import UNSET
from connectors.sandbox.microsoft.event_store import NO_STATUS, EventStore, ical_uid
from connectors.sandbox.microsoft.occurrences import Item, instants
from connectors.sandbox.microsoft.query import View, shown_extended
from connectors.sandbox.microsoft.zones import read_zone, to_utc, to_wall

NO_PLACE: dict[str, Any] = {"displayName": "", "locationType": "default", "uniqueIdType": "unknown", "address": {}, "coordinates": {}}
BARE = ("id", "type", "seriesMasterId", "start", "end")  # what a delta round tells of an occurrence
WEB = "https://outlook.office365.com/owa/?itemid="
MEETING = "https://teams.microsoft.com/l/meetup-join/"


@dataclass(frozen=True, slots=True)
class Look:
    """What a call prefers. `zone` is the name as it was asked for."""

    zone: str = "UTC"
    is_text: bool = False
    is_immutable: bool = False


def read_look(call: Call) -> Look:
    """Returns what the Prefer header of a call asks for. Raises Refused for a time zone that does not exist."""
    zone = call.prefers.get("outlook.timezone", "UTC")
    read_zone(zone)
    return Look(zone, call.prefers.get("outlook.body-content-type", "").lower() == "text", call.is_immutable)


class EventShow:
    """Shows events of any mailbox."""

    def __init__(self, events: EventStore) -> None:
        self._events = events

    @property
    def floats(self) -> bool:
        return self._events.store.switches.all_day_floats

    def id(self, item: Item, look: Look) -> str:
        return self._events.event_id(item.row, item.day, is_immutable=look.is_immutable)

    def shown(self, item: Item, view: View, look: Look) -> dict[str, Any]:
        """Returns an event as an answer holds it: etag and id come with any choice of properties. What can be had only for the
        asking, cancelledOccurrences, the caller adds."""
        change_key = self._events.change_key(item.row, item.day)
        own = {**self._names(item, look, change_key), **self._contents(item, look), **self._people(item), **self._times(item, look)}
        if view.select is not None:
            own = {name: value for name, value in own.items() if name == "id" or name in view.select}
        extended = shown_extended(item.extended, view.extended, is_lower=self._events.store.switches.lower_property_ids)
        if extended:
            own["singleValueExtendedProperties"] = extended
        return {"@odata.etag": f'W/"{change_key}"', **own}

    def bare(self, item: Item, look: Look) -> dict[str, Any]:
        """Returns the little that a delta round tells of an occurrence."""
        change_key = self._events.change_key(item.row, item.day)
        own = {**self._names(item, look, change_key), **self._times(item, look)}
        return {"@odata.etag": f'W/"{change_key}"', **{name: own[name] for name in BARE}}

    def cancelled(self, item: Item, look: Look) -> list[str]:
        """Returns the ids of the occurrences that were taken out of a series, in the form that a series lists them."""
        return [f"OID.{self.id(item, look)}.{day}" for day in item.row["gone"]]

    # --- the properties -------------------------------------------------------------------------------------------------
    def _names(self, item: Item, look: Look, change_key: str) -> dict[str, Any]:
        id_ = self.id(item, look)
        master = self._events.event_id(item.row, is_immutable=look.is_immutable) if item.day else None
        return {
            "id": id_,
            "createdDateTime": item.part("created"),
            "lastModifiedDateTime": item.part("modified"),
            "changeKey": change_key,
            "transactionId": None if item.day else item.row["transaction"],
            "iCalUId": ical_uid(item.row["uid"], item.day),
            "seriesMasterId": master,
            "type": item.type,
            "webLink": f"{WEB}{quote(id_, safe='')}&exvsurl=1&path=/calendar/item",
        }

    def _contents(self, item: Item, look: Look) -> dict[str, Any]:
        values = item.values
        body = values.pop("body")
        content = item_body.as_text(body) if look.is_text else item_body.as_html(body)
        names = ("attendees", "locations")
        is_online = values["isOnlineMeeting"]
        return {
            **{name: value for name, value in values.items() if name not in names},
            "bodyPreview": item_body.preview(body),
            "body": {"contentType": "text" if look.is_text else "html", "content": content},
            **_places(values["locations"]),
            "isCancelled": item.part("is_cancelled"),
            "isDraft": False,
            "hasAttachments": False,
            "onlineMeetingUrl": None,
            "onlineMeeting": {"joinUrl": f"{MEETING}{item.row['uid'].lower()}"} if is_online else None,
            "recurrence": recurrence.shown(item.row["recurrence"]) if item.day is None else None,
        }

    def _people(self, item: Item) -> dict[str, Any]:
        is_organizer = item.row["is_organizer"]
        own = {"response": "organizer", "time": UNSET} if is_organizer else dict(item.part("response"))
        return {
            "attendees": self.attendees(item),
            "organizer": {"emailAddress": dict(item.row["organizer"])},
            "isOrganizer": is_organizer,
            "responseStatus": own,
        }

    def attendees(self, item: Item) -> list[dict[str, Any]]:
        """Returns the attendees; how each answered is known to the organizer only, and where they are hidden, who else there is."""
        statuses, values = item.statuses, item.values
        own = self._events.store.users[item.row["mailbox"]].get("mail")
        is_hidden = values["hideAttendees"] and not item.row["is_organizer"]
        found = []
        for each in values["attendees"]:
            if is_hidden and each["address"].casefold() != str(own).casefold():
                continue
            user = self._events.store.user(each["address"]) if self._events.store.switches.directory_names else None
            email = {"name": user["displayName"] if user else each["name"], "address": each["address"]}
            status = statuses.get(each["address"].casefold(), NO_STATUS)
            found.append({"type": each["type"], "status": dict(status), "emailAddress": email})
        return found

    def _times(self, item: Item, look: Look) -> dict[str, Any]:
        times = item.times
        named = {"originalStartTimeZone": times["names"][0], "originalEndTimeZone": times["names"][1]}
        told = {side: self._when(times, side, item, look) for side in ("start", "end")}
        if item.day is None:
            return {**named, **told}
        planned, _ = instants(item.planned, is_floating=self.floats and bool(item.row["values"].get("isAllDay")))
        return {**named, **told, "originalStart": f"{planned:%Y-%m-%dT%H:%M:%SZ}"}

    def _when(self, times: Mapping[str, Any], side: str, item: Item, look: Look) -> dict[str, str]:
        wall = datetime.fromisoformat(times[side])
        if not (item.is_all_day and self.floats):
            wall = to_wall(to_utc(wall, times["zone"]), read_zone(look.zone))
        return {"dateTime": f"{wall.isoformat(timespec='seconds')}.0000000", "timeZone": look.zone}


def _places(locations: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns location and locations; the one of several names them all."""
    shown = [{"displayName": "", "locationType": "default", **each, "uniqueId": each.get("displayName", ""), "uniqueIdType": "private"}
             for each in locations if each.get("displayName")]  # fmt: skip
    if not shown:
        return {"location": dict(NO_PLACE), "locations": []}
    if len(shown) == 1:
        return {"location": {"address": {}, "coordinates": {}, **shown[0]}, "locations": shown}
    name = "; ".join(str(each["displayName"]) for each in shown)
    return {"location": {**NO_PLACE, "displayName": name, "uniqueId": name, "uniqueIdType": "private"}, "locations": shown}
