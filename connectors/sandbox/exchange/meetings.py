"""Meetings over several mailboxes: copies at attendees of this server, their answers, and the mails of all this.

Nothing here happens unless the call says that something is to be sent: with SendToNone no mail goes out, and nobody's copy changes.
A copy takes over what the organizer changes; what is personal in it stays its owner's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from connectors.sandbox.exchange.event_facts import LISTS, values_of
from connectors.sandbox.exchange.events import Events
from connectors.sandbox.exchange.refusal import Refused
from connectors.sandbox.exchange.store import BIN, CALENDAR, Store
from connectors.sandbox.exchange.writing import Given, merged
from connectors.sandbox.microsoft.occurrences import Item
from connectors.sandbox.microsoft.table import Row

PERSONAL = ("item:Categories", "item:ReminderIsSet", "item:ReminderMinutesBeforeStart", "item:ReminderDueBy", "item:Sensitivity",
            "calendar:LegacyFreeBusyStatus")  # fmt: skip
NOT_ANSWERED = {"response": "NoResponseReceived"}
CANCELLED = "Canceled: "
SENDS = {"SendToNone": "none", "SendOnlyToAll": "all", "SendToAllAndSaveCopy": "all", "SendOnlyToChanged": "changed",
         "SendToChangedAndSaveCopy": "changed"}  # fmt: skip
_WORDS = {"Accept": "Accepted", "Tentative": "Tentative", "Decline": "Declined"}

People = dict[str, dict[str, str]]  # by address, without regard to case


def attendees_of(item: Item) -> People:
    own = values_of(item)
    return {each["address"].casefold(): each for uri in LISTS for each in own.get(uri, ())}


class Meetings:
    """What an act in one mailbox does in the others."""

    def __init__(self, store: Store, events: Events) -> None:
        self._store, self._events = store, events

    # --- the organizer's acts -------------------------------------------------------------------------------------------------
    def changed(self, item: Item, before: People, *, sends: str, is_rescheduled: bool) -> Item:
        """Invites who is new, tells those who stay of the change (with `sends` changed: nobody), cancels for those who are no longer
        meant. Returns the event with the mark that it was sent."""
        now = attendees_of(item)
        if sends == "none" or not item.row["is_organizer"] or not (now or before):
            return item
        subject = self._subject(item)
        self._mail("invitation", item.row, now.keys() - before.keys(), now, subject)
        if sends == "all":
            self._mail("update", item.row, now.keys() & before.keys(), now, subject)
        row = self._store.change(item.row, was_sent=True, sent_times=item.row["sent_times"] + bool(before))
        for user in self._users(now, row):
            self._bring(row, user, is_rescheduled=is_rescheduled)
        self._call_off(Item(row, item.day), {a: before[a] for a in before.keys() - now.keys()})
        return Item(self._store.items[row["n"]], item.day)

    def cancelled(self, item: Item, *, sends: str) -> None:
        """Tells all attendees that a meeting, or one occurrence of it, does not take place."""
        if sends != "none" and item.row["is_organizer"]:
            self._call_off(item, attendees_of(item))

    def _call_off(self, item: Item, people: People) -> None:
        self._mail("cancellation", item.row, people, people, f"{CANCELLED}{self._subject(item)}")
        for user in self._users(people, item.row):
            copy = self._events.copies(item.row["uid"]).get(user["n"])
            if copy is not None:
                self.mark_cancelled(Item(copy, item.day if copy["recurrence"] else None))

    def mark_cancelled(self, copy: Item) -> None:
        """Marks an attendee's copy as cancelled."""
        subject = f"{CANCELLED}{self._subject(copy).removeprefix(CANCELLED)}"
        given = Given({"item:Subject": subject, "calendar:LegacyFreeBusyStatus": "Free"})
        after = self._events.change(copy, given, "UTC")
        if copy.day is None:
            self._store.change(after.row, is_cancelled=True)
        else:
            own = {**after.row["exceptions"][copy.day], "is_cancelled": True}
            self._store.change(after.row, exceptions={**after.row["exceptions"], copy.day: own})

    def _bring(self, row: Row, user: Row, *, is_rescheduled: bool) -> None:
        """Makes or changes an attendee's copy so that it is like the organizer's event."""
        parts = {name: row[name] for name in ("times", "recurrence", "gone")}
        parts |= {"exceptions": {day: _shared_day(own) for day, own in row["exceptions"].items()}, "is_cancelled": False}
        shared = {key: value for key, value in row["values"].items() if key not in PERSONAL}
        copy = self._events.copies(row["uid"]).get(user["n"])
        if copy is None:
            own = {**shared, "item:Sensitivity": row["values"].get("item:Sensitivity"), "calendar:LegacyFreeBusyStatus": "Tentative"}
            folder = self._store.special(user["n"], CALENDAR)
            self._events.add(folder, Given(own), "UTC", uid=row["uid"], is_organizer=False, response=NOT_ANSWERED,
                             organizer=row["organizer"] or self._store.person(row["mailbox"]), **parts)  # fmt: skip
            return
        kept = {key: value for key, value in copy["values"].items() if key in PERSONAL}
        again = is_rescheduled or copy["is_cancelled"]
        if again:
            parts["response"] = NOT_ANSWERED
            kept["calendar:LegacyFreeBusyStatus"] = "Tentative"
        self._store.change(copy, values=merged(shared, kept), **parts)

    def _users(self, people: Iterable[str], row: Row) -> list[Row]:
        """Returns the attendees whose mailboxes are here."""
        users = (self._store.user(address) for address in people)
        return [user for user in users if user is not None and user["state"] != "gone" and user["n"] != row["mailbox"]]

    def _mail(self, kind: str, row: Row, to: Iterable[str], people: People, subject: str) -> None:
        """Notes a mail to attendees, in the order in which they stand in the event; to nobody: none."""
        organizer = (row["organizer"] or self._store.person(row["mailbox"]))["address"]
        wanted = set(to) - {organizer.casefold()}
        addresses = [each["address"] for address, each in people.items() if address in wanted]
        if addresses:
            self._store.send(kind, mailbox=organizer, to=addresses, subject=subject)

    @staticmethod
    def _subject(item: Item) -> str:
        return str(values_of(item).get("item:Subject") or "")

    # --- an attendee's acts -----------------------------------------------------------------------------------------------------
    def answered(self, item: Item, response: str, *, sends: bool) -> Item | None:
        """Keeps an attendee's answer; with `sends` the organizer learns it, by a mail. One who declines has the meeting in the
        Deleted Items, unless the switch keeps it: returns None. Raises Refused where there is nothing to answer."""
        verb = {"Accept": "Accept", "Tentative": "Tentative", "Decline": "Decline"}[response]
        if item.row["is_organizer"]:
            raise Refused(f"ErrorCalendarIsOrganizerFor{verb}", "The organizer cannot answer the meeting.")
        if item.part("is_cancelled"):
            raise Refused(f"ErrorCalendarIsCancelledFor{verb}", "The meeting was cancelled.")
        answer = {"response": response, "at": self._store.stamp()}
        if sends:
            self._tell_organizer(item, answer)
        if response == "Decline" and not self._store.switches.keeps_declined:
            if item.day is None:
                self._store.move(item.row, self._store.special(item.row["mailbox"], BIN))
            else:
                self._events.remove_day(item)
            return None
        shows = {"Accept": "Busy", "Tentative": "Tentative", "Decline": "Free"}[response]
        after = self._events.change(item, Given({"calendar:LegacyFreeBusyStatus": shows}), "UTC")
        if item.day is None:
            return Item(self._store.change(after.row, response=answer))
        own = {**after.row["exceptions"][item.day], "response": answer}
        return Item(self._store.change(after.row, exceptions={**after.row["exceptions"], item.day: own}), item.day)

    def _tell_organizer(self, item: Item, answer: Mapping[str, str]) -> None:
        person = self._store.person(item.row["mailbox"])
        subject = f"{_WORDS[answer['response']]}: {self._subject(item)}"
        self._store.send("response", mailbox=person["address"], to=[item.row["organizer"]["address"]], subject=subject)
        own = next((row for row in self._events.copies(item.row["uid"]).values() if row["is_organizer"]), None)
        if own is None or person["address"].casefold() not in attendees_of(Item(own)):
            return
        said = {person["address"].casefold(): dict(answer)}
        if item.day is None:
            self._store.change(own, statuses={**own["statuses"], **said})
        elif item.day not in own["gone"]:
            before = own["exceptions"].get(item.day, {"created": self._store.stamp(), "version": own["version"]})
            day = {**before, "statuses": {**before.get("statuses", {}), **said}}
            self._store.change(own, exceptions={**own["exceptions"], item.day: day})


def _shared_day(own: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what is different on a day, without what is the organizer's own."""
    kept = {name: own[name] for name in ("times", "created", "modified", "version") if name in own}
    return {**kept, "values": {key: value for key, value in own.get("values", {}).items() if key not in PERSONAL}}
