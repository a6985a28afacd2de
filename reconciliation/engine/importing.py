"""Carries an import: its waiting rows a page at a time, under the lease of its pass, by the road of the pass itself.

A row has its outcome once and keeps it. What a dead process left half-way is known by the run that the row was begun in:
what was linked since then was this import's own doing (D19). Nothing is decided here that the pass would decide."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Max

from connectors.contract import Record
from reconciliation.core.ledger import Outcome
from reconciliation.core.values import normalise_name
from reconciliation.engine import lease as leases
from reconciliation.engine import pair_reads, pairs
from reconciliation.engine.context import RunContext
from reconciliation.engine.staff import at_work
from reconciliation.engine.wiring import Wiring
from reconciliation.engine.works import work_of
from reconciliation.models import Binding, Case, Import, ImportRow, Policy, RecordType, Run, SyncPass
from reconciliation.models.bulk import update_rows
from reconciliation.models.work_left import work_left
from reconciliation.passes.pairs import ADOPTED, CREATED, KEPT, SAME_EMAIL, PairDecision, PairTerms

ROWS_A_PAGE = 100
LOST_AFTER = timedelta(minutes=3)  # longer than a page takes and a lease lasts
EMAIL, NAME = "Email", "Name"
REASONS = {
    SAME_EMAIL: ImportRow.Reason.SAME_EMAIL,
    "no_email": ImportRow.Reason.NO_EMAIL,
    "excluded": ImportRow.Reason.EXCLUDED,
    "value_refused": ImportRow.Reason.REQUIRED,  # only a field that must not be blank is fatal
}
SETTLED = ["crm_type", "crm_id", "name", "email", "state", "reason", "sentence", "peer_id", "case"]
State, Reason = ImportRow.State, ImportRow.Reason


class StillHeld(Exception):
    """Rows whose writes were not answered yet, or that somebody else is writing: they wait on, and pass by themselves."""


@dataclass(slots=True)
class _Page:
    """The rows of a page on their way: the record of each, and what was linked before this import touched it."""

    rows: list[ImportRow]
    types: dict[str, RecordType]
    records: dict[int, Record]  # by row
    bound: dict[str, Binding]
    began: dict[int, datetime]  # when a row that is met again was begun

    def waiting(self) -> list[ImportRow]:
        return [row for row in self.rows if row.state == State.WAITING]


def carry(batch: Import, *, wiring: Wiring | None = None, budget: float | None = None) -> bool:
    """Works until the budget of seconds is used up and returns whether every row has its outcome. Raises StillHeld when only
    rows are left that have to wait, Busy, WritesStopped, ConnectorError and whatever else stops a pass: rows without an
    outcome wait on."""
    wiring = wiring or Wiring()
    ends = None if budget is None else wiring.monotonic() + budget
    held: dict[int, str] = {}  # rows that wait, and why
    with at_work(batch.sync_pass, by=batch.started_by_name, what=f"Import {batch.pk}: {batch.title}.", wiring=wiring) as context:
        won = Import.objects.filter(pk=batch.pk, state__in=(Import.State.WAITING, Import.State.RUNNING))
        if not won.update(state=Import.State.RUNNING, note=""):
            return True
        left = work_left(batch.sync_pass, context.run.pk)
        work_of(batch.sync_pass).recover(context, left)  # what a dead process sent and nobody answered is asked for first
        _hold_to_its_start(context, batch)
        types = {record_type.crm_object: record_type for record_type in record_types(batch.sync_pass)}
        while rows := _next(batch, held):
            held |= _carry_page(context, batch, rows, types)
            context.show_progress()
            if ends is not None and wiring.monotonic() >= ends:
                break
        is_over = _closed(batch, wiring.now())
    if not is_over and not _next(batch, held):
        raise StillHeld(next(iter(held.values())))
    return is_over


def _next(batch: Import, held: Mapping[int, str]) -> list[ImportRow]:
    waiting = batch.rows.filter(state=State.WAITING).exclude(pk__in=held)
    return list(waiting.select_related("run").order_by("number")[:ROWS_A_PAGE])


def give_up_held(batch: Import, now: datetime) -> None:
    """Lets rows fail that were held again and again, with what held them."""
    rows = batch.rows.filter(state=State.WAITING)
    rows.filter(sentence="").update(sentence="It could not be written for a while.")
    rows.update(state=State.FAILED, reason=Reason.OTHER)
    Import.objects.filter(pk=batch.pk).update(done=batch.total)
    _closed(batch, now)


def record_types(sync_pass: SyncPass) -> list[RecordType]:
    """Returns the object types that can be imported, in the order that decides which wins (S2.12)."""
    rows = RecordType.objects.filter(sync_pass=sync_pass, is_on=True, crm_object__in=("Contact", "Lead"))
    return list(rows.select_related("mapping").prefetch_related("mapping__rules").order_by("order", "id"))


def _hold_to_its_start(context: RunContext, batch: Import) -> None:
    """Gives the run the terms of an import: the policy is that of its start (S2.4), and what somebody chose is made also
    where new records are not made by themselves, whatever the polling conditions say, and
    although it was linked once to what is gone."""
    make = context.make_terms

    def terms() -> PairTerms:
        now = make() if make is not None else context.terms
        types = tuple(replace(type_, inbound_create=True, conditions=()) for type_ in now.types)
        return replace(now, allows_choice=allows_choice(batch), types=types, takes_up_ended=True)

    context.terms, context.make_terms = terms(), terms


def allows_choice(batch: Import) -> bool:
    return batch.same_email == Policy.SameEmail.CHOOSE


def _closed(batch: Import, now: datetime) -> bool:
    """Closes the import when no row waits any more. Returns whether it is over."""
    with transaction.atomic():
        Import.objects.select_for_update().get(pk=batch.pk)  # somebody may just let failed rows wait again
        if batch.rows.filter(state=State.WAITING).exists():
            return False
        Import.objects.filter(pk=batch.pk, state=Import.State.RUNNING).update(state=Import.State.FINISHED, ended_at=now)
    return True


# --- one page ---------------------------------------------------------------------------------------------------------


def _carry_page(context: RunContext, batch: Import, rows: list[ImportRow], types: dict[str, RecordType]) -> dict[int, str]:
    """Brings each row to its outcome; returns those that have to wait on, and why."""
    page = _Page(rows, types, {}, {}, {row.pk: row.run.started_at for row in rows if row.run is not None})
    _resolve(context, page)
    _refuse_twice(batch, page)
    records = [page.records[row.pk] for row in page.waiting()]
    page.bound = _bound(batch.sync_pass, (r.ref.id for r in records))
    # Before anything is sent: should this process die, the row tells who made what is found then.
    ImportRow.objects.filter(pk__in=[row.pk for row in rows]).exclude(run__isnull=False).update(run=context.run)
    return _settle(batch, page, pairs.process_page(context, "crm", records))


def _bound(sync_pass: SyncPass, crm_ids: Iterable[str]) -> dict[str, Binding]:
    rows = Binding.objects.filter(sync_pass=sync_pass, crm_type__in=("Contact", "Lead"), crm_id__in=list(crm_ids), is_tombstone=False)
    return {row.crm_id: row for row in rows}


def _fail(row: ImportRow, reason: str, sentence: str) -> None:
    row.state, row.reason, row.sentence = State.FAILED, reason, sentence


# --- which record a row means -----------------------------------------------------------------------------------------


def _columns(context: RunContext, object_type: str) -> list[str]:
    return list(dict.fromkeys([NAME, EMAIL, *pair_reads.columns(context.terms, object_type)]))


def _resolve(context: RunContext, page: _Page) -> None:
    """Reads the record of each row, by its id or its address; a row without one has failed."""
    named, addressed = [], []
    for row in page.waiting():
        (named if row.crm_type else addressed).append(row)
    for object_type in dict.fromkeys(row.crm_type for row in named):
        _by_id(context, page, object_type, [row for row in named if row.crm_type == object_type])
    _by_address(context, page, addressed)
    for row in page.waiting():
        _describe(row, page.records[row.pk])


def _describe(row: ImportRow, record: Record) -> None:
    row.crm_type, row.crm_id = record.ref.object_type, record.ref.id
    row.name, row.email = (str(record.fields.get(name) or "")[:255] for name in (NAME, EMAIL))


def _by_id(context: RunContext, page: _Page, object_type: str, rows: list[ImportRow]) -> None:
    if object_type not in page.types:
        for row in rows:
            _fail(row, Reason.OTHER, f"{object_type}s are not synced: see Record types.")
        return
    found = {
        r.ref.id: r for r in context.crm.connector.read(object_type, [r.crm_id or r.given for r in rows], _columns(context, object_type))
    }
    for row in rows:
        record = found.get(row.crm_id or row.given)
        if record is None or record.is_deleted:
            _fail(row, Reason.NOT_FOUND, f"Salesforce has no such {object_type.lower()}, or our user may not see it.")
        elif record.succeeded_by is not None:
            successor = record.succeeded_by
            _describe(row, record)
            _fail(row, Reason.NOT_FOUND, f"It became {successor.object_type.lower()} {successor.id}. Import that one.")
        else:
            page.records[row.pk] = record


def _by_address(context: RunContext, page: _Page, rows: list[ImportRow]) -> None:
    """Looks for addresses among all types, in the order that decides which wins (S2.12)."""
    missing = {row.pk: row for row in rows}
    for name in page.types:
        if not missing:
            return
        by_key: dict[str, list[Record]] = {}
        asked = list(dict.fromkeys(row.given for row in missing.values()))
        for record in context.crm.connector.find(name, EMAIL, asked, _columns(context, name)):
            if not record.is_deleted and record.succeeded_by is None:
                by_key.setdefault(normalise_name(str(record.fields.get(EMAIL) or "")), []).append(record)
        for row in list(missing.values()):
            same = by_key.get(normalise_name(row.given), [])
            if same:
                del missing[row.pk]
                _take(context.sync_pass, page, row, same)
    for row in missing.values():
        names = " or ".join(name.lower() for name in page.types)
        _fail(row, Reason.NOT_FOUND, f"No {names} in Salesforce has this e-mail address.")


def _take(sync_pass: SyncPass, page: _Page, row: ImportRow, same: list[Record]) -> None:
    """Takes the one record with an address: the only one, or the only one that is linked."""
    linked = _bound(sync_pass, (r.ref.id for r in same)) if len(same) > 1 else {}
    chosen = [r for r in same if r.ref.id in linked] if len(linked) == 1 else same
    if len(chosen) == 1:
        page.records[row.pk] = chosen[0]
        return
    ids = ", ".join(r.ref.id for r in same[:5])
    _fail(row, Reason.OTHER, f"{len(same)} {same[0].ref.object_type.lower()}s have this address: {ids}. Import one of them by its id.")


def _refuse_twice(batch: Import, page: _Page) -> None:
    """Lets the first row of a record stand; the others have failed as repetitions."""
    waiting = page.waiting()
    others = batch.rows.filter(crm_id__in=[row.crm_id for row in waiting]).exclude(reason=Reason.TWICE)
    others = others.exclude(pk__in=[row.pk for row in page.rows])
    first = {crm_id: number for number, crm_id in others.order_by("-number").values_list("number", "crm_id")}
    for row in waiting:
        number = first.setdefault(row.crm_id, row.number)
        if number < row.number:
            _fail(row, Reason.TWICE, f"The same record as row {number}.")


# --- what became of each row ------------------------------------------------------------------------------------------


def _settle(batch: Import, page: _Page, decisions: Mapping[str, PairDecision]) -> dict[int, str]:
    rows = page.waiting()
    bound = _bound(batch.sync_pass, (row.crm_id for row in rows))
    for row in rows:
        _outcome(row, page, bound.get(row.crm_id), decisions.get(row.crm_id), batch)
    cases = _cases(batch.sync_pass, [row.crm_id for row in rows if row.state == State.FAILED])
    for row in rows:
        row.case = cases.get(row.crm_id) if row.state == State.FAILED else None
    with transaction.atomic():
        update_rows(page.rows, SETTLED)
        Import.objects.filter(pk=batch.pk).update(done=batch.rows.exclude(state=State.WAITING).count())
    return {row.pk: row.sentence for row in page.waiting()}


def _outcome(row: ImportRow, page: _Page, binding: Binding | None, decision: PairDecision | None, batch: Import) -> None:
    row.reason = row.sentence = row.peer_id = ""
    sentence = " ".join([decision.sentence, *decision.warnings]).strip() if decision is not None else ""
    if binding is not None:
        row.peer_id, row.state = binding.peer_id, _way_of(row, page, binding)
        row.sentence = sentence if decision is not None and decision.outcome in (Outcome.FAILED, Outcome.HELD) else ""
    elif decision is None or decision.outcome is Outcome.HELD:
        row.sentence = sentence or "Nothing was decided for it yet."
    elif decision.reason in (KEPT, SAME_EMAIL) and not allows_choice(batch):
        row.peer_id, row.state, row.reason = decision.peer_id, State.PRESENT, Reason.SAME_EMAIL
        row.sentence = f"Already in Outreach, kept on {decision.kept_on}."
    elif decision.reason == SAME_EMAIL:
        row.peer_id = decision.peer_id
        _fail(row, Reason.SAME_EMAIL, f"Prospect {row.peer_id} is kept on {decision.kept_on}.")
    else:
        row.peer_id = decision.peer_id
        _fail(row, REASONS.get(decision.reason, Reason.OTHER), sentence or decision.reason.replace("_", " "))


def _way_of(row: ImportRow, page: _Page, binding: Binding) -> str:
    """Returns how a linked record came to its link: by this import, also by a process of it that died, or before."""
    before, began = page.bound.get(row.crm_id), page.began.get(row.pk)
    if before is not None and (began is None or before.bound_at < began):
        return State.PRESENT
    return State.CREATED if binding.how in (CREATED, ADOPTED) else State.LINKED


def _cases(sync_pass: SyncPass, crm_ids: Sequence[str]) -> dict[str, Case]:
    """Returns the open case of each record, the choice of a CRM ID before an error."""
    kinds = (Case.Kind.ERROR, Case.Kind.REMAP)
    rows = Case.objects.filter(sync_pass=sync_pass, state=Case.State.OPEN, kind__in=kinds, crm_id__in=crm_ids).order_by("pk")
    return {case.crm_id: case for case in sorted(rows, key=lambda case: kinds.index(Case.Kind(case.kind)))}


# --- imports whose task was lost --------------------------------------------------------------------------------------


def left_lying(now: datetime) -> list[int]:
    """Returns the imports that somebody has to take up again: nobody works on their pass, and nothing was heard of them for
    longer than a task takes. One that is asked for twice is carried once."""
    found = []
    under_way = Import.objects.filter(state__in=(Import.State.WAITING, Import.State.RUNNING)).select_related("sync_pass")
    for batch in under_way.annotate(newest=Max("rows__run")).order_by("pk"):
        run = Run.objects.filter(pk=batch.newest).first()
        heard = max(batch.created_at, (run.ended_at or run.started_at) if run is not None else batch.created_at)
        if now - heard > LOST_AFTER and leases.held_until(f"pass:{batch.sync_pass.name}") is None:
            found.append(batch.pk)
    return found
