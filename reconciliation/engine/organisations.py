"""Carries one page of the organisations pass: what is known, what is asked, what is decided, what is written.

The decisions themselves are `passes.organisations`; here is only their order. A page ends with an outcome for every
row, also when the connection fails in the middle.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace

from django.db import transaction

from connectors.contract import Record, Ref
from connectors.errors import ConnectionTrouble, ConnectorError, MappingError, RecordError
from reconciliation.core.ledger import Outcome
from reconciliation.core.operations import Candidate, CaseOpening, Decision
from reconciliation.core.values import is_blank, name_key
from reconciliation.engine import (
    after_restore,
    brakes,
    cases,
    crm_writes,
    differences,
    gather,
    mapping_trouble,
    people,
    previews,
    search_index,
    strikes,
    tombstones,
)
from reconciliation.engine.context import RunContext
from reconciliation.engine.executor import Done
from reconciliation.engine.lease import LeaseLost
from reconciliation.engine.page_work import PageWork
from reconciliation.engine.stop import WritesStopped
from reconciliation.models import Binding, Operation, RememberedPair
from reconciliation.models.bulk import insert_rows, update_rows
from reconciliation.passes import organisations as rules
from reconciliation.passes.organisations import ACCOUNT, ORGANISATION, OWNER, Known, Look
from reconciliation.store import bound_of, encode_fields, pick


def process_page(context: RunContext, records: Sequence[Record], planned: Mapping[str, Operation] | None = None) -> dict[str, Decision]:
    """Brings each organisation of the page to its outcome and returns the decisions.

    With `planned` only what that plan says is done, the rest is refused; a preview stores the plan and writes nothing
    remote. Raises ConnectionTrouble, LeaseLost or WritesStopped; every row is accounted for then too, as held.
    """
    if not records:
        return {}
    work = PageWork({r.ref.id: r for r in records})
    context.ledger.seen += len(work.records)
    try:
        _decide(context, work)
        if planned is not None:
            previews.refuse_changed(work, planned)
        if context.is_preview:
            _decide_twins(context, work)
            previews.store_plan(context, work)
            return work.decisions
        if planned is None:
            brakes.look_at(context, work)
        _write_accounts(context, work)
        mapping_trouble.look_at(context, work)
        _decide_twins(context, work)
        _follow_up(context, work)
    except (ConnectionTrouble, LeaseLost, WritesStopped):
        _hold_undone(work)
        raise
    finally:
        for id_, record in work.records.items():
            if id_ not in work.decisions:
                work.decide(_interrupted(record))
        if not context.is_preview:
            brakes.remember(context, work)
        context.record((d, _peer_ref(work, d), _operation_id(work, d)) for d in work.decisions.values())
        if not context.is_preview:
            search_index.note_page(context, work)
    return work.decisions


def _interrupted(record: Record) -> Decision:
    return Decision(record, Outcome.HELD, "interrupted", "The run was interrupted before this organisation was done.")


def _hold_undone(work: PageWork) -> None:
    """What was decided but not carried out is held: the ledger counts what happened, not what was meant."""
    for id_, decision in list(work.decisions.items()):
        if previews.is_act(decision) and id_ not in work.done:
            work.decide(_interrupted(decision.record))


def _operation_id(work: PageWork, decision: Decision) -> int | None:
    operation = work.operations.get(decision.record.ref.id)
    return operation.pk if operation is not None else None


def _peer_ref(work: PageWork, decision: Decision) -> str:
    operation = work.operations.get(decision.record.ref.id)
    if operation is not None and operation.target_id:
        return f"outreach:{ACCOUNT}:{operation.target_id}"
    return str(decision.bind_to.ref) if decision.bind_to is not None else ""


def _decide(context: RunContext, work: PageWork) -> None:
    known = _known(context, work)
    flag_owed = cases.close_reset(context, list(work.records))
    told = after_restore.decided(context, list(work.records))
    looks: dict[Look, list[Record]] = {look: [] for look in Look}
    for id_, record in work.records.items():
        if id_ in flag_owed:
            work.decide(Decision(record, Outcome.HELD, "case_open", "A case is open; its flag could not be written to Workbooks yet."))
            continue
        look, decision = rules.first_look(record, known[id_], context.terms)
        if decision is not None:
            work.decide(decision)
        else:
            looks[look].append(record)
    asking = [r for look in (Look.NAMES, Look.ACCOUNT, Look.LINK) for r in looks[look]]
    users = gather.users_by_name(context.peer.connector, context.peer.connection, _owner_names(context, asking), context.wiring)
    _decide_by_id(context, work, looks, known, users, told)
    _decide_by_name(context, work, looks[Look.NAMES], users)


def _owner_names(context: RunContext, records: Sequence[Record]) -> set[str]:
    columns = [r.crm for r in context.terms.mapping.rules if r.peer == OWNER]
    return {str(r.fields[c]) for r in records for c in columns if not is_blank(r.fields.get(c))}


def _known(context: RunContext, work: PageWork) -> dict[str, Known]:
    sync_pass, ids = context.sync_pass, list(work.records)
    work.bindings = {b.crm_id: b for b in Binding.objects.filter(sync_pass=sync_pass, crm_type=ORGANISATION, crm_id__in=ids)}
    bindings = {id_: bound_of(b) for id_, b in work.bindings.items()}
    refs = [str(Ref(context.crm.connector.system, ORGANISATION, i)) for i in ids]
    in_doubt = {
        Ref.parse(ref).id
        for ref in Operation.objects.filter(
            source_ref__in=refs, kind=Operation.Kind.CREATE, connection=context.peer.connection, state__in=Operation.OPEN
        ).values_list("source_ref", flat=True)
    }
    if context.wiring.switches.names_before_journal:
        in_doubt = set()
    return {i: Known(bindings.get(i), i in in_doubt) for i in ids}


def _decide_by_id(
    context: RunContext,
    work: PageWork,
    looks: dict[Look, list[Record]],
    known: dict[str, Known],
    users: dict[str, str],
    told: set[str],
) -> None:
    column = context.terms.columns.peer_id
    wanted = {known[r.ref.id].bound.peer_id for r in looks[Look.ACCOUNT]}
    named = {str(r.fields[column]) for r in looks[Look.LINK]}
    numeric = {i for i in named if i.isascii() and i.isdigit()}  # Outreach ids are integers; anything else cannot exist
    accounts = gather.accounts_by_id(context.peer.connector, context.terms.mapping, wanted | numeric)
    after_restore.notice(
        context, {r.ref.id: accounts.get(str(r.fields[column])) for r in looks[Look.LINK] if known[r.ref.id].bound is None}
    )
    for record in looks[Look.ACCOUNT]:
        bound, terms = known[record.ref.id].bound, after_restore.terms_for(context, record, told)
        _guarded(context, work, record, lambda r=record, b=bound, t=terms: rules.decide_bound(r, b, accounts.get(b.peer_id), t, users))
    holders = gather.bound_organisations(context.sync_pass, numeric)
    for record in looks[Look.LINK]:
        stored = str(record.fields[column])
        holder = holders.get(stored, "")
        holder = "" if holder == record.ref.id else holder
        _guarded(context, work, record, lambda r=record, s=stored, h=holder: rules.decide_link(r, accounts.get(s), h, context.terms, users))
        if work.decisions[record.ref.id].bind_to is not None:
            holders[stored] = record.ref.id


def _decide_by_name(context: RunContext, work: PageWork, records: list[Record], users: dict[str, str]) -> None:
    if not records:
        return
    connector, sync_pass = context.peer.connector, context.sync_pass
    if not context.are_names_fresh:  # one delta read a run; what this run creates is added as it is created
        gather.refresh_names(connector, sync_pass, context.wiring)
        context.are_names_fresh = True
    names = [str(r.fields["name"]) for r in records if not is_blank(r.fields.get("name"))]
    found = gather.accounts_by_name(connector, sync_pass, context.terms.mapping, names) if names else {}
    in_flight = gather.names_in_flight(context.peer.connection, (name_key(n) for n in names), context.wiring)
    after_restore.add_own_accounts(context, records, found)
    bound = gather.bound_organisations(sync_pass, (a.ref.id for accounts in found.values() for a in accounts))
    remembered: dict[str, set[str]] = {}
    for pair in RememberedPair.objects.filter(sync_pass=sync_pass, crm_id__in=[r.ref.id for r in records]):
        remembered.setdefault(pair.crm_id, set()).add(pair.peer_id)
    first_with: dict[str, str] = {}
    for record in records:
        id_, key = record.ref.id, name_key(record.fields.get("name"))
        open_twins = [op for op in in_flight.get(key, []) if op.state in Operation.OPEN and op.source_ref != str(record.ref)]
        if open_twins and not context.wiring.switches.ignores_twins:
            work.decide(Decision(record, Outcome.HELD, "twin_in_doubt", "An account with this name may just have been created."))
            continue
        if key in first_with and not context.wiring.switches.ignores_twins:
            work.twins[id_] = first_with[key]
            continue
        asking = rules.Asking(
            id_, key, "" if context.wiring.switches.names_before_journal else rules.marker_of(context.terms.database, id_)
        )
        matches, ours = rules.match_names(asking, found.get(key, []), frozenset(remembered.get(id_, ())), bound, connector.marker_field)
        _guarded(context, work, record, lambda r=record, m=matches, o=ours: rules.decide_new(r, m, o, context.terms, users))
        if work.decisions[id_].outcome is Outcome.CREATED:
            first_with[key] = id_


def _guarded(context: RunContext, work: PageWork, record: Record, decide) -> None:
    """Decides one record; whatever goes wrong with it becomes its error case, and the pass goes on."""
    try:
        work.decide(decide())
    except ConnectorError:
        raise
    except Exception as error:  # one bad record never stops a pass; the traceback goes with the case
        sentence = f"This organisation could not be worked out ({type(error).__name__})."
        opening = CaseOpening("error", "internal", sentence, "Send the case to support, then press Retry.")
        if not context.is_preview:
            cases.open_case(context, record, opening, trace=traceback.format_exc())
        work.decide(Decision(record, Outcome.FAILED, "internal", sentence, case=opening))


def _write_accounts(context: RunContext, work: PageWork) -> None:
    _bind_without_write(context, work)
    for kind in ("update", "create"):
        chosen = [d for d in work.decisions.values() if d.intent is not None and d.intent.kind == kind]
        operations = context.executor.intend([d.intent for d in chosen])
        ready = []
        for decision, operation in zip(chosen, operations, strict=True):
            if operation is None:
                held = Decision(decision.record, Outcome.HELD, "other_writer", "Somebody else is writing this record just now.")
                work.decide(held)
            else:
                work.operations[decision.record.ref.id] = operation
                ready.append(operation)
        try:
            context.executor.send("peer", ready, lambda done: _settle(context, work, done))
        except ConnectionTrouble:
            if not context.wiring.switches.flags_on_connection_trouble:
                raise
    _save_bindings(work.unbound)


def _settle(context: RunContext, work: PageWork, done: list[Done]) -> None:
    """Turns what became of the account writes into outcomes and bindings, in the wave's transaction."""
    bindings, accounts = [], []
    for item in done:
        decision = work.decisions[Ref.parse(item.operation.source_ref).id]
        if item.error is None and item.record is not None:
            bindings.append(_binding(context, decision, item.record))
            work.done.add(decision.record.ref.id)
            accounts.append(item.record)
        else:
            if isinstance(item.error, MappingError):
                work.mapping_errors.append(item.error)
            elif isinstance(item.error, RecordError):
                work.refusals[decision.record.ref.id] = item.error
            work.decide(_failed_decision(context, decision, item))
    if context.wiring.switches.binds_after_page:
        work.unbound += bindings
    else:
        _save_bindings(bindings)
        differences.note_page(context, work, bindings)
    if accounts:
        named = [a for a in accounts if a.fields.get("name")]
        gather.remember_names(context.sync_pass, named, context.peer.connector.marker_field, context.wiring)


