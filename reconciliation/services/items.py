"""What people do with single items of mailboxes (D12, D13, D31): share one now, take one back, let its guests be mailed about a change,
choose whom it is linked to. Each acts at once, under the lease of the mailbox's pass; the pass binds what was made here and makes it
no second time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone

from connectors.contract import Fields, Record, Value
from connectors.errors import ConnectorError, RecordGone
from reconciliation.core.counting import are
from reconciliation.core.ledger import Outcome
from reconciliation.core.operations import Intent
from reconciliation.core.values import is_same
from reconciliation.defaults.events import EVENTS_PASS
from reconciliation.engine import item_links, item_rows, mailbox_ends, pair_reads
from reconciliation.engine.context import RunContext
from reconciliation.engine.executor import Done
from reconciliation.engine.pairs import process_page
from reconciliation.engine.staff import Refusal, at_work
from reconciliation.engine.tombstones import Ending
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Binding, Mailbox, MailboxItem, Operation, SyncPass, Tombstone
from reconciliation.passes import items as rules
from reconciliation.passes.pairs import PairDecision
from reconciliation.services.audit import audit
from reconciliation.services.mailbox_states import refuse_stranger
from reconciliation.services.mailboxes import MailboxRefused

NOT_RUNNING = "Sync of {} is {}, so nothing is shared; resume it first. Nothing was done."
OFF = "The calendar is not switched on for {}; switch it on in the settings first. Nothing was done."
GONE = "The {} is not in the mailbox any more. Nothing was done."
NOT_LINKED = "The {} is not in Salesforce, so there is nothing to do."
CHANGED = "It was changed while you were looking at it. Look at it again. Nothing was done."
TAKES_BACK = (*Mailbox.RUNNING, Mailbox.State.PAUSED, Mailbox.State.SUSPENDED)
RELATED = ("sync_pass__crm", "sync_pass__peer", "sync_pass__mapping", "sync_pass__parent", "sync_pass__mailbox__group")


@dataclass(frozen=True, slots=True)
class Acted:
    """What was done, in a sentence, and in which run; `remark` is the part of the sentence that tells what was left undone."""

    sentence: str
    run_id: int
    remark: str = ""


def item_of(pk: int) -> MailboxItem | None:
    """Returns what is kept of an item, with all that its page needs."""
    return MailboxItem.objects.select_related(*RELATED).filter(pk=pk).first()


def item_share(mailbox: Mailbox, item_id: str, by: AbstractBaseUser, *, wiring: Wiring | None = None) -> Acted:
    """Shares one item now, whatever the settings say of those that nobody marked (S4.28, D13). Raises MailboxRefused, Refusal with why
    it is not shared, Busy, ConnectorError."""
    sync_pass = _pass_of(mailbox, by)
    now = (wiring or Wiring()).now()
    with at_work(sync_pass, by=by.get_username(), what=f"Share an item of {mailbox.address}.", wiring=wiring) as context:
        item = _read_item(context, item_id)
        row, is_new = MailboxItem.objects.get_or_create(
            sync_pass=sync_pass,
            object_type=item.ref.object_type,
            item_id=item_id,
            defaults={"why": rules.BY_PERSON, "state": MailboxItem.State.ENDED, "since": now, "seen_at": now},
        )
        asked = {"share_asked_at": now, "share_asked_by": by.get_username()}
        MailboxItem.objects.filter(pk=row.pk).update(**asked)
        waits = False
        try:
            decision = process_page(context, "peer", [item])[item_id]
            waits = decision.outcome is Outcome.HELD and decision.reason == rules.TWIN
        finally:
            if not waits:
                _forget_the_wish(row, item, is_new=is_new)
        if waits:
            audit(by, "share item", mailbox.address, item=row.pk)
            return Acted(f"{decision.sentence} It is shared by itself then.", context.run.pk)
        _refuse_what_was_not_done(decision)
        audit(by, "share item", mailbox.address, item=row.pk)
        return Acted(decision.sentence or "It is in Salesforce now.", context.run.pk)


def item_send_update(row: MailboxItem, by: AbstractBaseUser, *, wiring: Wiring | None = None) -> Acted:
    """Writes what waits of a meeting into the calendar, though the mail system mails its guests about it (D12)."""
    if not row.held:
        raise Refusal("Nothing of it waits: there is nothing to send.")
    refuse_stranger(_mailbox_of(row), by)
    asked = {"mails_asked_at": timezone.now(), "mails_asked_by": by.get_username()}
    MailboxItem.objects.filter(pk=row.pk).update(**asked)
    try:
        with at_work(row.sync_pass, by=by.get_username(), what=f"Send the update of “{row}” to its guests.", wiring=wiring) as context:
            record = _read_record(context, row)
            decision = process_page(context, "crm", [record])[record.ref.id]
            if decision.outcome is not Outcome.UPDATED:
                raise Refusal(f"{decision.sentence or 'Both sides agree by now.'} Nobody was mailed.")
            audit(by, "send update to guests", str(row.sync_pass.mailbox), item=row.pk, fields=list(row.held), guests=row.guests)
            return Acted(f"Written into the calendar; its {are(row.guests, 'guest')} told by the mail system.", context.run.pk)
    finally:
        MailboxItem.objects.filter(pk=row.pk).update(mails_asked_at=None, mails_asked_by="")


def item_withdraw(row: MailboxItem, by: AbstractBaseUser, *, wiring: Wiring | None = None) -> Acted:
    """Takes a shared item back: it is deleted in the CRM, unless a colleague's mailbox holds it, too, and bears no category any more.
    It is not shared by itself again. That is possible while sync is paused or suspended, too: whoever wants something back shall not have
    to resume it first."""
    refuse_stranger(_mailbox_of(row, TAKES_BACK), by)
    with at_work(row.sync_pass, by=by.get_username(), what=f"Take “{row}” back.", wiring=wiring) as context:
        binding = _binding_of(row)
        item = pair_reads.read(context, "peer", row.object_type, [row.item_id]).get(row.item_id)
        record = _read_record(context, row, is_optional=True)
        others = item_rows.others_with(context, [row.occasion], MailboxItem.State.COLLEAGUE)
        is_marked = item is not None and rules.rules_of(context.terms).is_marked(item)
        if record is not None and not others and not rules.rules_of(context.terms).is_read_only(record):
            _delete_record(context, binding, record, item)
            _note_end(row, by, handed=False, is_marked=is_marked)
        else:
            with transaction.atomic():  # a colleague's mailbox sees all of it or nothing, and who dies in between did nothing
                mailbox_ends.end(context, [Ending(binding, Tombstone.Why.TAKEN_OUT)])
                _note_end(row, by, handed=bool(others), is_marked=is_marked)
                item_rows.hand_over(context, [row.occasion] if others else [])
        # The mark comes last: whatever becomes of it, the item was taken back.
        audit(by, "withdraw item", str(row.sync_pass.mailbox), item=row.pk)
        left = "A colleague's mailbox carries it on." if others else "It is not in Salesforce any more."
        remark = _unmark(context, row, item)
        return Acted(f"{left} {remark}".strip(), context.run.pk, remark)


def item_link(
    row: MailboxItem,
    by: AbstractBaseUser,
    *,
    who: str | None,
    what: str | None,
    others: Sequence[str] | None = None,
    wiring: Wiring | None = None,
) -> Acted:
    """Links the record of an item to whom, and what, a person chose; "" chooses nobody, None leaves it to the rules."""
    refuse_stranger(_mailbox_of(row), by)
    with at_work(row.sync_pass, by=by.get_username(), what=f"Choose the links of “{row}”.", wiring=wiring) as context:
        record = _read_record(context, row)
        item = _read_item(context, row.item_id)
        chosen = {"who": who, "what": what, "others": list(others) if others is not None else None, "by": by.get_username()}
        row.links = {**row.links, item_links.CHOSEN: chosen}
        linked = item_links.links_of(context, [item], {row.item_id: row.why}, {row.item_id: row})[row.item_id]
        given = item_links.given(context, linked)
        wanted = {name: given.get(name) for name in (item_links.WHO, item_links.WHAT)}
        if item_links.has_people(context):
            wanted[item_links.PEOPLE] = given.get(item_links.PEOPLE) or ((given[item_links.WHO],) if given.get(item_links.WHO) else ())
        _write_record(context, record, item, {n: v for n, v in wanted.items() if not is_same(record.fields.get(n), v)}, "Links chosen.")
        row.links = item_links.kept(linked, row)
        row.save(update_fields=["links"])
        audit(by, "choose links of item", str(row.sync_pass.mailbox), item=row.pk, who=who, what=what)
        return Acted("Its links are as chosen.", context.run.pk)


# --- the parts --------------------------------------------------------------------------------------------------------


def _forget_the_wish(row: MailboxItem, item: Record, *, is_new: bool) -> None:
    """What was not shared now is not shared later for having been asked for. An item that is new, and was not shared, never had to do
    with the CRM, unless nobody answered whether it was made."""
    rows = MailboxItem.objects.filter(pk=row.pk)
    rows.update(share_asked_at=None, share_asked_by="")
    made = Operation.objects.filter(source_ref=str(item.ref), kind=Operation.Kind.CREATE, state__in=Operation.OPEN)
    if is_new and not made.exists():
        rows.filter(state=MailboxItem.State.ENDED, crm_id="").delete()


def _pass_of(mailbox: Mailbox, by: AbstractBaseUser) -> SyncPass:
    """Returns the mailbox's row of the pass, where it runs (S4.2)."""
    refuse_stranger(mailbox, by)
    if not mailbox.is_running:
        raise MailboxRefused(NOT_RUNNING.format(mailbox.address, mailbox.get_state_display().lower()))
    related = ("crm", "peer", "mapping", "parent", "mailbox__group")
    found = (
        SyncPass.objects.select_related(*related).filter(mailbox=mailbox, parent__name=EVENTS_PASS, is_on=True, parent__is_on=True).first()
    )
    if found is None:
        raise MailboxRefused(OFF.format(mailbox.address))
    return found


