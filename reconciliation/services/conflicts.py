"""What a person decides about fields that both sides changed (S3.8, D10): one field or all of a record, take the CRM's value,
the peer's, or a third one; many records of one field at once; and the choice remembered as the mapping's rule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass

from django.contrib.auth.models import AbstractBaseUser
from django.utils import timezone

from connectors.contract import Record, Ref, Value
from reconciliation.core.counting import counted
from reconciliation.core.ledger import Outcome
from reconciliation.core.mapping import FieldRule, Survivorship
from reconciliation.core.operations import Decision as Decided
from reconciliation.core.settling import CannotSettle, Settlement, Take, settle
from reconciliation.engine.context import RunContext
from reconciliation.engine.staff import at_work
from reconciliation.engine.wiring import Wiring
from reconciliation.field_titles import crm_title, peer_title
from reconciliation.models import Case, ConflictField, LookAgain, SyncPass
from reconciliation.models import FieldRule as RuleRow
from reconciliation.models.bulk import insert_rows
from reconciliation.roles import ADMINISTER
from reconciliation.services.audit import audit
from reconciliation.services.case_desk import put_off
from reconciliation.services.conflict_desk import (
    RELATED,
    Choice,
    Desk,
    Tables,
    carry_out,
    choose,
    names_of,
    ref_of,
    seen_of,
    sit_at,
    subject_of,
    tables_of,
    told,
)
from reconciliation.services.duplicates import CLOSED_MEANWHILE, DecisionRefused
from reconciliation.services.mappings import MappingRefused, RowChange, mapping_save
from reconciliation.store import decode

KIND = Case.Kind.CONFLICT
MOST_TRIES = 3  # a record that is changed while we write it is read again and decided again
MOST_AT_ONCE = 200
MOST_TAKEN_UP = 10_000  # records that a new rule is tried on at once; the full comparison takes the rest
CASES_A_CALL = 50


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What became of a decision: fields settled, a sentence for each that was refused, and what else is to be said."""

    settled: tuple[str, ...]
    refusals: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    is_closed: bool = False


# --- what a choice comes to -----------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Write:
    """One value that one system will get."""

    system: str
    record: str
    field: str
    value: Value


@dataclass(frozen=True, slots=True)
class Offer:
    """One choice for one field, as the page shows it: its writes, or why it cannot be."""

    take: Take
    writes: tuple[Write, ...] = ()
    refusal: str = ""


def offer(row: ConflictField, case: Case, rule: FieldRule | None, take: Take, tables: Tables) -> Offer:
    """Returns what taking this side's value will write. Reads nothing remote."""
    if rule is None:
        return Offer(take, refusal="It is not mapped any more. The case closes by itself.")
    try:
        plan = settle(rule, decode(row.crm_value), decode(row.peer_value), take, None, tables.users, tables.names)
    except CannotSettle as reason:
        return Offer(take, refusal=str(reason))
    return Offer(take, _planned(case, rule, plan, tables))


def _planned(case: Case, rule: FieldRule, plan: Settlement, tables: Tables) -> tuple[Write, ...]:
    writes = []
    if plan.writes_crm:
        title = crm_title(case.sync_pass.crm, case.crm_type, rule.crm)
        writes.append(Write(tables.names.crm, f"{case.crm_type} {case.crm_id}", title, plan.crm))
    if plan.writes_peer:
        writes.append(Write(tables.names.peer, _peer_record(case), peer_title(case.sync_pass, rule.peer), plan.peer))
    return tuple(writes)


def _peer_record(case: Case) -> str:
    """Returns how a write names the peer's record: an item of a mailbox has no id that says anything to anybody."""
    mailbox = case.sync_pass.mailbox
    return f"contact of {mailbox.address}" if mailbox is not None else f"{case.sync_pass.mapping.peer_object} {case.peer_id}".strip()


