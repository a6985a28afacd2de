"""The plugin's custom columns: found by their titles in the metadata, chosen by an admin, made where they are missing.

Their API names are not published, so nothing is guessed: a column counts as known when the metadata shows it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone

from connectors.errors import ConnectorError
from reconciliation.core.eligibility import PluginColumns
from reconciliation.core.operations import Intent
from reconciliation.defaults.organisations import FIELD_TYPES, OPTIONAL_FIELDS, ORGANISATION_FIELDS, PERSON_FIELDS, PLUGIN_TITLES
from reconciliation.engine import mapping_trouble
from reconciliation.engine.context import RunContext
from reconciliation.engine.executor import Done
from reconciliation.engine.staff import at_work
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Case, Operation, SyncPass
from reconciliation.services.audit import audit
from reconciliation.services.schemas import schemas_read
from reconciliation.store import organisation_columns, person_columns

FIELD = "custom_field"
FIELDS = {"organisation": ORGANISATION_FIELDS, "person": PERSON_FIELDS}
SETTINGS = {"organisation": "organisation_columns", "person": "person_columns"}
WHOSE = {"organisation": "organisations", "person": "people"}
TYPE_WORDS = {"boolean": "Checkbox", "text": "Text, one line"}
WAIT_SECONDS, STEP_SECONDS = 10.0, 0.5  # for Workbooks to make a new field available


class FieldsRefused(ValueError):
    """Nothing was changed; the sentence says why."""


@dataclass(frozen=True, slots=True)
class PluginField:
    """One of the plugin's columns as this database has it. `column` is "" while it is missing, `choices` are the columns
    that could stand for it, as (name, title)."""

    record_type: str
    key: str
    title: str
    type: str
    column: str
    candidates: tuple[str, ...]
    choices: tuple[tuple[str, str], ...]

    @property
    def is_optional(self) -> bool:
        return (self.record_type, self.key) in OPTIONAL_FIELDS

    @property
    def is_missing(self) -> bool:
        return not self.column and not self.is_optional

    @property
    def type_words(self) -> str:
        return TYPE_WORDS[self.type]

    @property
    def whose(self) -> str:
        return WHOSE[self.record_type]

    @property
    def name(self) -> str:
        """How forms call it."""
        return f"{self.record_type}-{self.key}"

    @property
    def state(self) -> str:
        if self.column:
            return "found"
        if len(self.candidates) > 1:
            return "several have this title"
        return "not there" if self.is_optional else "missing"


def fields_are_known(sync_pass: SyncPass) -> bool:
    """Tells whether the field lists of the CRM were ever read."""
    return all((sync_pass.crm.schema_cache or {}).get(record_type) for record_type in FIELDS)


def plugin_fields(sync_pass: SyncPass) -> list[PluginField]:
    """Returns every column the pass works with, from what was last read of the CRM's metadata. Reads nothing remote."""
    return [
        _field(sync_pass, record_type, key, getattr(columns, key))
        for record_type, columns in _in_force(sync_pass).items()
        for key in FIELDS[record_type]
    ]


def missing_fields(sync_pass: SyncPass) -> list[PluginField]:
    """Returns those without which the pass cannot run."""
    return [field for field in plugin_fields(sync_pass) if field.is_missing]


def _in_force(sync_pass: SyncPass) -> dict[str, PluginColumns]:
    return {"organisation": organisation_columns(sync_pass), "person": person_columns(sync_pass)}


def _field(sync_pass: SyncPass, record_type: str, key: str, column: str) -> PluginField:
    schema = (sync_pass.crm.schema_cache or {}).get(record_type, {})
    title = PLUGIN_TITLES[key]
    choices = {name: str(a.get("title") or name) for name, a in schema.items() if _fits(key, a)}
    candidates = tuple(sorted(name for name, shown in choices.items() if shown.strip().casefold() == title.casefold()))
    ordered = tuple(sorted(choices.items(), key=lambda choice: (choice[1].casefold(), choice[0])))
    return PluginField(record_type, key, title, FIELD_TYPES[key][0], column if column in schema else "", candidates, ordered)


def _fits(key: str, attribute: Mapping[str, Any]) -> bool:
    return attribute.get("type") in FIELD_TYPES[key] and attribute.get("is_updatable") is not False


