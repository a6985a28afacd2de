"""What a person may do about an error: retry one or many, or say what shall become of an account that is gone.

Clearing the flag in Workbooks re-arms the record once (D5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from django.contrib.auth.models import AbstractBaseUser
from django.utils import timezone

from connectors.contract import Value
from reconciliation.core.counting import counted
from reconciliation.core.eligibility import PluginColumns
from reconciliation.engine import crm_writes, email_rows, gather, people
from reconciliation.engine.cases import PEOPLE_REFUSED
from reconciliation.engine.context import RunContext
from reconciliation.engine.crm_writes import CrmWrite
from reconciliation.engine.staff import at_work
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Activity, Binding, Case, Email, LookAgain, SyncPass
from reconciliation.passes.organisations import ORGANISATION
from reconciliation.services.audit import audit
from reconciliation.services.duplicates import CLOSED_MEANWHILE, DecisionRefused, bind, case_subject, read_organisations, unbind, write


def by_pass(cases: Sequence[Case]) -> list[list[Case]]:
    """Returns the cases of each pass: each has its own lease and its own way to re-arm a record."""
    found: dict[int, list[Case]] = {}
    for case in cases:
        found.setdefault(case.sync_pass_id, []).append(case)
    return list(found.values())


def error_retry(cases: Sequence[Case], user: AbstractBaseUser, *, wiring: Wiring | None = None) -> int:
    """Re-arms these cases and closes them; the next pass tries each record once more. Returns how many were re-armed. Raises
    DecisionRefused when none of them is open any more, Busy, ConnectorError; what was re-armed before in another pass
    stays so."""
    done, refusals, parts = 0, [], by_pass(cases)
    for some in parts:
        try:
            done += _retry_in(some[0].sync_pass, some, user, wiring)
        except DecisionRefused as refusal:
            refusals.append(refusal)
    if parts and len(refusals) == len(parts):
        raise refusals[0]
    return done


def _retry_in(sync_pass: SyncPass, cases: Sequence[Case], user: AbstractBaseUser, wiring: Wiring | None) -> int:
    """Re-arms cases of one pass. Raises as `error_retry`."""
    with at_work(sync_pass, by=str(user), what=f"Retry {len(cases)} error{'s' if len(cases) > 1 else ''}.", wiring=wiring) as context:
        # As they are now: somebody may have decided while this waited for the pass.
        cases = list(Case.objects.filter(pk__in=[c.pk for c in cases], state=Case.State.OPEN))
        if not cases:
            raise DecisionRefused(f"{CLOSED_MEANWHILE} Nothing was done.")
        return _retry_of(sync_pass)(context, cases, user)


def _retry_of(sync_pass: SyncPass) -> Callable[[RunContext, Sequence[Case], AbstractBaseUser], int]:
    if sync_pass.is_of_activities:
        return _retry_activities
    if sync_pass.is_of_emails:
        return _retry_emails
    return _retry_pairs if sync_pass.is_two_way else _retry_organisations


def _retry_organisations(context: RunContext, cases: Sequence[Case], user: AbstractBaseUser) -> int:
    """Clears the error flag of these cases' organisations, a hundred a call."""
    columns = context.terms.columns
    fields: dict[str, Value] = columns.error_cleared()
    # Where the flag was never written, the case alone held the record.
    flagged = [c for c in cases if c.flag == Case.Flag.WRITTEN]
    writes = [CrmWrite("flag", c.crm_id, c.name, fields, "", "Retry by staff.") for c in flagged]
    failed = set(crm_writes.write_all(context, writes))
    done = [c.pk for c in cases if c.crm_id not in failed]
    _take_up_again(context.sync_pass, [c for c in cases if c.crm_id not in failed])
    return _resolve_all(context, done, cases, user)


def _retry_pairs(context: RunContext, cases: Sequence[Case], user: AbstractBaseUser) -> int:
    """Re-arms errors of a two-way pass: nothing is flagged in its CRM, so their records are owed a second look."""
    for case in cases:
        side, object_type, id_ = case.subject_record
        LookAgain.objects.update_or_create(
            sync_pass=case.sync_pass,
            side=side,
            object_type=object_type,
            record_id=id_,
            defaults={"reason": "retry", "since": context.wiring.now(), "tries": 0, "due_at": None, "waits_for": ""},
        )
    # The record named first may hold what was agreed on: the edit that was refused is the other side's.
    rows = Binding.objects.filter(sync_pass=context.sync_pass, is_tombstone=False, crm_id__in=[c.crm_id for c in cases if c.crm_id])
    rows.update(is_retry_due=True)
    return _resolve_all(context, [c.pk for c in cases], cases, user)


def _retry_activities(context: RunContext, cases: Sequence[Case], user: AbstractBaseUser) -> int:
    """Has the next run look at these activities; the case of all that wait is for those that wait for the same."""
    rows, now = Activity.objects.filter(sync_pass=context.sync_pass), context.wiring.now()
    again = {"state": Activity.State.WAITING, "tries": 0, "due_at": now}
    for case in cases:
        _, object_type, id_ = case.subject_record
        mine = rows.filter(object_type=object_type, activity_id=id_) if case.peer_id else rows.filter(reason="mapping")
        mine.filter(state__in=(Activity.State.WAITING, Activity.State.REFUSED)).update(**again)
    return _resolve_all(context, [c.pk for c in cases], cases, user)


