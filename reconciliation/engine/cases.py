"""Opens and closes cases while a run is under way. What people do with them stands in `services`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from connectors.contract import Record, Ref
from reconciliation.core.operations import CaseOpening
from reconciliation.core.values import name_key
from reconciliation.engine.context import RunContext
from reconciliation.models import Binding, Case
from reconciliation.passes.organisations import ORGANISATION
from reconciliation.store import encode_fields

WRITE_BACK_REFUSED, WRITE_BACK_LATE, PEOPLE_REFUSED = "write_back_refused", "write_back_late", "people_refused"
BESIDE_THE_RECORD = (WRITE_BACK_LATE, PEOPLE_REFUSED)  # cases that leave their organisation syncing
NO_CANDIDATE = "no candidate"  # a person closed a question that had nothing left to choose
REOPENED = ("retry", "flag_cleared", "id_typed", NO_CANDIDATE)  # what asked for another try, or lasts until one comes to the same
LATE_AFTER = timedelta(minutes=15)
MOST_AT_ONCE = 500


def open_case(
    context: RunContext,
    record: Record,
    opening: CaseOpening,
    *,
    flag: str = Case.Flag.OWED,
    exchange: dict[str, Any] | None = None,
    trace: str = "",
    ids: Mapping[str, str] | None = None,
    name: str = "",
) -> Case:
    """Returns the open case of this kind for the record, made or brought up to date; never a second one. What was tried
    again and failed again is the same case, opened again (engine-rules 9). `ids` says what it is about where that is not one
    organisation: crm_type, crm_id, peer_id."""
    name = str(name or record.fields.get("name") or "")[:255]
    about = dict(ids) if ids is not None else {"crm_type": ORGANISATION, "crm_id": record.ref.id, "peer_id": ""}
    values = {
        "name": name,
        "name_key": name_key(name),
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
    same = Case.objects.filter(sync_pass=context.sync_pass, kind=opening.kind, crm_id=about["crm_id"], peer_id=about["peer_id"])
    case = same.filter(state=Case.State.OPEN).first()
    if case is None:
        case = same.filter(reason=opening.reason, decision__in=REOPENED).exclude(state=Case.State.OPEN).order_by("-pk").first()
        if case is not None:
            values |= {"state": Case.State.OPEN, "note": f"Opened again after: {case.get_decision_word().lower()}."}
            values |= {"decision": "", "decided": {}, "decided_by": None, "closed_at": None, "opened_at": context.wiring.now()}
    if case is None:
        return Case.objects.create(sync_pass=context.sync_pass, kind=opening.kind, opened_at=context.wiring.now(), **about, **values)
    for name, value in values.items():
        setattr(case, name, value)
    case.save(update_fields=list(values))
    return case


def close_reset(context: RunContext, crm_ids: list[str]) -> set[str]:
    """Closes the cases whose flag a person cleared in Workbooks: the row was selected although the flag had been
    written (engine-rules 9). Returns the ids that still wait for their flag to be written."""
    rows = Case.objects.filter(sync_pass=context.sync_pass, crm_id__in=crm_ids, state=Case.State.OPEN)
    reset = [c.pk for c in rows if c.flag == Case.Flag.WRITTEN]
    waiting = {c.crm_id for c in rows if c.flag != Case.Flag.WRITTEN and c.reason not in BESIDE_THE_RECORD}
    if context.is_preview:
        return waiting
    Case.objects.filter(pk__in=reset, state=Case.State.OPEN).update(
        state=Case.State.CLOSED, decision="flag_cleared", note="The flag was cleared in Workbooks.", closed_at=context.wiring.now()
    )
    return waiting


def close_solved(context: RunContext, crm_ids: list[str]) -> None:
    """Closes the error cases of records that went through."""
    rows = Case.objects.filter(sync_pass=context.sync_pass, kind=Case.Kind.ERROR, crm_id__in=crm_ids, state=Case.State.OPEN)
    rows.exclude(reason__in=BESIDE_THE_RECORD).update(
        state=Case.State.CLOSED, decision="solved", note="A later run went through.", closed_at=context.wiring.now()
    )


def open_late_write_backs(context: RunContext) -> None:
    """Opens a case for every account whose Id the CRM could not take for a quarter of an hour (engine-rules 14). The
    record is not at fault: no flag is owed, and the case closes when the write-back went through."""
    rows = Binding.objects.filter(
        sync_pass=context.sync_pass, is_write_back_due=True, is_tombstone=False, owed_since__lte=context.wiring.now() - LATE_AFTER
    )
    known = set(open_ids(context, (WRITE_BACK_REFUSED, WRITE_BACK_LATE)))
    for row in rows.order_by("pk")[:MOST_AT_ONCE]:
        if row.crm_id in known:
            continue
        sentence = f"Account {row.peer_id} exists, but its Id could not be written to Workbooks yet."
        remedy = "Nothing to do: it is written as soon as Workbooks answers, and this case closes by itself."
        record = Record(Ref(context.crm.connector.system, ORGANISATION, row.crm_id), {"name": row.name})
        open_case(context, record, CaseOpening(Case.Kind.ERROR.value, WRITE_BACK_LATE, sentence, remedy), flag=Case.Flag.NONE)


def with_owed_flag(context: RunContext, crm_ids: list[str]) -> list[Case]:
    """Returns the open cases of these organisations whose flag is still to be written."""
    return list(Case.objects.filter(sync_pass=context.sync_pass, crm_id__in=crm_ids, state=Case.State.OPEN, flag=Case.Flag.OWED))


def open_ids(context: RunContext, reasons: tuple[str, ...]) -> list[str]:
    """Returns the organisations with an open error case of one of these reasons."""
    rows = Case.objects.filter(sync_pass=context.sync_pass, kind=Case.Kind.ERROR, state=Case.State.OPEN, reason__in=reasons)
    return list(rows.values_list("crm_id", flat=True))


def close_written_back(context: RunContext, crm_ids: list[str], note: str = "Id and URL were written back.") -> None:
    """Closes the cases of accounts whose Id is owed to the CRM no more."""
    rows = Case.objects.filter(sync_pass=context.sync_pass, crm_id__in=crm_ids, state=Case.State.OPEN, reason=WRITE_BACK_LATE)
    rows.update(state=Case.State.CLOSED, decision="solved", note=note, closed_at=context.wiring.now())
