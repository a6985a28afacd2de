"""The first sweep after our database was put back from a backup: what it does not know must not be guessed.

The remote systems went on after the backup was taken. Agreements, accounts and decisions of that time are forgotten;
bases may be older than what both sides hold. So until one sweep went through everything edited since: accounts of ours
are looked up by their key before any is created; a value is sent only where the account was not touched since the
backup; flags nobody here remembers become cases. `services.restored_backup` begins it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from django.db.models import Min

from connectors.contract import All, AnyOf, Op, Record, Ref, Test
from reconciliation.core.operations import Candidate, CaseOpening
from reconciliation.core.values import is_blank, name_key
from reconciliation.engine import cases, gather
from reconciliation.engine.context import RunContext
from reconciliation.models import Binding, Case, Operation, SyncPass
from reconciliation.passes import organisations as rules
from reconciliation.passes.organisations import ACCOUNT, CLOCKS_DIFFER, ORGANISATION, Restore, Terms

log = logging.getLogger(__name__)


def notice(context: RunContext, named: Mapping[str, Record | None]) -> None:
    """Begins the care when nobody said that the database was restored: an organisation names (`named`, by its id) an
    account that we made for it, and neither a binding nor the journal knows of it."""
    if context.terms.restore is not None:
        return
    field, database = context.peer.connector.marker_field, context.terms.database
    ours = [i for i, a in named.items() if a is not None and a.fields.get(field) == rules.marker_of(database, i)]
    refs = {str(Ref(context.crm.connector.system, ORGANISATION, i)) for i in ours}
    made = Operation.objects.filter(source_ref__in=refs, connection=context.peer.connection, kind=Operation.Kind.CREATE)
    if not refs or not refs - set(made.values_list("source_ref", flat=True)):
        return
    sync_pass, now = context.sync_pass, context.wiring.now()
    to = sync_pass.last_run_time or now
    log.warning("the database seems to be a backup: accounts of ours are not in its journal; everything since %s is compared with care", to)
    context.terms = replace(context.terms, restore=Restore(now, to))
    if not context.is_preview:
        SyncPass.objects.filter(pk=sync_pass.pk).update(restored_at=now, restored_to=to)
        sync_pass.restored_at, sync_pass.restored_to = now, to
        flags_without_case(context)


def decided(context: RunContext, crm_ids: Sequence[str]) -> set[str]:
    """Returns the organisations whose case of this restore a person has answered: there Workbooks' values go."""
    restore = context.terms.restore
    if restore is None:
        return set()
    rows = Case.objects.filter(sync_pass=context.sync_pass, crm_id__in=crm_ids, reason=rules.RESTORED, closed_at__gte=restore.at)
    return set(rows.exclude(state=Case.State.OPEN).values_list("crm_id", flat=True))


def terms_for(context: RunContext, record: Record, told: set[str]) -> Terms:
    return replace(context.terms, restore=None) if record.ref.id in told else context.terms


def add_own_accounts(context: RunContext, records: Sequence[Record], found: dict[str, list[Record]]) -> None:
    """Adds to what was found by name the accounts that carry these organisations' keys, whatever they are called now:
    one that was created and renamed after the backup must not be created again."""
    restore = context.terms.restore
    if restore is None or not records:
        return
    key_of = {rules.marker_of(context.terms.database, r.ref.id): name_key(r.fields.get("name")) for r in records}
    connector = context.peer.connector
    columns = gather.account_columns(connector, context.terms.mapping)
    for account in connector.find_marked(ACCOUNT, sorted(key_of), columns, since=_made_since(context, restore, records) - CLOCKS_DIFFER):
        same = found.setdefault(key_of[str(account.fields.get(connector.marker_field))], [])
        if account.ref.id not in {a.ref.id for a in same}:
            same.append(account)