def _mailbox_of(row: MailboxItem, states: Sequence[str] = Mailbox.RUNNING) -> Mailbox:
    """Returns the mailbox of an item. Raises MailboxRefused where it is in none of these states."""
    mailbox = row.sync_pass.mailbox
    assert mailbox is not None
    if mailbox.state not in states:
        raise MailboxRefused(NOT_RUNNING.format(mailbox.address, mailbox.get_state_display().lower()))
    return mailbox


def _read_item(context: RunContext, item_id: str) -> Record:
    found = pair_reads.read(context, "peer", context.terms.kind.peer_object, [item_id])
    if item_id not in found:
        raise Refusal(GONE.format(rules.noun(context.terms)))
    return found[item_id]


def _binding_of(row: MailboxItem) -> Binding:
    found = Binding.objects.filter(sync_pass=row.sync_pass, peer_id=row.item_id, is_tombstone=False).first()
    if found is None:
        raise Refusal(NOT_LINKED.format(row.object_type))
    return found


def _read_record(context: RunContext, row: MailboxItem, *, is_optional: bool = False) -> Record | None:
    binding = _binding_of(row)
    found = pair_reads.read(context, "crm", binding.crm_type, [binding.crm_id]).get(binding.crm_id)
    if (found is None or found.is_deleted) and not is_optional:
        raise Refusal(f"{binding.crm_type} {binding.crm_id} is not in {context.terms.crm_name} any more. Nothing was done.")
    return None if found is None or found.is_deleted else found