# --- one case -------------------------------------------------------------------------------------------------------
def conflict_decide(
    case: Case,
    choices: Mapping[str, Choice],
    by: AbstractBaseUser,
    *,
    reason: str = "",
    remember: bool = False,
    wiring: Wiring | None = None,
) -> Outcomes:
    """Carries out what was chosen per field (of the peer) and returns what became of it; fields that are not named stay
    open. Raises DecisionRefused when nothing could be done, Busy, ConnectorError."""
    if not choices:
        raise DecisionRefused("Choose a value for at least one field. Nothing was done.")
    if remember:
        _refuse_to_remember(choices, by)
    fresh = fresh_case(case.pk)
    what = f"Decide {len(choices)} conflict{'s' if len(choices) > 1 else ''} of {subject_of(fresh)}."
    with at_work(fresh.sync_pass, by=by.get_username(), what=what, reason=reason, wiring=wiring) as context:
        fresh = fresh_case(case.pk)  # somebody may have been quicker while this waited for the pass
        tables = tables_of(fresh.sync_pass)
        desk = _decide(context, fresh, choices, tables, by)
        names = [c.row.peer_field for c in desk.settled]
        context.notes += [told(desk)] if desk.refusals else []
        if not names:
            raise DecisionRefused(f"{told(desk)} Nothing was done.")
        takes = {c.row.peer_field: str(c.state) for c in desk.settled}
        audit(by, "conflict: decide", subject_of(fresh), run=context.run.pk, fields=takes, **({"reason": reason} if reason else {}))
    remarks = _remember(fresh, desk, by, reason) if remember else ()
    fresh.refresh_from_db(fields=["state"])
    return Outcomes(tuple(names), tuple(f"{n}: {s}" for n, s in desk.refusals.items()), remarks, not fresh.is_open)


def fresh_case(pk: int) -> Case:
    """Returns the case as it is now. Raises DecisionRefused when it was closed."""
    case = Case.objects.select_related(*RELATED, "decided_by").get(pk=pk, kind=KIND)
    if not case.is_open:
        who = f" by {case.decided_by}" if case.decided_by else ""
        raise DecisionRefused(f"This case was already closed{who} ({case.get_decision_word().lower()}). Nothing was done.")
    return case


def _decide(context: RunContext, case: Case, choices: Mapping[str, Choice], tables: Tables, by: AbstractBaseUser) -> Desk:
    (desk,) = sit_at(context.crm.connector, context.peer.connector, case.sync_pass, [case])
    choose(desk, choices, tables)
    carry_out(context, [desk], by)
    for _ in range(MOST_TRIES - 1):
        if not desk.is_stale:
            break
        left = {name: choice for name, choice in choices.items() if name in desk.refusals and name in desk.chosen}
        (again,) = sit_at(context.crm.connector, context.peer.connector, case.sync_pass, [case])
        again.operations = dict(desk.operations)
        choose(again, left, tables)
        carry_out(context, [again], by)
        kept = {name: sentence for name, sentence in desk.refusals.items() if name not in left}
        again.chosen = {**{c.row.peer_field: c for c in desk.settled}, **again.chosen}
        again.refusals = {**kept, **again.refusals}
        desk = again
    return desk


def conflict_later(case: Case, by: AbstractBaseUser, note: str, assign_to: AbstractBaseUser | None = None) -> None:
    """Keeps the case open with a note, for a colleague if one is named. Raises DecisionRefused."""
    fresh = fresh_case(case.pk)
    if not put_off(fresh, note, assign_to):
        raise DecisionRefused(CLOSED_MEANWHILE)
    audit(by, "conflict: later", subject_of(fresh), note=note, given_to=str(assign_to or ""))


# --- as a rule ------------------------------------------------------------------------------------------------------
def _refuse_to_remember(choices: Mapping[str, Choice], by: AbstractBaseUser) -> None:
    if not by.has_perm(ADMINISTER):  # type: ignore[attr-defined]  # of PermissionsMixin, as every user of the site
        raise DecisionRefused("Only an admin can make it a rule. Untick it, or ask an admin. Nothing was done.")
    if any(choice.take == "typed" for choice in choices.values()):
        raise DecisionRefused("A value that was typed is no rule; choose a side. Nothing was done.")


