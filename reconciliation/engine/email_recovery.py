"""Settles what runs over mailboxes left in doubt, before a new one saves anything (design section 6, engine-rules 12, 40).

An e-mail that was sent and not answered is asked for by its Message-ID; a task by our key. Found: saved. Found as a draft: it is
finished by whoever comes next. Not there once it cannot turn up any more: its claim is given up, and it is saved anew. A claim whose
run died before it sent anything is given up at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.db import transaction

from connectors.contract import Record
from reconciliation.engine import email_lookup, email_rows, people_recovery, recovery
from reconciliation.engine.context import RunContext
from reconciliation.models import Email, EmailCopy, Operation, Run
from reconciliation.models.work_left import WorkLeft
from reconciliation.passes.emails import CRM_TASK, PEOPLE
from reconciliation.passes.organisations import CLOCKS_DIFFER
from reconciliation.store import decode_fields


def recover(context: RunContext, left: WorkLeft) -> None:
    """Brings the journal and the claims to rest as far as the CRM allows. Raises ConnectionTrouble."""
    if left.open_operations:
        recovery.void_unsent(context)
        people_recovery.recover(context)
    settle_lost(context)


def settle_lost(context: RunContext) -> None:
    """Settles the claims of runs that are over."""
    settle(context, list(email_rows.lost_claims(context).order_by("pk")))


def settle(context: RunContext, rows: Sequence[Email]) -> set[str]:
    """Brings to rest what runs that are over left of these e-mails, and gives their claims back. Returns the keys of those that nobody
    can tell anything of yet. Raises ConnectionTrouble."""
    if not rows:
        return set()
    writes = email_rows.open_writes(context, [row.key for row in rows])
    writes = {key: op for key, op in writes.items() if op.run_id != context.run.pk}
    busy = {key for key, op in writes.items() if _is_running(op, context)}
    sent = {key: op for key, op in writes.items() if op.state == Operation.State.SENT and key not in busy}
    found = _found(context, [row for row in rows if row.key in sent], sent)
    doubtful = set(busy)
    for row in rows:
        if row.key in busy:
            continue
        with transaction.atomic():
            if not _settle(context, row, writes.get(row.key), found.get(row.key)):
                doubtful.add(row.key)
    return doubtful


def _is_running(op: Operation, context: RunContext) -> bool:
    """Tells whether the run of a write may still be at it: that of another mailbox, and not long ago."""
    is_own = op.run.sync_pass_id == context.sync_pass.pk
    is_young = context.wiring.now() - op.intended_at < email_rows.LOST_AFTER
    return not is_own and op.run.state == Run.State.RUNNING and is_young


def _found(context: RunContext, rows: Sequence[Email], sent: Mapping[str, Operation]) -> Mapping[str, Record]:
    tasks = [row.key for row in rows if sent[row.key].object_type == CRM_TASK]
    emails = {row.key: row.message_id for row in rows if row.key not in tasks}
    found = email_lookup.emails_of(context, emails) if emails else {}
    if tasks:
        since = min(sent[key].intended_at for key in tasks) - CLOCKS_DIFFER
        found |= email_lookup.tasks_of(context, tasks, since=since) or _tasks_without_key(context, tasks, sent, since)
    return found


def _tasks_without_key(context: RunContext, keys: Sequence[str], sent: Mapping[str, Operation], since: object) -> Mapping[str, Record]:
    """Returns the tasks of ours that are what was sent, where tasks bear no key: the guarantee is weaker then."""
    connector = context.crm.connector
    if connector.marker_field_of(CRM_TASK):
        return {}
    mine, found = list(connector.made_by_us(CRM_TASK, ["Subject", "ActivityDate", "WhoId"], since=since)), {}
    for key in keys:
        after = decode_fields(sent[key].after)
        same = next((r for r in mine if all(r.fields.get(n) == after.get(n) for n in ("Subject", "ActivityDate", "WhoId"))), None)
        if same is not None:
            mine.remove(same)
            found[key] = same
    return found


def _settle(context: RunContext, row: Email, op: Operation | None, record: Record | None) -> bool:
    """Brings one e-mail to rest. Returns whether that was possible."""
    if op is not None and op.state == Operation.State.SENT:
        if record is not None and not email_lookup.is_draft(context, record):
            _adopt(context, row, op, record)
            return True
        if record is None and not recovery.may_be_sent_again(context, op, context.crm.connector):
            return False
        _void(context, op, "Begun, and not finished; it is finished next." if record is not None else "Not found; may be sent again.")
        row.draft_id = record.ref.id if record is not None else ""
    elif op is not None:
        _void(context, op, "Never sent.")
    is_mine = row.claim == email_rows.claim_of(context)  # then it goes on with it
    values = {"draft_id": row.draft_id} if is_mine else {"draft_id": row.draft_id, "state": Email.State.WAITING, "claim": ""}
    mine = Email.objects.filter(pk=row.pk, state=Email.State.CLAIMED, claim=row.claim)
    mine.update(**values, due_at=context.wiring.now())
    return True


def _void(context: RunContext, op: Operation, why: str) -> None:
    mine = Operation.objects.filter(pk=op.pk, state__in=Operation.OPEN)
    mine.update(state=Operation.State.VOID, settled_at=context.wiring.now(), error=why)


def _adopt(context: RunContext, row: Email, op: Operation, record: Record) -> None:
    """What was sent was done; nobody heard the answer."""
    now = context.wiring.now()
    won = Operation.objects.filter(pk=op.pk, state=Operation.State.SENT).update(
        state=Operation.State.CONFIRMED, settled_at=now, target_id=record.ref.id, error=""
    )
    if not won:
        return
    copy = EmailCopy.objects.filter(email=row, sync_pass=op.run.sync_pass_id).first()
    Email.objects.filter(pk=row.pk).update(
        state=Email.State.DELETED if record.is_deleted else Email.State.SAVED,
        claim="",
        draft_id="",
        crm_type=op.object_type,
        crm_id=record.ref.id,
        why=copy.why if copy is not None else row.why,
        by=copy.by if copy is not None else row.by,
        links=row.links or _links_sent(op),
        reason="",
        sentence="",
        saved_at=now,
        due_at=None,
    )
    EmailCopy.objects.filter(email=row).update(is_open=False)


def _links_sent(op: Operation) -> dict[str, object]:
    """Returns what an e-mail was linked to, by what was sent of it."""
    after = decode_fields(op.after)
    people = after.get(PEOPLE)
    named = [str(text).partition(";")[2] for text in people] if isinstance(people, tuple) else []
    what, who = after.get("RelatedToId") or after.get("WhatId") or "", after.get("WhoId") or next(iter(named), "")
    return {"who": str(who), "what": str(what), "found": [{"id": id_} for id_ in named]}
