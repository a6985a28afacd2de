"""The records of the played Salesforce and the rules of writing them: what is refused, what follows, what goes along."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from connectors.sandbox.salesforce import duplicates, following, ids, values
from connectors.sandbox.salesforce.access import Access, governing
from connectors.sandbox.salesforce.cells import from_text
from connectors.sandbox.salesforce.objects import CASCADES, CLEARED, DEFAULTS, NEVER_UNDELETED
from connectors.sandbox.salesforce.refusal import Refused
from connectors.sandbox.salesforce.schema import BY_PREFIX, OBJECTS, Field, Schema, SObject
from connectors.sandbox.salesforce.switches import Switches
from connectors.sandbox.salesforce.table import Row, Table

RECYCLE_DAYS = 15
LEADS_TO_PEOPLE = ("WhoId", "EventWhoIds", "TaskWhoIds", "RelationId")
READ_BY_PEOPLE = frozenset((  # follows from other values, or from other records
    "Name", "IsClosed", "IsWon", "IsEmailBounced", "AccountId", "ActivityId", "HasAttachment", "RelationObjectType", "PersonContactId",
    "IsPersonAccount", "WhoCount", "WhatCount", "IsChild", "IsGroupEvent", "GroupEventType", "IsRecurrence2", "IsLatest",
    "VersionNumber", "ContentSize", "Checksum", "LatestPublishedVersionId",
))  # fmt: skip
Rule = Callable[[Row], bool]


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes, and how. A person (or another program) may set what the API may not; `locks` are faults that keep rows
    from this call: all, or those of and under one `record`."""

    user: str
    is_person: bool = False
    may_save_duplicates: bool = False
    wants_details: bool = False
    may_assign: bool = True
    locks: tuple[Mapping[str, Any], ...] = ()
    root: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """The rows as they are seen at one instant: what is not committed is as it was, what was purged is not there, nor is what
    a user may not see. `access` is None where nothing is kept from whoever looks."""

    tables: dict[str, Table]
    now: str
    purged_before: str
    access: Access | None = None

    def row(self, object_name: str, id_: str) -> Row | None:
        row = self.tables[object_name].seen(id_, self.now)
        if row is not None and row.get("IsDeleted") and row["SystemModstamp"] < self.purged_before:
            return None
        if row is not None and self.access is not None and not self.access.may_read(*governing(self.tables, object_name, row)):
            return None
        return row


