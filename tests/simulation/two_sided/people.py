"""What users of both systems do, and what they typed: every text is typed once only, so that it can be found again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from connectors.sandbox.world import World
from tests.sandboxed import Clock
from tests.simulation.two_sided.cast import Cast
from tests.simulation.two_sided.wire import Wire

Side = Literal["crm", "peer"]
LISTS = ("workPhones", "emails")
A_SECOND_LATER = 2.0  # so that an edit falls into a later second than the version that we rest on


@dataclass
class Typed:
    """One value that a user typed: where, when, and whether a user typed over it since, or threw it away."""

    value: str
    side: Side
    id: str
    name: str  # the CRM's field
    call: int
    at: float
    is_replaced: bool = False
    window: str = ""  # why the engine could not know of it when it wrote over it


@dataclass
class People:
    """The users of one history. Everything they do is random from its seed."""

    world: World
    clock: Clock
    wire: Wire
    log: list[str]
    cast: Cast
    typed: dict[str, Typed] = field(default_factory=dict)
    touched: dict[str, int] = field(default_factory=dict)  # id -> the call at which a user changed the record last
    edited: dict[str, list[float]] = field(default_factory=dict)  # id -> when users changed the record, in seconds
    count: int = 0

    @property
    def rng(self) -> Any:
        return self.wire.rng

    # --- acts ---------------------------------------------------------------------------------------------------------
    def act(self) -> None:
        """One user does one thing."""
        acts = (
            (self.add, 5 if self.cast.can_repeat_key else 3),
            (self.add_twin, 1),
            (self.add_doubles, 0.7 if self.cast.can_repeat_key else 0.3),
            (self.edit, 9),
            (self.edit_both, 2),
            (self.blank, 1),
            (self.opt, 2 if self.cast.consent else 0),
            (self.new_key, 0.5),
            (self.touch, 1),
            (self.delete, 0.4),
            (self.merge, 0.6),
            (self.convert, 0.6 if "Lead" in self.cast.crm_types else 0),
            (self.decide, 1),
        )
        self.rng.choices([a for a, _ in acts], [w for _, w in acts])[0]()

    def act_on(self, body: str) -> None:
        """Somebody types into a record that we are about to write, at once or in a later second than its version."""
        some = [(t, r["Id"]) for t in self.cast.crm_types for r in self.living(t) if r["Id"] in body]
        if some:
            type_, id_ = self.rng.choice(some)
            name = self.rng.choice([n for n in self.cast.texts if f'"{n}"' in body] or list(self.cast.texts))
            self.clock.forward(self.rng.choice((0.0, A_SECOND_LATER)))
            self._type("crm", type_, id_, name, self._word(name))

    def add(self) -> None:
        self._add(self.rng.choice((*self.cast.crm_types, self.cast.peer_type)), self.cast.new_key(self._next()))

    def add_twin(self) -> None:
        """Adds somebody who is somewhere already, often on the other side."""
        here, there = self.cast.key
        peer_type = self.cast.peer_type
        some = [(t, r[here]) for t in self.cast.crm_types for r in self.living(t) if r.get(here)]
        some += [(peer_type, text_of(p, there)) for p in self.peers() if p[there]]
        if not some:
            return
        at, key = self.rng.choice(some)
        where = self.rng.choice([t for t in (*self.cast.crm_types, peer_type) if t != at or self.rng.random() < 0.2] or [peer_type])
        is_there = any(key.casefold() in self.cast.keys_of(peer_type, p) for p in self.peers())
        if where == peer_type and is_there and not self.cast.can_repeat_key:
            return
        self._add(where, key.upper() if self.rng.random() < 0.2 and where != peer_type else key)

    def add_doubles(self) -> None:
        """Adds somebody twice, as a list does that was loaded without a look."""
        key = self.cast.new_key(self._next())
        type_ = self.rng.choice((*self.cast.crm_types, *([self.cast.peer_type] if self.cast.can_repeat_key else [])))
        for _ in range(2):
            self._add(type_, key)

    def _add(self, type_: str, key: str) -> None:
        cast = self.cast
        names = [*([cast.required] if cast.required else []), *self.rng.sample(cast.may_be_blank, 2)]
        values = {name: self._word(name) for name in names}
        if type_ == cast.peer_type:
            given = {cast.texts[n]: [v] if cast.texts[n] in LISTS else v for n, v in values.items()}
            given[cast.key[1]] = [key] if cast.key[1] in LISTS else key
            id_ = str(self.world.outreach.create_record(cast.collection, given)["id"])
        else:
            more = {"Company": self._word("Company")} if type_ == "Lead" else {}
            values |= more
            id_ = str(self.world.salesforce.create_record(type_, {**values, cast.key[0]: key})["Id"])
        self.log.append(f"  user adds {type_} {id_} {key} {values}")
        self._touched(id_)
        for name, value in values.items():
            self._note("peer" if type_ == cast.peer_type else "crm", id_, name, value)

    def edit(self) -> None:
        self._edit(self.rng.choice(("crm", "peer")), self.rng.choice(list(self.cast.texts)))

    def edit_both(self) -> None:
        """Two users type into one field of one person, at once or a while apart, and often one of them into another, too."""
        pair = self._pair()
        if pair is None:
            return
        name, also = self.rng.sample(list(self.cast.texts), 2)
        sides: list[tuple[Side, str, str]] = [("crm", *pair[0]), ("peer", self.cast.peer_type, pair[1])]
        self.rng.shuffle(sides)
        for side, type_, id_ in sides:
            self._type(side, type_, id_, name, self._word(name))
            self.clock.forward(self.rng.choice((0, 5, 70, 200)) if not self.wire.weather.acts else 0)
        if self.rng.random() < 0.5:
            self._type(*self.rng.choice(sides), also, self._word(also))

    def _edit(self, side: Side, name: str) -> None:
        found = self._somebody(side)
        if found:
            self._type(side, *found, name, self._word(name))

    def blank(self) -> None:
        side: Side = self.rng.choice(("crm", "peer"))
        found = self._somebody(side)
        if found:
            self._type(side, *found, self.rng.choice(self.cast.may_be_blank), None)

    def opt(self) -> None:
        """Somebody opts out; now and then somebody takes that back."""
        side: Side = self.rng.choice(("crm", "peer"))
        found = self._somebody(side)
        name = self.rng.choice(list(self.cast.consent))
        if found:
            is_out = self.rng.random() < 0.8
            self._change(side, *found, {name: is_out})

    def new_key(self) -> None:
        """Somebody gets another address, or another name."""
        side: Side = self.rng.choice(("crm", "peer"))
        found = self._somebody(side)
        if found:
            self._type(side, *found, self.cast.key[0], self.cast.new_key(self._next()))

    def touch(self) -> None:
        """Somebody changes what no mapping knows."""
        side: Side = self.rng.choice(("crm", "peer"))
        found = self._somebody(side)
        if found:
            self._touched(found[1])
        if found and side == "crm":
            self.world.salesforce.update_record(*found, {self.cast.note[0]: f"note {self._next()}"})
        elif found:
            self.world.outreach.update_record(self.cast.collection, int(found[1]), {self.cast.note[1]: f"note {self._next()}"})

    def delete(self) -> None:
        side: Side = self.rng.choice(("crm", "crm", "peer"))
        found = self._somebody(side)
        if not found:
            return
        self.log.append(f"  user deletes {found[0]} {found[1]}")
        self._drop(self._texts(side, *found))
        if side == "crm":
            self.world.salesforce.delete_record(*found)
        else:
            self.world.outreach.delete_record(self.cast.collection, int(found[1]))

    def merge(self) -> None:
        type_ = self.rng.choice(self.cast.crm_types)
        rows = self.living(type_)
        if len(rows) < 2:
            return
        winner, loser = (r["Id"] for r in self.rng.sample(rows, 2))
        self.log.append(f"  user merges {type_} {loser} into {winner}")
        self._drop(self._texts("crm", type_, loser))
        self._touched(winner)
        self.world.salesforce.merge({"object": type_, "winner": winner, "losers": [loser]})

    def convert(self) -> None:
        leads = self.living("Lead")
        if not leads:
            return
        lead = self.rng.choice(leads)["Id"]
        contacts = self.living("Contact")
        into = self.rng.choice(contacts)["Id"] if contacts and self.rng.random() < 0.3 else ""
        if into:
            self._drop(self._texts("crm", "Lead", lead))
        self._drop([str(self.crm("Lead", lead).get("Company"))])  # it becomes an account, which this pass does not know
        self.world.salesforce.convert({"lead": lead, **({"contact": into} if into else {})})
        self.log.append(f"  user converts Lead {lead} into Contact {into or 'new'}")

    def decide(self) -> None:
        """Somebody settles a difference by hand: types on one side what the other holds."""
        pair = self._pair()
        if pair is None:
            return
        (type_, crm_id), peer_id = pair
        for name, other in self.cast.texts.items():
            here, there = text_of(self.crm(type_, crm_id), name), text_of(self.peer(peer_id), other)
            if here and there and here != there:
                side, to = self.rng.choice((("crm", there), ("peer", here)))
                self._type(
                    side, type_ if side == "crm" else self.cast.peer_type, crm_id if side == "crm" else peer_id, name, to, is_new=False
                )
                return

    # --- what there is --------------------------------------------------------------------------------------------------
    def crm(self, type_: str, id_: str) -> dict[str, Any]:
        return self.world.salesforce.records.tables[type_].rows.get(id_) or {}

    def peer(self, id_: str) -> dict[str, Any]:
        return self.world.outreach.tables[self.cast.collection].records.get(int(id_)) or {}

    def living(self, type_: str) -> list[dict[str, Any]]:
        rows = self.world.salesforce.records.tables[type_].rows.values()
        return [r for r in rows if not r.get("IsDeleted") and not r.get("IsConverted")]

    def peers(self) -> list[dict[str, Any]]:
        return list(self.world.outreach.tables[self.cast.collection].records.values())

    def _somebody(self, side: Side) -> tuple[str, str] | None:
        if side == "peer":
            some = [(self.cast.peer_type, str(p["id"])) for p in self.peers()]
        else:
            some = [(t, r["Id"]) for t in self.cast.crm_types for r in self.living(t)]
        return self.rng.choice(some) if some else None

    def _pair(self) -> tuple[tuple[str, str], str] | None:
        at = self.cast.pointer
        pointed = {str(p[at]): str(p["id"]) for p in self.peers() if p.get(at)}
        pairs = [((t, r["Id"]), pointed[r["Id"]]) for t in self.cast.crm_types for r in self.living(t) if r["Id"] in pointed]
        return self.rng.choice(pairs) if pairs else None

    def last_edit(self, id_: str, before: float, at_least: float) -> float:
        """Returns when a user changed the record last before an instant, in seconds."""
        return max([at_least, *(at for at in self.edited.get(id_, ()) if at <= before)])

    # --- typing ---------------------------------------------------------------------------------------------------------
    def _next(self) -> int:
        self.count += 1
        return self.count

    def _word(self, name: str) -> str:
        return f"{name[:2].lower()}{self._next()}{self.rng.choice(('', '', ' é', ' 北'))}"

    def _note(self, side: Side, id_: str, name: str, value: str) -> None:
        self.typed[value] = Typed(value, side, id_, name, self.wire.calls, self.clock.seconds())

    def _touched(self, id_: str) -> None:
        self.touched[id_] = self.wire.calls
        self.edited.setdefault(id_, []).append(self.clock.seconds())

    def _type(self, side: Side, type_: str, id_: str, name: str, value: str | None, *, is_new: bool = True) -> None:
        before = text_of(self.crm(type_, id_) if side == "crm" else self.peer(id_), name if side == "crm" else self.cast.fields[name])
        self._change(side, type_, id_, {name: value})
        self._drop([before])
        if value is not None and is_new:
            self._note(side, id_, name, value)

    def _change(self, side: Side, type_: str, id_: str, values: dict[str, Any]) -> None:
        self.log.append(f"  user edits {type_} {id_} {values}")
        self._touched(id_)
        if side == "crm":
            self.world.salesforce.update_record(type_, id_, values)
            return
        given = {{**self.cast.fields, **self.cast.consent}[name]: value for name, value in values.items()}
        rows = self.peer(id_)
        for name in LISTS:
            if name in given:
                rest = list(rows.get(name) or ())[1:]
                given[name] = [given[name], *rest] if given[name] is not None else []
        self.world.outreach.update_record(self.cast.collection, int(id_), given)

    def _texts(self, side: Side, type_: str, id_: str) -> list[str]:
        row = self.crm(type_, id_) if side == "crm" else self.peer(id_)
        return [text_of(row, name if side == "crm" else self.cast.fields[name]) for name in self.cast.fields]

    def _drop(self, values: Iterable[str]) -> None:
        """A user saw these values and typed over them, or threw them away with their record."""
        for value in values:
            if value in self.typed:
                self.typed[value].is_replaced = True


def text_of(row: dict[str, Any], name: str) -> str:
    """Returns what a field of a row says, of a list its first entry, "" for a blank."""
    value = row.get(name)
    if isinstance(value, list | tuple):
        value = value[0] if value else ""
    return str(value or "")
