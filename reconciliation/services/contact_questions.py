"""What a person decides about contacts of mailboxes: a deletion that waits (D8, D26, S1.21 to S1.23), and an item whose e-mail
address a contact of Salesforce bears already (D7).

Each answer goes the pass's own road, under the mailbox's lease and through the journal; the terms of that one page say what
the person answered, so that rights, bases and brakes hold as in a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone

from connectors.contract import Record, Ref
from connectors.mailboxes import CONTACT_SCHEMA, FOREIGN_ID, INSIDE, PLACE
from reconciliation.core.counting import bent, counted
from reconciliation.core.ledger import Outcome
from reconciliation.core.mailbox_settings import ALLOWED
from reconciliation.core.mapping import Direction
from reconciliation.core.operations import Intent
from reconciliation.core.settling import do_agree
from reconciliation.core.values import is_blank, isolated
from reconciliation.engine import mailbox_ends, pair_reads, pair_trouble, tombstones
from reconciliation.engine.context import RunContext
from reconciliation.engine.executor import Done
from reconciliation.engine.mailbox_terms import effective_of
from reconciliation.engine.pairs import process_page
from reconciliation.engine.tombstones import Ending
from reconciliation.models import Binding, Case, Mailbox, Operation, RememberedPair, Tombstone
from reconciliation.passes.contacts import ANOTHER, CATEGORY, CONTACT, DELETE, DELETED_HERE, FOLDER, ITEM, KEEP_HERE, PUT_BACK
from reconciliation.passes.pairs import PairDecision
from reconciliation.services import case_desk
from reconciliation.services.audit import audit
from reconciliation.services.duplicates import (
    CLOSED_MEANWHILE,
    Decision,
    DecisionPlan,
    DecisionRefused,
    PlannedWrite,
    check_fresh,
    deciding,
    stamp_of,
)
from reconciliation.store import decode_fields, mapping_of

KINDS = (Case.Kind.DELETION, Case.Kind.EXISTS)
LINK, CREATE, PERSONAL = "link contact", "create contact", "personal"
DECIDED = {DELETE: "contact deleted", PUT_BACK: "put back", KEEP_HERE: "kept apart"}
GONE_IN_CRM = "edited_here"  # the reason of a case: the contact is gone, or out of view, and its item was edited
MOST_NAMED = 20
MOST_SHOWN = 300  # characters of a value


@dataclass(frozen=True, slots=True)
class Holders:
    """The other mailboxes that hold a contact: the first of them by address, and how many there are."""

    addresses: tuple[str, ...]
    count: int

    @property
    def sentence(self) -> str:
        if not self.count:
            return "No other mailbox holds this contact."
        more = self.count - len(self.addresses)
        return f"{counted(self.count, 'other mailbox', 'other mailboxes')} {bent(self.count, 'holds', 'hold')} this contact: " + (
            f"{', '.join(self.addresses)}{f' and {more:,} more' if more else ''}."
        )


def holders_of(case: Case) -> Holders:
    """Returns the other mailboxes that a deletion in Salesforce would empty."""
    rows = Binding.objects.filter(sync_pass__parent=case.sync_pass.parent_id, is_tombstone=False, crm_type=CONTACT, crm_id=case.crm_id)
    rows = rows.exclude(sync_pass=case.sync_pass).exclude(sync_pass__mailbox__state=Mailbox.State.ENDED)
    named = rows.order_by("sync_pass__mailbox__address").values_list("sync_pass__mailbox__address", flat=True)[: MOST_NAMED + 1]
    addresses = list(named)
    count = len(addresses) if len(addresses) <= MOST_NAMED else rows.count()
    return Holders(tuple(addresses[:MOST_NAMED]), count)


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer that a page offers: what it is sent as, its button, and what it will do. `refusal` says why it cannot be."""

    name: str
    button: str
    plan: DecisionPlan
    contact_id: str = ""
    refusal: str = ""
    is_grave: bool = False  # deletes something


# --- a deletion -----------------------------------------------------------------------------------------------------


