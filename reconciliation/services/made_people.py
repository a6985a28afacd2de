"""People of Salesforce that were made of addresses nobody knew: what they lack still, how somebody completes them, and how one is
taken back (S4.34, S4.41). Only what is empty, or holds a stand-in of ours, is ever written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import F, QuerySet
from django.utils import timezone

from connectors.contract import Record, Value
from connectors.errors import ConnectorError
from reconciliation.core.new_people import NOT_PROVIDED, NewKind
from reconciliation.core.operations import Intent
from reconciliation.core.values import is_blank, is_same
from reconciliation.engine.context import RunContext
from reconciliation.engine.executor import Done
from reconciliation.engine.linking_terms import settings_pass
from reconciliation.engine.people_recovery import address_ref
from reconciliation.engine.staff import at_work
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Connection, MadePerson, Mailbox, Operation, SyncPass, UnresolvedPerson
from reconciliation.models.linking import LACKS
from reconciliation.services.audit import audit
from reconciliation.services.duplicates import DecisionRefused
from reconciliation.store import decode_fields

State = MadePerson.State
MOST_AT_ONCE = 200
MOST_A_DAY = 2_000
LONGEST = {"FirstName": 40, "LastName": 80, "Company": 255, "AccountId": 255}
ACCOUNT = "Account"


def made_rows(mailbox: Mailbox | None = None) -> QuerySet[MadePerson]:
    """Returns the people that were made, by one mailbox or by all, the latest first."""
    rows = MadePerson.objects.select_related("connection", "mailbox").order_by("-made_at", "-pk")
    return rows.filter(mailbox=mailbox) if mailbox is not None else rows


def incomplete_rows(mailbox: Mailbox | None = None) -> QuerySet[MadePerson]:
    """Returns those that lack something still."""
    return made_rows(mailbox).filter(state=State.MADE, completed_at=None).exclude(missing="")


def columns_of(row: MadePerson) -> list[str]:
    """Returns the fields that say whether it is complete, as its object has them."""
    return [name for name in row.lacks if name != "AccountId" or row.kind == NewKind.CONTACT]


# --- looking again --------------------------------------------------------------------------------------------------------


def made_people_look_again(rows: Sequence[MadePerson], wiring: Wiring | None = None) -> int:
    """Asks Salesforce what these people lack still, many a call; returns how many are complete by now. One that is gone leaves the
    list. Raises ConnectorError, storing nothing of the object it failed at."""
    complete = 0
    groups: dict[tuple[int, str], list[MadePerson]] = {}
    for row in rows[:MOST_AT_ONCE]:
        groups.setdefault((row.connection_id, row.object_type), []).append(row)
    for (connection_id, object_type), own in groups.items():
        complete += _look_again(Connection.objects.get(pk=connection_id), object_type, own, wiring or Wiring())
    return complete


@dataclass(frozen=True, slots=True)
class Looked:
    """What a daily look found: how many people are complete by now, and why others could not be asked for, in sentences."""

    complete: int
    troubles: tuple[str, ...] = ()


def made_people_look_daily(wiring: Wiring | None = None) -> Looked:
    """Asks Salesforce whether people were completed there, MOST_A_DAY of those who were not asked for longest. What cannot be read is
    asked for tomorrow, and keeps nobody else waiting."""
    complete, troubles = 0, list[str]()
    rows = list(incomplete_rows().order_by(F("asked_at").asc(nulls_first=True), "pk")[:MOST_A_DAY])
    for object_type in sorted({row.object_type for row in rows}):
        own = [row for row in rows if row.object_type == object_type]
        try:
            complete += sum(made_people_look_again(own[at : at + MOST_AT_ONCE], wiring) for at in range(0, len(own), MOST_AT_ONCE))
        except ConnectorError as error:
            troubles.append(f"{object_type}: {error.sentence}")
    return Looked(complete, tuple(troubles))


def _look_again(connection: Connection, object_type: str, rows: Sequence[MadePerson], wiring: Wiring) -> int:
    connector = wiring.open_connector(connection)
    try:
        columns = sorted({name for row in rows for name in columns_of(row)})
        found = {r.ref.id: r for r in connector.read(object_type, [row.target_id for row in rows], columns) if not r.is_deleted}
    finally:
        connector.close()
    return sum(_note(row, found.get(row.target_id)) for row in rows)


def _note(row: MadePerson, record: Record | None) -> bool:
    """Writes down what a person lacks; tells whether they are complete."""
    now = timezone.now()
    values: dict[str, object] = {"asked_at": now}
    if record is None:
        values |= {"completed_at": now, "completed_by_name": "not in Salesforce any more"}
    else:
        missing = [name for name in row.lacks if name in record.fields and _is_missing(row, name, record.fields.get(name))]
        values |= {"missing": ",".join(missing)}
        values |= {} if missing else {"completed_at": now, "completed_by_name": "in Salesforce"}
    MadePerson.objects.filter(pk=row.pk, completed_at=None).update(**values)
    return "completed_at" in values


def _is_missing(row: MadePerson, name: str, value: Value) -> bool:
    stand_in = {"LastName": row.address.rpartition("@")[0], "Company": NOT_PROVIDED}.get(name)
    return is_blank(value) or value == stand_in


# --- completing -----------------------------------------------------------------------------------------------------------


def made_person_complete(row: MadePerson, wanted: Mapping[str, str], by: AbstractBaseUser, wiring: Wiring | None = None) -> list[str]:
    """Writes what a person lacks to Salesforce and returns the fields that were written. What somebody filled meanwhile stays as it is.
    Raises DecisionRefused, Busy, WritesStopped, ConnectorError; nothing has changed then."""
    values = {name: text.strip() for name, text in wanted.items() if name in row.lacks and text.strip()}
    if row.state != State.MADE or not values:
        raise DecisionRefused("Enter what it lacks. Nothing was written.")
    for name, text in values.items():
        if len(text) > LONGEST.get(name, 255):
            raise DecisionRefused(f"Salesforce takes {LONGEST.get(name, 255)} characters for {LACKS.get(name, name)}. Nothing was written.")
    what = f"Complete {row.kind} {row.target_id}."
    with at_work(_pass_of(row), by=by.get_username(), what=what, only_crm=True, wiring=wiring) as context:
        record = _read(context, row, list(values))
        if "AccountId" in values:
            values["AccountId"] = _account_id(context, values["AccountId"])
        free = {name: value for name, value in values.items() if _is_missing(row, name, record.fields.get(name))}
        after = _update(context, row, record, free) if free else record
        _note(row, after)
    audit(by, "complete made person", f"{row.kind} {row.target_id}", fields=sorted(free))
    return list(free)


def _read(context: RunContext, row: MadePerson, columns: Sequence[str]) -> Record:
    found = context.crm.connector.read(row.object_type, [row.target_id], list(dict.fromkeys([*columns, *columns_of(row)])))
    record = next((r for r in found if not r.is_deleted), None)
    if record is None:
        raise DecisionRefused(f"{row.kind} {row.target_id} is not in Salesforce any more. Nothing was written.")
    return record


def _account_id(context: RunContext, text: str) -> str:
    """Returns the account that was named by its id or its whole name. Raises DecisionRefused."""
    connector = context.crm.connector
    if text[:3] == "001" and text.isalnum():
        found = [r for r in connector.read(ACCOUNT, [text], ["Name"]) if not r.is_deleted]
    else:
        found = connector.accounts_named([text]).get(text, [])  # type: ignore[attr-defined]  # of a CRM with accounts
    if len(found) != 1:
        many = f"{len(found)} accounts are called" if found else "No account is called"
        raise DecisionRefused(f"{many} “{text[:80]}”. Enter the id of one. Nothing was written.")
    return str(found[0].ref.id)


def _update(context: RunContext, row: MadePerson, record: Record, values: Mapping[str, str]) -> Record:
    before = {name: record.fields.get(name) for name in values}
    intent = Intent(
        "update",
        "crm",
        row.object_type,
        str(address_ref(row.address)),
        dict(values),
        before=before,
        target_id=row.target_id,
        version=record.version,
        reason="It was made of an unknown address, and a person completed it.",
        origin={"name": row.name},
    )
    (done,) = _carried_out(context, intent)
    return Record(record.ref, {**record.fields, **values, **(done.record.fields if done.record is not None else {})})


def _carried_out(context: RunContext, intent: Intent) -> list[Done]:
    """Writes one intent and returns what became of it. Raises DecisionRefused where it did not go through."""
    (operation,) = context.executor.intend([intent])
    if operation is None:
        raise DecisionRefused("Somebody else is writing this record just now. Nothing was written; try again in a moment.")
    done: list[Done] = []
    context.executor.send("crm", [operation], done.extend)
    error = done[0].error if done else None
    if isinstance(error, ConnectorError):
        raise error
    if error is not None:
        raise DecisionRefused(f"It was not written: {error}.")
    return done


def _pass_of(row: MadePerson) -> SyncPass:
    """Returns the pass under whose lease the person is written: of the mailbox that made it, else the one of all mailboxes."""
    related = ("crm", "peer", "mapping", "parent", "mailbox__group")
    own = SyncPass.objects.filter(mailbox=row.mailbox, crm=row.connection) if row.mailbox is not None else SyncPass.objects.none()
    whole = SyncPass.objects.whole().filter(crm=row.connection)
    found = own.select_related(*related).order_by("pk").first() or whole.select_related(*related).order_by("pk").first()
    if found is None:
        raise DecisionRefused("No pass writes to this Salesforce any more. Nothing was done.")
    return settings_pass(found) if found.mailbox is None else found


def made_people_done(rows: Iterable[MadePerson], by: AbstractBaseUser) -> int:
    """Says that people are complete as they are; returns how many that were."""
    ids = [row.pk for row in rows]
    open_ = MadePerson.objects.filter(pk__in=ids, state=State.MADE, completed_at=None)
    count = open_.update(completed_at=timezone.now(), completed_by_name=by.get_username())
    if count:
        audit(by, "made people are complete", "made people", count=count)
    return count


def made_people_not_done(rows: Iterable[MadePerson], by: AbstractBaseUser) -> int:
    """Takes that back: what they lack is listed again. Returns how many that were."""
    ids = [row.pk for row in rows]
    done = MadePerson.objects.filter(pk__in=ids, state=State.MADE, completed_at__isnull=False).exclude(missing="")
    count = done.update(completed_at=None, completed_by_name="")
    if count:
        audit(by, "made people are not complete", "made people", count=count)
    return count


# --- taking back ----------------------------------------------------------------------------------------------------------


def made_person_take_back(row: MadePerson, by: AbstractBaseUser, wiring: Wiring | None = None) -> None:
    """Deletes a person that was made, as long as it is what was made: whoever was edited since belongs to who edited it. The address
    waits again under *Unresolved people*, and nobody is made of it by itself. Raises DecisionRefused, Busy, WritesStopped,
    ConnectorError; nothing has changed then."""
    operation = Operation.objects.filter(pk=row.operation_id, state=Operation.State.CONFIRMED).first()
    if row.state != State.MADE or operation is None or operation.is_forgotten:
        raise DecisionRefused("What was written then is not known any more: delete it in Salesforce. Nothing was done.")
    with at_work(
        _pass_of(row), by=by.get_username(), what=f"Take back {row.kind} {row.target_id}.", only_crm=True, wiring=wiring
    ) as context:
        written = dict(decode_fields(operation.after))
        record = _read(context, row, list(written))
        changed = sorted(name for name, value in written.items() if not is_same(record.fields.get(name), value))
        if changed or record.updated_by not in ("", context.crm.connector.own_user_id):  # type: ignore[attr-defined]
            said = f" ({', '.join(changed)})" if changed else ""
            raise DecisionRefused(f"Somebody edited it since{said}: it stays. Delete it in Salesforce if it is not wanted.")
        _carried_out(context, _deletion(row, record, written))
        MadePerson.objects.filter(pk=row.pk).update(state=State.TAKEN_BACK)
        waits = UnresolvedPerson.objects.filter(address=row.address, state__in=(UnresolvedPerson.State.MADE, UnresolvedPerson.State.FOUND))
        waits.update(state=UnresolvedPerson.State.OPEN, reason="What was made of it was taken back.")
    audit(by, "take back made person", f"{row.kind} {row.target_id}")


def _deletion(row: MadePerson, record: Record, written: Mapping[str, Value]) -> Intent:
    return Intent(
        "delete",
        "crm",
        row.object_type,
        str(address_ref(row.address)),
        {},
        before=dict(written),
        target_id=row.target_id,
        version=record.version,
        reason="It was made of an unknown address, and a person took it back.",
        origin={"name": row.name},
    )
