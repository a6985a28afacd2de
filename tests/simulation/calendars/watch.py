"""Looks at every write of ours where it arrives, in the played systems."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciliation.models import Binding, MailboxItem, Operation
from tests.simulation.calendars.rows import DAY, NAMES, SHOW_AS, Item, Rows
from tests.simulation.calendars.users import TEXTS, Users
from tests.simulation.player import watched

WITHHELD = "Private appointment"
LONGEST = 14 * DAY
Key = tuple[str, str]


@dataclass
class Watch:
    """What our writes did. `writes` counts them by (side, kind, id), `box` is the mailbox that is run over."""

    boxes: Any
    rows: Rows
    users: Users
    broken: list[str]
    writes: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    made_for: dict[str, Item] = field(default_factory=dict)  # event of Salesforce that we made -> the item, as it was then
    made_from: dict[str, str] = field(default_factory=dict)  # item that we made -> the event of Salesforce
    box: str = ""
    began: dict[Key, Item] = field(default_factory=dict)  # all items at the beginning of the run
    settings: dict[str, Any] = field(default_factory=dict)  # of the mailbox, at the beginning of the run
    secret: frozenset[str] = frozenset()  # texts that were hidden at the beginning of the run
    living: frozenset[str] = frozenset()  # events of Salesforce at the beginning of the run
    linked: dict[str, str] = field(default_factory=dict)  # item -> event of Salesforce, at the beginning of the run
    ends: int = 0
    is_approved: bool = False
    is_ours: bool = False

    def __post_init__(self) -> None:
        watched(self.boxes.world, self, self._look_at_call)
        self._watch_salesforce()
        self._watch_calendars()

    def _look_at_call(self, request: Any) -> None:
        """D12: nobody presses *Send update* here, so that no call may ask for mail, whether or not there is somebody to be mailed."""
        if "sendUpdates" in request.query and "sendUpdates=none" not in request.query:
            self.broken.append(f"D12: {request.method} {request.path} asks Google to mail the guests")

    def _say(self, text: str) -> None:
        self.users.log.append(f"    {text}")

    # --- the beginning and the end of a run -----------------------------------------------------------------------------
    def begin(self, box: str, *, is_approved: bool, is_calm: bool) -> None:
        self.box, self.is_approved, self.ends = box, is_approved, 0
        self.users.touched.clear()
        self.began = self.users.items()
        self.settings = self.settings_of(box)
        shown = {text for item in self.began.values() if not self.is_withheld(item) for text in item.texts.values()}
        self.secret = frozenset({t for i in self.began.values() if self.is_withheld(i) for t in i.texts.values() if t} - shown)
        self.living = frozenset(row["Id"] for row in self.users.events())
        rows = Binding.objects.filter(sync_pass=self.boxes.passes[box], is_tombstone=False)
        self.linked = dict(rows.values_list("peer_id", "crm_id"))

    def end(self) -> None:
        """What nobody shared is as it was (C21), and nobody was mailed by us (C24)."""
        mails = len(self.boxes.mail.mails)
        if mails != self.users.mails:
            self.broken.append(f"C24: {self.boxes.mail.mails[self.users.mails :]} were mailed by a run over {self.box}")
            self.users.mails = mails
        now = self.users.items()
        for key, item in self.began.items():
            is_personal = not item.is_marked and not item.marker and item.id not in self.linked and not self.shares_all(item.box)
            if is_personal and key not in self.users.touched and now.get(key) != item and item.box != self.box:
                self.broken.append(f"I7: {item.id} of {item.box}, whose run it was not, is not as it was")
        if self.ends > 10 and not self.is_approved:
            self.broken.append(f"18: {self.ends} were deleted in one run, and nobody approved it")

    def settings_of(self, box: str) -> dict[str, Any]:
        mailbox = self.boxes.passes[box].mailbox
        mailbox.refresh_from_db(fields=["settings"])
        return dict(mailbox.settings)

    def shares_all(self, box: str) -> bool:
        return bool(self.settings_of(box)["share_events"])

    def is_withheld(self, item: Item) -> bool:
        return item.is_hidden and self.settings_of(item.box)["private_events"] != "full"

    def is_touched(self, *keys: Key) -> bool:
        return any(key in self.users.touched for key in keys)

    # --- writes into Salesforce -----------------------------------------------------------------------------------------
    def _watch_salesforce(self) -> None:
        records = self.boxes.world.salesforce.records
        create, update, delete = records.create, records.update, records.delete

        def created(object_name: str, given: Any, writer: Any) -> Any:
            made = create(object_name, given, writer)
            if self.is_ours and object_name == "Event":
                self.writes["crm", "create", made["Id"]] += 1
                self._event_made(made)
            return made

        def updated(object_name: str, id_: str, given: Any, writer: Any) -> Any:
            if not self.is_ours or object_name != "Event":
                return update(object_name, id_, given, writer)
            after = update(object_name, id_, given, writer)
            self.writes["crm", "update", id_] += 1
            self._say(f"we write Event {id_} {dict(given)}")
            self._no_secret(id_, given)
            return after

        def deleted(object_name: str, id_: str, writer: Any) -> Any:
            before = dict(records.tables[object_name].rows[id_])
            delete(object_name, id_, writer)
            if self.is_ours and object_name == "Event":
                self._event_deleted(before)

        records.create, records.update, records.delete = created, updated, deleted

    def _no_secret(self, id_: str, values: Mapping[str, Any]) -> None:
        """C22: nothing that was hidden when the run began is written."""
        told = [text for text in values.values() if isinstance(text, str) and text in self.secret]
        if told:
            self.broken.append(f"C22: Event {id_} was told {told}, which is private")

    def _event_made(self, made: dict[str, Any]) -> None:
        item = self._source_of(made)
        self._say(f"we make Event {made['Id']} {made.get('Subject')} {made['StartDateTime']} for {item and item.id}")
        self._no_secret(made["Id"], made)
        if item is None:
            return
        key = (item.box, item.id)
        if not self.is_touched(key):
            self._may_be_shared(made, item)
        for id_, other in self.made_for.items():
            is_there = id_ in self.living and not self.users.crm(id_).get("IsDeleted")
            if is_there and id_ in self._held() and other.family == item.family and self._now_is(id_, item):
                self.broken.append(f"I3: Event {made['Id']} was made for {item.id}, for which {id_} stands")
        self.made_for[made["Id"]] = item

    def _held(self) -> set[str]:
        """Returns the events of Salesforce that some mailbox is linked to."""
        return set(Binding.objects.filter(is_tombstone=False).values_list("crm_id", flat=True))

    def _now_is(self, id_: str, item: Item) -> bool:
        """Tells whether an event of Salesforce is linked to this occurrence, in whichever calendar."""
        now = self.users.items()
        for row in Binding.objects.filter(is_tombstone=False, crm_id=id_).select_related("sync_pass__mailbox"):
            found = now.get((row.sync_pass.mailbox.address, row.peer_id))
            if found is not None and found.key == item.key:
                return True
        return False

    def _source_of(self, made: dict[str, Any]) -> Item | None:
        op = Operation.objects.filter(kind="create", marker=made.get("Sync_Key__c") or "?").order_by("pk").last()
        if op is None:
            self.broken.append(f"I13: Event {made['Id']} was made, and no row of the journal says so")
            return None
        id_ = op.source_ref.rpartition(":")[2]
        return self.users.items().get((self.box, id_)) or self.began.get((self.box, id_))

    def _may_be_shared(self, made: dict[str, Any], item: Item) -> None:
        is_again = self.settings["event_removal"] == "restore" and bool(self.users.dropped_there)
        if not item.is_marked and not self.settings["share_events"] and not is_again:
            self.broken.append(f"C21: Event {made['Id']} was made for {item.id}, which nobody shared")
        if item.is_hidden and self.settings["private_events"] == "skip":
            self.broken.append(f"C22: Event {made['Id']} was made for {item.id}, which is private")
        if item.is_cancelled:
            self.broken.append(f"S4.24: Event {made['Id']} was made for {item.id}, which was cancelled")
        if item.ends - item.starts > LONGEST:
            self.broken.append(f"S4.16: Event {made['Id']} was made for {item.id}, which is too long")

    def _event_deleted(self, row: dict[str, Any]) -> None:
        """S4.24: an event may be deleted where its item turned private, was cancelled, or was deleted and the setting says so."""
        id_ = row["Id"]
        self.writes["crm", "delete", id_] += 1
        self.ends += 1
        self._say(f"we delete Event {id_} {row.get('Subject')}")
        binding = Binding.objects.filter(sync_pass=self.boxes.passes[self.box], crm_id=id_, is_tombstone=False).first()
        if binding is None:
            self.broken.append(f"I8: Event {id_} was deleted, and is linked to nothing")
            return
        key = (self.box, binding.peer_id)
        item, was = self.users.items().get(key), self.users.gone.get(key)
        if self.is_touched(key):
            return self._thrown_away(row, None)
        if item is not None:
            is_private = item.is_hidden and self.settings["private_events"] == "skip"
            if not is_private and not (item.is_cancelled and self.settings["cancelled_events"] == "remove"):
                self.broken.append(f"I8: Event {id_} was deleted although {item.id} of {self.box} is there")
            return self._thrown_away(row, None)
        if was is None:
            self.broken.append(f"I8: Event {id_} was deleted, and nobody deleted {binding.peer_id} of {self.box}")
            return None
        known = MailboxItem.objects.filter(sync_pass=self.boxes.passes[self.box], item_id=binding.peer_id).first()
        had_guests = bool(was.guests) or (known is not None and known.was_own_meeting)  # who were uninvited since, nobody told
        is_cancelled = (was.is_own and had_guests) or was.is_cancelled
        others = [i for i in self.began.values() if i.key == was.key and i.box != self.box and i.is_marked and not i.is_cancelled]
        if others and not self.is_touched(*((i.box, i.id) for i in others)) and self._is_carried_by(others):
            self.broken.append(f"I8: Event {id_} was deleted although {others[0].box} holds {others[0].id}")
        if is_cancelled and self.settings["cancelled_events"] == "remove":
            return self._thrown_away(row, None)
        if self.settings["event_deletion"] != "propagate":
            self.broken.append(f"I8: Event {id_} was deleted, which {self.box} does not allow")
        return self._thrown_away(row, binding.crm_base)

    def _is_carried_by(self, others: list[Item]) -> bool:

        return MailboxItem.objects.filter(item_id__in=[i.id for i in others], state=MailboxItem.State.COLLEAGUE).exists()

    def _thrown_away(self, row: dict[str, Any], base: Mapping[str, Any] | None) -> None:
        """What a user typed there and the mailbox never had may not go with it, but for what was cancelled or is private."""
        for name in TEXTS:
            value = str(row.get(name) or "")
            typed = self.users.typed.get(value)
            if typed is None:
                continue
            if base is not None and value not in base.values() and not typed.is_replaced and ("crm", row["Id"]) not in self.users.touched:
                self.broken.append(f"C12: Event {row['Id']} was deleted although {name} = {value!r} was typed in {typed.side}")
            typed.is_replaced = True

    # --- writes into calendars ------------------------------------------------------------------------------------------
    def _watch_calendars(self) -> None:
        if self.boxes.system == "google":
            events = self.boxes.mail.calendar.events
            self._watch_table(events.table, "id")
        else:
            self._watch_table(self.boxes.mail.store.tables["event"], "n")

    def _watch_table(self, table: Any, number: str) -> None:
        put, remove = table.put, getattr(table, "remove", None)

        def kept(row: dict[str, Any], **more: Any) -> Any:
            if not self.is_ours:
                return put(row, **more)
            before = self._own_items()
            result = put(row, **more)
            self._compare(before, self._own_items())
            return result

        def removed(key: int) -> Any:
            if not self.is_ours:
                return remove(key)
            before = self._own_items()
            result = remove(key)
            self._compare(before, self._own_items())
            return result

        table.put = kept
        if remove is not None:
            table.remove = removed

    def _own_items(self) -> dict[str, Item]:
        return {item.id: item for item in self.rows.all(self.box)}

    def _compare(self, before: Mapping[str, Item], after: Mapping[str, Item]) -> None:
        for id_ in after.keys() - before.keys():
            self.writes["peer", "create", id_] += 1
            self._item_made(after[id_])
        for id_ in before.keys() - after.keys():
            self.writes["peer", "delete", id_] += 1
            self._item_deleted(before[id_])
        for id_ in after.keys() & before.keys():
            if after[id_] != before[id_]:
                self.writes["peer", "update", id_] += 1
                self._item_written(before[id_], after[id_])

    def _item_made(self, item: Item) -> None:
        self._say(f"we make {item.id} {item.texts} {item.when} for {item.marker}")
        twins = [i.id for i in self.rows.all(self.box) if i.marker == item.marker and i.id != item.id]
        if twins and item.marker:
            self.broken.append(f"I3: {item.id} was made for Event {item.marker} although {twins[0]} is there")
        row = self.users.crm(item.marker)
        if not row:
            self.broken.append(f"I3: {item.id} was made for no event")
        elif ("crm", item.marker) not in self.users.touched and row.get("OwnerId") != self.boxes.users[self.box]:
            self.broken.append(f"S4.13: {item.id} of {self.box} was made for Event {item.marker}, which is another one's")
        if item.marker in self.made_for and self.settings["event_deletion"] != "restore":
            self.broken.append(f"I3: {item.id} was made for Event {item.marker}, which was made from a calendar")

    def _item_written(self, old: Item, new: Item) -> None:
        changed = {n: (old.texts[n], new.texts[n]) for n in NAMES if old.texts[n] != new.texts[n]}
        self._say(f"we write {old.id} {changed} {old.when != new.when and new.when} {sorted(new.categories)} {new.marker} {new.show}")
        if self.is_touched((self.box, old.id)):
            return
        if (changed or old.when != new.when) and not new.is_own:
            self.broken.append(f"D12: {old.id} of {self.box} is another one's meeting, and was changed: {changed}")
        if changed and old.is_hidden and self.settings["private_events"] != "full":
            self.broken.append(f"C22: {old.id} of {self.box} is private, and was told {changed}")
        if WITHHELD in [text for _, text in changed.values()]:
            self.broken.append(f"C22: {old.id} of {self.box} was told its substitute")
        is_linked = old.id in self.linked or self._held_here(old.id)
        if not is_linked and not old.is_marked and not self.settings["share_events"] and not old.marker:
            self.broken.append(f"I7: {old.id} of {self.box}, which nobody shared, was written")

    def _held_here(self, id_: str) -> bool:
        return Binding.objects.filter(sync_pass=self.boxes.passes[self.box], peer_id=id_).exists()

    def _item_deleted(self, item: Item) -> None:
        self.ends += 1
        self._say(f"we delete {item.id} {item.texts}")
        binding = Binding.objects.filter(sync_pass=self.boxes.passes[self.box], peer_id=item.id, is_tombstone=False).first()
        if binding is None:
            self.broken.append(f"I8: {item.id} was deleted, and is linked to nothing")
            return
        crm = self.users.crm(binding.crm_id)
        if (crm and not crm.get("IsDeleted") and not self.is_touched(("crm", binding.crm_id))) or binding.crm_id not in (
            self.users.dropped_there
        ):
            self.broken.append(f"I8: {item.id} was deleted although nobody deleted Event {binding.crm_id}")
        if self.settings["event_removal"] != "propagate":
            self.broken.append(f"I8: {item.id} was deleted, which {self.box} does not allow")
        if item.guests and not self.is_touched((self.box, item.id)):
            self.broken.append(f"C24: {item.id} was deleted, and others were invited to it")
        for name, value in item.texts.items():
            typed = self.users.typed.get(value)
            if typed is None:
                continue
            if typed.side == self.box and value not in binding.peer_base.values() and not typed.is_replaced:
                self.broken.append(f"C12: {item.id} was deleted although {name} = {value!r} was typed there")
            typed.is_replaced = True


__all__ = ["SHOW_AS", "Watch"]