def deletion_answers(case: Case, holders: Holders) -> list[Answer]:
    """Returns what may be answered to a deletion, with the writes of each (S1.21 to S1.23). Reads nothing remote."""
    return _answers_of_edited_item(case) if case.reason == GONE_IN_CRM else _answers_of_deleted_item(case, holders)


def _stamp(case: Case, holders: Holders) -> str:
    return f"{stamp_of(case)}@{holders.count}"


def _answers_of_deleted_item(case: Case, holders: Holders) -> list[Answer]:
    name, mailbox = isolated(case.name), case.sync_pass.mailbox
    crm, stamp = case.sync_pass.crm.get_system_display(), _stamp(case, holders)
    delete = [PlannedWrite(crm, f"Contact {case.crm_id} {isolated(case.name)}", "the contact", f"deleted (in the Recycle Bin of {crm})")]
    remarks = ["Activities of the contact stay or go as they do when somebody deletes it there."]
    if holders.count:
        leaves = (
            f"It leaves {bent(holders.count, 'that folder', 'those folders')} in the next run over {bent(holders.count, 'it', 'each')}."
        )
        remarks.insert(0, f"{holders.sentence} {leaves}")
    is_allowed = effective_of(case.sync_pass, mailbox)["deletion"].value == ALLOWED
    refusal = "" if is_allowed else "Removal is forbidden in this mailbox by now: put the contact back, or keep it in Salesforce only."
    put = [PlannedWrite(_mail(case), f"folder “{FOLDER}” of {mailbox.address}", "a new contact", f"{name}, with what {crm} holds now")]
    keep = (
        f"Nothing is written: the contact stays in {crm} and in other mailboxes.",
        f"It is not put back into the folder of {mailbox.address} by an edit; its page under Deleted does that.",
    )
    everywhere = DecisionPlan(f"Delete {name} in {crm}, and so everywhere", tuple(delete), tuple(remarks), stamp=stamp)
    return [
        Answer(PUT_BACK, "Put it back", DecisionPlan(f"Put {name} back in the folder", tuple(put), stamp=stamp)),
        Answer(KEEP_HERE, "Keep it", DecisionPlan(f"Keep {name}: take it out of this mailbox only", (), keep, stamp=stamp)),
        Answer(DELETE, f"Delete in {crm}", everywhere, refusal=refusal, is_grave=True),
    ]


def _answers_of_edited_item(case: Case) -> list[Answer]:
    name, crm, mail = isolated(case.name), case.sync_pass.crm.get_system_display(), _mail(case)
    address, stamp = case.sync_pass.mailbox.address, stamp_of(case)
    there = f"folder “{FOLDER}” of {address}"
    delete = (PlannedWrite(mail, there, f"contact {name}", "deleted (in Deleted Items, or the bin)"),)
    anew = (
        PlannedWrite(crm, "a new Contact", "all mapped fields", "what the mailbox holds"),
        PlannedWrite(mail, f"contact {name}", "Salesforce ID", "that of the new contact"),
    )
    keep = ("Nothing is written: the item stays where it lies, personal, and is not synced any more.",)
    remark = (f"The search for its e-mail address and its company runs first, as for every new contact; its old id in {crm} is gone.",)
    return [
        Answer(PUT_BACK, f"Create in {crm}", DecisionPlan(f"Create {name} in {crm} again", anew, remark, stamp=stamp)),
        Answer(KEEP_HERE, "Keep it", DecisionPlan(f"Keep {name}: in this mailbox only", (), keep, stamp=stamp)),
        Answer(DELETE, "Delete in the mailbox", DecisionPlan(f"Delete {name} in the mailbox, too", delete, stamp=stamp), is_grave=True),
    ]


def _mail(case: Case) -> str:
    return case.sync_pass.peer.get_system_display()