def _remember(case: Case, desk: Desk, by: AbstractBaseUser, reason: str) -> tuple[str, ...]:
    """Makes the choice of each settled field its rule, in one new version of the mapping. Returns what to tell of it."""
    takes = {c.row.peer_field: c.choice.take for c in desk.settled}
    names = names_of(case.sync_pass)
    try:
        version = remember_rule(case.sync_pass, case.crm_type, takes, by, reason)
    except MappingRefused as refusal:
        return (f"It is decided, but was not made a rule: {refusal}",)
    _take_up(case, takes)
    said = ", ".join(f"{name}: {names.crm if take == 'crm' else names.peer} wins" for name, take in takes.items())
    return (f"{said}, from mapping version {version} on. Open conflicts of it are settled by the next runs.",)


def _take_up(case: Case, names: Iterable[str]) -> None:
    """Lets the next runs look at the records with an open conflict of these fields: nobody edits them, so that no cursor
    brings them back."""
    rows = ConflictField.objects.filter(state=ConflictField.State.OPEN, peer_field__in=names, case__state=Case.State.OPEN)
    rows = rows.filter(case__sync_pass=case.sync_pass, case__crm_type=case.crm_type).order_by("pk")
    ids = dict.fromkeys(rows.values_list("case__crm_id", flat=True)[:MOST_TAKEN_UP])
    due = [
        LookAgain(sync_pass=case.sync_pass, side="crm", object_type=case.crm_type, record_id=id_, reason="new rule", since=timezone.now())
        for id_ in ids
    ]
    insert_rows(due, unique=["sync_pass", "side", "object_type", "record_id"], update=["reason", "tries", "due_at", "waits_for"])


def remember_rule(sync_pass: SyncPass, crm_type: str, takes: Mapping[str, Take], by: AbstractBaseUser, reason: str = "") -> int:
    """Makes one side win a field from now on and returns the mapping's new version. Raises MappingRefused."""
    type_ = sync_pass.whole.record_types.select_related("mapping").filter(crm_object=crm_type).first()
    if type_ is None:
        raise MappingRefused(f"{crm_type}s are not synced any more.")
    over = copy(sync_pass)
    over.mapping = type_.mapping  # a pass of several record types has a table for each
    rows = RuleRow.objects.filter(table=type_.mapping, peer_field__in=takes).exclude(survivorship=Survivorship.RESTRICTIVE)
    changes = {
        row.pk: RowChange(
            row.crm_field,
            row.peer_field,
            row.transform,
            is_enabled=row.is_enabled,
            blank_to_peer=row.blank_to_peer,
            survivorship=str(takes[row.peer_field]),
        )
        for row in rows
    }
    if not changes:
        raise MappingRefused("The field is not mapped any more.")
    return mapping_save(over, changes, None, by=by, reason=reason or "A conflict's decision was made a rule.")


# --- many cases of one field ----------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class BulkRow:
    """One open conflict of a field, and what taking one side will write, or why it cannot be."""

    row: ConflictField
    case: Case
    offer: Offer

    @property
    def key(self) -> str:
        """What a form sends back: which field of which case, and what the preview rested on."""
        return f"{self.row.pk}|{seen_of(self.row)}"


def bulk_rows(sync_pass: SyncPass, peer_field: str, take: Take) -> list[BulkRow]:
    """Returns the open conflicts of a field, oldest first, at most MOST_AT_ONCE; of a pass over mailboxes those of all of them.
    Reads nothing remote."""
    rows = ConflictField.objects.filter(state=ConflictField.State.OPEN, peer_field=peer_field)
    whose = {"case__sync_pass__parent" if sync_pass.is_over_mailboxes else "case__sync_pass": sync_pass}
    rows = rows.filter(case__state=Case.State.OPEN, **whose).select_related("case__sync_pass__mailbox", "case__sync_pass__peer")
    tables, found = tables_of(sync_pass), []
    for row in rows.order_by("pk")[:MOST_AT_ONCE]:
        row.case.sync_pass.crm = sync_pass.crm
        found.append(BulkRow(row, row.case, offer(row, row.case, tables.rule_of(row, row.case), take, tables)))
    return found


