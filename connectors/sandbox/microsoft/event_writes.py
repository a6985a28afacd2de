"""What makes, changes and ends events, whoever asks: a client, or a person in Outlook. Others at the meeting learn of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from connectors.sandbox.microsoft import recurrence
from connectors.sandbox.microsoft.event_schema import TIMES, EventBody, read_times
from connectors.sandbox.microsoft.event_store import NO_STATUS, EventStore
from connectors.sandbox.microsoft.meetings import NOT_RESPONDED, Meetings, attendees_of
from connectors.sandbox.microsoft.occurrences import Item, check_between, in_zone, instants, placed
from connectors.sandbox.microsoft.refusal import access_denied, bad_request
from connectors.sandbox.microsoft.table import Row

NOT_ORGANIZER = "Your request can't be completed. You need to be an organizer to cancel a meeting."
_ORGANIZERS = {*TIMES, "recurrence", "attendees"}  # what an attendee may be refused to change in a copy


class EventWrites:
    """Writes events, with all that follows from it in other mailboxes."""

    def __init__(self, events: EventStore, meetings: Meetings) -> None:
        self._events, self._meetings = events, meetings

    # --- making -----------------------------------------------------------------------------------------------------------
    def create(self, mailbox: Row, body: EventBody, *, organizer: str = "") -> Item:
        """Makes an event and invites its attendees; `organizer` is the address of somebody outside who did. The transactionId of an
        event that is there already finds that one. Raises Refused."""
        if body.transaction and (made := self._events.of_transaction(mailbox["n"], body.transaction)) is not None:
            return Item(made)
        times = read_times(body, None, is_all_day=bool(body.values.get("isAllDay")))
        given = body.recurrence
        if given is not None:
            times, given = placed(times, given, moves=False)
        address = str(mailbox["mail"])
        who = {"name": organizer, "address": organizer} if organizer else {"name": mailbox["displayName"], "address": address}
        answered: dict[str, Any] = {"is_organizer": False, "response": dict(NOT_RESPONDED)} if organizer else {}
        row = self._events.add(
            mailbox["n"], values=_online(body.values, {}), extended=_kept(body.extended), times=times, recurrence=given,
            transaction=body.transaction, organizer=who, **answered,
        )  # fmt: skip
        if not organizer:
            self._meetings.changed(Item(row), {}, is_rescheduled=False)
        return Item(row)

    # --- changing ---------------------------------------------------------------------------------------------------------
    def change(self, item: Item, body: EventBody) -> Item:
        """Stores what a body sets; of an occurrence that makes an exception. Raises Refused."""
        self._check_may(item, body)
        new = self._changed_day(item, body) if item.day else self._changed(item, body)
        if new.row["is_organizer"] and not body.is_personal:
            is_rescheduled = self._instants(item) != self._instants(new) or item.row["recurrence"] != new.row["recurrence"]
            self._meetings.changed(new, attendees_of(item), is_rescheduled=is_rescheduled)
        return new

    def _instants(self, item: Item, times: dict[str, Any] | None = None) -> tuple[datetime, datetime]:
        """Returns when an event begins and ends, whatever zone that is written in."""
        return instants(times or item.times, is_floating=item.is_all_day and self._events.store.switches.all_day_floats)

    def _check_may(self, item: Item, body: EventBody) -> None:
        if body.transaction and body.transaction != item.row["transaction"]:
            raise bad_request("The property 'transactionId' can't be changed.", "ErrorInvalidPropertySet")
        is_refused = self._events.store.switches.attendee_edits == "refuse" and not item.row["is_organizer"]
        if is_refused and _ORGANIZERS & set(body.names):
            raise access_denied()

    def _changed(self, item: Item, body: EventBody) -> Item:
        row = item.row
        values = {**row["values"], **_online(body.values, row["values"])}
        times, given = self._rescheduled(item, body, is_all_day=bool(values.get("isAllDay")))
        changes: dict[str, Any] = {"values": values, "times": times, "recurrence": given}
        changes["extended"] = _kept({**row["extended"], **body.extended})
        changes["statuses"] = _of_attendees(row["statuses"], values)
        if self._instants(item) != self._instants(item, times) or given != row["recurrence"]:
            changes |= {"exceptions": {}, "gone": [], "statuses": {}}  # a series that moves loses what was different on single days
        return Item(self._events.change(row, **changes))

    def _rescheduled(self, item: Item, body: EventBody, *, is_all_day: bool) -> tuple[dict[str, Any], recurrence.Recurrence | None]:
        """Returns when an event and its series take place after a write."""
        times = read_times(body, item.times, is_all_day=is_all_day)
        given = body.recurrence if body.sets_recurrence else item.row["recurrence"]
        if given is None:
            return times, None
        if body.sets_recurrence:
            return placed(times, given, moves=body.start is None)
        range_ = {**given["range"], "startDate": in_zone(times, given["range"]["recurrenceTimeZone"])["start"][:10]}
        return placed(times, {**given, "range": range_}, moves=False)

    def _changed_day(self, item: Item, body: EventBody) -> Item:
        assert item.day is not None
        if body.recurrence is not None:
            raise bad_request("The property 'recurrence' can't be set on an occurrence of a series.", "ErrorInvalidPropertySet")
        own = item.own
        values = {**own.get("values", {}), **_online(body.values, item.values)}
        changes: dict[str, Any] = {"values": values, "extended": _kept({**own.get("extended", {}), **body.extended})}
        is_all_day = bool(body.values.get("isAllDay", item.is_all_day))
        times = read_times(body, item.times, is_all_day=is_all_day)
        if self._instants(item) != self._instants(item, times):
            check_between(item, times)
            changes |= {"times": times, "statuses": dict.fromkeys(item.statuses, NO_STATUS)}  # the answers were to another time
        return Item(self._events.change_day(item.row, item.day, **changes), item.day)

    # --- ending -----------------------------------------------------------------------------------------------------------
    def delete(self, item: Item) -> None:
        """Takes an event or an occurrence out of the calendar; where it is one's own meeting, its attendees are told."""
        if item.row["is_organizer"]:
            self._meetings.cancelled(item)
        self._meetings.taken_out(item)

    def cancel(self, item: Item) -> None:
        """As delete, for organizers only. Raises Refused."""
        if not item.row["is_organizer"]:
            raise bad_request(NOT_ORGANIZER, "ErrorInvalidRequest")
        self.delete(item)

    def answer(self, item: Item, response: str, *, sends: bool) -> None:
        """Answers an invitation. Raises Refused."""
        self._meetings.answered(item, response, sends=sends)


def _kept(extended: dict[str, str | None]) -> dict[str, str]:
    return {name: text for name, text in extended.items() if text is not None}


def _of_attendees(statuses: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Returns the answers of those who are still attendees."""
    addresses = {each["address"].casefold() for each in values.get("attendees", ())}
    return {address: status for address, status in statuses.items() if address in addresses}


def _online(given: dict[str, Any], stored: dict[str, Any]) -> dict[str, Any]:
    """Returns the values of a body; an event that was made an online meeting remains one, and of the same provider."""
    if stored.get("isOnlineMeeting"):
        return {name: value for name, value in given.items() if name not in ("isOnlineMeeting", "onlineMeetingProvider")}
    if given.get("isOnlineMeeting") and given.get("onlineMeetingProvider", "unknown") == "unknown":
        return {**given, "onlineMeetingProvider": "teamsForBusiness"}
    return given
