"""Opens and closes cases while a run is under way. What people do with them stands in `services`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from connectors.contract import Record
from reconciliation.core.operations import CaseOpening
from reconciliation.core.values import normalise_name
from reconciliation.engine.context import RunContext
from reconciliation.models import Case
from reconciliation.store import encode_fields


def open_case(
    context: RunContext,
    record: Record,
    opening: CaseOpening,
    *,
    flag: str = Case.Flag.OWED,
    exchange: dict[str, Any] | None = None,
    trace: str = "",
) -> Case:
    """Returns the open case of this kind for the record, made or brought up to date; never a second one."""
    name = str(record.fields.get("name") or "")[:255]
    values = {
        "name": name,
        "name_key": normalise_name(name)[:255],
        "reason": opening.reason,
        "sentence": opening.sentence,
        "remedy": opening.remedy,
        "candidates": [{**asdict(c), "fields": encode_fields(c.fields)} for c in opening.candidates],
        "crm_fields": encode_fields(record.fields),
        "flag": flag,
        "run": context.run,
        "exchange": exchange or {},
        "trace": trace,
    }
    key = {"sync_pass": context.sync_pass, "kind": opening.kind, "crm_id": record.ref.id, "state": Case.State.OPEN}
    case, _ = Case.objects.update_or_create(**key, defaults=values, create_defaults={**values, "opened_at": context.wiring.now()})
    return case


def close_reset(context: RunContext, crm_ids: list[str]) -> set[str]:
    """Closes the cases whose flag a person cleared in Workbooks: the row was selected although the flag had been
    written (engine-rules 9). Returns the ids that still wait for their flag to be written."""
    rows = Case.objects.filter(sync_pass=context.sync_pass, crm_id__in=crm_ids, state=Case.State.OPEN)
    reset = [c.pk for c in rows if c.flag == Case.Flag.WRITTEN]
    waiting = {c.crm_id for c in rows if c.flag != Case.Flag.WRITTEN}
    if context.is_preview:
        return waiting
    Case.objects.filter(pk__in=reset, state=Case.State.OPEN).update(
        state=Case.State.CLOSED, decision="flag_cleared", note="The flag was cleared in Workbooks.", closed_at=context.wiring.now()
    )
    return waiting


def close_solved(context: RunContext, crm_ids: list[str]) -> None:
    """Closes the error cases of records that went through."""
    Case.objects.filter(sync_pass=context.sync_pass, kind=Case.Kind.ERROR, crm_id__in=crm_ids, state=Case.State.OPEN).update(
        state=Case.State.CLOSED, decision="solved", note="A later run went through.", closed_at=context.wiring.now()
    )