def deletion_answer(decision: Decision, answer: str) -> str:
    """Carries the answer to a deletion out and returns what happened, in words. Raises DecisionRefused, Busy, WritesStopped,
    ConnectorError; nothing has changed then, unless the answer was lost: the next run finds out."""
    if answer not in DECIDED:
        raise DecisionRefused("Choose what shall become of it. Nothing was done.")
    words = {DELETE: "Delete", PUT_BACK: "Put back", KEEP_HERE: "Keep, out of this mailbox only,"}[answer]
    with deciding(decision, f"{words} {decision.case.name}.") as (context, case):
        _refuse_other_kind(case, Case.Kind.DELETION)
        if decision.stamp != (stamp_of(case) if case.reason == GONE_IN_CRM else _stamp(case, holders_of(case))):
            raise DecisionRefused("What it rests on changed while you were looking at it. Look at it again, then decide. Nothing was done.")
        binding = Binding.objects.filter(sync_pass=case.sync_pass, peer_id=case.peer_id, is_tombstone=False).first()
        if binding is None:
            raise DecisionRefused("The link ended meanwhile; nothing waits for a decision. Nothing was done.")
        carry = _end_edited_item if case.reason == GONE_IN_CRM else _end_deleted_item
        said = carry(context, case, binding, answer)
        _resolve(decision, case, DECIDED[answer], context)
        return said


def _end_deleted_item(context: RunContext, case: Case, binding: Binding, answer: str) -> str:
    if answer == DELETE and context.terms.deletion != ALLOWED:
        raise DecisionRefused("Removal is forbidden in this mailbox by now: put the contact back, or keep it. Nothing was done.")
    place = mailbox_ends.where_they_are(context, [case.peer_id])[case.peer_id]
    if place == INSIDE:
        raise DecisionRefused("It is in the folder again; the next run closes this question by itself. Nothing was done.")
    context.terms = replace(context.terms, ends={case.peer_id: answer})
    item = Record(Ref(context.peer.connector.system, ITEM, case.peer_id), {PLACE: place}, is_deleted=True)
    done = process_page(context, "peer", [item])[case.peer_id]
    if answer == DELETE:
        return _deleted_in_crm(context, done)
    if answer == KEEP_HERE:
        return f"stays in {context.terms.crm_name} and was taken out of this mailbox only"
    return _put_back(context, case, binding)


def _deleted_in_crm(context: RunContext, done: PairDecision) -> str:
    if done.outcome is Outcome.UPDATED and done.reason == DELETED_HERE:
        return f"was deleted in {context.terms.crm_name}; it leaves every other folder in the next run of each mailbox"
    if done.outcome is Outcome.EXCLUDED:  # the link ended without a write: somebody deleted it there, or the item lies elsewhere
        return f"needed no write: {done.sentence}"
    raise DecisionRefused(f"It was not deleted: {done.sentence}")


def _put_back(context: RunContext, case: Case, binding: Binding) -> str:
    """Makes the item again from the contact, at once; one that is out of view comes back with its view."""
    found = pair_reads.read(context, "crm", CONTACT, [case.crm_id]).get(case.crm_id)
    if found is None or found.is_deleted:
        return f"is not in {context.terms.crm_name} any more; there was nothing to put back"
    done = process_page(context, "crm", [found])[case.crm_id]
    if done.outcome is not Outcome.CREATED:
        return f"will be put back by a later run, which looks at it again: {done.sentence or done.reason}"
    return "is in the folder again"


def _end_edited_item(context: RunContext, case: Case, binding: Binding, answer: str) -> str:
    items = mailbox_ends.read_inside(context, [case.peer_id])
    if answer == PUT_BACK:
        return _made_in_crm(context, case, binding, items.get(case.peer_id))
    context.terms = replace(context.terms, ends={case.peer_id: answer})
    found = pair_reads.read(context, "crm", CONTACT, [case.crm_id]).get(case.crm_id)
    if found is not None and not found.is_deleted and not binding.is_out_of_view:
        raise DecisionRefused("Its contact is there again; the next run goes on with it. Nothing was done.")
    gone = Record(Ref(context.crm.connector.system, CONTACT, case.crm_id), {}, is_deleted=True)
    done = process_page(context, "crm", [found or gone])[case.crm_id]
    if done.outcome in (Outcome.FAILED, Outcome.HELD, Outcome.DUPLICATE):
        raise DecisionRefused(f"It was not done: {done.sentence}")
    return "was moved to Deleted Items" if answer == DELETE else "stays in this mailbox only"