def _alone(context: RunContext, decision: Decision, item: Done) -> Decision:
    """Holds a record that fails while its neighbours go through; the fifth such run since it last went through, or since
    its last case was closed, makes it its own error."""
    count = strikes.count(context.sync_pass, item.operation, decision.record.ref.id)
    if count < strikes.MOST:
        sentence = f"{item.error}, for this organisation alone ({count} of {strikes.MOST}); it is tried again."
        return Decision(decision.record, Outcome.HELD, "alone", sentence)
    sentence = f"{item.error}, in {count} runs, while other organisations went through."
    return replace(rules.failed(decision.record, "alone", sentence, "Look at its values, correct them, then press Retry."), intent=None)


def _failed_decision(context: RunContext, decision: Decision, item: Done) -> Decision:
    error, switches = item.error, context.wiring.switches
    if switches.flags_on_connection_trouble and isinstance(error, ConnectorError):
        return replace(rules.failed(decision.record, "refused", error.sentence), intent=None)
    if item.is_alone:
        return _alone(context, decision, item)
    if item.is_in_doubt:
        sentence = f"Outreach did not answer ({error}); it is asked again by our key before anything is sent twice."
        return Decision(decision.record, Outcome.HELD, "in_doubt", sentence)
    if isinstance(error, MappingError):
        return Decision(decision.record, Outcome.HELD, "mapping", error.sentence)
    if isinstance(error, ConnectorError) and error.scope == "record":
        return replace(rules.failed(decision.record, "refused", error.sentence, error.remedy), intent=None)
    return Decision(decision.record, Outcome.HELD, "interrupted", str(error))