def _refuse_what_was_not_done(decision: PairDecision) -> None:
    """Raises Refusal with why nothing was done."""
    done = decision.outcome in (Outcome.CREATED, Outcome.UPDATED) or (decision.outcome is Outcome.UNCHANGED and decision.crm is not None)
    if not done:
        raise Refusal(decision.sentence or "Nothing was done.")


def _delete_record(context: RunContext, binding: Binding, record: Record, item: Record | None) -> None:
    why = f"{context.run.started_by} took it back."
    source = str(item.ref) if item is not None else f"{context.peer.connector.system}:{binding.peer_type}:{binding.peer_id}"
    intent = Intent(
        "delete",
        "crm",
        record.ref.object_type,
        source,
        {},
        dict(record.fields),
        target_id=record.ref.id,
        version=record.version,
        reason=why,
    )

    def settle(done: list[Done]) -> None:
        if all(one.error is None or isinstance(one.error, RecordGone) for one in done):  # somebody deleted it meanwhile
            mailbox_ends.end(context, [Ending(binding, Tombstone.Why.TAKEN_OUT)])

    _send(context, "crm", intent, settle)


def _unmark(context: RunContext, row: MailboxItem, item: Record | None) -> str:
    """Takes the marks off an item that was taken back. Returns what is to be told where that cannot be done; it is shared no more all
    the same."""
    wanted = rules.without_marks(item, context.terms) if item is not None else {}
    if item is None or not wanted:
        return ""
    before: Fields = {name: item.fields.get(name) for name in wanted}
    of = {"target_id": item.ref.id, "version": item.version, "reason": "It was taken back."}
    try:
        done = _sent(context, "peer", Intent("update", "peer", item.ref.object_type, str(item.ref), wanted, before, **of))
    except ConnectorError as error:
        return f"Its category was left on it: {error.sentence}."
    if done is None:
        return "Its category was left on it: somebody else is writing it just now."
    if done.error is not None:
        return f"Its category was left on it: {done.error}."
    MailboxItem.objects.filter(pk=row.pk).update(was_marked=False)
    return ""