def _made_in_crm(context: RunContext, case: Case, binding: Binding, item: Record | None) -> str:
    if item is None:
        raise DecisionRefused("It is not in the folder any more. Nothing was done.")
    found = pair_reads.read(context, "crm", CONTACT, [case.crm_id]).get(case.crm_id)
    if found is not None and not found.is_deleted:
        raise DecisionRefused(f"Its contact is in {context.terms.crm_name}; nothing is to be made. Nothing was done.")
    with transaction.atomic():  # the item counts as new from here on, whatever comes in between
        context.lease.renew()
        tombstones.end_links(context, [Ending(binding, Tombstone.Why.GONE)])
        _forget_link(context, binding)
    done = process_page(context, "peer", [item])[case.peer_id]
    if done.outcome in (Outcome.CREATED, Outcome.UPDATED):
        return f"is in {context.terms.crm_name} again"
    return f"counts as new; what stands against it: {done.sentence or done.reason}"


def _forget_link(context: RunContext, binding: Binding) -> None:
    """Lets both records of an ended link count as new; what was remembered of it stays under Deleted."""
    pair_trouble.look_again(context, "peer", [Ref(context.peer.connector.system, ITEM, binding.peer_id)], "sync_again")
    binding.tombstones.update(binding=None)
    binding.delete()


# --- a contact with this address exists -----------------------------------------------------------------------------


def exists_answers(case: Case) -> list[Answer]:
    """Returns what may be answered when contacts bear the item's address: which one it is, a contact of its own, or personal
    (D7). Reads nothing remote."""
    crm, mail, name, stamp = case.sync_pass.crm.get_system_display(), _mail(case), isolated(case.name), stamp_of(case)
    bound = Binding.objects.filter(sync_pass=case.sync_pass, is_tombstone=False, crm_id__in=[c["peer_id"] for c in case.candidates])
    held = set(bound.values_list("crm_id", flat=True))
    item = f"contact {isolated(case.name)} of {case.sync_pass.mailbox.address}"
    links = []
    for candidate in case.candidates:
        id_ = candidate["peer_id"]
        writes = (PlannedWrite(mail, item, "Salesforce ID", id_), PlannedWrite(mail, item, "category", f"{CATEGORY}, where it lacks it"))
        remarks = (
            "Fields that differ are left as they are on both sides (On first link: leave differences); only an opt-out goes across.",
            "They are listed under Differences, and can be forced from there.",
        )
        refusal = f"Contact {id_} is in this folder already, as another item: delete one of the two in the mailbox." if id_ in held else ""
        plan = DecisionPlan(f"Link {name} to contact {id_} {isolated(candidate['name'])}", writes, remarks, stamp=stamp)
        links.append(Answer(LINK, "Link to this contact", plan, id_, refusal))
    anew = (*_writes_of_new(case), PlannedWrite(mail, item, "Salesforce ID", "that of the new contact"))
    owner = isolated(case.sync_pass.mailbox.crm_user_name or case.sync_pass.mailbox.address)
    create_remarks = (f"It is owned by {owner}; its company finds the account. {crm} then has two contacts with one address.",)
    alone = ("Nothing is written. The item stays where it lies and is never shared, until this decision is taken back.",)
    return [
        *links,
        Answer(CREATE, "Create another contact", DecisionPlan(f"Create another contact for {name}", anew, create_remarks, stamp=stamp)),
        Answer(PERSONAL, "Keep personal", DecisionPlan(f"Keep {name} personal", (), alone, stamp=stamp)),
    ]


