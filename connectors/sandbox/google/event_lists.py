"""The lists of a calendar: all events or what changed, as series or as single events, and the instances of one series."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from connectors.sandbox.google import event_times
from connectors.sandbox.google.calendar_refusal import (
    bad_request,
    empty_range,
    invalid,
    not_found,
    updated_min_too_long_ago,
)
from connectors.sandbox.google.calendar_schema import DEFAULT_PAGE, EVENT_TYPES, MOST_A_PAGE
from connectors.sandbox.google.calls import Call
from connectors.sandbox.google.event_paging import EventPages, Item, Place, Position, numbered, page
from connectors.sandbox.google.event_store import EventStore, is_master
from connectors.sandbox.google.event_times import read_bound
from connectors.sandbox.google.event_views import instances, listed, lost
from connectors.sandbox.google.paging import Pager
from connectors.sandbox.google.store import show_instant
from connectors.sandbox.google.table import Row
from connectors.sandbox.wire import read_id

NOT_WITH_SYNC_TOKEN = (
    "iCalUID", "orderBy", "privateExtendedProperty", "q", "sharedExtendedProperty", "timeMin", "timeMax", "updatedMin",
)  # fmt: skip
# A list with one of these is no full one: it gets no sync token.
NO_SYNC_TOKEN = ("iCalUID", "orderBy", "privateExtendedProperty", "q", "sharedExtendedProperty", "updatedMin")
OF_READING = ("alwaysIncludeEmail", "maxAttendees", "timeZone")
OF_PAGES = ("maxResults", "pageToken")
MOST_NUMBER = 2**31 - 1
DEFAULT_REMINDERS = [{"method": "popup", "minutes": 10}]


@dataclass(frozen=True, slots=True)
class Query:
    """What a list asks for. Properties are pairs of name and value."""

    zone: str
    most_attendees: int | None
    is_single: bool = False
    shows_deleted: bool = False
    after: datetime | None = None
    before: datetime | None = None
    updated_min: datetime | None = None
    words: tuple[str, ...] = ()
    uid: str = ""
    types: frozenset[str] = frozenset(EVENT_TYPES)
    private: tuple[tuple[str, str], ...] = ()
    shared: tuple[tuple[str, str], ...] = ()


class EventLists:
    """Answers the lists of events."""

    def __init__(self, events: EventStore, pager: Pager) -> None:
        self._events, self._pages = events, EventPages(pager)

    # --- the calls ------------------------------------------------------------------------------------------------------
    def list(self, call: Call) -> dict[str, Any]:
        call.allow(
            *OF_READING, *OF_PAGES, *NOT_WITH_SYNC_TOKEN, "syncToken", "showDeleted", "singleEvents", "eventTypes", "showHiddenInvitations"
        )
        query, store = self._query(call), self._events.store
        now, days = store.now(), store.switches.sync_token_days
        position = self._pages.position(call, list_="event", present=store.sequence, now=now.timestamp(), days=days)
        if query.updated_min and now - query.updated_min > timedelta(days=store.switches.deleted_event_days):
            raise updated_min_too_long_ago()
        if call.text("orderBy") == "startTime":
            items = numbered(self._by_start(query, call.mailbox), position.behind)
        else:
            items = self._by_change(query, call.mailbox, position)
        return self._answer(call, items, position, gives_token=not any(call.text(name) for name in NO_SYNC_TOKEN))

    def instances(self, call: Call, master: Row) -> dict[str, Any]:
        call.allow(*OF_READING, *OF_PAGES, "originalStart", "showDeleted", "timeMin", "timeMax")
        if not is_master(master):
            raise not_found() if master["master"] else bad_request("The event is no series.")
        store, query = self._events.store, replace(self._query(call), is_single=True)
        list_ = f"instances {master['event_id']}"
        position = self._pages.position(call, list_=list_, present=store.sequence, now=store.now().timestamp(), days=1)
        rows = [row for row in self._instances(master, query) if self._is_wanted(row, query, since=0)]
        if wanted := call.text("originalStart"):
            rows = [row for row in rows if _is_at(row, wanted, self._events.zone)]
        ordered = sorted(rows, key=self._start_of)
        items = numbered((self._shown(row, query) for row in ordered), position.behind)
        return self._answer(call, items, position, gives_token=False, list_=list_)

    def _answer(self, call: Call, items: Iterator[Item], position: Position, *, gives_token: bool, list_: str = "event") -> dict[str, Any]:
        store, size = self._events.store, min(number(call, "maxResults") or DEFAULT_PAGE, MOST_A_PAGE)
        found, next_ = page(items, position, size, store.switches)
        told: dict[str, Any] = {"kind": "calendar#events", "etag": f'"p{store.sequence:x}"', "summary": call.mailbox}
        told |= {"updated": show_instant(store.now()), "timeZone": reader_zone(call, self._events.zone)}
        told |= {"accessRole": "owner", "defaultReminders": DEFAULT_REMINDERS, "items": found}
        if next_ is not None:
            told["nextPageToken"] = self._pages.page_token(call, list_=list_, position=next_)
        elif gives_token:
            told["nextSyncToken"] = self._pages.sync_token(call, list_=list_, position=position, now=store.now().timestamp())
        return told

    # --- what is asked for ----------------------------------------------------------------------------------------------
    def _query(self, call: Call) -> Query:
        """Returns what a list asks for. Raises Refused for what cannot be asked together."""
        if call.text("syncToken"):
            for name in NOT_WITH_SYNC_TOKEN:
                if name in call.parameters:
                    raise bad_request(f"The sync token cannot be used together with {name}.")
            if call.text("showDeleted").lower() == "false":
                raise bad_request("The sync token cannot be used with showDeleted set to false.")
        is_single, order = call.flag("singleEvents"), call.text("orderBy")
        if order not in ("", "updated", "startTime"):
            raise invalid(f"Invalid value '{order[:80]}'.", parameter="orderBy")
        if order == "startTime" and not is_single:
            raise bad_request("The requested ordering is not available for the particular query.")
        bounds = {name: read_bound(call.text(name), name) if call.text(name) else None for name in ("timeMin", "timeMax", "updatedMin")}
        after, before = bounds["timeMin"], bounds["timeMax"]
        if after and before and before <= after:
            raise empty_range()
        return Query(
            zone=reader_zone(call, self._events.zone),
            most_attendees=number(call, "maxAttendees"),
            is_single=is_single,
            shows_deleted=call.flag("showDeleted"),
            after=after,
            before=before,
            updated_min=bounds["updatedMin"],
            words=tuple(call.text("q").casefold().split()),
            uid=call.text("iCalUID"),
            types=frozenset(call.listed("eventTypes", EVENT_TYPES)) or frozenset(EVENT_TYPES),
            private=_pairs(call, "privateExtendedProperty"),
            shared=_pairs(call, "sharedExtendedProperty"),
        )

    # --- what there is --------------------------------------------------------------------------------------------------
    def _by_change(self, query: Query, mailbox: str, position: Position) -> Iterator[Item]:
        behind, since = position.behind, position.since
        for row in self._events.table.changed_after(mailbox, max(since, behind[0] - 1)):
            for n, each in enumerate(self._of_row(row, query, since)):
                place: Place = [row["seq"], n]
                if place > behind:
                    yield place, self._shown(each, query)

    def _by_start(self, query: Query, mailbox: str) -> Iterator[dict[str, Any]]:
        rows = [each for row in self._events.table.changed_after(mailbox, 0) for each in self._of_row(row, query, 0)]
        return (self._shown(row, query) for row in sorted(rows, key=self._start_of))

    def _of_row(self, row: Row, query: Query, since: int) -> Iterator[Row]:
        """Yields what one row gives a list: itself, or the instances of its series, where they are wanted."""
        if row.get("with_master"):
            return  # gone with its series, which is told instead
        if query.is_single and since:
            yield from lost(self._events, row, since=since)
        expands = query.is_single and is_master(row)
        for each in instances(self._events, row, until=query.before) if expands else (row,):
            if self._is_wanted(each, query, since):
                yield each

    def _instances(self, master: Row, query: Query) -> Iterator[Row]:
        """Yields all instances of a series, exceptions too."""
        yield from instances(self._events, master, until=query.before)
        yield from (row for row in self._events.table.exceptions(master) if not row.get("with_master"))

    def _is_wanted(self, row: Row, query: Query, since: int) -> bool:
        if row["is_deleted"] and not since and not self._shows_deleted(row, query):
            return False
        if row["fields"].get("eventType", "default") not in query.types or (query.uid and row["uid"] != query.uid):
            return False
        if query.updated_min and datetime.fromisoformat(row["updated"]) < query.updated_min:
            return False
        return self._has_words(row, query) and _has_properties(row, query) and self._is_in_window(row, query)

    def _shows_deleted(self, row: Row, query: Query) -> bool:
        """Tells whether a list without a sync token shows a deleted event: where it asks for them, while they are remembered.
        A cancelled instance belongs to its living series, which is shown as a series."""
        master = self._events.table.named(row["mailbox"], row["master"]) if row["master"] else None
        if master is not None and not master["is_deleted"] and not query.is_single:
            return True
        age = self._events.store.now() - datetime.fromisoformat(row["updated"])
        is_remembered = age <= timedelta(days=self._events.store.switches.deleted_event_days)
        return is_remembered and (query.shows_deleted or query.updated_min is not None)

    def _is_in_window(self, row: Row, query: Query) -> bool:
        if query.after is None and query.before is None:
            return True
        if is_master(row):
            living = (each for each in self._instances(row, query) if row["is_deleted"] or not each["is_deleted"])
            return any(self._is_in_window(each, query) for each in living)
        start, end = (event_times.instant(row["fields"][name], self._events.zone) for name in ("start", "end"))
        return (query.after is None or end > query.after) and (query.before is None or start < query.before)

    @staticmethod
    def _has_words(row: Row, query: Query) -> bool:
        if not query.words:
            return True
        fields, people = row["fields"], [row["organizer"], *row["fields"].get("attendees", [])]
        texts = [str(fields.get(name, "")) for name in ("summary", "description", "location")]
        texts += [person.get(part, "") for person in people for part in ("email", "displayName")]
        text = "\n".join(texts).casefold()
        return all(word in text for word in query.words)

    def _start_of(self, row: Row) -> tuple[datetime, str]:
        return event_times.instant(row["fields"]["start"], self._events.zone), row["event_id"]

    def _shown(self, row: Row, query: Query) -> dict[str, Any]:
        return listed(row, zone=query.zone, most_attendees=query.most_attendees)


# --- parameters ---------------------------------------------------------------------------------------------------------
def number(call: Call, name: str) -> int | None:
    """Returns a parameter that is a whole number from 1 on, None when it is missing. Raises Refused."""
    text = call.text(name)
    if not text:
        return None
    value = read_id(text)
    if not value or value > MOST_NUMBER:
        raise invalid(f"Invalid value '{text[:80]}'. Values must be within the range: [1, {MOST_NUMBER}]", parameter=name)
    return value


def reader_zone(call: Call, default: str) -> str:
    """Returns the time zone in which a call wants its answer. Raises Refused."""
    name = call.text("timeZone")
    if name and event_times.zone_of(name) is None:
        raise invalid("Invalid time zone.", parameter="timeZone")
    return name or default


def _pairs(call: Call, name: str) -> tuple[tuple[str, str], ...]:
    pairs = [text.partition("=") for text in call.parameters.get(name, [])]
    if any(not key or not equals for key, equals, _ in pairs):
        raise invalid("Invalid extended property constraint.", parameter=name)
    return tuple((key, value) for key, _, value in pairs)


def _has_properties(row: Row, query: Query) -> bool:
    properties = row["fields"].get("extendedProperties", {})
    wanted = (("private", query.private), ("shared", query.shared))
    return all(properties.get(part, {}).get(key) == value for part, pairs in wanted for key, value in pairs)


def _is_at(row: Row, wanted: str, zone: str) -> bool:
    """Tells whether an instance begins, by its series, when a text says: a day or an instant."""
    at = event_times.read_instant(wanted)
    if at is None or at.tzinfo is None:
        return bool(row["original"].get("date") == wanted)
    return event_times.instant(row["original"], zone) == at
