"""Calendars of two mailboxes and Salesforce in process: the real engine and connectors over a transport adapter, as in `boxes`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.sandbox.world import World
from reconciliation.engine.wiring import Switches
from reconciliation.models import MailboxItem, SyncPass
from reconciliation.services.mailboxes import mailbox_add, pass_over
from reconciliation.services.set_up import events_pass
from tests.boxes import CONNECT, Boxes, connect_salesforce
from tests.paired import wire
from tests.sandboxed import Clock

CATEGORY = "Salesforce"
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_GOOGLE = {"subject": "summary", "body": "description"}


def text(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}"


@dataclass
class Calendars(Boxes):
    """A world, the pass over the calendars of one mail system, and what a test does with both sides. Times are UTC."""

    def at(self, days: float = 1, hour: float = 10) -> datetime:
        """Returns a time of day some days from now."""
        today = self.clock().replace(hour=0, minute=0, second=0, microsecond=0)
        return today + timedelta(days=days, hours=hour)

    # --- people in the mailbox ----------------------------------------------------------------------------------------

    def enter(self, subject: str = "Demo", at: datetime | None = None, *, address: str = "", hours: float = 1, **values: Any) -> str:
        """Makes an event in a calendar, as its user does, with the category unless told otherwise. Returns its id there."""
        at = at or self.at()
        given = {"subject": subject, "start": text(at), "end": text(at + timedelta(hours=hours)), "timeZone": "UTC", **values}
        return str(self.mail.create_record("event", {"mailbox": address or self.mine, **self._own(given, is_new=True)})["id"])

    def enter_days(self, subject: str, first: datetime, days: int, **values: Any) -> str:
        """Makes an event of whole days."""
        last = first + timedelta(days=days)
        return self.enter(subject, isAllDay=True, **{"start": f"{first:%Y-%m-%d}", "end": f"{last:%Y-%m-%d}", **values})

    def weekly(self, subject: str = "Weekly", start: datetime | None = None, *, times: int = 3, address: str = "", **values: Any) -> str:
        """Makes a series, once a week from its start."""
        start = start or self.at()
        day = _DAYS[start.weekday()]
        if self.system != "google":
            pattern = {"type": "weekly", "interval": 1, "daysOfWeek": [day]}
            whole = {"type": "numbered", "startDate": f"{start:%Y-%m-%d}", "numberOfOccurrences": times}
            values["recurrence"] = json.dumps({"pattern": pattern, "range": whole})
        else:
            values["recurrence"] = [f"RRULE:FREQ=WEEKLY;COUNT={times}"]
        return self.enter(subject, start, address=address, **values)

    def alter(self, event: str, **values: Any) -> None:
        self.mail.update_record("event", self.mail.find_id("event", event), self._own(values))

    def alter_occurrence(self, series: str, day: datetime, **values: Any) -> None:
        """Changes one occurrence of a series; `day` is the start that it would have had."""
        if self.system != "google":
            self.alter(series, occurrence=f"{day:%Y-%m-%d}", **values)
            return
        row = self.mail.get_record("event", self.mail.find_id("event", series))
        given = {"mailbox": row["mailbox"], "recurringEventId": row["eventId"], "originalStart": text(day) + "Z", **self._own(values)}
        self.mail.create_record("event", given)

    def cancel(self, event: str) -> None:
        self.alter(event, **({"isCancelled": True} if self.system != "google" else {"status": "cancelled"}))

    def throw_away(self, event: str) -> None:
        self.mail.delete_record("event", self.mail.find_id("event", event))

    def event_of(self, event: str) -> dict[str, Any]:
        row = self.mail.get_record("event", self.mail.find_id("event", event))
        return {} if row is None else self._neutral(row)

    def _neutral(self, row: dict[str, Any]) -> dict[str, Any]:
        if self.system != "google":
            return row
        shown = "free" if row["transparency"] == "transparent" else "busy"
        return {**row, "subject": row["summary"], "body": row["description"], "showAs": shown}

    def calendar(self, address: str = "") -> list[dict[str, Any]]:
        rows = [row for row in self.mail.list_records("event") if row["mailbox"] == (address or self.mine)]
        return [self._neutral(row) for row in rows]

    def copy_of(self, event: str, address: str) -> str:
        """Returns the id of a guest's copy of a meeting."""
        uid = "iCalUId" if self.system != "google" else "iCalUID"
        row = self.event_of(event)
        return next(str(r["id"]) for r in self.mail.list_records("event") if r["mailbox"] == address and r[uid] == row[uid])

    def _own(self, values: dict[str, Any], *, is_new: bool = False) -> dict[str, Any]:
        if self.system != "google":
            return {**({"categories": [CATEGORY]} if is_new and "categories" not in values else {}), **values}
        given = {_GOOGLE.get(name, name): value for name, value in values.items() if name not in ("sensitivity", "showAs", "categories")}
        if "sensitivity" in values:
            given["visibility"] = "private" if values["sensitivity"] == "private" else "default"
        if "showAs" in values:
            given["transparency"] = "transparent" if values["showAs"] == "free" else "opaque"
        return given

    # --- people in Salesforce -----------------------------------------------------------------------------------------

    def event(self, subject: str = "Visit", start: datetime | None = None, *, owner: str = "", hours: float = 1, **values: Any) -> str:
        start = start or self.at()
        given = {"Subject": subject, "StartDateTime": text(start) + "Z", "EndDateTime": text(start + timedelta(hours=hours)) + "Z"}
        given |= {"OwnerId": self.users[owner or self.mine], **values}
        return str(self.world.salesforce.create_record("Event", given)["Id"])

    def edit_event(self, id_: str, **values: Any) -> None:
        self.world.salesforce.update_record("Event", id_, values)

    def delete_event(self, id_: str) -> None:
        self.world.salesforce.delete_record("Event", id_)

    def events_there(self, owner: str = "") -> list[dict[str, Any]]:
        rows = [row for row in self.world.salesforce.list_records("Event") if not row.get("IsDeleted")]
        return [row for row in rows if not owner or row["OwnerId"] == self.users[owner]]

    def only(self) -> dict[str, Any]:
        rows = self.events_there()
        assert len(rows) == 1, rows
        return rows[0]

    # --- what is known ------------------------------------------------------------------------------------------------

    def item(self, address: str = "") -> MailboxItem:
        return MailboxItem.objects.get(sync_pass=self.passes[address or self.mine])

    def set(self, **settings: Any) -> None:
        """Sets what holds for every mailbox."""
        admin = {name: {"value": value, "is_locked": True} for name, value in settings.items()}
        held = {**self.parent.settings, "mailbox_settings": {**self.parent.settings.get("mailbox_settings", {}), **admin}}
        SyncPass.objects.filter(pk=self.parent.pk).update(settings=held)
        self.parent.refresh_from_db()

    def mails(self) -> list[tuple[str, str]]:
        return [(mail["kind"], mail["to"]) for mail in self.mail.mails]

    def rest(self, *addresses: str) -> None:
        """Asserts that another run over each mailbox writes nothing at all."""
        for address in addresses or (self.mine,):
            run = self.run(address)
            assert (run.state, run.created, run.updated, run.failed) == ("finished", 0, 0, 0), self.events(run)