def _writes_of_new(case: Case) -> list[PlannedWrite]:
    """Returns what a new contact gets of the item, as it was when the question was asked."""
    crm, ours = case.sync_pass.crm.get_system_display(), decode_fields(case.crm_fields)
    rules = mapping_of(case.sync_pass.whole.mapping, case.sync_pass.peer).rules
    held = [(r.crm, ours.get(r.peer)) for r in rules if r.direction is not Direction.TO_PEER and not is_blank(ours.get(r.peer))]
    return [PlannedWrite(crm, "a new Contact", name, isolated(str(value)[:MOST_SHOWN])) for name, value in held]


def exists_answer(decision: Decision, answer: str, contact_id: str = "") -> str:
    """Carries the answer out and returns what happened, in words. Raises as `deletion_answer`."""
    act: dict[str, Callable[[RunContext, Case], str]] = {
        LINK: lambda context, case: _share(context, case, contact_id),
        CREATE: lambda context, case: _share(context, case, ANOTHER),
        PERSONAL: lambda context, case: _keep_personal(case, decision.user),
    }
    if answer not in act:
        raise DecisionRefused("Choose what shall become of it. Nothing was done.")
    if answer == LINK and contact_id not in {c["peer_id"] for c in decision.case.candidates}:  # before anything is read for it
        raise DecisionRefused("This contact is not among the candidates of the case. Nothing was done.")
    what = {LINK: f"Link {decision.case.name} to contact {contact_id}.", CREATE: f"Create another contact for {decision.case.name}."}
    with deciding(decision, what.get(answer, f"Keep {decision.case.name} personal.")) as (context, case):
        _refuse_other_kind(case, Case.Kind.EXISTS)
        if not decision.stamp:
            raise DecisionRefused("Look at what it writes first, then decide. Nothing was done.")
        said = act[answer](context, case)
        _resolve(decision, case, answer, context)
        return said


def _share(context: RunContext, case: Case, contact_id: str) -> str:
    item = mailbox_ends.read_inside(context, [case.peer_id]).get(case.peer_id)
    if item is None:
        raise DecisionRefused("The item is not in the folder any more; the next run closes this question. Nothing was done.")
    RememberedPair.objects.filter(sync_pass=case.sync_pass, peer_id=case.peer_id, crm_id__in=["", contact_id]).delete()
    context.terms = replace(context.terms, chosen={case.peer_id: contact_id})
    done = process_page(context, "peer", [item])[case.peer_id]
    wanted = done.outcome is Outcome.CREATED if contact_id == ANOTHER else done.is_link
    if not wanted or done.outcome in (Outcome.FAILED, Outcome.HELD):
        raise DecisionRefused(f"It was not done: {done.sentence or done.reason}")
    return f"was created in {context.terms.crm_name}" if contact_id == ANOTHER else f"is linked to contact {contact_id}"


def _keep_personal(case: Case, user: AbstractBaseUser) -> str:
    RememberedPair.objects.get_or_create(sync_pass=case.sync_pass, crm_id="", peer_id=case.peer_id, defaults={"decided_by": user})
    return "stays personal and is not shared"


# --- both -----------------------------------------------------------------------------------------------------------


def answers_of(case: Case, holders: Holders | None = None) -> list[Answer]:
    """Returns what may be answered to a question of a mailbox; nothing where it is closed."""
    if not case.is_open:
        return []
    return exists_answers(case) if case.kind == Case.Kind.EXISTS else deletion_answers(case, holders or holders_of(case))


def answer(decision: Decision, name: str, contact_id: str = "") -> str:
    """Carries an answer out, whichever the question is."""
    if decision.case.kind == Case.Kind.EXISTS:
        return exists_answer(decision, name, contact_id)
    return deletion_answer(decision, name)


def put_off(decision: Decision, assign_to: AbstractBaseUser | None) -> None:
    """Keeps the question open with a note, for a colleague if one is named. Raises DecisionRefused."""
    case = check_fresh(decision)
    if not case_desk.put_off(case, decision.reason, assign_to):
        raise DecisionRefused(CLOSED_MEANWHILE)
    subject = f"{case.sync_pass.mailbox.address}: {case.name}"
    audit(decision.user, "contact: later", subject, note=decision.reason, given_to=str(assign_to or ""))