def _retry_emails(context: RunContext, cases: Sequence[Case], user: AbstractBaseUser) -> int:
    """Has the next run look at these e-mails; the case of all that wait is for those that wait for the same."""
    rows = Email.objects.filter(connection=context.crm.connection, state__in=(Email.State.WAITING, Email.State.REFUSED))
    again = {"state": Email.State.WAITING, "tries": 0, "due_at": context.wiring.now()}
    for case in cases:
        copies = email_rows.copies_of_case(context.sync_pass, case.peer_id)
        mine = rows.filter(pk__in=copies.values("email_id")) if case.peer_id else rows.filter(reason="mapping")
        mine.update(**again)
    return _resolve_all(context, [c.pk for c in cases], cases, user)


def _resolve_all(context: RunContext, done: Sequence[int], cases: Sequence[Case], user: AbstractBaseUser) -> int:
    won = Case.objects.filter(pk__in=done, state=Case.State.OPEN).update(
        state=Case.State.RESOLVED, decision="retry", decided_by=user, closed_at=timezone.now()
    )
    audit(user, "error: retry", case_subject(cases[0]) if won == len(cases) == 1 else counted(won, "error"), run=context.run.pk)
    return won


def _take_up_again(sync_pass: SyncPass, cases: Sequence[Case]) -> None:
    """What no edit in Workbooks would bring back is marked as owed: once (D5)."""
    rows = Binding.objects.filter(sync_pass=sync_pass, crm_type=ORGANISATION, is_tombstone=False)
    rows.filter(crm_id__in=[c.crm_id for c in cases if c.flag != Case.Flag.WRITTEN]).update(is_retry_due=True)
    people_owed = [c.crm_id for c in cases if c.reason == PEOPLE_REFUSED]
    rows.filter(crm_id__in=people_owed).update(are_people_due=True, owed_tries=0)


def account_create_again(case: Case, user: AbstractBaseUser, *, wiring: Wiring | None = None) -> None:
    """The account is gone and shall exist again: Id and URL are blanked, and the next pass treats the organisation as
    a new one, with its search for the name (D35). Raises DecisionRefused, Busy, ConnectorError."""
    with _deciding(case, user, f"Create an account for {case.name} again.", wiring) as (context, columns):
        fields: dict[str, Value] = {columns.peer_id: None, columns.peer_url: None, **columns.error_cleared()}
        write(context, [CrmWrite("flag", case.crm_id, case.name, fields, "", "The account shall be created again, by staff.")])
        unbind(case)
        _resolve(case, user, "create again")


def account_stop(case: Case, user: AbstractBaseUser, *, wiring: Wiring | None = None) -> None:
    """The account is gone and the organisation shall not sync any more: *Sync to Outreach* is unticked (D35)."""
    with _deciding(case, user, f"Stop syncing {case.name}.", wiring) as (context, columns):
        fields: dict[str, Value] = {columns.sync: False, **columns.error_cleared()}
        write(context, [CrmWrite("flag", case.crm_id, case.name, fields, "", "Stopped by staff.")])
        _resolve(case, user, "stopped syncing")


def account_link_another(case: Case, user: AbstractBaseUser, peer_id: str, *, wiring: Wiring | None = None) -> None:
    """The account is gone and another one stands for the organisation: it is linked, fields stay as they are on both
    sides (D25, D35). Raises DecisionRefused when there is no such account or it is linked elsewhere."""
    if not peer_id.isascii() or not peer_id.isdigit():
        raise DecisionRefused("An Outreach account id is a number; it stands at the end of the account's address.")
    with _deciding(case, user, f"Link {case.name} to account {peer_id}.", wiring) as (context, columns):
        account = gather.accounts_by_id(context.peer.connector, context.terms.mapping, [peer_id]).get(peer_id)
        if account is None:
            raise DecisionRefused(f"Outreach has no account {peer_id}. Nothing was done.")
        holder = gather.bound_organisations(case.sync_pass, [peer_id]).get(peer_id, case.crm_id)
        if holder != case.crm_id:
            raise DecisionRefused(f"Account {peer_id} is linked to organisation {holder}. Nothing was done.")
        record = read_organisations(context, [case.crm_id]).get(case.crm_id)
        if record is None or record.is_deleted:
            raise DecisionRefused("The organisation was deleted in Workbooks. Nothing was done.")
        fields: dict[str, Value] = {**crm_writes.id_and_url(context, peer_id), **columns.error_cleared()}
        write(context, [CrmWrite("write_back", case.crm_id, case.name, fields, record.version, "Linked by staff.", dict(record.fields))])
        bind(context, case, record, account)
        people.relate(context, [case.crm_id])
        _resolve(case, user, f"link {peer_id}")


@contextmanager
def _deciding(case: Case, user: AbstractBaseUser, what: str, wiring: Wiring | None) -> Iterator[tuple[RunContext, PluginColumns]]:
    _check_gone(case)
    with at_work(case.sync_pass, by=str(user), what=what, wiring=wiring) as context:
        _check_gone(case)  # somebody may have decided while this waited for the pass
        yield context, context.terms.columns


def _check_gone(case: Case) -> None:
    """Reads the case anew. Raises DecisionRefused unless it is open and about an account that is gone."""
    case.refresh_from_db()
    if case.state != Case.State.OPEN:
        raise DecisionRefused(f"This case was already closed ({case.decision or 'by itself'}). Nothing was done.")
    if case.reason != "account_gone":  # a link that still holds must not be dissolved: it would make a second account
        raise DecisionRefused("Its account is not gone. Correct the record, then press Retry. Nothing was done.")


def _resolve(case: Case, user: AbstractBaseUser, decision: str) -> None:
    won = Case.objects.filter(pk=case.pk, state=Case.State.OPEN).update(
        state=Case.State.RESOLVED, decision=decision[:40], decided_by=user, closed_at=timezone.now()
    )
    if not won:
        raise DecisionRefused(CLOSED_MEANWHILE)
    audit(user, f"error: {decision}", case_subject(case))
