"""Settles what an earlier run left in doubt, before a new one reads anything (design section 6, engine-rules 11, 12).

Intended but never claimed: void. Sent creates: asked by marker, many a call; found = adopted at once, absent = sent
again only after time-out + settle time. Everything else that was in doubt is looked at (`doubtful`): done, or void and
planned anew from what both sides hold. Then the steps that are owed: Id and URL, flags, people.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from django.db import transaction
from django.db.models import QuerySet

from connectors.contract import Connector, Record, Ref
from reconciliation.core.operations import Candidate, CaseOpening
from reconciliation.core.values import name_key
from reconciliation.engine import after_restore, cases, crm_writes, doubtful, gather, people, restored, search_index
from reconciliation.engine.context import RunContext
from reconciliation.models import Binding, Case, Operation, SyncPass
from reconciliation.models.work_left import WorkLeft
from reconciliation.passes.organisations import ACCOUNT, CLOCKS_DIFFER, ORGANISATION
from reconciliation.store import encode_fields

OWED_A_RUN = 1000


def recover(context: RunContext, left: WorkLeft) -> None:
    """Brings the journal to rest as far as the remote systems allow. Raises ConnectionTrouble."""
    adopted = False
    if left.open_operations:
        void_unsent(context)
        if not context.wiring.switches.names_before_journal:
            settle_creates(context, creates_in_doubt(context.sync_pass))
            adopted = True
    if adopted or left.write_backs or left.flags or left.people:
        finish_owed(context)


def void_unsent(context: RunContext) -> None:
    """Puts aside what earlier runs of the pass intended and never sent, and what they sent without an answer that is not
    found done and may simply be sent again. Creates in doubt are not touched. Whoever holds the lease may do this. Raises
    ConnectionTrouble."""
    now = context.wiring.now()
    mine = Operation.objects.filter(run__sync_pass=context.sync_pass).exclude(run=context.run)
    mine.filter(state=Operation.State.INTENDED).update(state=Operation.State.VOID, settled_at=now, error="Never sent.")
    unanswered = mine.filter(state=Operation.State.SENT).exclude(kind=Operation.Kind.CREATE)
    if unanswered.exists():
        doubtful.settle(context)
        unanswered.update(state=Operation.State.VOID, settled_at=now, error="It was not answered, and not found done.")


def creates_in_doubt(sync_pass: SyncPass) -> QuerySet[Operation]:
    """Returns the creates of the pass that were sent and not answered; people and accounts that were made of addresses are looked
    into by `people_recovery`."""
    sent = Operation.objects.filter(run__sync_pass=sync_pass, kind=Operation.Kind.CREATE, state=Operation.State.SENT)
    return sent.exclude(source_ref__startswith="people:").order_by("pk")


def settle_creates(context: RunContext, sent: Iterable[Operation]) -> None:
    """Asks by our key whether these creates in doubt happened. What is there is taken up, what is not is void once it
    cannot happen any more; the rest stays in doubt. Changes the operations given. Raises ConnectionTrouble."""
    sent = list(sent)
    _settle_restored(context, [op for op in sent if op.object_type == ORGANISATION])
    doubtful = [op for op in sent if op.object_type != ORGANISATION]
    if not doubtful:
        return
    if context.wiring.switches.resends_in_doubt:
        Operation.objects.filter(pk__in=[op.pk for op in doubtful]).update(state=Operation.State.VOID)
        return
    columns = gather.account_columns(context.peer.connector, context.terms.mapping)
    found: dict[str, list[Record]] = {}
    marker_field = context.peer.connector.marker_field
    since = min(op.intended_at for op in doubtful) - CLOCKS_DIFFER
    for account in context.peer.connector.find_marked(ACCOUNT, [op.marker for op in doubtful], columns, since=since):
        found.setdefault(str(account.fields.get(marker_field)), []).append(account)
    holders = gather.bound_organisations(context.sync_pass, (a.ref.id for same in found.values() for a in same))
    for op in doubtful:
        own = Ref.parse(op.source_ref).id
        free = [a for a in found.get(op.marker, []) if holders.get(a.ref.id, own) == own]  # a moved link keeps its first key
        accounts = sorted(free, key=lambda a: int(a.ref.id))
        with transaction.atomic():
            if accounts and _is_of_the_backup(context, op):
                _void(context, op, "In doubt when the backup was made; the sweep looks for its account.")
            elif accounts:
                _adopt(context, op, accounts)
            elif may_be_sent_again(context, op, context.peer.connector):
                _void(context, op, "Not found by its key; may be sent again.")


def _is_of_the_backup(context: RunContext, op: Operation) -> bool:
    """Tells whether a create was in doubt in the backup our database was restored from. Its account may have been agreed
    on, edited and parted from since: what adopting would send sets back what people entered."""
    restore = context.terms.restore
    return restore is not None and op.intended_at < restore.at


def _void(context: RunContext, op: Operation, why: str) -> None:
    op.state, op.settled_at, op.error = Operation.State.VOID, context.wiring.now(), why
    op.save(update_fields=["state", "settled_at", "error"])


def _settle_restored(context: RunContext, doubtful: list[Operation]) -> None:
    """Asks Workbooks by our key for organisations whose restoring was not answered. What is there is linked as the
    restore would have linked it; what is not may be restored again."""
    if not doubtful:
        return
    connector, now = context.crm.connector, context.wiring.now()
    columns = dict.fromkeys(["name", connector.marker_field, *context.terms.columns.names, *context.terms.mapping.crm_fields])
    found = connector.find(ORGANISATION, connector.marker_field, [op.marker for op in doubtful], list(columns))
    by_marker = {str(r.fields.get(connector.marker_field)): r for r in found}
    for op in doubtful:
        record = by_marker.get(op.marker)
        if record is not None:
            op.state, op.settled_at, op.target_id, op.error = Operation.State.CONFIRMED, now, record.ref.id, ""
            with transaction.atomic():
                restored.settle_found(context, op.origin, record)
                op.save(update_fields=["state", "settled_at", "target_id", "error"])
        elif may_be_sent_again(context, op, connector):
            _void(context, op, "Not found by its key; may be restored again.")


def may_be_sent_again(context: RunContext, op: Operation, connector: Connector) -> bool:
    """Tells whether a create that was not found cannot turn up any more (engine-rules 12)."""
    if context.wiring.switches.ignores_settle_time:
        return True
    waits = timedelta(seconds=connector.request_timeout + connector.settle_seconds)
    return op.sent_at is not None and context.wiring.now() - op.sent_at >= waits


def _adopt(context: RunContext, op: Operation, accounts: list[Record]) -> None:
    account, now = accounts[0], context.wiring.now()
    op.state, op.settled_at, op.target_id = Operation.State.CONFIRMED, now, account.ref.id
    op.error = ""
    op.save(update_fields=["state", "settled_at", "target_id", "error"])
    source = Ref.parse(op.source_ref)
    name = str(op.after.get("name") or "")
    held = {n: account.fields.get(n) for n in context.terms.mapping.peer_fields}
    Binding.objects.update_or_create(
        sync_pass=context.sync_pass,
        crm_type=ORGANISATION,
        crm_id=source.id,
        defaults={
            "peer_type": ACCOUNT,
            "peer_id": account.ref.id,
            "name": name[:255],
            "name_key": name_key(name),
            # What was sent is not what Workbooks holds now: an empty base makes the next pass compare every field.
            "crm_base": {},
            "peer_base": encode_fields(held),
            "crm_version": "",
            "peer_version": account.version,
            "mapping_version": context.terms.mapping.version,
            "is_write_back_due": not context.wiring.switches.forgets_owed_write_back,
            "are_people_due": True,
            "owed_since": now,
            "how": "adopted",
            "is_tombstone": False,
            "bound_at": now,
            "synced_at": now,
        },
    )
    gather.remember_names(context.sync_pass, accounts, context.peer.connector.marker_field, context.wiring)
    search_index.note_names(context.sync_pass, [(op.source_ref, search_index.NAME, name)], now)
    if len(accounts) > 1:
        record = Record(source, {"name": name})
        candidates = tuple(Candidate(a.ref.id, str(a.fields.get("name")), "carries our key", dict(a.fields)) for a in accounts)
        sentence = f"{len(accounts)} accounts carry the key of this organisation; {account.ref.id} is linked."
        cases.open_case(context, record, CaseOpening("duplicate", "marker_twice", sentence, "Merge or delete the others.", candidates))


def finish_owed(context: RunContext) -> None:
    """Does what earlier runs still owe: write-backs and flags first, then people (engine-rules 11, 14)."""
    refused = cases.open_ids(context, (cases.WRITE_BACK_REFUSED,))  # a person resets these
    due = Binding.objects.filter(sync_pass=context.sync_pass, is_write_back_due=True, is_tombstone=False)
    bindings = after_restore.still_owed(context, list(due.exclude(crm_id__in=refused)[:OWED_A_RUN]))
    flags = list(Case.objects.filter(sync_pass=context.sync_pass, state=Case.State.OPEN, flag=Case.Flag.OWED)[:OWED_A_RUN])
    owed = [crm_writes.owed_write_back(context, b) for b in bindings] + [crm_writes.owed_flag(context, c) for c in flags]
    crm_writes.write_all(context, owed)
    due = Binding.objects.filter(sync_pass=context.sync_pass, are_people_due=True, is_write_back_due=False, is_tombstone=False)
    people.relate(context, list(due.values_list("crm_id", flat=True)[:OWED_A_RUN]))


def open_creates(context: RunContext) -> int:
    """Returns how many creates are still in doubt."""
    return creates_in_doubt(context.sync_pass).count()
