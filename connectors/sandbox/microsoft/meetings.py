"""Meetings over several mailboxes: copies at attendees of the same tenant, their answers, and the mails of all this.

The server mails whenever an organizer makes, changes (but for what is personal, see event_schema.PERSONAL), cancels or deletes a
meeting, and when an attendee answers with a response. A copy takes over what the organizer changes; what is personal in it
stays its owner's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from connectors.sandbox.microsoft.event_schema import PERSONAL, UNSET
from connectors.sandbox.microsoft.event_store import EventStore
from connectors.sandbox.microsoft.occurrences import Item
from connectors.sandbox.microsoft.refusal import bad_request
from connectors.sandbox.microsoft.table import Row

NOT_RESPONDED = {"response": "notResponded", "time": UNSET}
ANSWERS = {"accept": "accepted", "tentativelyAccept": "tentativelyAccepted", "decline": "declined"}
_WORDS = {"accepted": "Accepted", "tentativelyAccepted": "Tentative", "declined": "Declined"}
CANCELLED = "Canceled: "

Attendees = dict[str, dict[str, Any]]  # by address, without regard to case


def attendees_of(item: Item) -> Attendees:
    return {each["address"].casefold(): each for each in item.values["attendees"]}


class Meetings:
    """What an act in one mailbox does in the others."""

    def __init__(self, events: EventStore) -> None:
        self._events, self._store = events, events.store

    # --- the organizer's acts -----------------------------------------------------------------------------------------------
    def changed(self, item: Item, before: Attendees, *, is_rescheduled: bool) -> None:
        """Invites who is new, tells those who stay of the change, cancels for those who are no longer meant."""
        now = attendees_of(item)
        subject = item.values["subject"]
        self._mail("invitation", item.row, now.keys() - before.keys(), now, subject)
        self._mail("update", item.row, now.keys() & before.keys(), now, subject)
        for user in self._users(now, item.row):
            self._bring(item, user, is_rescheduled=is_rescheduled)
        gone = {address: before[address] for address in before.keys() - now.keys()}
        self._call_off(item, gone)

    def cancelled(self, item: Item) -> None:
        """Tells all attendees that a meeting, or one occurrence of it, does not take place."""
        self._call_off(item, attendees_of(item))
        if item.day is None:
            for day in item.row["exceptions"]:
                only_then = {a: each for a, each in attendees_of(Item(item.row, day)).items() if a not in attendees_of(item)}
                self._call_off(Item(item.row, day), only_then)

    def _call_off(self, item: Item, attendees: Attendees) -> None:
        self._mail("cancellation", item.row, attendees, attendees, f"{CANCELLED}{item.values['subject']}")
        for user in self._users(attendees, item.row):
            copy = self._copy(item, user)
            if copy is not None:
                self._cancel_copy(copy)

    def _cancel_copy(self, copy: Item) -> None:
        """A series goes with all its days, those that differ from it included."""
        if copy.day is None:
            for day in copy.row["exceptions"]:
                copy = Item(self._write(Item(copy.row, day), values=_called_off(Item(copy.row, day)), is_cancelled=True).row)
        self._write(copy, values=_called_off(copy), is_cancelled=True)

    def _copy(self, item: Item, user: Row) -> Item | None:
        """Returns an attendee's copy: of the whole, or one that he got of this occurrence only."""
        whole = self._events.copies(item.row["uid"]).get(user["n"])
        if whole is not None and (item.day is None or item.day not in whole["gone"]):
            return Item(whole, item.day)
        if item.day is None:
            return None
        alone = self._events.copies(f"{item.row['uid']}/{item.day}").get(user["n"])
        return None if alone is None else Item(alone)

    def _bring(self, item: Item, user: Row, *, is_rescheduled: bool) -> None:
        """Makes or changes an attendee's copy so that it is like the organizer's event."""
        copy = self._copy(item, user)
        parts: dict[str, Any] = {"times": item.times, "is_cancelled": False}
        if copy is None:
            parts |= {"values": {**_of_all(item), "showAs": "tentative"}, "organizer": item.row["organizer"], "is_organizer": False}
            parts |= {"response": dict(NOT_RESPONDED)}
            if item.day is None:
                parts |= {"recurrence": item.row["recurrence"], "gone": item.row["gone"], "exceptions": _exceptions(item.row)}
            self._events.add(user["n"], item.row["uid"] if item.day is None else f"{item.row['uid']}/{item.day}", **parts)
            return
        if is_rescheduled:
            parts |= {"response": dict(NOT_RESPONDED)} | ({"exceptions": {}, "gone": []} if copy.day is None else {})
        if copy.day is None and item.day is None:
            parts["recurrence"] = item.row["recurrence"]
        again = {"showAs": "tentative"} if copy.part("is_cancelled") or is_rescheduled else {}
        self._write(copy, values={**_shared(item), **again}, **parts)

    def _write(self, copy: Item, *, values: Mapping[str, Any], **parts: Any) -> Item:
        """Stores values, over those that are there, and parts of an event or an occurrence."""
        if copy.day is None:
            row = self._events.change(copy.row, values={**copy.row["values"], **values}, **parts)
        else:
            row = self._events.change_day(copy.row, copy.day, values={**copy.own.get("values", {}), **values}, **parts)
        return Item(row, copy.day)

    def _users(self, attendees: Iterable[str], row: Row) -> list[Row]:
        """Returns the attendees whose mailboxes are here."""
        users = (self._store.user(address) for address in attendees)
        return [user for user in users if user and user["state"] not in ("gone", "not_enabled") and user.get("mail")
                and user["n"] != row["mailbox"]]  # fmt: skip

    def _mail(self, kind: str, row: Row, to: Iterable[str], attendees: Attendees, subject: str) -> None:
        """Notes a mail to attendees, in the order in which they stand in the event; to nobody: none."""
        wanted = set(to) - {str(row["organizer"]["address"]).casefold()}
        addresses = [each["address"] for address, each in attendees.items() if address in wanted]
        if addresses:
            self._store.send(kind, mailbox=row["organizer"]["address"], to=addresses, subject=subject)

    # --- an attendee's acts -----------------------------------------------------------------------------------------------------
    def answered(self, item: Item, response: str, *, sends: bool) -> None:
        """Keeps an attendee's answer; with `sends` the organizer learns it, by a mail. One who declines has the meeting no longer,
        unless the switch keeps it. Raises Refused where there is nothing to answer."""
        if item.row["is_organizer"]:
            told = "Your request can't be completed. You can't respond to this meeting because you're the meeting organizer."
            raise bad_request(told, "ErrorInvalidRequest")
        if sends and not item.values["responseRequested"]:
            raise bad_request("Your request can't be completed. The meeting organizer hasn't requested a response.", "ErrorInvalidRequest")
        answer = {"response": response, "time": self._store.stamp()}
        if sends:
            self._tell_organizer(item, answer)
        if response == "declined" and not self._store.switches.keeps_declined:
            self.taken_out(item)
            return
        shows = {"accepted": self._meant(item), "tentativelyAccepted": "tentative", "declined": "free"}[response]
        self._write(item, values={"showAs": shows}, response=answer)

    def taken_out(self, item: Item) -> None:
        if item.day is None:
            self._events.remove(item.row)
        else:
            self._events.remove_day(item.row, item.day)

    def _organizers(self, item: Item) -> Item | None:
        """Returns the organizer's own event, where it is in this tenant."""
        uid, _, only = item.row["uid"].partition("/")
        own = next((row for row in self._events.copies(uid).values() if row["is_organizer"]), None)
        return None if own is None else Item(own, item.day or only or None)

    def _meant(self, item: Item) -> str:
        """Returns how the organizer wants the time to be shown."""
        own = self._organizers(item)
        return str(own.values["showAs"]) if own is not None else "busy"

    def _tell_organizer(self, item: Item, answer: dict[str, str]) -> None:
        user = self._store.users[item.row["mailbox"]]
        names = {str(user.get(name)).casefold() for name in ("mail", "userPrincipalName")}
        subject = f"{_WORDS[answer['response']]}: {item.values['subject']}"
        self._store.send("response", mailbox=str(user["mail"]), to=[item.row["organizer"]["address"]], subject=subject)
        own = self._organizers(item)
        if own is None:
            return
        said = {address: answer for address in attendees_of(own) if address in names}
        if own.day is None:
            self._events.change(own.row, statuses={**own.row["statuses"], **said})
        elif own.day not in own.row["gone"]:
            self._events.change_day(own.row, own.day, statuses={**own.own.get("statuses", {}), **said})


def _shared(item: Item) -> dict[str, Any]:
    """Returns the values that an organizer's change carries into copies."""
    return {name: value for name, value in item.values.items() if name not in PERSONAL}


def _of_all(item: Item) -> dict[str, Any]:
    """Returns the values that a new copy begins with: categories are nobody else's."""
    return {name: value for name, value in item.values.items() if name != "categories"}


def _called_off(item: Item) -> dict[str, Any]:
    return {"subject": f"{CANCELLED}{item.values['subject'].removeprefix(CANCELLED)}", "showAs": "free"}


def _exceptions(row: Row) -> dict[str, Any]:
    """Returns what is different on single days, for a copy that is made later than that."""
    kept = ("times", "created", "modified", "version")
    return {day: {**{name: own[name] for name in kept if name in own}, "values": _without_personal(own)}
            for day, own in row["exceptions"].items()}  # fmt: skip


def _without_personal(own: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in own.get("values", {}).items() if name not in PERSONAL}
