"""Looks at every write of ours where it arrives, in the played systems, and at the log of their calls."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.mailboxes import INSIDE as BROUGHT_IN
from reconciliation.core.mailbox_settings import ALLOWED, REMOVE
from reconciliation.models import Binding, Operation, Tombstone
from tests.boxes import Boxes
from tests.simulation.mailboxes.rows import IN_BIN, INSIDE, OUTSIDE, PEER, Item, Rows
from tests.simulation.mailboxes.users import TEXTS, Users
from tests.simulation.player import watched

MARGIN = 59  # seconds by which an edit must be later to win, but for a second: Salesforce counts whole ones
MOST_ENDS = 10  # of a run, before the brake holds it (engine-rules 18); there are never 200 links here
WRITES = ("POST", "PATCH", "PUT", "DELETE")


@dataclass
class Watch:
    """What our writes did. `writes` counts them by (side, kind, id), `box` is the mailbox that is run over."""

    boxes: Boxes
    rows: Rows
    users: Users
    broken: list[str]
    writes: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    box: str = ""
    is_calm: bool = True  # nobody acts during the run
    is_approved: bool = False  # a person let a plan go ahead
    began: frozenset[str] = frozenset()  # living contacts of Salesforce at the beginning of the run
    shown: frozenset[str] = frozenset()  # those in view of the mailbox then
    personal: dict[tuple[str, int], Item] = field(default_factory=dict)  # of all mailboxes, at the beginning of the run
    ends: int = 0  # links that the run ended by deleting
    created: dict[str, str] = field(default_factory=dict)  # item -> contact that was made for it
    carried: set[tuple[str, str]] = field(default_factory=set)  # (side, text) that we brought there
    moved: set[str] = field(default_factory=set)  # copies and originals of moves into the folder
    is_ours: bool = False

    def __post_init__(self) -> None:
        watched(self.boxes.world, self)
        self._watch_salesforce()
        table = self.boxes.mail.store.tables["contact"]
        put, remove = table.put, getattr(table, "remove", None)

        def kept(row: dict[str, Any], **more: Any) -> Any:
            before = table.rows.get(row["id" if self.boxes.system == "google" else "n"])
            if self.is_ours:
                self._item_written(before, row)
            return put(row, **more)

        def removed(number: int) -> Any:
            if self.is_ours:
                self.broken.append(f"I8: contact {number} of a mailbox was taken away for good by us")
            return remove(number)

        table.put = kept
        if remove is not None:
            table.remove = removed

    def _watch_salesforce(self) -> None:
        records = self.boxes.world.salesforce.records
        create, update, delete = records.create, records.update, records.delete

        def created(object_name: str, given: Any, writer: Any) -> Any:
            made = create(object_name, given, writer)
            if self.is_ours and object_name == "Contact":
                self.writes["crm", "create", made["Id"]] += 1
                self._say(f"we make Contact {made['Id']} {_shown(made)} for {made.get('Sync_Key__c')}")
                self.carried.update(("crm", str(made.get(n) or "")) for n in TEXTS)
                self._second_contact(made)
            return made

        def updated(object_name: str, id_: str, given: Any, writer: Any) -> Any:
            if self.is_ours and object_name == "Contact":
                before = dict(records.tables[object_name].rows[id_])
                after = update(object_name, id_, given, writer)
                self.writes["crm", "update", id_] += 1
                self._say(f"we write Contact {id_} {dict(given)}")
                self._edit_beaten("crm", id_, {n: str(before.get(n) or "") for n in TEXTS}, {n: str(given[n] or "") for n in given})
                same = [n for n, v in given.items() if n in TEXTS and (before.get(n) or None) == (v or None)]
                if same and not self.users.touched:
                    self.broken.append(f"I2: Contact {id_} was sent {same} unchanged")
                return after
            return update(object_name, id_, given, writer)

        def deleted(object_name: str, id_: str, writer: Any) -> Any:
            before = dict(records.tables[object_name].rows[id_])
            delete(object_name, id_, writer)
            if self.is_ours and object_name == "Contact":
                self._contact_deleted(before)

        records.create, records.update, records.delete = created, updated, deleted  # type: ignore[method-assign]

    def _say(self, text: str) -> None:
        self.users.log.append(f"    {text}")

    # --- the beginning and the end of a run -----------------------------------------------------------------------------
    def begin(self, box: str, *, is_approved: bool, is_calm: bool) -> None:
        self.box, self.is_approved, self.is_calm, self.ends = box, is_approved, is_calm, 0
        self.began = frozenset(row["Id"] for row in self.users.contacts())
        self.shown = frozenset(self.in_view(box))
        self.users.touched.clear()
        self.personal = {(i.box, i.number): i for a in self.users.addresses for i in self.rows.all(a) if i.is_personal}
        self.boxes.world.calls.clear()

    def end(self) -> None:
        """No personal contact is another one than before, and no call that writes named one (I7)."""
        now = {(i.box, i.number): i for a in self.users.addresses for i in self.rows.all(a)}
        named = _named_in_writes(self.boxes)
        for key, item in self.personal.items():
            if key in self.users.touched:
                continue
            if key not in now or now[key].row != item.row:
                self.broken.append(f"I7: personal contact {item.id} of {item.box} is not as it was")
            if item.id in named:
                self.broken.append(f"I7: a call that writes named personal contact {item.id} of {item.box}")
        if self.ends > MOST_ENDS and not self.is_approved:
            self.broken.append(f"18: {self.ends} were deleted in one run, and nobody approved it")

    # --- writes into mailboxes ------------------------------------------------------------------------------------------
    def _item_written(self, before: dict[str, Any] | None, after: dict[str, Any]) -> None:
        box = self.box
        new = self.rows.item(box, after)
        if before is None:
            self.writes["peer", "create", new.id] += 1
            self._say(f"we make {new.id} for {new.marker} {new.texts}")
            self.carried.update((box, value) for value in new.texts.values())
            self._second_item(new)
            if (
                new.marker.startswith("in:")
                or Operation.objects.filter(after__place=BROUGHT_IN, after__foreignId=new.marker, state__in=Operation.OPEN).exists()
            ):
                self.moved.add(new.id)
            return
        old = self.rows.item(box, before)
        if old.is_personal:
            self.broken.append(f"I7: personal contact {old.id} of {box} was written")
        if new.place == IN_BIN and old.place != IN_BIN:
            self.writes["peer", "delete", old.id] += 1
            self._say(f"we delete {old.id} for {old.marker}")
            self._item_deleted(old)
        else:
            self.writes["peer", "update", old.id] += 1
            changed = {n: [old.texts[n], new.texts[n]] for n in new.texts if old.texts[n] != new.texts[n]}
            self._what_nobody_says(new, [name for name in changed if new.marker])
            self._edit_beaten(box, new.id, old.texts, {name: new.texts[name] for name in changed})
            self._say(f"we write {old.id} {changed} {sorted(new.categories)} {new.marker} {new.place}")

    def _edit_beaten(self, side: str, id_: str, before: Mapping[str, str], after: Mapping[str, str]) -> None:
        """D10: what a user typed, and the other side never had, gives way to what was typed there only where the mapping says so:
        the record that was edited later by more than a minute wins, a person is asked otherwise."""
        ours = self.boxes.passes[self.box]
        binding = Binding.objects.filter(sync_pass=ours, is_tombstone=False, **{"crm_id" if side == "crm" else "peer_id": id_}).first()
        if binding is not None and not binding.is_out_of_view and self.is_calm:  # of what is not in view, the item's edit stands (D8)
            base = binding.crm_base if side == "crm" else {name: binding.peer_base.get(PEER[name]) for name in PEER}
            other = (self.box, binding.peer_id) if side == "crm" else ("crm", binding.crm_id)
            for name, value in after.items():
                lost, won = self.users.typed.get(before.get(name, "")), self.users.typed.get(value)
                if lost is None or won is None or lost.value == base.get(name):
                    continue
                if lost.side == other[0] or (other[0], lost.value) in self.carried:
                    continue
                lead = self.users.edited_at.get(other, won.at) - self.users.texts_at.get((side, id_), lost.at)
                if lead.total_seconds() < MARGIN:
                    self.broken.append(f"D10: {name} {lost.value!r} of {id_} gave way to {value!r}, whose record leads by {lead}")
        self.carried.update((side, value) for value in after.values())
        self._date_what_came(side, id_, after.values())

    def _date_what_came(self, side: str, id_: str, values: Iterable[str]) -> None:
        """What we bring to Salesforce is as old there as it was where it was typed."""
        times = [self.users.typed[value].at for value in values if value in self.users.typed and side == "crm"]
        for known in (self.users.texts_at, self.users.edited_at) if times else ():
            known[side, id_] = max(*times, known.get((side, id_), times[0]))

    def _what_nobody_says(self, item: Item, names: list[str]) -> None:
        """An item is sent what its contact says, and nothing that it said before our own write; a copy that is made on a move also
        what its user typed into the original since."""
        crm = self.users.crm(item.marker)
        is_moving = Operation.objects.filter(after__place=BROUGHT_IN, state__in=Operation.OPEN).exists()
        for name in names if crm and self.is_calm else ():
            typed = self.users.typed.get(item.texts[name])
            if is_moving and typed is not None and typed.side == item.box:
                continue
            if str(crm.get(name) or "") != item.texts[name]:
                self.broken.append(f"I1: {item.id} was sent {name} = {item.texts[name]!r}; its contact says {crm.get(name)!r}")

    def _says_the_same(self, copy: Item, item: Item) -> bool:
        """A copy holds what its original held, beside what its user typed into the copy since."""
        typed = {t.name for t in self.users.typed.values() if (t.side, t.id) == (copy.box, copy.id) and not t.is_replaced}
        return all(copy.texts[name] == text for name, text in item.texts.items() if name not in typed)

    def _item_deleted(self, item: Item) -> None:
        """An item may be deleted when its contact is gone, or left a view that says so; or as the original of a copy."""
        if Operation.objects.filter(target_id=item.id, after__place=BROUGHT_IN, state__in=Operation.OPEN).exists():
            self.moved.add(item.id)
            twins = [i for i in self.rows.all(self.box) if i.place != IN_BIN and i.id != item.id and self._says_the_same(i, item)]
            twins = [i for i in twins if i.place == INSIDE or (i.box, i.number) in self.users.touched]  # its user dragged it on
            if not twins:
                self.broken.append(f"I1: {item.id} was deleted, and no copy of it is in the folder")
            return
        if Operation.objects.filter(
            kind="update", after__place=BROUGHT_IN, after__foreignId=item.marker, state__in=Operation.OPEN
        ).exists():
            return  # a copy that came out otherwise than its original, and is taken back
        self.ends += 1
        binding = Binding.objects.filter(sync_pass=self.boxes.passes[self.box], peer_id=item.id, is_tombstone=False).first()
        if binding is None:
            self.broken.append(f"I8: {item.id} was deleted, and is linked to nothing")
            return
        crm = self.users.crm(binding.crm_id)
        is_gone = not crm or bool(crm.get("IsDeleted"))
        was_gone = binding.crm_id not in self.began
        is_hidden = binding.crm_id not in self.in_view(self.box) or binding.crm_id not in self.shown  # a user may change it meanwhile
        if not is_gone and not was_gone and not (self.setting("out_of_view") == REMOVE and is_hidden):
            self.broken.append(f"I8: {item.id} was deleted although Contact {binding.crm_id} is there and in view")
        base = dict(binding.peer_base)
        for name, value in item.texts.items():
            typed = self.users.typed.get(value)
            if (
                typed is not None
                and typed.side == self.box
                and not typed.is_replaced
                and value not in base.values()
                and value != str(crm.get(name) or "")
            ):
                self.broken.append(f"C12: {item.id} was deleted although {name} = {value!r} was typed there")

    def _second_item(self, item: Item) -> None:
        if not item.marker or item.marker.startswith("in:"):
            return
        others = [i for i in self.rows.all(self.box) if i.marker == item.marker and i.id != item.id]
        is_moved = any(i.place == OUTSIDE and not i.is_personal for i in others)  # its user took a copy out, and not the original
        is_copied = item.marker in self.users.copies  # the link went on to another copy of its user
        if any(i.is_personal for i in others) and not is_moved and not is_copied:
            self.broken.append(f"D26: {item.id} was made for Contact {item.marker}, which {self.box} took out of the folder")
        twins = [i.id for i in others if i.place == INSIDE]
        if twins:
            self.broken.append(f"I3: {item.id} was made for Contact {item.marker} although {twins[0]} is in the folder")

    # --- writes into Salesforce -----------------------------------------------------------------------------------------
    def _second_contact(self, made: dict[str, Any]) -> None:
        """D7: whoever has the address of a contact that we could have found is linked to it, or a person is asked."""
        email = str(made.get("Email") or "").casefold()
        for row in self.users.contacts():
            if row["Id"] != made["Id"] and email and str(row.get("Email") or "").casefold() == email and row["Id"] in self.began:
                self.broken.append(f"D7: Contact {made['Id']} was made although {row['Id']} has {email}")
            if row["Id"] != made["Id"] and row.get("Sync_Key__c") and row["Sync_Key__c"] == made.get("Sync_Key__c"):
                self.broken.append(f"I3: Contact {made['Id']} was made beside {row['Id']} for {made['Sync_Key__c']}")

    def _contact_deleted(self, row: dict[str, Any]) -> None:
        """A contact may be deleted where its item was, by a user whose setting allows that, and no other mailbox has it."""
        id_, ours = row["Id"], self.boxes.passes[self.box]
        self.writes["crm", "delete", id_] += 1
        self.ends += 1
        self._say(f"we delete Contact {id_}")
        binding = Binding.objects.filter(sync_pass=ours, crm_id=id_, is_tombstone=False).first()
        known = self.users.dropped.get(binding.peer_id) if binding is not None else None
        copies = [d for d in self.users.dropped.values() if d.item.box == self.box and d.item.marker == id_]  # by our own move
        dropped = known or next(iter(copies), None)
        if self.setting("deletion") != ALLOWED:
            self.broken.append(f"I8: Contact {id_} was deleted, which {self.box} does not allow")
        if dropped is None:
            self.broken.append(f"I8: Contact {id_} was deleted, and nobody deleted its item in {self.box}")
            return
        if any(i.id == binding.peer_id and i.place != IN_BIN for i in self.rows.all(self.box)):
            self.broken.append(f"I8: Contact {id_} was deleted although its item is there")
        others = Binding.objects.filter(crm_id=id_, is_tombstone=False).exclude(sync_pass=ours)
        if others.exists():
            self.broken.append(f"I8: Contact {id_} was deleted although another mailbox holds it")
        for name in TEXTS:
            value = str(row.get(name) or "")
            typed = self.users.typed.get(value)
            if typed is not None and value not in dropped.item.texts.values() and not typed.is_replaced:
                self.broken.append(f"C12: Contact {id_} was deleted although {name} = {value!r} was typed in {typed.side}")
            elif typed is not None:
                typed.is_replaced = True

    # --- what holds -----------------------------------------------------------------------------------------------------
    def setting(self, name: str, box: str = "") -> str:
        mailbox = self.boxes.passes[box or self.box].mailbox
        mailbox.refresh_from_db(fields=["settings"])
        return str(mailbox.settings.get(name, ""))

    def in_view(self, box: str) -> set[str]:
        """Returns the contacts of Salesforce that a mailbox shows."""
        view = self.setting("view", box)
        fits: Callable[[dict[str, Any]], bool] = {
            "mine": lambda row: row.get("OwnerId") == self.boxes.users[box],
            "everything": lambda row: True,
        }.get(view, lambda row: row.get("Department") == "Buyer")
        return {row["Id"] for row in self.users.contacts() if fits(row)}


def _named_in_writes(boxes: Boxes) -> set[str]:
    """Returns the contacts that calls which write have named, by the log of the mail system."""
    named: set[str] = set()
    for call in boxes.world.calls:
        if call["system"] != boxes.system:
            continue
        if boxes.system == "google" and call["method"] != "GET" and "token" not in call["path"]:
            named.update(call.get("resource_names", ()))
        for part in call.get("parts", ()) if boxes.system == "microsoft" else ():
            if part["method"] in WRITES:
                named.update(_of_path(part["path"]))
                named.update(str(i.get("id")) for i in part.get("items", ()))
    return named


def _of_path(path: str) -> list[str]:
    return re.findall(r"/contacts/([^/?]+)", path)


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row.get(name) for name in (*TEXTS, "Email", "OwnerId") if row.get(name)}


def tombstones_of(boxes: Boxes, box: str) -> dict[str, str]:
    """Returns CRM id -> why its last link in this mailbox ended."""
    rows = Tombstone.objects.filter(sync_pass=boxes.passes[box]).order_by("pk")
    return dict(rows.values_list("crm_id", "why"))