def _binding(context: RunContext, decision: Decision, account: Record | None) -> Binding:
    """Returns the binding as it stands after this agreement; bases are what each side holds now."""
    record, terms, now = decision.record, context.terms, context.wiring.now()
    before = dict(decision.bind_to.fields) if decision.bind_to is not None else {}
    intent = decision.intent
    before.update(intent.before if intent is not None else {})
    after = {**before, **(intent.after if intent is not None else {}), **(account.fields if account is not None else {})}
    peer = account or decision.bind_to
    name = str(record.fields.get("name") or "")
    has_id = str(record.fields.get(terms.columns.peer_id) or "") == peer.ref.id
    return Binding(
        sync_pass=context.sync_pass,
        crm_type=ORGANISATION,
        crm_id=record.ref.id,
        peer_type=ACCOUNT,
        peer_id=peer.ref.id,
        name=name[:255],
        name_key=name_key(name),
        # After a restore nothing was agreed yet where the sides differ: once a person decided, every field is compared.
        crm_base={} if decision.outcome is Outcome.FAILED else pick(record.fields, terms.mapping.crm_fields),
        peer_base=encode_fields({n: after.get(n) for n in terms.mapping.peer_fields}),
        crm_version=record.version,
        peer_version=peer.version,
        mapping_version=terms.mapping.version,
        owner_text=decision.owner_text[:255],
        is_without_owner=decision.is_without_owner,
        is_write_back_due=not has_id and not context.wiring.switches.forgets_owed_write_back,
        are_people_due=decision.reason not in (rules.RESTORED, rules.LINKED_AGAIN, "agreed_again"),  # those may have been moved on since
        owed_since=None if has_id else now,
        how={"adopted": "adopted", rules.LINKED: "linked", rules.LINKED_AGAIN: "linked"}.get(decision.reason, "created"),
        bound_at=now,
        synced_at=now,
    )


