"""What users of the mailboxes and of Salesforce do. Every text is typed once only, so that it can be found again."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.boxes import Boxes
from tests.simulation.mailboxes.history import FORMS
from tests.simulation.mailboxes.rows import CATEGORY, IN_BIN, INSIDE, OUTSIDE, Item, Rows
from tests.simulation.troubles import Act

TEXTS = ("FirstName", "LastName", "Title", "MobilePhone")
BLANKED = ("FirstName", "Title", "MobilePhone")
BUYER = "Buyer"
VIEW = {"object": "Contact", "name": "Buyers", "label": "Buyers", "scope": "everything", "where": f"Department = '{BUYER}'"}
A_WEEK = 8 * 86400.0


@dataclass
class Typed:
    """One text that a user typed, where and when; whether a user typed over it, or threw it away."""

    value: str
    side: str  # crm, or the address of a mailbox
    id: str
    name: str
    at: datetime
    is_replaced: bool = False


@dataclass
class Dropped:
    """An item that its user deleted: what it said then."""

    item: Item
    run: int  # how many runs there were before


@dataclass
class Users:
    """The users of one history."""

    boxes: Boxes
    rows: Rows
    log: list[str]
    saved_view: str
    typed: dict[str, Typed] = field(default_factory=dict)
    dropped: dict[str, Dropped] = field(default_factory=dict)  # item -> how it was when its user deleted it
    copies: set[str] = field(default_factory=set)  # markers of items that were copied by hand
    touched: set[tuple[str, int]] = field(default_factory=set)  # items that users changed since the present run began
    texts_at: dict[tuple[str, str], datetime] = field(default_factory=dict)  # (side, id) -> when a user typed there last
    edited_at: dict[tuple[str, str], datetime] = field(default_factory=dict)  # (side, id) -> when a user changed anything there last
    count: int = 0

    def __post_init__(self) -> None:
        self.rng = random.Random(0)

    @property
    def addresses(self) -> list[str]:
        return list(self.boxes.passes)

    def act(self, act: Act) -> None:
        """One user does one thing, if there is anything to do it with."""
        self.rng = random.Random(act.lot)
        where, _, what = act.name.partition("_")
        method = getattr(self, f"{where}_{what}")
        if where == "crm":
            method()
        else:
            method(self.addresses[act.box])

    # --- Salesforce -----------------------------------------------------------------------------------------------------
    def contacts(self) -> list[dict[str, Any]]:
        rows = self.boxes.world.salesforce.records.tables["Contact"].rows.values()
        return [row for row in rows if not row.get("IsDeleted")]

    def crm(self, id_: str) -> dict[str, Any]:
        return self.boxes.world.salesforce.records.tables["Contact"].rows.get(id_) or {}

    def _contact(self) -> dict[str, Any] | None:
        rows = self.contacts()
        return self.rng.choice(rows) if rows else None

    def crm_add(self) -> None:
        self._add_contact({"LastName": self._word("LastName")}, f"p{self._next()}@x.example")

    def _add_contact(self, values: dict[str, str], email: str | None) -> None:
        texts = {**values, **{name: self._word(name) for name in self.rng.sample(BLANKED, 2)}}
        more = {"Department": BUYER} if self.rng.random() < 0.5 else {}
        owner = self.rng.choice(self.addresses)
        id_ = self.boxes.contact(
            **{"last": texts["LastName"]}, email=email, owner=owner, **{k: v for k, v in texts.items() if k != "LastName"}, **more
        )
        self.log.append(f"  user adds Contact {id_} {email} of {owner} {texts} {more}")
        self._note("crm", id_, texts)

    def crm_twin(self) -> None:
        """Adds somebody whom a mailbox holds already."""
        items = [i for a in self.addresses for i in self.rows.all(a) if i.place == INSIDE and i.texts["Email"] and i.texts["LastName"]]
        if items:
            item = self.rng.choice(items)
            self._add_contact({"LastName": item.texts["LastName"]}, item.texts["Email"])

    def crm_edit(self) -> None:
        row = self._contact()
        if row is not None:
            self._type_crm(row, self.rng.choice(TEXTS))

    def _type_crm(self, row: dict[str, Any], name: str) -> None:
        value = self._word(name)
        self._drop([str(row.get(name) or "")])
        self._change_crm(row["Id"], {name: value})
        self._note("crm", row["Id"], {name: value})

    def _change_crm(self, id_: str, values: dict[str, Any]) -> None:
        self.log.append(f"  user edits Contact {id_} {values}")
        self.boxes.world.salesforce.update_record("Contact", id_, values)
        self._edited("crm", id_, is_text=bool(values.keys() & set(TEXTS)))

    def crm_blank(self) -> None:
        row = self._contact()
        if row is not None:
            name = self.rng.choice(BLANKED)
            self._drop([str(row.get(name) or "")])
            self._change_crm(row["Id"], {name: None})

    def crm_owner(self) -> None:
        row = self._contact()
        if row is not None:
            self._change_crm(row["Id"], {"OwnerId": self.boxes.users[self.rng.choice(self.addresses)]})

    def crm_buyer(self) -> None:
        row = self._contact()
        if row is not None:
            self._change_crm(row["Id"], {"Department": None if row.get("Department") else BUYER})

    def crm_delete(self) -> None:
        row = self._contact()
        if row is not None:
            self._delete_crm(row)

    def _delete_crm(self, row: dict[str, Any]) -> None:
        self.log.append(f"  user deletes Contact {row['Id']}")
        self._drop(str(row.get(name) or "") for name in TEXTS)
        self.boxes.world.salesforce.delete_record("Contact", row["Id"])

    def crm_empty(self, box: str = "") -> None:
        for row in self.contacts():
            self._delete_crm(row)

    def crm_restore(self) -> None:
        """Takes a contact out of the recycle bin."""
        rows = [
            r
            for r in self.boxes.world.salesforce.records.tables["Contact"].rows.values()
            if r.get("IsDeleted") and not r.get("MasterRecordId")
        ]
        if rows:
            id_ = self.rng.choice(rows)["Id"]
            self.log.append(f"  user restores Contact {id_}")
            self.boxes.world.salesforce.update_record("Contact", id_, {"IsDeleted": False})
            self._edited("crm", id_, is_text=False)

    def crm_merge(self) -> None:
        rows = self.contacts()
        if len(rows) >= 2:
            winner, loser = self.rng.sample(rows, 2)
            self.log.append(f"  user merges Contact {loser['Id']} into {winner['Id']}")
            self._drop(str(loser.get(name) or "") for name in TEXTS)
            self.boxes.world.salesforce.merge({"object": "Contact", "winner": winner["Id"], "losers": [loser["Id"]]})
            self._edited("crm", winner["Id"], is_text=False)

    def both_edit(self, box: str) -> None:
        """Two users type into one field of one person, or into two."""
        item = self._item(box, lambda i: i.place == INSIDE and bool(self.crm(i.marker)) and not self.crm(i.marker).get("IsDeleted"))
        if item is not None:
            name = self.rng.choice(TEXTS)
            self._type_item(item, name)
            self.boxes.clock.forward(self.rng.choice((0, 5, 200)))
            self._type_crm(self.crm(item.marker), name if self.rng.random() < 0.5 else self.rng.choice(TEXTS))

    # --- mailboxes ------------------------------------------------------------------------------------------------------
    def _item(self, box: str, fits: Any) -> Item | None:
        items = [item for item in self.rows.all(box) if fits(item)]
        return self.rng.choice(items) if items else None

    def _has_folder(self, box: str) -> bool:
        return bool(self.rows.ours(box)) and self.is_there(box)

    def is_there(self, box: str) -> bool:
        """Tells whether the folder that our side uses is there."""
        store = self.boxes.mail.store
        if self.boxes.system == "google":
            return store.group(box, self.rows.ours(box).rpartition("/")[2]) is not None
        row = store.folder_by_id(self.rows.ours(box))
        return row is not None and not store.is_in_bin(row)

    def box_add_inside(self, box: str) -> None:
        if self._has_folder(box):
            self._add_item(box, INSIDE, self._new_texts(), f"q{self._next()}@x.example" if self.rng.random() < 0.8 else "")

    def box_add_personal(self, box: str) -> None:
        self._add_item(box, OUTSIDE, self._new_texts(), f"h{self._next()}@home.example")

    def box_add_twin(self, box: str) -> None:
        """Puts somebody into the folder whom Salesforce knows already, perhaps under another name."""
        rows = [row for row in self.contacts() if row.get("Email")]
        if rows and self._has_folder(box):
            row = self.rng.choice(rows)
            texts = self._new_texts()
            if self.rng.random() < 0.7:
                texts["LastName"] = str(row["LastName"])
            self._add_item(box, INSIDE, texts, str(row["Email"]))

    def _new_texts(self) -> dict[str, str]:
        return {name: self._word(name) for name in ("LastName", *self.rng.sample(BLANKED, 2))}

    def _add_item(self, box: str, place: str, texts: dict[str, str], email: str) -> None:
        id_ = self.rows.add(box, place, texts, email)
        self.log.append(f"  {box} adds {id_} {place} {email} {texts}")
        self._note(box, id_, {name: value for name, value in texts.items() if value not in self.typed})
        self._touch_id(box, id_)

    def box_edit(self, box: str) -> None:
        item = self._item(box, lambda i: i.place == INSIDE)
        if item is not None:
            self._type_item(item, self.rng.choice(TEXTS))

    def box_edit_personal(self, box: str) -> None:
        item = self._item(box, lambda i: i.place == OUTSIDE)
        if item is not None:
            self._type_item(item, self.rng.choice(TEXTS))

    def _type_item(self, item: Item, name: str) -> None:
        value = self._word(name)
        self.log.append(f"  {item.box} edits {item.id} {name} = {value}")
        self._drop([item.texts[name]])
        self._touch(item)
        self.rows.change(item, {name: value})
        self._note(item.box, item.id, {name: value})

    def box_blank(self, box: str) -> None:
        item = self._item(box, lambda i: i.place == INSIDE)
        if item is not None:
            name = self.rng.choice(BLANKED)
            self.log.append(f"  {box} blanks {name} of {item.id}")
            self._drop([item.texts[name]])
            self._touch(item)
            self.rows.change(item, {name: ""})
            self._edited(box, item.id, is_text=True)

    def box_drag_in(self, box: str) -> None:
        item = self._item(box, lambda i: i.place == OUTSIDE) if self._has_folder(box) else None
        if item is not None:
            self._move(item, INSIDE)

    def box_drag_out(self, box: str) -> None:
        """Out of the folder, with the category."""
        item = self._item(box, lambda i: i.place == INSIDE)
        if item is not None:
            self._move(item, OUTSIDE)

    def box_take_out(self, box: str) -> None:
        """Out of the folder and without the category: personal again."""
        item = self._item(box, lambda i: i.place == INSIDE)
        if item is not None:
            self._mark(item, item.categories - {CATEGORY})
            self._move(next(i for i in self.rows.all(box) if i.number == item.number), OUTSIDE)

    def _move(self, item: Item, place: str) -> None:
        self.log.append(f"  {item.box} drags {item.id} {place}")
        self._touch(item)
        self.rows.move(item, place)

    def _mark(self, item: Item, categories: frozenset[str]) -> None:
        self.log.append(f"  {item.box} gives {item.id} the categories {sorted(categories)}")
        self._touch(item)
        self.rows.mark(item, categories)

    def box_mark(self, box: str) -> None:
        item = self._item(box, lambda i: i.is_personal and i.is_watched)
        if item is not None:
            self._mark(item, item.categories | {CATEGORY})

    def box_unmark(self, box: str) -> None:
        item = self._item(box, lambda i: i.place != IN_BIN and CATEGORY in i.categories)
        if item is not None:
            self._mark(item, item.categories - {CATEGORY})

    def box_own_category(self, box: str) -> None:
        item = self._item(box, lambda i: i.place != IN_BIN)
        if item is not None:
            self._mark(item, item.categories | {"Family"})

    def box_drop(self, box: str) -> None:
        item = self._item(box, lambda i: i.place == INSIDE)
        if item is not None:
            self._throw(item)
            self.rows.drop(item)

    def box_purge(self, box: str) -> None:
        item = self._item(box, lambda i: i.place != OUTSIDE)
        if item is not None:
            self._throw(item)
            self.rows.purge(item)

    def box_drop_personal(self, box: str) -> None:
        item = self._item(box, lambda i: i.place == OUTSIDE)
        if item is not None:
            self._throw(item)
            self.rows.drop(item)

    def _throw(self, item: Item) -> None:
        self.log.append(f"  {item.box} deletes {item.id} {item.texts}")
        self._touch(item)
        if item.place != IN_BIN:
            self.dropped[item.id] = Dropped(item, len(self.boxes.runs))
        self._drop(v for v in item.texts.values() if v in self.typed and self.typed[v].side == item.box)

    def box_empty(self, box: str) -> None:
        for item in list(self.rows.all(box)):
            self._throw(item)
            self.rows.purge(item)

    def box_copy(self, box: str) -> None:
        item = self._item(box, lambda i: i.place == INSIDE)
        if item is not None:
            self.log.append(f"  {box} copies {item.id}")
            self.copies.add(item.marker)
            self.rows.copy(item)

    def box_rename_folder(self, box: str) -> None:
        if self._has_folder(box):
            self.log.append(f"  {box} renames the folder")
            self.rows.rename_folder(box, f"Clients {self._next()}")

    def box_second_folder(self, box: str) -> None:
        if self._has_folder(box):
            self.log.append(f"  {box} makes another folder of the name")
            self.rows.second_folder(box)

    def box_drop_folder(self, box: str) -> None:
        if not self._has_folder(box):
            return
        self.log.append(f"  {box} deletes the folder")
        for item in list(self.rows.all(box)):
            if item.place == INSIDE:
                self._touch(item)
                if self.boxes.system == "microsoft":
                    self._throw(item)
        self.rows.drop_folder(box)

    # --- settings, and what nobody does -----------------------------------------------------------------------------------
    def set_view(self, box: str) -> None:
        self._set(box, view=self.rng.choice(("mine", "everything", self.saved_view)))

    def set_deletion(self, box: str) -> None:
        self._set(box, deletion=self.rng.choice(("forbidden", "allowed")))

    def set_out_of_view(self, box: str) -> None:
        self._set(box, out_of_view=self.rng.choice(("keep", "remove")))

    def _set(self, box: str, **values: str) -> None:
        self.log.append(f"  {box} sets {values}")
        self.boxes.set(box, **values)

    def wire_dead_cursor(self, box: str) -> None:
        """No cursor of any mailbox is known any more."""
        form = self.rng.choice(FORMS)
        self.log.append(f"  cursors die: {form}")
        if self.boxes.system == "microsoft":
            self.boxes.mail.set_switches({"delta_expired_form": form})
            self.boxes.mail.expire_delta()
        else:
            self.boxes.clock.forward(A_WEEK)

    # --- what was typed -------------------------------------------------------------------------------------------------
    def _next(self) -> int:
        self.count += 1
        return self.count

    def _word(self, name: str) -> str:
        return f"{name[:2].lower()}{self._next()}{self.rng.choice(('', '', ' é', ' 北'))}"

    def _note(self, side: str, id_: str, texts: dict[str, str]) -> None:
        for name, value in texts.items():
            self.typed.setdefault(value, Typed(value, side, id_, name, self.boxes.clock.at))
        self._edited(side, id_, is_text=True)

    def _edited(self, side: str, id_: str, *, is_text: bool) -> None:
        self.edited_at[side, id_] = self.boxes.clock.at
        if is_text:
            self.texts_at[side, id_] = self.boxes.clock.at

    def _drop(self, values: Iterable[str]) -> None:
        """A user saw these values and typed over them, or threw them away with their record."""
        for value in values:
            if value in self.typed:
                self.typed[value].is_replaced = True

    def _touch(self, item: Item) -> None:
        self.touched.add((item.box, item.number))
        self._edited(item.box, item.id, is_text=False)

    def _touch_id(self, box: str, id_: str) -> None:
        self.touched.update((box, item.number) for item in self.rows.all(box) if item.id == id_)
