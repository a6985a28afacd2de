"""Changes of events, as they spread: the organiser's copy is the main one, the calendars of attendees hold copies of it.

Who is an attendee and has a mailbox here gets a copy with the same id and iCalUID, whatever `sendUpdates` says: that decides
about mails alone. A mail goes out for a new attendee (invitation), for a change of what all share (update), for an event or
attendee that is taken away (cancellation) and for an attendee's answer (response).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.sandbox.google.calendar_refusal import not_the_organizer
from connectors.sandbox.google.calendar_schema import BOTH, CLOSED, SHARED
from connectors.sandbox.google.event_store import EventStore, is_master, made_up_id, starts
from connectors.sandbox.google.event_times import suffix_of
from connectors.sandbox.google.table import Row

TIMES = ("start", "end", "recurrence")
SUBJECTS = {"invitation": "Invitation", "update": "Updated invitation", "cancellation": "Canceled event"}
ANSWERS = {"accepted": "Accepted", "declined": "Declined", "tentative": "Tentatively accepted", "needsAction": "Unanswered"}
SILENT = "none"
Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Act:
    """Who changes something, and who is sent mails: all, externalOnly or none."""

    mailbox: str
    sends: str = SILENT


class Meetings:
    """Stores changes of events in every calendar that they concern."""

    def __init__(self, events: EventStore) -> None:
        self._events = events

    # --- what a person or a client does ---------------------------------------------------------------------------------
    def add(self, row: Row, act: Act) -> Row:
        stored = self._events.put(row)
        self._spread(stored, None, act)
        return stored

    def change(self, row: Row, fields: Fields, act: Act, *, sequence: int = 0) -> Row:
        """Stores the fields of an event anew; a deleted one comes back with it. Raises Refused for what a guest may not do."""
        if not is_own(row):
            return self._change_as_guest(row, dict(fields), act)
        before = dict(row)
        stored = self._store(row, self._with_visibility(row, fields), sequence=sequence)
        self._spread(stored, before, act)
        if is_master(stored) and emails(before["fields"]) != emails(stored["fields"]):
            self._invite_to_exceptions(stored, before)
        return stored

    def delete(self, row: Row, act: Act) -> Row:
        """Cancels an event; a guest who does so declines it and loses the copy."""
        if is_own(row):
            exceptions = [each for each in self._events.table.exceptions(row) if not each["is_deleted"]]
            stored = self._cancel(row)
            self._spread(stored, row, act)
            for each in exceptions:  # who was invited to that instance alone
                self._spread({**each, "is_deleted": True}, each, Act(act.mailbox))
            return stored
        declined = with_answer(row["fields"], row["mailbox"], "declined")
        if declined != row["fields"] and not row["is_deleted"]:
            self._answer(row, declined, act)
            row = self._events.copy_in(row["mailbox"], row) or row
        return self._cancel({**row, "left": True})

    def _with_visibility(self, row: Row, fields: Fields) -> Fields:
        """Returns the fields of one instance with the visibility that it gets: a closer one is that of the whole series, a more
        open one is passed over."""
        before, after = (part.get("visibility", "default") for part in (row["fields"], fields))
        master = self._events.table.named(row["mailbox"], row["master"]) if row["master"] else None
        if master is None or before == after:
            return fields
        if after not in CLOSED:
            left = {name: value for name, value in fields.items() if name != "visibility"}
            return {**left, "visibility": before} if before != "default" else left
        for each in (master, *self._events.table.exceptions(master)):
            if not each["is_deleted"] and each["suffix"] != row["suffix"]:
                self._store(each, {**each["fields"], "visibility": after})
        return fields

    # --- guests ---------------------------------------------------------------------------------------------------------
    def _change_as_guest(self, row: Row, fields: dict[str, Any], act: Act) -> Row:
        """Changes a guest's copy: always the answer and what is private; what all share only where the organiser allows it."""
        changed = _changed_for_all(row, fields)
        if changed and not row["fields"].get("guestsCanModify"):
            if self._events.store.switches.guest_changes == "refuse":
                raise not_the_organizer()
            changed = []
        if row["is_deleted"] and not row["left"]:
            raise not_the_organizer()  # the organiser took it away
        before = answer_of(row["fields"], row["mailbox"])
        stored = self._store({**row, "left": False}, fields)
        main = self._main(row)
        if changed and main is not None:
            names = [name for name in changed if name not in BOTH]
            taken = {name: value for name, value in main["fields"].items() if name not in names}
            taken |= {name: fields[name] for name in names if name in fields}
            self.change(main, _with_shared_properties(taken, fields), act)
            stored = self._events.copy_in(row["mailbox"], row) or stored
        if before != answer_of(fields, row["mailbox"]):
            self._answer(stored, stored["fields"], act)
        return self._events.copy_in(row["mailbox"], row) or stored

    def _answer(self, row: Row, fields: Fields, act: Act) -> None:
        """Carries an attendee's answer to the organiser's copy, and from there to the others."""
        answer, organizer = answer_of(fields, row["mailbox"]), row["organizer"]["email"]
        main = self._main(row)
        if main is not None and not main["is_deleted"]:
            stored = self._store(main, {**main["fields"], **_with_entry(main["fields"], row["mailbox"], fields)})
            self._spread(stored, stored, Act(act.mailbox))
        if self._is_sent(organizer, act):
            subject = f"{ANSWERS[answer]}: {fields.get('summary', '')}"
            self._events.note_mail(row["mailbox"], "response", [organizer], subject)

    def _main(self, row: Row) -> Row | None:
        """Returns the organiser's copy; None when he has no mailbox here."""
        return self._events.copy_in(row["organizer"]["email"], row)

    # --- one calendar ---------------------------------------------------------------------------------------------------
    def _store(self, row: Row, fields: Fields, *, sequence: int = 0) -> Row:
        old, is_moved = row["fields"], any(row["fields"].get(name) != fields.get(name) for name in TIMES)
        next_ = row["sequence"] + (1 if is_moved or row["is_deleted"] else 0)
        former = list(row["former"])
        if is_moved and not row["master"] and (old.get("recurrence") or fields.get("recurrence")):
            former.append([self._events.store.sequence + 1, {name: old.get(name) for name in TIMES}])
        new = {**row, "fields": dict(fields), "sequence": max(next_, sequence), "is_deleted": False, "former": former}
        changed = {name for name in {*old, *fields} if old.get(name) != fields.get(name)}
        stored = self._events.put(new, is_quiet=changed == {"reminders"} and not row["is_deleted"])
        if row["is_deleted"]:
            self._bring_back_exceptions(stored)
        if is_moved and former:
            self._drop_exceptions(stored)
        return stored

    def _cancel(self, row: Row) -> Row:
        stored = self._events.put({**row, "is_deleted": True, "sequence": row["sequence"] + 1})
        if is_master(row):
            for each in self._events.table.exceptions(row):
                if not each["is_deleted"]:
                    self._events.put({**each, "is_deleted": True, "with_master": True})
        return stored

    def _bring_back_exceptions(self, master: Row) -> None:
        for each in self._events.table.exceptions(master):
            if each.get("with_master"):
                self._events.put({**each, "is_deleted": False, "with_master": False})

    def _drop_exceptions(self, master: Row) -> None:
        """Cancels exceptions of instances that the series has no more."""
        exceptions = [row for row in self._events.table.exceptions(master) if not row["is_deleted"]]
        if not exceptions:
            return
        last, fields, left = max(row["suffix"] for row in exceptions), master["fields"], set()
        for start in starts(fields["start"], fields["recurrence"]) if fields.get("recurrence") else ():
            suffix = suffix_of(start)
            if suffix > last:
                break
            left.add(suffix)
        for row in exceptions:
            if row["suffix"] not in left:
                self._cancel(row)

    # --- all calendars --------------------------------------------------------------------------------------------------
    def _spread(self, row: Row, before: Row | None, act: Act) -> None:
        """Makes, changes and cancels the copies of attendees to fit the organiser's row, and sends the mails."""
        if row["private_copy"]:
            return
        then = emails(before["fields"]) if before is not None and not before["is_deleted"] else set()
        now = emails(row["fields"]) if not row["is_deleted"] else set()
        organizer = row["organizer"]["email"]
        for mailbox in self._events.store.mailboxes():
            if mailbox != organizer and mailbox in then | now:
                self._fit_copy(row, mailbox, is_invited=mailbox in now)
        self._mail(row, before, act, then=then, now=now)

    def _fit_copy(self, main: Row, mailbox: str, *, is_invited: bool) -> None:
        copy = self._events.copy_in(mailbox, main)
        if not is_invited:
            if copy is not None and not copy["is_deleted"]:
                self._cancel(copy)
            return
        if copy is None:
            self._events.put(self._new_copy(main, mailbox))
            return
        fields = _with_shared_properties({name: copy["fields"][name] for name in copy["fields"] if name not in SHARED}, main["fields"])
        fields |= {name: main["fields"][name] for name in SHARED if name in main["fields"]}
        if copy["left"] or (fields == copy["fields"] and not copy["is_deleted"]):
            return
        self._store(copy, fields, sequence=main["sequence"])

    def _new_copy(self, main: Row, mailbox: str) -> Row:
        """Returns the copy of somebody who is invited: he sets reminders, colour and the like for himself."""
        names = [*SHARED, "transparency", "visibility"]
        fields = _with_shared_properties({name: main["fields"][name] for name in names if name in main["fields"]}, main["fields"])
        event_id = main["event_id"]
        if self._events.table.named(mailbox, event_id) is not None:  # an event of his own has that id
            event_id = made_up_id(f"{mailbox} {main['uid']} {main['suffix']}")
        more = {name: main[name] for name in ("master", "suffix", "original", "organizer", "creator", "created", "sequence")}
        return self._events.new_row(mailbox, fields, event_id=event_id, uid=main["uid"], **more)

    def _invite_to_exceptions(self, master: Row, before: Row) -> None:
        """Makes the guests of a series guests of its exceptions too, and tells new ones which instances do not take place."""
        then, now = emails(before["fields"]), emails(master["fields"])
        for row in self._events.table.exceptions(master):
            if row["is_deleted"]:
                for mailbox in self._events.store.mailboxes():
                    if mailbox in now - then and mailbox != master["mailbox"]:
                        self._fit_copy(row, mailbox, is_invited=False)
                continue
            kept = [each for each in row["fields"].get("attendees", []) if each["email"] not in then - now]
            present = {each["email"] for each in kept}
            kept += [each for each in master["fields"].get("attendees", []) if each["email"] in now - then - present]
            fields = {name: value for name, value in row["fields"].items() if name != "attendees"}
            stored = self._store(row, {**fields, "attendees": kept} if kept else fields)
            self._spread(stored, row, Act(master["mailbox"]))

    # --- mails ----------------------------------------------------------------------------------------------------------
    def _mail(self, row: Row, before: Row | None, act: Act, *, then: set[str], now: set[str]) -> None:
        is_changed = before is not None and any(
            before["fields"].get(name) != row["fields"].get(name) for name in SHARED if name not in ("attendees", "status")
        )
        to = {"invitation": now - then, "update": (now & then) if is_changed else set(), "cancellation": then - now}
        for kind, addresses in to.items():
            others = sorted(address for address in addresses if address != act.mailbox and self._is_sent(address, act))
            if others:
                self._events.note_mail(act.mailbox, kind, others, f"{SUBJECTS[kind]}: {row['fields'].get('summary', '')}")

    def _is_sent(self, address: str, act: Act) -> bool:
        return act.sends == "all" or (act.sends == "externalOnly" and self._events.store.user(address) is None)