def _save_bindings(bindings: list[Binding]) -> None:
    """Stores the bindings, new or known; a known one keeps when and how it came about."""
    changing = ["peer_id", "name", "name_key", "crm_base", "peer_base", "crm_version", "peer_version", "owner_text", "is_without_owner"]
    changing += ["mapping_version", "is_write_back_due", "are_people_due", "owed_since", "is_tombstone", "synced_at"]
    insert_rows(bindings, unique=["sync_pass", "crm_type", "crm_id"], update=changing)


def _bind_without_write(context: RunContext, work: PageWork) -> None:
    """Stores what needs no remote write: links with nothing to send, and bases of rows that turned out equal. A holder
    that was frozen meanwhile must not put old bases over what its successor stored."""
    with transaction.atomic():
        context.lease.renew()
        _store_quiet(context, work)


def _store_quiet(context: RunContext, work: PageWork) -> None:
    links = [d for d in work.decisions.values() if d.bind_to is not None and d.intent is None]
    linked = [_binding(context, d, None) for d in links]
    _save_bindings(linked)
    work.done.update(d.record.ref.id for d in links)
    quiet = {id_: d.record for id_, d in work.decisions.items() if d.base_only}
    rows = [work.bindings[id_] for id_ in quiet]
    for row in rows:
        record = quiet[row.crm_id]
        row.crm_base = pick(record.fields, context.terms.mapping.crm_fields)
        row.crm_version = record.version
        row.mapping_version = context.terms.mapping.version
        if work.decisions[row.crm_id].reason == "equal":  # both sides were looked at, and so was the owner
            row.owner_text, row.is_without_owner = work.decisions[row.crm_id].owner_text[:255], work.decisions[row.crm_id].is_without_owner
    update_rows(rows, ["crm_base", "crm_version", "mapping_version", "owner_text", "is_without_owner"])
    compared = [row for row in rows if work.decisions[row.crm_id].reason == "equal"]
    differences.note_page(context, work, [*linked, *compared])
    gone = [id_ for id_, d in work.decisions.items() if d.reason == "deleted"]
    tombstones.note_deleted_in_crm(context, [work.bindings[id_] for id_ in gone if id_ in work.bindings], work.records)
    tombstones.note_never_linked(context, [work.records[id_] for id_ in gone if id_ not in work.bindings])
    Binding.objects.filter(sync_pass=context.sync_pass, crm_type=ORGANISATION, crm_id__in=gone).end()