def _refuse_other_kind(case: Case, kind: str) -> None:
    if case.kind != kind:
        raise DecisionRefused(CLOSED_MEANWHILE)


def _resolve(decision: Decision, case: Case, what: str, context: RunContext) -> None:
    """Notes who decided. What the page closed by itself a moment ago, since it went through, is the person's doing."""
    binding = Binding.objects.filter(sync_pass=case.sync_pass, peer_id=case.peer_id, is_tombstone=False).first()
    decided = {"run": context.run.pk, "to": [binding.crm_type, binding.crm_id] if binding is not None else []}
    Case.objects.filter(pk=case.pk).update(
        state=Case.State.RESOLVED,
        decision=what,
        decided=decided,
        decided_by_id=decision.user.pk,
        note=decision.reason,
        closed_at=timezone.now(),
    )
    subject = f"{case.sync_pass.mailbox.address}: {case.name}"
    audit(decision.user, f"contact: {what}", subject, case=case.pk, **decided, **({"reason": decision.reason} if decision.reason else {}))


# --- taking an answer back ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TakeBack:
    """How an answer can be taken back: by the plan, elsewhere in these pages, or not at all (the sentence says why)."""

    sentence: str
    plan: DecisionPlan | None = None
    run_id: int | None = None  # its undo page takes the write back
    tombstone_id: int | None = None  # whose page puts the contact back


def take_back(case: Case) -> TakeBack | None:
    """Returns how the answer to a closed question can be taken back, None where a run closed it. Reads nothing remote."""
    if case.state != Case.State.RESOLVED:
        return None
    if case.decision == LINK:
        item = f"contact {isolated(case.name)} of {case.sync_pass.mailbox.address}"
        writes = (PlannedWrite(_mail(case), item, "Salesforce ID", "(blank)"),)
        remark = "The link ends, nothing is deleted on either side, and the question is open again."
        return TakeBack("", DecisionPlan("Take the link back", writes, (remark,), stamp=stamp_of(case)))
    if case.decision == PERSONAL:
        plan = DecisionPlan("Ask again", (), ("The question is open again; nothing is written.",), stamp=stamp_of(case))
        return TakeBack("", plan)
    if case.decision in (CREATE, DECIDED[PUT_BACK]):
        return TakeBack("What was made is taken back on the page of its run.", run_id=case.decided.get("run"))
    stone = Tombstone.objects.filter(sync_pass=case.sync_pass, crm_id=case.crm_id, run=case.decided.get("run")).order_by("-pk").first()
    if stone is None:
        return TakeBack("It cannot be taken back here: what was known of the link is not kept any more.")
    return TakeBack("Its page under Deleted says what can be brought back.", tombstone_id=stone.pk)


def answer_undo(decision: Decision) -> None:
    """Takes a link or *keep personal* back and opens the question again. Raises DecisionRefused, Busy, WritesStopped,
    ConnectorError."""
    with deciding(decision, f"Take back what was decided about {decision.case.name}.", _check_closed) as (context, case):
        if case.decision == LINK:
            _unlink(context, case)
        RememberedPair.objects.filter(sync_pass=case.sync_pass, peer_id=case.peer_id, crm_id="").delete()
        reopened = {"state": Case.State.OPEN, "decision": "", "decided": {}, "decided_by": None, "closed_at": None}
        note = decision.reason or "Opened again: the answer was taken back."
        Case.objects.filter(pk=case.pk).update(**reopened, note=note, opened_at=timezone.now())
        audit(decision.user, "contact: take back", f"{case.sync_pass.mailbox.address}: {case.name}", case=case.pk, was=case.decision)


def _check_closed(decision: Decision) -> Case:
    case = Case.objects.select_related("sync_pass__crm", "sync_pass__peer", "sync_pass__mapping", "sync_pass__mailbox").get(
        pk=decision.case.pk
    )
    back = take_back(case)
    if back is None or back.plan is None or decision.stamp != back.plan.stamp:
        raise DecisionRefused("There is no answer to take back: it was taken back already, or decided anew. Nothing was done.")
    if Case.objects.filter(sync_pass=case.sync_pass, kind=case.kind, crm_id=case.crm_id, peer_id=case.peer_id, state=Case.State.OPEN):
        raise DecisionRefused("The question is open again already. Nothing was done.")
    return case


