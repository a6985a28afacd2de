"""Trouble of the mapping, not of a record: the row or the direction is held with one case, nobody is flagged
(engine-rules 3, C31, C32). Held records are owed and tried again once the mapping was mended."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace

from connectors.contract import Record, Ref
from connectors.errors import ConnectorError, MappingError
from reconciliation.core.ledger import Outcome
from reconciliation.core.operations import CaseOpening
from reconciliation.defaults.organisations import PLUGIN_TITLES
from reconciliation.engine import cases
from reconciliation.engine.context import RunContext
from reconciliation.engine.page_work import PageWork
from reconciliation.models import Binding, Case, FieldRule, Operation, SyncPass
from reconciliation.passes.emails import EmailTerms
from reconciliation.passes.organisations import ORGANISATION
from reconciliation.passes.pairs import PairTerms

EQUAL_REFUSALS = 10
FIELDS = "fields"  # the case of a plugin's field that is gone
OWED_REASONS = {"mapping", "other_writer", "alone"}


def look_at(context: RunContext, work: PageWork) -> None:
    """Holds what the page's answers say is wrong with the mapping, and marks the records that wait for it."""
    _hold_equal_refusals(context, work)
    for error in {(e.field, e.detail): e for e in work.mapping_errors}.values():
        hold(context, error)
    waiting = [id_ for id_, d in work.decisions.items() if d.outcome is Outcome.HELD and d.reason in OWED_REASONS]
    Binding.objects.filter(sync_pass=context.sync_pass, crm_type=ORGANISATION, crm_id__in=waiting).update(is_retry_due=True)


def _hold_equal_refusals(context: RunContext, work: PageWork) -> None:
    errors = equal_refusals((op, work.refusals.get(id_)) for id_, op in work.operations.items())
    for id_, operation in work.operations.items():
        if operation.pk in errors and work.decisions[id_].reason == "refused":
            work.mapping_errors.append(errors[operation.pk])
            work.decide(replace(work.decisions[id_], outcome=Outcome.HELD, reason="mapping", case=None))


def equal_refusals(sent: Iterable[tuple[Operation, ConnectorError | None]]) -> dict[int, MappingError]:
    """Returns what the mapping is to blame for, by the operation's key: ten records refused in a row with the same words,
    while no other of their kind went through, are one error of the mapping, and so is who else was refused with them.
    `sent` is in the order of sending, each with its refusal."""
    rows = [(op, error) for op, error in sent if error is not None or op.state == Operation.State.CONFIRMED]
    now: dict[tuple[int, str, str], list[tuple[str, str]]] = {}
    told: set[tuple[str, str, str]] = set()
    for op, error in rows:
        stretch = now.setdefault((op.connection_id, op.object_type, op.kind), [])
        words = (error.field, error.detail) if error is not None else None
        if words is None or words not in stretch:
            stretch.clear()
        if words is not None and error is not None:
            stretch.append(words)
            if len(stretch) >= EQUAL_REFUSALS:
                told.add((error.system, *words))
    blamed = ((op, e) for op, e in rows if e is not None and (e.system, e.field, e.detail) in told)
    return {op.pk: MappingError(e.detail, system=e.system, field=e.field) for op, e in blamed}


def plugin_title(context: RunContext, error: ConnectorError) -> str:
    """Returns which of the plugin's fields the error is about, "" when about none."""
    if error.system != context.crm.connector.system or not error.field or isinstance(context.terms, PairTerms | EmailTerms):
        return ""
    both = [*asdict(context.terms.columns).items(), *asdict(context.person_columns).items()]
    return next((PLUGIN_TITLES[key] for key, name in both if name == error.field and key in PLUGIN_TITLES), "")


def hold(context: RunContext, error: ConnectorError) -> None:
    """Holds the mapping row that the error names, or the whole pass when it names none or one of the plugin's fields, with
    one case."""
    sync_pass = context.sync_pass
    column = "crm_field" if error.system == context.crm.connector.system else "peer_field"
    tables = list(sync_pass.whole.record_types.values_list("mapping", flat=True)) or [sync_pass.mapping_id]
    rule = FieldRule.objects.filter(table__in=tables, held_reason="", **{column: error.field}).first() if error.field else None
    if rule is not None and error.field != "name":
        FieldRule.objects.filter(table__in=tables, **{column: error.field}).update(held_reason=error.sentence)
        context.renew_terms()
        key, what = f"rule:{rule.pk}", f"The mapping row {rule} is held: {error.sentence}"
    else:
        SyncPass.objects.filter(pk=sync_pass.pk).update(hold_reason=error.sentence)
        sync_pass.hold_reason = error.sentence
        key, what = "direction", f"The pass is held: {error.sentence}"
    remedy = "Open the mapping table, correct or disable the row, then save."
    if rule is None and (title := plugin_title(context, error)):
        key, what = FIELDS, f"The pass is held: {error.sentence}, which stands for {title}"
        remedy = "Open Set-up, Fields: choose another field or create it, then press Read again."
    if rule is None and any(error.field in [row[0] for row in type_.conditions] for type_ in sync_pass.whole.record_types.all()):
        remedy = f"Open Record types, correct or remove the polling condition on {error.field}, then save."
    opening = CaseOpening("mapping", "mapping", what, remedy)
    record = Record(Ref(context.crm.connector.system, ORGANISATION, key), {"name": str(rule or sync_pass.mapping)})
    cases.open_case(context, record, opening, flag=Case.Flag.NONE)