def _decide_twins(context: RunContext, work: PageWork) -> None:
    """The second of two new organisations with one name sees the first (D20)."""
    for id_, first in work.twins.items():
        record, operation = work.records[id_], work.operations.get(first)
        if context.is_preview and first in work.decisions:
            other = work.records[first]
            sentence = f"The account of organisation {first}, which has the same name, is created first."
            candidate = Candidate("", str(other.fields.get("name")), "created by this plan", {}, first)
            case = CaseOpening("duplicate", "name_match", sentence, "Link it, or say that it is a different company.", (candidate,))
            work.decide(Decision(record, Outcome.DUPLICATE, "name_match", sentence, case=case))
        elif operation is not None and operation.state == Operation.State.CONFIRMED:
            other = work.records[first]
            why = f"created by run {context.run.pk}"
            candidate = Candidate(operation.target_id, str(other.fields.get("name")), why, dict(operation.after), first)
            sentence = f"Account {operation.target_id} was created in the same run for organisation {first}, which has the same name."
            case = CaseOpening("duplicate", "name_match", sentence, "Link it, or say that it is a different company.", (candidate,))
            work.decide(Decision(record, Outcome.DUPLICATE, "name_match", sentence, case=case))
        else:
            work.decide(Decision(record, Outcome.HELD, "twin_in_doubt", f"Waits for organisation {first}, which has the same name."))


def _with_old_error(context: RunContext, work: PageWork) -> list[str]:
    """Returns the organisations that went through and still show the reason of an earlier error (D34)."""
    column = context.terms.columns.error_text
    if not column:
        return []
    went = [i for i, d in work.decisions.items() if d.outcome in (Outcome.CREATED, Outcome.UPDATED, Outcome.UNCHANGED)]
    return [i for i in went if work.records[i].fields.get(column) not in (None, "", False)]


def _follow_up(context: RunContext, work: PageWork) -> None:
    """Cases and their flags, Id and URL written back, people moved to the right account."""
    context.lease.renew()
    owed = []
    for id_, decision in work.decisions.items():
        if decision.case is None:
            continue
        operation = work.operations.get(id_)
        if decision.reason != "internal":
            exchange = operation.exchange if operation is not None else {}
            cases.open_case(context, decision.record, decision.case, exchange=exchange)
        work.done.add(id_)
    for case in cases.with_owed_flag(context, list(work.records)):
        owed.append(crm_writes.owed_flag(context, case, work.records[case.crm_id]))
    for binding in Binding.objects.filter(
        sync_pass=context.sync_pass, crm_type=ORGANISATION, crm_id__in=work.records, is_write_back_due=True
    ):
        if work.decisions[binding.crm_id].reason != "write_back_owed":
            owed.append(crm_writes.owed_write_back(context, binding, work.records[binding.crm_id]))
    owed += [crm_writes.error_text_emptied(context, work.records[i]) for i in _with_old_error(context, work)]
    refused = set(crm_writes.write_all(context, owed))
    # What Workbooks refused may have become a case with a flag of its own, which is worth one more try now.
    crm_writes.write_all(context, [crm_writes.owed_flag(context, c) for c in cases.with_owed_flag(context, list(refused))])
    moved = [i for i, d in work.decisions.items() if d.outcome in (Outcome.CREATED, Outcome.UPDATED) or d.reason == rules.LINKED]
    cases.close_solved(context, [i for i in moved if i not in refused])
    people.relate(context, moved)