def is_own(row: Row) -> bool:
    """Tells whether a copy is the organiser's, or one that nobody else's depends on."""
    return bool(row["private_copy"] or row["organizer"]["email"] == row["mailbox"])


def emails(fields: Fields) -> set[str]:
    return {each["email"] for each in fields.get("attendees", [])}


def answer_of(fields: Fields, mailbox: str) -> str:
    return next((str(each["responseStatus"]) for each in fields.get("attendees", []) if each["email"] == mailbox), "needsAction")


def with_answer(fields: Fields, mailbox: str, answer: str) -> dict[str, Any]:
    """Returns fields in which an attendee has answered."""
    attendees = [{**each, "responseStatus": answer} if each["email"] == mailbox else each for each in fields.get("attendees", [])]
    return {**fields, "attendees": attendees} if attendees else dict(fields)


def _with_entry(present: Fields, mailbox: str, fields: Fields) -> dict[str, Any]:
    """Returns the attendees with one entry as another copy has it; who was not invited adds himself."""
    own = [each for each in fields.get("attendees", []) if each["email"] == mailbox]
    listed = [own[0] if own and each["email"] == mailbox else each for each in present.get("attendees", [])]
    return {"attendees": listed if mailbox in emails(present) else listed + own}


def _changed_for_all(row: Row, fields: Fields) -> list[str]:
    """Returns which shared parts of an event a guest would change, besides his own entry among the attendees."""
    old, own = row["fields"], row["mailbox"]
    changed = [name for name in SHARED if name != "attendees" and old.get(name) != fields.get(name)]
    changed += [name for name in BOTH if old.get(name, {}).get("shared") != fields.get(name, {}).get("shared")]
    others = [[each for each in part.get("attendees", []) if each["email"] != own] for part in (old, fields)]
    return [*changed, "attendees"] if others[0] != others[1] else changed


def _with_shared_properties(fields: dict[str, Any], main: Fields) -> dict[str, Any]:
    """Returns fields with the shared properties of the main copy; private ones stay."""
    properties = {name: part for name, part in fields.get("extendedProperties", {}).items() if name != "shared"}
    if main.get("extendedProperties", {}).get("shared"):
        properties["shared"] = main["extendedProperties"]["shared"]
    left = {name: value for name, value in fields.items() if name != "extendedProperties"}
    return {**left, "extendedProperties": properties} if properties else left