def _unlink(context: RunContext, case: Case) -> None:
    """Ends the link that a person made; the item names no contact any more, so that no run links the two again by itself."""
    binding = Binding.objects.filter(sync_pass=case.sync_pass, peer_id=case.peer_id, is_tombstone=False).first()
    if binding is None or [binding.crm_type, binding.crm_id] != case.decided.get("to"):
        raise DecisionRefused("It is not linked so any more. Nothing was done.")
    item = pair_reads.read(context, "peer", ITEM, [case.peer_id]).get(case.peer_id)
    if item is not None:
        _blank_marker(context, binding, item)
    binding.tombstones.update(binding=None)
    binding.delete()


def _blank_marker(context: RunContext, binding: Binding, item: Record) -> None:
    intent = Intent(
        Operation.Kind.UPDATE.value,
        "peer",
        ITEM,
        str(Ref(context.crm.connector.system, binding.crm_type, binding.crm_id)),
        after={FOREIGN_ID: None},
        before={FOREIGN_ID: item.fields.get(FOREIGN_ID)},
        target_id=item.ref.id,
        version=item.version,
        reason="Its link was taken back by staff.",
        origin={**context.staff_origin(), "name": binding.name},
    )
    (operation,) = context.executor.intend([intent])
    if operation is None:
        raise DecisionRefused("Somebody else is writing this contact just now; try again in a moment. Nothing was done.")

    def settle(done: Sequence[Done]) -> None:
        """Nothing hangs on the answer: the link ends afterwards."""

    context.executor.send("peer", [operation], settle)
    if operation.state != Operation.State.CONFIRMED:
        raise DecisionRefused(f"The mailbox did not take it: {operation.error or operation.get_state_display()}. The link stays.")


def compare(case: Case) -> list[dict[str, Any]]:
    """Returns a row per mapped field that one of them holds: the item's value as the question was asked, and per candidate
    what it held and whether that differs."""
    whole = case.sync_pass.whole
    ours, theirs = decode_fields(case.crm_fields), [decode_fields(c["fields"]) for c in case.candidates]
    titles = (whole.crm.schema_cache or {}).get(CONTACT, {})
    rows = []
    for rule in mapping_of(whole.mapping, case.sync_pass.peer, crm=whole.crm).rules:
        own = ours.get(rule.peer)
        cells = [{"value": f.get(rule.crm), "differs": not do_agree(rule, f.get(rule.crm), own, {})} for f in theirs]
        if all(is_blank(value) for value in (own, *(cell["value"] for cell in cells))):
            continue
        name = titles.get(rule.crm, {}).get("title") or rule.crm
        title = CONTACT_SCHEMA.attributes[rule.peer].title if rule.peer in CONTACT_SCHEMA.attributes else rule.peer
        rows.append({"name": name, "peer": title, "own": own, "cells": cells, "differs": any(cell["differs"] for cell in cells)})
    return rows


def last_values(case: Case) -> list[dict[str, Any]]:
    """Returns a row per mapped field of the contact that a deletion is about, as both sides last agreed on it."""
    rows = Binding.objects.filter(sync_pass=case.sync_pass, crm_id=case.crm_id).order_by("is_tombstone")
    binding = rows.first()
    if binding is None:
        return []
    crm, peer = decode_fields(binding.crm_base), decode_fields(binding.peer_base)
    found = []
    for rule in mapping_of(case.sync_pass.whole.mapping, case.sync_pass.peer).rules:
        if not is_blank(crm.get(rule.crm)) or not is_blank(peer.get(rule.peer)):
            found.append({"name": rule.crm, "crm": crm.get(rule.crm), "mail": peer.get(rule.peer)})
    return found
