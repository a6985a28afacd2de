"""What users of the calendars and of Salesforce do. Every text is typed once only, so that it can be found again."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from connectors.sandbox.microsoft.refusal import Refused
from tests.boxes import Boxes
from tests.calendars import Calendars
from tests.simulation.calendars.rows import CATEGORY, DAY, HOUR, NAMES, Item, Rows, instant
from tests.simulation.mailboxes.history import FORMS
from tests.simulation.troubles import Act

ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Kiritimati", "UTC")
TEXTS = tuple(NAMES)
BLANKED = ("Location", "Description")
A_WEEK = 8 * 86400.0
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_REPEATS = {"daily": "DAILY", "weekly": "WEEKLY", "absoluteMonthly": "MONTHLY"}
Place = tuple[str, str, str]  # side, id, name
Places = dict[Place, str]


@dataclass
class Typed:
    """One text that a user typed, where and when; whether a user typed over it, or threw it away."""

    value: str
    side: str  # crm, or the address of a mailbox
    name: str
    at: datetime
    is_replaced: bool = False


@dataclass
class Users:
    """The users of one history."""

    boxes: Calendars
    rows: Rows
    log: list[str]
    typed: dict[str, Typed] = field(default_factory=dict)
    blanked: set[tuple[str, str]] = field(default_factory=set)  # (id, field) of events of Salesforce of which a user took a text away
    touched: set[tuple[str, str]] = field(default_factory=set)  # (side, id) of what users changed since the present run began
    moved: dict[tuple[str, str], dict[tuple[str, str], Item]] = field(default_factory=dict)  # as they were before their series moved
    gone: dict[tuple[str, str], Item] = field(default_factory=dict)  # events that left a calendar by a user's act, as they were then
    dropped_there: set[str] = field(default_factory=set)  # events of Salesforce that users deleted
    ended: dict[str, int] = field(default_factory=dict)  # family -> how many of its occurrences users took out
    most: dict[str, int] = field(default_factory=dict)  # family -> how many occurrences it had at most
    marked_anew: set[tuple[str, str]] = field(default_factory=set)  # events that were given the category by a user
    mails: int = 0  # of users' own acts
    count: int = 0

    def __post_init__(self) -> None:
        self.rng = random.Random(0)

    @property
    def addresses(self) -> list[str]:
        return list(self.boxes.passes)

    def act(self, act: Act) -> None:
        """One user does one thing, if there is anything to do it with and the system lets it be done."""
        self.rng = random.Random(act.lot)
        where, _, what = act.name.partition("_")
        method = getattr(self, f"{where}_{what}")
        before, items = self._places(), self.items()
        try:
            method() if where == "crm" else method(self.addresses[act.box])
        except (ValueError, Refused) as error:
            self.log.append(f"    which is refused: {error}")
        self._note(before, items)
        self.mails = len(self.boxes.mail.mails)

    # --- what is there ----------------------------------------------------------------------------------------------------
    def items(self) -> dict[tuple[str, str], Item]:
        return {(item.box, item.id): item for box in self.addresses for item in self.rows.all(box)}

    def crm_rows(self) -> dict[str, dict[str, Any]]:
        rows: dict[str, dict[str, Any]] = self.boxes.world.salesforce.records.tables["Event"].rows
        return rows

    def events(self) -> list[dict[str, Any]]:
        return [row for row in self.crm_rows().values() if not row.get("IsDeleted")]

    def crm(self, id_: str) -> dict[str, Any]:
        return self.crm_rows().get(id_) or {}

    def _places(self) -> Places:
        """Returns every text that stands somewhere, by its place."""
        found = {("crm", row["Id"], name): str(row.get(name) or "") for row in self.events() for name in TEXTS}
        for (box, id_), item in self.items().items():
            found.update({(box, id_, name): text for name, text in item.texts.items()})
        return found

    def _note(self, before: Places, items: dict[tuple[str, str], Item]) -> None:
        """Notes what an act changed: texts that a user typed, typed over or threw away, and what left a calendar."""
        after, now = self._places(), self.items()
        for place, value in before.items():
            if value and after.get(place) != value and value in self.typed:
                self.typed[value].is_replaced = True
        for (side, id_, name), value in after.items():
            if value and before.get((side, id_, name)) != value and value not in self.typed:
                self.typed[value] = Typed(value, side, name, self.boxes.clock.at)
                self.touched.add((side, id_))
        self.blanked |= {place[1:] for place, value in before.items() if value and place[0] == "crm" and after.get(place) == ""}
        for key in items.keys() - now.keys():
            if self._is_moved(items, now, items[key]):
                self.moved.setdefault((key[0], items[key].family), {})[key] = items[key]
            else:
                self.gone |= {key: items[key], **self.moved.get((key[0], items[key].family), {})}
                self.ended[items[key].family] = self.ended.get(items[key].family, 0) + 1
        for key, item in now.items():
            if items.get(key) != item:
                self.touched.add(key)
            if item.is_marked and (key not in items or not items[key].is_marked):
                self.marked_anew.add(key)
        self.touched |= items.keys() - now.keys()
        for family in {item.family for item in now.values()}:
            n = len({item.place for item in now.values() if item.family == family})
            self.most[family] = max(n, self.most.get(family, 0))

    def _is_moved(self, before: dict[tuple[str, str], Item], after: dict[tuple[str, str], Item], item: Item) -> bool:
        """Tells whether an occurrence has another id now, as its whole series was moved: as many came as went in the days looked at."""
        now = self.boxes.clock.at
        lost, new = (
            {
                k
                for k, i in some.items()
                if i.family == item.family and k[0] == item.box and now - 14 * DAY < i.ends and i.starts < now + 61 * DAY
            }
            for some in (before, after)
        )
        return len(new - lost) >= len(lost - new) > 0

    # --- Salesforce -------------------------------------------------------------------------------------------------------
    def crm_add(self) -> None:
        start, hours = self._moment(), self.rng.choice((0.5, 1, 2))
        self._add_there(start, {"EndDateTime": f"{start + hours * HOUR:%Y-%m-%dT%H:%M:%SZ}"})

    def crm_add_far(self) -> None:
        start = self._moment(64, 80)
        self._add_there(start, {"EndDateTime": f"{start + HOUR:%Y-%m-%dT%H:%M:%SZ}"})

    def crm_add_days(self) -> None:
        first, days = self._moment().replace(hour=0, minute=0), self.rng.choice((1, 1, 3))
        self._add_there(first, {"EndDateTime": f"{first + (days - 1) * DAY:%Y-%m-%dT00:00:00Z}", "IsAllDayEvent": True})

    def _add_there(self, start: datetime, values: dict[str, Any]) -> None:
        owner = self.rng.choice(self.addresses)
        texts = {"Subject": self._word("Subject"), **{n: self._word(n) for n in BLANKED if self.rng.random() < 0.5}}
        made = self.boxes.event(texts.pop("Subject"), start, owner=owner, **texts, **values)
        self.log.append(f"  user adds Event {made} of {owner} at {start:%m-%d %H:%M} {values} {self.crm(made).get('Subject')}")

    def _event(self, fits: Callable[[dict[str, Any]], bool] = lambda row: True) -> dict[str, Any] | None:
        rows = [row for row in self.events() if fits(row)]
        return self.rng.choice(rows) if rows else None

    def _edit_there(self, row: dict[str, Any] | None, values: dict[str, Any]) -> None:
        if row is not None:
            self.log.append(f"  user edits Event {row['Id']} {values}")
            self.boxes.edit_event(row["Id"], **values)
            self.touched.add(("crm", row["Id"]))

    def crm_edit(self) -> None:
        name = self.rng.choice(TEXTS)
        self._edit_there(self._event(), {name: self._word(name)})

    def crm_blank(self) -> None:
        self._edit_there(self._event(), {self.rng.choice(BLANKED): None})

    def crm_show(self) -> None:
        self._edit_there(self._event(), {"ShowAs": self.rng.choice(("Busy", "Free"))})

    def crm_move(self) -> None:
        self._move_there(self._event(lambda row: not row.get("IsAllDayEvent")), self._moment())

    def crm_move_out(self) -> None:
        self._move_there(self._event(lambda row: not row.get("IsAllDayEvent")), self._far())

    def _move_there(self, row: dict[str, Any] | None, start: datetime) -> None:
        end = start + self.rng.choice((0.5, 1, 3)) * HOUR
        self._edit_there(row, {"StartDateTime": f"{start:%Y-%m-%dT%H:%M:%SZ}", "EndDateTime": f"{end:%Y-%m-%dT%H:%M:%SZ}"})

    def crm_days(self) -> None:
        first = self._moment()
        days = {"IsAllDayEvent": True, "StartDateTime": f"{first:%Y-%m-%dT00:00:00Z}", "EndDateTime": f"{first + DAY:%Y-%m-%dT00:00:00Z}"}
        self._edit_there(self._event(lambda row: not row.get("IsAllDayEvent")), days)

    def crm_delete(self) -> None:
        row = self._event()
        if row is not None:
            self.log.append(f"  user deletes Event {row['Id']} {row.get('Subject')}")
            self.dropped_there.add(row["Id"])
            self.boxes.delete_event(row["Id"])

    def crm_restore(self) -> None:
        rows = [row for row in self.crm_rows().values() if row.get("IsDeleted") and row["Id"] in self.dropped_there]
        if rows:
            id_ = self.rng.choice(rows)["Id"]
            self.log.append(f"  user restores Event {id_}")
            self.boxes.world.salesforce.update_record("Event", id_, {"IsDeleted": False})
            self.touched.add(("crm", id_))

    def both_edit(self, box: str) -> None:
        """Two users type into one field of one event, or into two."""
        item = self._item(box, lambda i: bool(i.marker) and bool(self.crm(i.marker)) and i.is_own)
        row = self.crm(item.marker) if item is not None else {}
        if item is not None and row and not row.get("IsDeleted"):
            name = self.rng.choice(TEXTS)
            other = name if self.rng.random() < 0.5 else self.rng.choice(TEXTS)
            self._edit(item, {NAMES[name]: self._word(name)})
            self.boxes.clock.forward(self.rng.choice((0, 5, 200)))
            self._edit_there(row, {other: self._word(other)})

    # --- calendars: new events ----------------------------------------------------------------------------------------------
    def _moment(self, least: int = -9, most: int = 50) -> datetime:
        """Returns a moment in the days that are looked at."""
        day = self.boxes.clock.at.replace(hour=0, minute=0, second=0, microsecond=0) + self.rng.randint(least, most) * DAY
        return day + timedelta(hours=self.rng.randrange(24), minutes=self.rng.choice((0, 30)))

    def _far(self) -> datetime:
        return self._moment(-40, -20) if self.rng.random() < 0.4 else self._moment(64, 110)

    def _span(self, start: datetime, length: timedelta, zone: str = "") -> dict[str, Any]:
        """Returns start and end as a user enters them, by the clocks of a zone."""
        zone = zone or self.rng.choice(ZONES)
        first = start.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        return {"start": f"{first:%Y-%m-%dT%H:%M:%S}", "end": f"{first + length:%Y-%m-%dT%H:%M:%S}", "timeZone": zone, "isAllDay": False}

    def _days(self, start: datetime, days: int) -> dict[str, Any]:
        return {"start": f"{start:%Y-%m-%d}", "end": f"{start + days * DAY:%Y-%m-%d}", "isAllDay": True}

    def _enter(self, box: str, span: dict[str, Any], **values: Any) -> str:
        texts = {"subject": self._word("Subject"), **{NAMES[n]: self._word(n) for n in BLANKED if self.rng.random() < 0.5}}
        values.setdefault("categories", [CATEGORY] if self.rng.random() < 0.75 else [])
        made = self.boxes.enter(address=box, **texts, **span, **values)
        self.log.append(f"  {box} adds {made} {texts} {span} {values}")
        return made

    def box_add(self, box: str) -> None:
        self._enter(box, self._span(self._moment(), self.rng.choice((0.5, 1, 3)) * HOUR))

    def box_add_days(self, box: str) -> None:
        self._enter(box, self._days(self._moment(), self.rng.choice((1, 1, 2, 5))))

    def box_add_far(self, box: str) -> None:
        self._enter(box, self._span(self._far(), HOUR))

    def box_add_long(self, box: str) -> None:
        self._enter(box, self._days(self._moment(), 20))

    def box_add_private(self, box: str) -> None:
        self._enter(box, self._span(self._moment(), HOUR), sensitivity="private")

    def box_add_meeting(self, box: str) -> None:
        self._enter(box, self._span(self._moment(), HOUR), attendees=[self._outsider()])

    def box_add_shared(self, box: str) -> None:
        """A meeting with the colleague, or a series of them; perhaps both give it the category."""
        other = next(address for address in self.addresses if address != box)
        guests = [other, self._outsider()] if self.rng.random() < 0.5 else [other]
        if self.rng.random() < 0.4:
            self._enter_series(box, attendees=guests)
        else:
            self._enter(box, self._span(self._moment(), HOUR), attendees=guests)
        family = max(self.rows.all(box), key=lambda item: item.number).family
        copy = next((item for item in self.rows.all(other) if item.family == family), None)
        if copy is not None and self.boxes.system == "microsoft" and self.rng.random() < 0.7:
            self.log.append(f"  {other} gives the copy the category")
            self.rows.change(copy, {"categories": [CATEGORY]})

    def box_add_series(self, box: str) -> None:
        self._enter_series(box)

    def _enter_series(self, box: str, **values: Any) -> None:
        repeats, times = self.rng.choice(tuple(_REPEATS)), self.rng.randint(2, 4)
        start, is_whole = self._moment(-9, 20), self.rng.random() < 0.2
        span = self._days(start, 1) if is_whole else self._span(start, HOUR)
        first = datetime.fromisoformat(span["start"])
        if repeats == "absoluteMonthly" and first.day > 28:
            repeats = "weekly"
        if self.boxes.system == "microsoft":
            pattern: dict[str, Any] = {"type": repeats, "interval": 1}
            pattern |= {"daysOfWeek": [_DAYS[first.weekday()]]} if repeats == "weekly" else {}
            pattern |= {"dayOfMonth": first.day} if repeats == "absoluteMonthly" else {}
            whole = {"type": "numbered", "startDate": f"{first:%Y-%m-%d}", "numberOfOccurrences": times}
            values["recurrence"] = json.dumps({"pattern": pattern, "range": whole})
        else:
            values["recurrence"] = [f"RRULE:FREQ={_REPEATS[repeats]};COUNT={times}"]
        self._enter(box, span, **values)

    # --- calendars: changes -------------------------------------------------------------------------------------------------
    def _item(self, box: str, fits: Callable[[Item], bool] = lambda item: True) -> Item | None:
        items = [item for item in self.rows.all(box) if fits(item)]
        return self.rng.choice(items) if items else None

    def _edit(self, item: Item | None, values: dict[str, Any]) -> None:
        """Changes an event, or all of a series."""
        if item is not None:
            self.log.append(f"  {item.box} edits {item.id} {item.place} {values}")
            self.rows.change(item, values)

    def _edit_one(self, item: Item | None, values: dict[str, Any]) -> None:
        if item is not None:
            self.log.append(f"  {item.box} edits {item.id} {item.place} alone {values}")
            self.rows.change_one(item, values)

    def box_edit(self, box: str) -> None:
        name = self.rng.choice(TEXTS)
        self._edit(self._item(box, _is_single_own), {NAMES[name]: self._word(name)})

    def box_blank(self, box: str) -> None:
        self._edit(self._item(box, _is_single_own), {NAMES[self.rng.choice(BLANKED)]: ""})

    def box_show(self, box: str) -> None:
        self._edit(self._item(box, lambda item: not item.place), {"showAs": self.rng.choice(("free", "busy"))})

    def box_move(self, box: str) -> None:
        self._edit(self._item(box, _is_single_own), self._span(self._moment(), self.rng.choice((0.5, 1, 3)) * HOUR))

    def box_move_out(self, box: str) -> None:
        self._edit(self._item(box, _is_single_own), self._span(self._far(), HOUR))

    def box_move_in(self, box: str) -> None:
        now = self.boxes.clock.at
        item = self._item(box, lambda i: _is_single_own(i) and not now - 14 * DAY < i.starts < now + 61 * DAY)
        self._edit(item, self._span(self._moment(), HOUR))

    def box_zone(self, box: str) -> None:
        """The same time, entered by the clocks of another zone."""
        item = self._item(box, lambda i: _is_single_own(i) and not i.is_whole_days)
        if item is not None:
            self._edit(item, self._span(item.starts, item.ends - item.starts))

    def box_days(self, box: str) -> None:
        item = self._item(box, _is_single_own)
        if item is not None:
            self._edit(item, self._span(self._moment(), HOUR) if item.is_whole_days else self._days(item.starts, 1))

    def box_mark(self, box: str) -> None:
        if self.boxes.system == "microsoft":
            item = self._item(box, lambda i: not i.is_marked)
            self._edit(item, {"categories": [*item.categories, CATEGORY]} if item is not None else {})

    def box_unmark(self, box: str) -> None:
        if self.boxes.system == "microsoft":
            item = self._item(box, lambda i: i.is_marked)
            self._edit(item, {"categories": sorted(item.categories - {CATEGORY})} if item is not None else {})

    def box_private(self, box: str) -> None:
        self._edit(self._item(box, lambda i: not i.is_hidden), {"sensitivity": "private"})

    def box_public(self, box: str) -> None:
        self._edit(self._item(box, lambda i: i.is_hidden), {"sensitivity": "normal"})

    def box_invite(self, box: str) -> None:
        other = next(address for address in self.addresses if address != box)
        who = other if self.rng.random() < 0.4 else self._outsider()
        item = self._item(box, lambda i: i.is_own and who not in i.guests)
        self._edit(item, {"attendees": [*item.guests, who]} if item is not None else {})

    def box_uninvite(self, box: str) -> None:
        item = self._item(box, lambda i: i.is_own and bool(i.guests))
        self._edit(item, {"attendees": list(item.guests[1:])} if item is not None else {})

    def box_answer(self, box: str) -> None:
        item = self._item(box, lambda i: not i.is_own and not i.is_cancelled)
        if item is not None:
            answer = self.rng.choice(("accepted", "accepted", "tentative", "declined"))
            self.log.append(f"  {box} answers {item.id}: {answer}")
            self.rows.answer(item, answer)

    def box_drop(self, box: str) -> None:
        item = self._item(box)
        if item is not None:
            self.log.append(f"  {box} deletes {item.id} {item.place and 'and its series'} {item.texts}")
            self.rows.drop(item)

    def box_cancel(self, box: str) -> None:
        item = self._item(box, lambda i: i.is_own and bool(i.guests))
        if item is not None:
            self.log.append(f"  {box} cancels {item.id} {item.place and 'and its series'}")
            self.boxes.cancel(str(self.rows.master_of(item)))

    # --- calendars: series --------------------------------------------------------------------------------------------------
    def box_edit_one(self, box: str) -> None:
        name = self.rng.choice(TEXTS)
        self._edit_one(self._item(box, _is_occurrence), {NAMES[name]: self._word(name)})

    def box_move_one(self, box: str) -> None:
        item = self._item(box, lambda i: _is_occurrence(i) and not i.is_whole_days)
        if item is not None:
            self._edit_one(item, self._span(item.starts + self.rng.choice((-5, -2, 1, 3, 7)) * HOUR, item.ends - item.starts))

    def box_drop_one(self, box: str) -> None:
        item = self._item(box, lambda i: bool(i.place))
        if item is not None:
            self.log.append(f"  {box} deletes {item.id} {item.place} alone")
            self.rows.drop_one(item)

    def box_move_series(self, box: str) -> None:
        """All of a series, by hours or by days."""
        item = self._item(box, lambda i: _is_occurrence(i) and not i.is_whole_days)
        if item is not None:
            first = min((i for i in self.rows.all(box) if i.family == item.family), key=lambda i: i.place)
            start = self._planned(first) + self.rng.choice((1 * HOUR, -2 * HOUR, 3 * HOUR, 26 * HOUR, 9 * DAY, -3 * DAY))
            self._edit(first, self._moved_series(first, start))

    def _planned(self, item: Item) -> datetime:
        """Returns when the first of a series begins by its own row: an exception may have been moved."""
        row = self.boxes.event_of(str(self.rows.master_of(item)))
        zone = "UTC" if row["timeZone"] not in ZONES else row["timeZone"]
        text = str(row["start"])
        at = datetime.fromisoformat(text)
        return at if at.tzinfo else at.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)

    def _moved_series(self, item: Item, start: datetime) -> dict[str, Any]:
        row = self.boxes.event_of(str(self.rows.master_of(item)))
        span = self._span(start, HOUR, "UTC")
        if self.boxes.system == "google":
            span["timeZone"] = row["timeZone"]
            zone = ZoneInfo(row["timeZone"])
            for side in ("start", "end"):
                span[side] = f"{datetime.fromisoformat(span[side]).replace(tzinfo=UTC).astimezone(zone):%Y-%m-%dT%H:%M:%S}"
        return span

    def box_rename_series(self, box: str) -> None:
        name = self.rng.choice(TEXTS)
        self._edit(self._item(box, _is_occurrence), {NAMES[name]: self._word(name)})

    # --- settings, and what nobody does ---------------------------------------------------------------------------------------
    def set_private(self, box: str) -> None:
        self._set(box, private_events=self.rng.choice(("skip", "busy", "full")))

    def set_deletion(self, box: str) -> None:
        self._set(box, event_deletion=self.rng.choice(("unlink", "propagate", "restore")))

    def set_removal(self, box: str) -> None:
        self._set(box, event_removal=self.rng.choice(("unlink", "propagate", "restore")))

    def set_cancelled(self, box: str) -> None:
        self._set(box, cancelled_events=self.rng.choice(("remove", "keep")))

    def _set(self, box: str, **values: Any) -> None:
        self.log.append(f"  {box} sets {values}")
        Boxes.set(self.boxes, box, **values)

    def wire_days(self, box: str) -> None:
        """Days go by: the window moves."""
        self.boxes.clock.forward(self.rng.choice((1, 2, 6, 20)) * 86400.0)

    def wire_dead_cursor(self, box: str) -> None:
        """No cursor of any mailbox is known any more."""
        form = self.rng.choice(FORMS)
        self.log.append(f"  cursors die: {form}")
        if self.boxes.system == "microsoft":
            self.boxes.mail.set_switches({"delta_expired_form": form})
            self.boxes.mail.expire_delta()
        else:
            self.boxes.clock.forward(A_WEEK)

    # --- words ----------------------------------------------------------------------------------------------------------------
    def _next(self) -> int:
        self.count += 1
        return self.count

    def _word(self, name: str) -> str:
        return f"{name[:2].lower()}{self._next()}{self.rng.choice(('', '', ' é', ' 北'))}"

    def _outsider(self) -> str:
        return f"guest{self._next()}@partner.example"


def _is_single_own(item: Item) -> bool:
    return not item.place and item.is_own


def _is_occurrence(item: Item) -> bool:
    return bool(item.place) and item.is_own


def standing(users: Users) -> Iterator[str]:
    """Yields every text that stands in a living event of either side."""
    yield from (str(row.get(name) or "") for row in users.events() for name in TEXTS)
    for item in users.items().values():
        yield from item.texts.values()


__all__ = ["Item", "Typed", "Users", "instant", "standing"]