class Records:
    """All tables of one organisation. Knows nothing of HTTP."""

    def __init__(self, *, now: Callable[[], datetime]) -> None:
        self._now = now
        self.schema = Schema()
        self.switches = Switches()
        self.schema.apply(self.switches.hidden())
        self.rules: list[tuple[str, Rule, str]] = []  # of the switch: object, condition, sentence
        self.tables = {name: Table(object_) for name, object_ in OBJECTS.items()}
        self._journal: list[tuple[Table, str, Row | None]] = []

    # --- reading ------------------------------------------------------------------------------------------------------
    def now(self) -> datetime:
        return self._now()

    def stamp(self, seconds: float = 0.0) -> str:
        """Returns the present instant, or one some seconds off."""
        return values.show_instant(self._now() + timedelta(seconds=seconds))

    def access(self, user: str) -> Access:
        """Returns what a user may do now."""
        return Access(user, bool(self.tables["User"].rows.get(user, {}).get("IsActive")), self.switches)

    def view(self, user: str = "") -> View:
        """Returns the rows as they are seen now: by a user, or by the system itself, which sees all."""
        access = self.access(user) if user else None
        hidden_from = access if access is not None and access.hides_rows else None
        return View(self.tables, self.stamp(), self.stamp(-RECYCLE_DAYS * 86400), hidden_from)

    def seen(self, object_name: str, id_: str, user: str = "") -> Row | None:
        """Returns a row as others see it, deleted ones included as long as they lie in the recycle bin."""
        return self.view(user).row(object_name, id_)

    def look_up(self, object_name: str, id_: str, user: str = "") -> Row | None:
        """Returns a row that is not deleted."""
        row = self.seen(object_name, id_, user)
        return None if row is None or row.get("IsDeleted") else row

    def open_since(self) -> str | None:
        """Returns when the oldest transaction began that is still open."""
        now = self.stamp()
        stamps = [t.rows[i]["SystemModstamp"] for t in self.tables.values() for i in t.open_ids(now) if i in t.rows]
        return min(stamps, default=None)

    # --- savepoints ---------------------------------------------------------------------------------------------------
    def savepoint(self) -> int:
        """Returns where the journal stands, for `roll_back`."""
        return len(self._journal)

    def roll_back(self, savepoint: int) -> None:
        """Takes back every write since. Numbers that ids were made of stay used."""
        while len(self._journal) > savepoint:
            table, id_, before = self._journal.pop()
            if before is None:
                table.remove(id_)
            else:
                table.put(before)

    def forget_journal(self) -> None:
        """Ends the call: what it wrote stays."""
        self._journal.clear()

    # --- writing ------------------------------------------------------------------------------------------------------
    def create(self, object_name: str, given: Mapping[str, Any], writer: Writer) -> Row:
        """Creates a record. Raises Refused."""
        object_ = self._writable(object_name, "c", writer)
        changes = self._read(object_, given, writer, is_new=True)
        row = self._new(object_, writer)
        self._save(object_, row, None, changes, writer)
        return self.tables[object_name].rows[row["Id"]]

    def _new(self, object_: SObject, writer: Writer) -> Row:
        """Returns a row with its id and what it gets that does not say."""
        table, now = self.tables[object_.name], self.stamp()
        row: Row = {name.split(".")[1]: v for name, v in DEFAULTS.items() if name.startswith(f"{object_.name}.")}
        if "OwnerId" in object_.fields:
            row["OwnerId"] = writer.user
        row.update({"Id": ids.make(object_.prefix, table.next_number), "CreatedDate": now, "CreatedById": writer.user})
        table.next_number += 1
        return row

    def add(self, object_name: str, given: Row, writer: Writer) -> Row:
        """Creates a row as the system does that follows from another: neither rights nor rules of customers are asked."""
        object_ = OBJECTS[object_name]
        row = _without_blanks({**self._new(object_, writer), **self.stamps(writer), **given})
        following.derive(self, object_name, row, None, given)
        self._put(self.tables[object_name], row, writer)
        following.saved(self, object_name, row, None, given, writer)
        return self.tables[object_name].rows[row["Id"]]

    def update(self, object_name: str, id_: str, given: Mapping[str, Any], writer: Writer) -> Row:
        """Changes a record. Raises Refused; whoever calls has looked that it is there."""
        object_ = self._writable(object_name, "u", writer)
        table = self.tables[object_name]
        before = table.rows[id_]
        if "Id" in given:
            raise Refused(400, "INVALID_FIELD", "The Id field should not be specified in the sobject data.", ["Id"])
        changes = self._read(object_, given, writer, is_new=False)
        if not writer.is_person:
            gives_away = changes.get("OwnerId", before.get("OwnerId")) != before.get("OwnerId")
            self.access(writer.user).check_row(object_, governing(self.tables, object_name, before)[1], "u", gives_away=gives_away)
        self._check_lock(writer, table, id_)
        if before.get("IsConverted") and not writer.is_person:
            raise Refused(400, "CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead", [])
        self._save(object_, dict(before), before, changes, writer)
        return table.rows[id_]

    def delete(self, object_name: str, id_: str, writer: Writer) -> None:
        """Puts a record with what goes along into the recycle bin. Raises Refused."""
        object_ = self._writable(object_name, "d", writer)
        if not writer.is_person:
            row = governing(self.tables, object_name, self.tables[object_name].rows[id_])[1]
            self.access(writer.user).check_row(object_, row, "d")
        following.check_delete(object_name, self.tables[object_name].rows[id_])
        self.discard(object_name, id_, writer)

    def discard(self, object_name: str, id_: str, writer: Writer) -> None:
        """Deletes a record. What goes along is not asked about: whoever may delete a record may delete what hangs on it."""
        table = self.tables[object_name]
        self._check_lock(writer, table, id_)
        self._put(table, {**table.rows[id_], "IsDeleted": True, **self.stamps(writer)}, writer)
        following.deleted(self, object_name, table.rows[id_], writer)
        for (child_name, field_name), _ in CASCADES.items():
            for child in self.children(child_name, field_name, id_):
                if not self.tables[child_name].rows[child["Id"]].get("IsDeleted"):  # it may have gone with an earlier one
                    self.discard(child_name, child["Id"], writer)
        for child_name, field_name in CLEARED:
            for child in self.children(child_name, field_name, id_):
                self.touch(child_name, child["Id"], {field_name: None}, writer)

    def restore_deleted(self, object_name: str, id_: str, writer: Writer) -> None:
        """Takes a record out of the recycle bin, as a person can. Raises Refused for what only comes back with another."""
        if object_name in NEVER_UNDELETED:
            raise Refused(400, "UNDELETE_FAILED", "the record cannot be undeleted", [])
        table = self.tables[object_name]
        row = {k: v for k, v in table.rows[id_].items() if k not in ("IsDeleted", "MasterRecordId")}
        gone_at = row["SystemModstamp"]
        self._put(table, {**row, **self.stamps(writer)}, writer)
        self._restore_with(id_, gone_at, writer)
        following.restored(self, object_name, id_, gone_at, writer)

    def _restore_with(self, id_: str, gone_at: str, writer: Writer) -> None:
        """Brings back what went with a record at an instant and does not come back by itself."""
        for child_name, field_name in CASCADES:
            if child_name in NEVER_UNDELETED:
                table = self.tables[child_name]
                for row in [table.rows[i] for i in sorted(table.having(field_name, [id_]) or ())]:
                    if row.get("IsDeleted") and row["SystemModstamp"] == gone_at:
                        self.edit(child_name, row["Id"], {"IsDeleted": None}, writer)

    def touch(self, object_name: str, id_: str, changes: Mapping[str, Any], writer: Writer) -> None:
        """Changes a row as the system itself does: SystemModstamp moves, LastModifiedDate stays."""
        table = self.tables[object_name]
        self._put(table, _without_blanks({**table.rows[id_], **changes, "SystemModstamp": self.stamp()}), writer)

    def edit(self, object_name: str, id_: str, changes: Mapping[str, Any], writer: Writer) -> None:
        """Changes a row because another was edited: all its stamps move."""
        self.touch(object_name, id_, {**changes, **self.stamps(writer)}, writer)

    def note(self, object_name: str, id_: str, changes: Mapping[str, Any], writer: Writer) -> None:
        """Changes what a row shows of others: no stamp moves."""
        table = self.tables[object_name]
        self._put(table, _without_blanks({**table.rows[id_], **changes}), writer)

    def children(self, child_name: str, field_name: str, id_: str) -> list[Row]:
        """Returns the rows that a lookup leads from, without deleted ones."""
        table = self.tables[child_name]
        rows = (table.rows[i] for i in sorted(table.having(field_name, [id_]) or ()))
        return [r for r in rows if r.get(field_name) == id_ and not r.get("IsDeleted")]

    def _writable(self, object_name: str, right: str, writer: Writer) -> SObject:
        """Returns the object as the writer sees it. Raises Refused where he may not do this."""
        if object_name not in self.schema.existing:
            raise Refused(400, "INVALID_TYPE", f"sObject type '{object_name}' is not supported.")
        if writer.is_person:
            return self.schema.existing[object_name]
        object_ = self.schema.objects[object_name]
        self.access(writer.user).check_object(object_, right)
        return object_

    def stamps(self, writer: Writer) -> Row:
        """Returns what every edit sets."""
        now = self.stamp()
        return {"LastModifiedDate": now, "LastModifiedById": writer.user, "SystemModstamp": now}

    def _save(self, object_: SObject, row: Row, before: Row | None, changes: Row, writer: Writer) -> None:
        """Checks and stores a new or changed row, in the order in which the system looks."""
        row.update(self.stamps(writer))
        row.update(changes)
        if object_.name == "Lead" and self.switches.assignment_owner and writer.may_assign and not writer.is_person:
            row["OwnerId"] = self.switches.assignment_owner
        row = _without_blanks(row)
        following.prepare(self, object_.name, row, before, changes)
        self._check_required(object_, row)
        self._check_references(object_, changes, writer)
        following.check(self, object_.name, row, before, changes, writer)
        following.derive(self, object_.name, row, before, changes)
        self._check_unique(object_, row)
        self._check_owner(object_, row, changes)
        self._check_rules(object_, row)
        table = self.tables[object_.name]
        self._check_duplicates(table, row, before, writer)
        if before is None:
            self._check_parent_lock(writer, object_, row)
        self._put(table, row, writer)
        following.saved(self, object_.name, row, before, changes, writer)

    def _put(self, table: Table, row: Row, writer: Writer) -> None:
        before = table.rows.get(row["Id"])
        self._journal.append((table, row["Id"], before))
        table.put(row)
        if writer.is_person and self.switches.late_commit_seconds:
            table.hold(row["Id"], self.stamp(self.switches.late_commit_seconds), before)

    # --- what is refused ----------------------------------------------------------------------------------------------
    def _read(self, object_: SObject, given: Mapping[str, Any], writer: Writer, *, is_new: bool) -> Row:
        """Returns what to store of what was given. Raises Refused for unknown and read-only fields and bad values."""
        changes: Row = {}
        closed = []
        for name, value in given.items():
            field = object_.fields.get(name)
            relation = object_.relations.get(name.lower()) if isinstance(value, dict) else None
            if field is None and relation is not None and relation.relationship == name:
                field, value = relation, self._parent_id(relation, value)
            if field is None:
                if not self.schema.writable(object_.name, name):
                    raise Refused(400, "INVALID_FIELD", f"No such column '{name[:80]}' on sobject of type {object_.name}")
                closed.append(name)
            elif not self._may_write(field, writer, is_new):
                closed.append(name)
            else:
                text = value if not writer.is_person or not isinstance(value, str) else from_text(field, value)
                changes[field.name] = values.stored(field, text)
        if closed:
            told = f"Unable to create/update fields: {', '.join(closed)}. Please check the security settings of this field and verify "
            raise Refused(
                400, "INVALID_FIELD_FOR_INSERT_UPDATE", f"{told}that it is read/write for your profile or permission set.", closed
            )
        return changes

    @staticmethod
    def _may_write(field: Field, writer: Writer, is_new: bool) -> bool:
        if writer.is_person:
            is_derived = field.name in READ_BY_PEOPLE and not field.is_createable
            return field.type not in ("address", "id") and field.name != "IsDeleted" and not is_derived
        return field.is_createable if is_new else field.is_updateable

    def _parent_id(self, field: Field, given: Mapping[str, Any]) -> str:
        """Returns the id of the parent that a body names by an external id: `"Account": {"Sync_Key__c": "A-1"}`."""
        named = {k: v for k, v in given.items() if k != "attributes"}
        key, value = next(iter(named.items()), ("", None))
        target = self.schema.objects.get(field.references[0]) if len(field.references) == 1 else None
        column = target.fields.get(key) if target else None
        if target is None or column is None or len(named) != 1 or not (column.is_external_id or column.name == "Id"):
            raise Refused(400, "INVALID_FIELD", f"No such column '{key[:80]}' on sobject of type {field.references[0]}")
        found = self.by_key(target.name, column, value)
        if len(found) != 1:
            told = f"Foreign key external ID: {str(value)[:255]} not found for field {key} in entity {target.name}"
            raise Refused(400, "INVALID_FIELD", told, [])
        return found[0]

    def by_key(self, object_name: str, field: Field, value: Any, user: str = "") -> list[str]:
        """Returns the ids of the records whose key field has this value, without deleted ones, in order."""
        if not isinstance(value, str):
            return []
        if field.name == "Id":
            id_ = ids.read(value)
            return [id_] if id_ and self.look_up(object_name, id_, user) else []
        found = self.tables[object_name].having(field.name, [value.strip()]) or set()
        return sorted(i for i in found if self.look_up(object_name, i, user))

    def _check_lock(self, writer: Writer, table: Table, id_: str) -> None:
        """Raises Refused for a row that another transaction holds."""
        is_struck = any(ids.read(lock.get("record", id_)) == id_ for lock in writer.locks)
        if is_struck or (not writer.is_person and table.is_open(id_, self.stamp())):
            told = f"unable to obtain exclusive access to this record or 1 records: {id_}"
            raise Refused(self.switches.lock_status, "UNABLE_TO_LOCK_ROW", told, [])

    def _check_parent_lock(self, writer: Writer, object_: SObject, row: Row) -> None:
        """Raises Refused for a new row whose parent is held: parents are locked with their children."""
        parents = [row[f.name] for f in object_.fields.values() if f.is_lookup and f.name in row and f.references != ("User",)]
        for id_ in parents or [row["Id"]]:
            parent = BY_PREFIX.get(id_[:3])
            if parent is not None:
                self._check_lock(writer, self.tables[parent.name], id_)

    @staticmethod
    def _check_required(object_: SObject, row: Row) -> None:
        missing = [f.name for f in object_.fields.values() if f.is_required and f.type != "boolean" and row.get(f.name) is None]
        if missing:
            raise Refused(400, "REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(missing)}]", missing)

    def _check_references(self, object_: SObject, changes: Row, writer: Writer) -> None:
        for name, value in changes.items():
            if object_.fields[name].references and value is not None:
                for id_ in value if isinstance(value, list) else [value]:
                    self._check_reference(name, id_, writer)

    def _check_reference(self, name: str, id_: str, writer: Writer) -> None:
        """Raises Refused where a field would lead to what is not there, or may not be led to."""
        target = BY_PREFIX.get(id_[:3])
        parent = self.tables[target.name].rows.get(id_) if target else None
        if target is None or parent is None or (parent.get("IsDeleted") and name != "MasterRecordId"):
            raise Refused(400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", [name])
        if not writer.is_person:
            self.access(writer.user).check_parent(*governing(self.tables, target.name, parent))
        if name in LEADS_TO_PEOPLE and parent.get("IsConverted"):
            raise Refused(400, "CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead", [])

    def _check_unique(self, object_: SObject, row: Row) -> None:
        table = self.tables[object_.name]
        for field in object_.fields.values():
            value = row.get(field.name)
            if not field.is_unique or value is None:
                continue
            for id_ in sorted((table.having(field.name, [value]) or set()) - {row["Id"]}):
                if not table.rows[id_].get("IsDeleted"):
                    told = f"duplicate value found: {field.name} duplicates value on record with id: {id_[: ids.SHORT]}"
                    raise Refused(400, "DUPLICATE_VALUE", told, [field.name])

    def _check_owner(self, object_: SObject, row: Row, changes: Row) -> None:
        owner = self.tables["User"].rows.get(row.get("OwnerId", "")) if "OwnerId" in changes else None
        if owner is not None and not owner.get("IsActive"):
            told = f"operation performed with inactive user [{row['OwnerId'][: ids.SHORT]}] as owner of {object_.name.lower()}"
            raise Refused(400, "INACTIVE_OWNER_OR_USER", told, ["OwnerId"])

    def _check_rules(self, object_: SObject, row: Row) -> None:
        for object_name, fits, sentence in self.rules:
            if object_name == object_.name and object_name not in following.WITHOUT_RULES and fits(row):
                raise Refused(400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", sentence, [])

    def _check_duplicates(self, table: Table, row: Row, before: Row | None, writer: Writer) -> None:
        rule = self.switches.duplicate_rule
        if rule in ("off", "report") or writer.is_person or (rule == "alert" and writer.may_save_duplicates):
            return
        if found := duplicates.matches(table, row, before):
            raise duplicates.refusal(
                table,
                found,
                may_save=rule == "alert",
                key=self.switches.duplicate_result_key,
                has_details=writer.wants_details,
                root=writer.root,
            )


def _without_blanks(row: Row) -> Row:
    return {name: value for name, value in row.items() if value is not None and value != []}