def keys_by_pass(keys: Sequence[str]) -> dict[str, list[str]]:
    """Returns what a form sent back by the name of the pass whose conflict it is: of a pass over mailboxes each mailbox has its
    own lease, so each is decided by itself."""
    by_field = {int(key.partition("|")[0]): key for key in keys[:MOST_AT_ONCE]}
    rows = ConflictField.objects.filter(pk__in=by_field).order_by("pk").values_list("pk", "case__sync_pass__name")
    found: dict[str, list[str]] = {}
    for pk, name in rows:
        found.setdefault(name, []).append(by_field[pk])
    return found


def conflicts_settle(
    keys: Sequence[str], take: Take, by: AbstractBaseUser, *, reason: str = "", wiring: Wiring | None = None
) -> tuple[int, int]:
    """Takes one side for what was chosen from the preview and returns how many fields were settled and how many refused;
    each stands as an event in the run. One that changed since it was shown is refused. Raises Busy, ConnectorError."""
    seen = {int(pk): stamp for pk, _, stamp in (key.partition("|") for key in keys[:MOST_AT_ONCE])}
    rows = list(ConflictField.objects.filter(pk__in=seen).select_related("case").order_by("pk"))
    by_pass: dict[int, list[ConflictField]] = {}
    for row in rows:
        by_pass.setdefault(row.case.sync_pass_id, []).append(row)
    settled = 0
    for sync_pass in SyncPass.objects.select_related("crm", "peer", "mapping").filter(pk__in=by_pass):
        mine = by_pass[sync_pass.pk]
        side = sync_pass.crm if take == "crm" else sync_pass.peer
        what = f"Take {side.get_system_display()} for {', '.join(sorted({r.peer_field for r in mine}))}: {counted(len(mine), 'conflict')}."
        with at_work(sync_pass, by=by.get_username(), what=what, reason=reason, wiring=wiring) as context:
            done = _settle_many(context, sync_pass, mine, take, seen, by)
            fields = sorted({r.peer_field for r in mine})
            said = {"run": context.run.pk, "fields": fields, "take": take, "settled": done, "of": len(mine)}
            audit(by, "conflict: decide many", counted(done, "conflict"), **said, **({"reason": reason} if reason else {}))
            settled += done
    return settled, len(keys) - settled


def _settle_many(
    context: RunContext, sync_pass: SyncPass, rows: Sequence[ConflictField], take: Take, seen: Mapping[int, str], by: AbstractBaseUser
) -> int:
    tables, settled = tables_of(sync_pass), 0
    by_case: dict[int, list[ConflictField]] = {}
    for row in rows:
        by_case.setdefault(row.case_id, []).append(row)
    keys = list(by_case)
    for start in range(0, len(keys), CASES_A_CALL):
        context.lease.guard(context.crm.connector.request_timeout)
        wanted = keys[start : start + CASES_A_CALL]
        cases = list(Case.objects.select_related(*RELATED).filter(pk__in=wanted, kind=KIND, state=Case.State.OPEN).order_by("pk"))
        desks = sit_at(context.crm.connector, context.peer.connector, sync_pass, cases)
        for desk in desks:
            choose(desk, {r.peer_field: Choice(take, seen=seen[r.pk]) for r in by_case[desk.case.pk]}, tables)
        carry_out(context, desks, by)
        context.ledger.seen += len(wanted)
        closed = set(wanted) - {desk.case.pk for desk in desks}
        for case in Case.objects.select_related("sync_pass__crm").filter(pk__in=closed):
            _note(context, case, Outcome.EXCLUDED, "changed_meanwhile", "It was closed meanwhile.")
        for desk in desks:
            settled += len(desk.settled)
            outcome, why = (Outcome.EXCLUDED, "changed_meanwhile") if desk.refusals else (Outcome.UPDATED, "conflict decided")
            _note(context, desk.case, outcome, why, told(desk) or "Decided by staff.")
    return settled


def _note(context: RunContext, case: Case, outcome: Outcome, reason: str, sentence: str) -> None:
    peer = str(Ref(context.peer.connector.system, context.sync_pass.mapping.peer_object, case.peer_id)) if case.peer_id else ""
    context.record([(Decided(Record(ref_of(case), {"name": case.name}), outcome, reason, sentence), peer, None)])