@transaction.atomic
def fields_find(sync_pass: SyncPass) -> list[str]:
    """Takes the columns that the metadata shows under the plugin's titles; what an admin chose, and is still there, stays.
    Returns the titles of those it found. Called whenever the metadata was read."""
    _as_stored(sync_pass)
    found: dict[tuple[str, str], str] = {}
    for field in plugin_fields(sync_pass):
        if not field.column and len(field.candidates) == 1:
            found[field.record_type, field.key] = field.candidates[0]
    if found:
        _store(sync_pass, found)
    if not missing_fields(sync_pass):
        _take_up_again(sync_pass)
    return [PLUGIN_TITLES[key] for _, key in found]


def _take_up_again(sync_pass: SyncPass) -> None:
    """A pass that was held because one of the fields was gone goes on."""
    rows = Case.objects.filter(sync_pass=sync_pass, kind=Case.Kind.MAPPING, crm_id=mapping_trouble.FIELDS, state=Case.State.OPEN)
    if rows.update(state=Case.State.CLOSED, decision="fields found", closed_at=timezone.now()):
        SyncPass.objects.filter(pk=sync_pass.pk).update(hold_reason="")


def fields_check(sync_pass: SyncPass, chosen: Mapping[tuple[str, str], str]) -> dict[tuple[str, str], PluginField]:
    """Returns the fields as they are now. Raises FieldsRefused when a chosen column is none of Workbooks, of another type,
    chosen twice, or missing."""
    fields = {(f.record_type, f.key): f for f in plugin_fields(sync_pass)}
    for key, column in chosen.items():
        field = fields[key]
        if column and column not in dict(field.choices):
            raise FieldsRefused(f"{field.title} of {field.whose} must be a field of Workbooks of the type {field.type_words}; choose one.")
        if not column and not field.is_optional:
            raise FieldsRefused(f"{field.title} of {field.whose} is needed; choose its field or create it.")
    refuse_twice(sync_pass, chosen)
    return fields


def refuse_twice(sync_pass: SyncPass, chosen: Mapping[tuple[str, str], str]) -> None:
    """Raises FieldsRefused when one column would stand for two fields of a record, with those that are chosen already."""
    for record_type, columns in _in_force(sync_pass).items():
        names = [chosen.get((record_type, key), getattr(columns, key)) for key in FIELDS[record_type]]
        twice = sorted({n for n in names if n and names.count(n) > 1})
        if twice:
            raise FieldsRefused(f"{twice[0]} cannot stand for two fields of {WHOSE[record_type]}.")


@transaction.atomic
def fields_choose(sync_pass: SyncPass, chosen: Mapping[tuple[str, str], str], by: AbstractBaseUser | None = None) -> int:
    """Stores which column stands for which of the plugin's fields; the next run works with them. Returns how many changed.
    Raises FieldsRefused, storing nothing."""
    _as_stored(sync_pass)
    fields = fields_check(sync_pass, chosen)
    changed = {key: column for key, column in chosen.items() if column != fields[key].column}
    if changed:
        _store(sync_pass, changed)
        said = {f"{t} {PLUGIN_TITLES[k]}": [fields[t, k].column, column] for (t, k), column in changed.items()}
        audit(by, "choose fields", sync_pass.title, fields=said)
        _take_up_again(sync_pass)
    return len(changed)


def _as_stored(sync_pass: SyncPass) -> None:
    """Takes the settings as they are now, and keeps them so until the transaction ends: somebody may have chosen a column
    while the metadata was read, or be choosing the same one for another field."""
    sync_pass.settings = SyncPass.objects.select_for_update().get(pk=sync_pass.pk).settings


@transaction.atomic
def _store(sync_pass: SyncPass, chosen: Mapping[tuple[str, str], str]) -> None:
    row = SyncPass.objects.select_for_update().get(pk=sync_pass.pk)
    for record_type, name in SETTINGS.items():
        mine = {key: column for (kind, key), column in chosen.items() if kind == record_type}
        if not mine:
            continue
        columns = {**row.settings.get(name, {}), **mine}
        if "error_text" in mine:
            schema = (sync_pass.crm.schema_cache or {}).get(record_type, {})
            columns["error_text_is_checkbox"] = schema.get(mine["error_text"], {}).get("type") == "boolean"
        row.settings = {**row.settings, name: columns}
    row.save(update_fields=["settings"])
    sync_pass.settings = row.settings


def fields_read(sync_pass: SyncPass, *, wiring: Wiring | None = None) -> None:
    """Reads the CRM's field lists and takes what they show. Raises ConnectorError."""
    connector = (wiring or Wiring()).open_connector(sync_pass.crm)
    try:
        schemas_read(sync_pass.crm, connector)
    finally:
        connector.close()
    fields_find(sync_pass)