def calendars(system: str = "microsoft", *, switches: Switches | None = None, world: World | None = None) -> Calendars:
    """Returns a world with Salesforce and the mailboxes of a mail system, connected, each with a Salesforce user; sync of calendars was
    switched on a minute ago. At Google, which knows no categories of events, new events are shared by themselves."""
    clock = Clock()
    world = world or World(scenario="empty", now=clock)
    crm, peer = connect_salesforce(world), CONNECT[system](world)
    made = Calendars(world, clock, events_pass(crm, peer), wire(world, clock, switches=switches), system)
    SyncPass.objects.filter(pk=made.parent.pk).update(is_on=True, switched_on_at=clock() - timedelta(minutes=1))
    made.parent.refresh_from_db()
    if system == "google":
        made.set(share_events=True)
    for address in world.systems[system].credentials()["mailboxes"]:
        first = address.partition("@")[0].capitalize()
        user = world.salesforce.create_record(
            "User", {"Username": address, "FirstName": first, "LastName": "User", "Email": address, "Alias": first.lower()}
        )["Id"]
        made.users[address] = user
        mailbox = mailbox_add(peer, address, None, crm_user_id=user)
        child = pass_over(made.parent, mailbox)
        SyncPass.objects.filter(pk=child.pk).update(switched_on_at=clock() - timedelta(minutes=1))
        related = ("crm", "peer", "mapping", "parent", "mailbox__group")
        made.passes[address] = SyncPass.objects.select_related(*related).get(pk=child.pk)
    return made
