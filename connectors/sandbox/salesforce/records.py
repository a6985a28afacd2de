"""The records of the played Salesforce and the rules of writing them: what is refused, what follows, what goes along."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from connectors.sandbox.salesforce import activities, duplicates, ids, values
from connectors.sandbox.salesforce.access import Access
from connectors.sandbox.salesforce.objects import CASCADES, CLEARED, DEFAULTS, PROBABILITY
from connectors.sandbox.salesforce.refusal import Refused
from connectors.sandbox.salesforce.schema import BY_PREFIX, OBJECTS, Field, Schema, SObject
from connectors.sandbox.salesforce.switches import Switches
from connectors.sandbox.salesforce.table import Row, Table

RECYCLE_DAYS = 15
READ_BY_PEOPLE = frozenset(("Name", "IsClosed", "IsWon", "IsEmailBounced", "AccountId"))  # follows from other values
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
        if row is not None and self.access is not None and not self.access.may_read(object_name, row):
            return None
        return row


class Records:
    """All tables of one organisation. Knows nothing of HTTP."""

    def __init__(self, *, now: Callable[[], datetime]) -> None:
        self._now = now
        self.schema = Schema()
        self.switches = Switches()
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
        table = self.tables[object_name]
        changes = self._read(object_, given, writer, is_new=True)
        now = self.stamp()
        row: Row = {name.split(".")[1]: v for name, v in DEFAULTS.items() if name.startswith(f"{object_name}.")}
        if "OwnerId" in object_.fields:
            row["OwnerId"] = writer.user
        row.update({"Id": ids.make(object_.prefix, table.next_number), "CreatedDate": now, "CreatedById": writer.user})
        table.next_number += 1
        self._save(object_, row, None, changes, writer)
        return table.rows[row["Id"]]

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
            self.access(writer.user).check_row(object_, before, "u", gives_away=gives_away)
        self._check_lock(writer, table, id_)
        if before.get("IsConverted") and not writer.is_person:
            raise Refused(400, "CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead", [])
        self._save(object_, dict(before), before, changes, writer)
        return table.rows[id_]

    def delete(self, object_name: str, id_: str, writer: Writer) -> None:
        """Puts a record with what goes along into the recycle bin. Raises Refused."""
        object_ = self._writable(object_name, "d", writer)
        if not writer.is_person:
            self.access(writer.user).check_row(object_, self.tables[object_name].rows[id_], "d")
        self._delete(object_name, id_, writer)

    def _delete(self, object_name: str, id_: str, writer: Writer) -> None:
        """Deletes a record. What goes along is not asked about: whoever may delete a record may delete what hangs on it."""
        table = self.tables[object_name]
        self._check_lock(writer, table, id_)
        self._put(table, {**table.rows[id_], "IsDeleted": True, **self._stamps(writer)}, writer)
        for (child_name, field_name), _ in CASCADES.items():
            for child in self.children(child_name, field_name, id_):
                self._delete(child_name, child["Id"], writer)
        for child_name, field_name in CLEARED:
            for child in self.children(child_name, field_name, id_):
                self.touch(child_name, child["Id"], {field_name: None}, writer)

    def restore_deleted(self, object_name: str, id_: str, writer: Writer) -> None:
        """Takes a record out of the recycle bin, as a person can."""
        table = self.tables[object_name]
        row = {k: v for k, v in table.rows[id_].items() if k not in ("IsDeleted", "MasterRecordId")}
        self._put(table, {**row, **self._stamps(writer)}, writer)

    def touch(self, object_name: str, id_: str, changes: Mapping[str, Any], writer: Writer) -> None:
        """Changes a row as the system itself does: SystemModstamp moves, LastModifiedDate stays."""
        table = self.tables[object_name]
        self._put(table, _without_blanks({**table.rows[id_], **changes, "SystemModstamp": self.stamp()}), writer)

    def children(self, child_name: str, field_name: str, id_: str) -> list[Row]:
        """Returns the rows that a lookup leads from, without deleted ones."""
        table = self.tables[child_name]
        rows = (table.rows[i] for i in sorted(table.having(field_name, [id_]) or ()))
        return [r for r in rows if r.get(field_name) == id_ and not r.get("IsDeleted")]

    def _writable(self, object_name: str, right: str, writer: Writer) -> SObject:
        """Returns the object as the writer sees it. Raises Refused where he may not do this."""
        if writer.is_person:
            return OBJECTS[object_name]
        object_ = self.schema.objects[object_name]
        self.access(writer.user).check_object(object_, right)
        return object_

    def _stamps(self, writer: Writer) -> Row:
        now = self.stamp()
        return {"LastModifiedDate": now, "LastModifiedById": writer.user, "SystemModstamp": now}

    def _save(self, object_: SObject, row: Row, before: Row | None, changes: Row, writer: Writer) -> None:
        """Checks and stores a new or changed row, in the order in which the system looks."""
        row.update(self._stamps(writer))
        row.update(changes)
        if object_.name == "Lead" and self.switches.assignment_owner and writer.may_assign and not writer.is_person:
            row["OwnerId"] = self.switches.assignment_owner
        row = _without_blanks(row)
        self._check_required(object_, row)
        self._check_references(object_, row, changes, writer)
        self._derive(object_, row, changes)
        self._check_unique(object_, row)
        self._check_owner(object_, row, changes)
        self._check_rules(object_, row)
        table = self.tables[object_.name]
        self._check_duplicates(table, row, before, writer)
        if before is None:
            self._check_parent_lock(writer, object_, row)
        self._put(table, row, writer)

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
        parents = [row[f.name] for f in object_.fields.values() if f.references and f.name in row and f.references != ("User",)]
        for id_ in parents or [row["Id"]]:
            parent = BY_PREFIX.get(id_[:3])
            if parent is not None:
                self._check_lock(writer, self.tables[parent.name], id_)

    @staticmethod
    def _check_required(object_: SObject, row: Row) -> None:
        missing = [f.name for f in object_.fields.values() if f.is_required and f.type != "boolean" and row.get(f.name) is None]
        if missing:
            raise Refused(400, "REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(missing)}]", missing)

    def _check_references(self, object_: SObject, row: Row, changes: Row, writer: Writer) -> None:
        for name, value in changes.items():
            field = object_.fields[name]
            if not field.references or value is None:
                continue
            target = BY_PREFIX.get(value[:3])
            parent = self.tables[target.name].rows.get(value) if target else None
            if target is None or parent is None or (parent.get("IsDeleted") and name != "MasterRecordId"):
                raise Refused(400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", [name])
            if not writer.is_person:
                self.access(writer.user).check_parent(target.name, parent)
            if name == "WhoId" and parent.get("IsConverted"):
                raise Refused(400, "CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead", [])
        if object_.name in ("Task", "Event"):
            activities.check_parents(row)

    def _derive(self, object_: SObject, row: Row, changes: Row) -> None:
        """Sets what follows from other values of a row."""
        if object_.name in ("Contact", "Lead", "User"):
            row["Name"] = " ".join(str(row[n]) for n in ("FirstName", "MiddleName", "LastName", "Suffix") if row.get(n))
        if object_.name == "Contact":
            row["IsEmailBounced"] = row.get("EmailBouncedDate") is not None
        if object_.name == "Opportunity":
            row["IsClosed"], row["IsWon"] = str(row["StageName"]).startswith("Closed"), row["StageName"] == "Closed Won"
            if "Probability" not in changes and ("StageName" in changes or "Probability" not in row):
                row["Probability"] = PROBABILITY.get(row["StageName"], 0.0)
        if object_.name == "Task":
            activities.derive_task(row, self.stamp())
        if object_.name == "Event":
            activities.derive_event(row, changes)
        if object_.name in ("Task", "Event"):
            account = activities.account_of(row, self.look_up)
            row.pop("AccountId", None)
            if account:
                row["AccountId"] = account

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
            if object_name == object_.name and fits(row):
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
    return {name: value for name, value in row.items() if value is not None}


def from_text(field: Field, text: str) -> Any:
    """Returns the JSON value that a text means for a field, for forms and CSV: numbers and booleans are read."""
    plain = text.strip()
    if field.type == "boolean" and plain.lower() in ("true", "false"):
        return plain.lower() == "true"
    if field.type in ("int", "double", "currency", "percent"):
        try:
            number = float(plain)
        except ValueError:
            return text
        return number if abs(number) < 1e300 else text
    return text


def shown(object_: SObject, row: Row) -> Iterator[tuple[str, Any]]:
    """Yields a row's fields with their values as JSON, in the object's order."""
    for field in object_.fields.values():
        yield field.name, value_of(field, row)


def value_of(field: Field, row: Row) -> Any:
    """Returns the value of one field of a row as JSON."""
    if field.type == "boolean":
        return bool(row.get(field.name))
    if field.type == "address":
        return _address(field.name.removesuffix("Address"), row)
    return row.get(field.name)


def _address(prefix: str, row: Row) -> dict[str, Any] | None:
    parts = {part: row.get(f"{prefix}{part}") for part in ("City", "Country", "PostalCode", "State", "Street")}
    if not any(parts.values()):
        return None
    named = {name[:1].lower() + name[1:]: value for name, value in parts.items()}
    return {**named, "geocodeAccuracy": None, "latitude": None, "longitude": None}