@dataclass(slots=True)
class Made:
    """What creating fields came to."""

    created: list[str]
    refused: list[str]
    pending: list[str]


def fields_create(
    sync_pass: SyncPass,
    wanted: Collection[tuple[str, str]],
    user: AbstractBaseUser,
    *,
    wiring: Wiring | None = None,
) -> Made:
    """Creates the fields of `wanted` (record type, key) that Workbooks still lacks, waits up to WAIT_SECONDS until they are
    Available, and takes them. Each stands in the journal. Raises FieldsRefused, Busy, WritesStopped, ConnectorError."""
    wiring = wiring or Wiring()
    fields_read(sync_pass, wiring=wiring)
    fields = _to_create(sync_pass, wanted)
    what = f"Create {len(fields)} custom field{'s' if len(fields) > 1 else ''} in Workbooks."
    with at_work(sync_pass, by=user.get_username(), what=what, wiring=wiring) as context:
        schemas_read(sync_pass.crm, context.crm.connector)  # somebody may have created one while this waited for the pass
        fields_find(sync_pass)
        fields = _to_create(sync_pass, wanted)
        done = _send(context, fields)
        refused = [f"{_named(f)}: {_why(d)}" for f, d in zip(fields, done, strict=True) if d is None or d.error is not None]
        made = {d.record.ref.id: f for f, d in zip(fields, done, strict=True) if d is not None and d.record is not None and d.error is None}
        pending = _wait(context, set(made))
        audit(user, "create fields", sync_pass.crm.name, fields=[_named(f) for f in made.values()], refused=refused, run=context.run.pk)
        context.notes += refused
        schemas_read(sync_pass.crm, context.crm.connector)
    fields_find(sync_pass)
    there = {(f.record_type, f.key) for f in plugin_fields(sync_pass) if f.column}
    late = [_named(f) for id_, f in made.items() if id_ in pending or (f.record_type, f.key) not in there]
    return Made([name for f in made.values() if (name := _named(f)) not in late], refused, late)


def _to_create(sync_pass: SyncPass, wanted: Collection[tuple[str, str]]) -> list[PluginField]:
    """Returns those of `wanted` that the CRM lacks, as far as was read. Raises FieldsRefused when it lacks none."""
    fields = [f for f in plugin_fields(sync_pass) if (f.record_type, f.key) in wanted and not f.column]
    if several := [f for f in fields if f.candidates]:
        raise FieldsRefused(f"Workbooks has more than one field {several[0].title} of {several[0].whose}; choose one of the list.")
    if not fields:
        raise FieldsRefused("Nothing is missing: Workbooks has these fields by now.")
    return fields


def _named(field: PluginField) -> str:
    return f"{field.title} of {field.whose}"


def _why(done: Done | None) -> str:
    if done is None:
        return "somebody else is creating it just now."
    return done.error.sentence if isinstance(done.error, ConnectorError) else str(done.error)


def _send(context: RunContext, fields: list[PluginField]) -> list[Done | None]:
    """Sends one create per field and returns what became of each, in order; None where another writer has it."""
    system = context.crm.connector.system
    intents = [
        Intent(
            Operation.Kind.FIELD.value,
            "crm",
            FIELD,
            f"{system}:{FIELD}:{f.record_type}/{f.key}",
            after={"title": f.title, "record_type": f.record_type, "type": f.type},
            reason=f"The pass needs the field {f.title} of {f.whose}.",
            origin={"name": _named(f), **context.staff_origin()},
        )
        for f in fields
    ]
    operations = context.executor.intend(intents)
    settled: dict[int, Done] = {}
    ready = [op for op in operations if op is not None]
    context.executor.send("crm", ready, lambda done: settled.update({d.operation.pk: d for d in done}))
    return [settled.get(op.pk) if op is not None else None for op in operations]


def _wait(context: RunContext, ids: set[str]) -> set[str]:
    """Returns those that are not Available yet when the time is up."""
    pending, waited = ids, 0.0
    while pending:
        pending = context.crm.connector.pending_fields(sorted(pending))
        if not pending or waited >= WAIT_SECONDS:
            break
        context.wiring.sleep(STEP_SECONDS)
        waited += STEP_SECONDS
    return pending


def to_copy(fields: Collection[PluginField]) -> str:
    """Returns the missing fields as text for the customer's own administrator: title, type, record type."""
    return "\n".join(f"{f.title}\t{f.type_words}\t{f.record_type.capitalize()}" for f in fields)