def still_owed(context: RunContext, bindings: list[Binding]) -> list[Binding]:
    """Returns the bindings whose Id is still to be written back. What was owed in the backup was written since, and its
    account may have been parted from: it is written only to an organisation that is switched on and names none, for an
    account that exists with our key. The rest is owed no more; the sweep says what it finds there."""
    restore = context.terms.restore
    then = [b for b in bindings if restore is not None and (b.owed_since is None or b.owed_since < restore.at)]
    if not then:
        return bindings
    organisations = {r.ref.id: r for r in context.crm.connector.read(ORGANISATION, [b.crm_id for b in then], context.terms.columns.names)}
    accounts = gather.accounts_by_id(context.peer.connector, context.terms.mapping, [b.peer_id for b in then])
    over = [b for b in then if not _awaits_its_id(context.terms, b, organisations.get(b.crm_id), accounts.get(b.peer_id))]
    # Its people are not moved either: they were since, or their account is not this organisation's any more.
    Binding.objects.filter(pk__in=[b.pk for b in over]).update(is_write_back_due=False, owed_since=None, are_people_due=False)
    cases.close_written_back(context, [b.crm_id for b in over], "Owed in the backup our database was restored from, and not any more.")
    return [b for b in bindings if b not in over]


def _awaits_its_id(terms: Terms, binding: Binding, record: Record | None, account: Record | None) -> bool:
    if record is None or record.is_deleted:
        return True  # the write ends the link of what was deleted
    is_open = bool(record.fields.get(terms.columns.sync)) and is_blank(record.fields.get(terms.columns.peer_id))
    return is_open and account is not None and account.fields.get(terms.marker_field) == rules.marker_of(terms.database, binding.crm_id)


def _made_since(context: RunContext, restore: Restore, records: Sequence[Record]) -> datetime:
    """Returns the time from which accounts of these organisations may have been made without our remembering it: since
    the backup, or since the first create that was in doubt in it."""
    refs = [str(r.ref) for r in records]
    creates = Operation.objects.filter(source_ref__in=refs, connection=context.peer.connection, kind=Operation.Kind.CREATE)
    doubtful = creates.filter(state=Operation.State.VOID, settled_at__gte=restore.at, intended_at__lt=restore.at)
    first = doubtful.aggregate(first=Min("intended_at"))["first"]
    return min(first, restore.to) if first else restore.to


def flags_without_case(context: RunContext) -> None:
    """Opens a case for every flagged organisation we know no open case of: its flag was set after the backup, or the
    case was decided then. The flag itself stays as it is."""
    columns = context.terms.columns
    flagged = AnyOf((Test(columns.error, Op.TRUE), Test(columns.duplicate, Op.TRUE)))
    where, position = All((Test(columns.sync, Op.TRUE), flagged)), None
    while True:
        context.lease.guard(context.crm.connector.request_timeout)
        names = ["name", *columns.names]
        page = context.crm.connector.changes(ORGANISATION, where=where, columns=names, position=position, page_size=100)
        _open_missing(context, [r for r in page.records if not r.is_deleted])
        position = page.position
        if position is None:
            return


def _open_missing(context: RunContext, records: Sequence[Record]) -> None:
    ids = [r.ref.id for r in records]
    rows = Case.objects.filter(sync_pass=context.sync_pass, crm_id__in=ids, state=Case.State.OPEN)
    known = set(rows.values_list("crm_id", "kind"))
    columns = context.terms.columns
    errors = [r for r in records if r.fields.get(columns.error) and (r.ref.id, "error") not in known]
    duplicates = [r for r in records if r.fields.get(columns.duplicate) and (r.ref.id, "duplicate") not in known]
    for record in errors:
        sentence = "Flagged in Workbooks after the backup our database was restored from; the reason was lost with it."
        remedy = "Press Retry: the pass finds the reason again if it still holds."
        cases.open_case(context, record, CaseOpening("error", "flag_found", sentence, remedy), flag=Case.Flag.WRITTEN)
    if not duplicates:
        return
    connector, sync_pass = context.peer.connector, context.sync_pass
    gather.refresh_names(connector, sync_pass, context.wiring)
    found = gather.accounts_by_name(
        connector, sync_pass, context.terms.mapping, [str(r.fields["name"]) for r in duplicates if r.fields.get("name")]
    )
    bound = gather.bound_organisations(sync_pass, (a.ref.id for accounts in found.values() for a in accounts))
    for record in duplicates:
        candidates = tuple(
            Candidate(a.ref.id, str(a.fields.get("name")), "same name", dict(a.fields), bound.get(a.ref.id, ""))
            for a in found.get(name_key(record.fields.get("name")), [])
        )
        sentence = "Flagged as a duplicate after the backup our database was restored from."
        remedy = "Link it, or say that it is a different company."
        cases.open_case(context, record, CaseOpening("duplicate", "flag_found", sentence, remedy, candidates), flag=Case.Flag.WRITTEN)