def _write_record(context: RunContext, record: Record, item: Record, fields: dict[str, Value], reason: str) -> None:
    if not fields:
        return
    before: Fields = {name: record.fields.get(name) for name in fields}
    of = {"target_id": record.ref.id, "version": record.version, "reason": reason}
    _send(context, "crm", Intent("update", "crm", record.ref.object_type, str(item.ref), fields, before, **of))


def _send(context: RunContext, side: str, intent: Intent, settle: Callable[[list[Done]], None] = lambda done: None) -> None:
    """Writes once through the journal. Raises Refusal where somebody else is at it, or the system refuses."""
    done = _sent(context, side, intent, settle)
    if done is None:
        raise Refusal("Somebody else is writing it just now; try again in a minute. Nothing was done.")
    if done.error is not None and not (intent.kind == "delete" and isinstance(done.error, RecordGone)):
        raise Refusal(f"{done.error} {CHANGED if intent.kind == 'update' else ''}".strip())


def _sent(context: RunContext, side: str, intent: Intent, settle: Callable[[list[Done]], None] = lambda done: None) -> Done | None:
    """Writes once through the journal. Returns what became of it, None where somebody else is at it."""
    said: list[Done] = []

    def settled(done: list[Done]) -> None:
        said.extend(done)
        settle(done)

    operations = [op for op in context.executor.intend([intent]) if op is not None]
    if not operations:
        return None
    context.executor.send(side, operations, settled)
    return said[-1]


def _note_end(row: MailboxItem, by: AbstractBaseUser, *, handed: bool, is_marked: bool) -> None:
    sentence = f"{by.get_username()} took it back."
    MailboxItem.objects.filter(pk=row.pk).update(
        state=MailboxItem.State.ENDED,
        reason=rules.HANDED_OVER if handed else rules.TAKEN_OUT,
        sentence=sentence,
        was_marked=is_marked,
        held=[],
        is_held=False,
        links={},
    )
