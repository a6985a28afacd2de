"""Carries one page of mails of a mailbox: why each is saved or not, who may save it, whom it is linked to, what is written.

The decisions are `passes.emails`; here is only their order. What a mail says is read only of those that are to be saved, and stands
in no row. A page ends with an outcome for every mail, also when the connection fails in the middle. Nothing is written to the
mailbox.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from connectors import mails as words
from connectors.contract import File, Record, Ref
from connectors.errors import ConnectorError, RecordError, StaleVersion
from connectors.mails import READ_AT_ONCE, Attachment, WholeMail
from reconciliation.core.ledger import Outcome
from reconciliation.core.operations import CaseOpening
from reconciliation.engine import (
    email_links,
    email_lookup,
    email_previews,
    email_recovery,
    email_rows,
    email_terms,
    email_work,
    one_way,
)
from reconciliation.engine.context import RunContext
from reconciliation.engine.email_work import EmailWork, Wish
from reconciliation.engine.executor import Done
from reconciliation.engine.one_way import CHANGED
from reconciliation.models import Case, Email, Operation
from reconciliation.passes import emails as rules
from reconciliation.passes.emails import BY_PERSON, CATEGORY, EmailDecision, LeftOut

EMAILS_REFUSED, UNREADABLE = "emails_refused", email_rows.UNREADABLE
QUIET = {rules.NOT_SHARED}  # reasons that are counted, and no more: most mails of a mailbox are nobody's business here
ADOPTED, GONE = "there_before", "gone"
WAS_GONE = "It was deleted in the mailbox before it was saved."


def process_page(
    context: RunContext, mails: Sequence[Record], wishes: Mapping[str, Wish] | None = None, planned: email_previews.Rows | None = None
) -> dict[str, EmailDecision]:
    """Brings each mail to its outcome and returns the decisions by id. `wishes` says why mails are looked at that no list brought.

    With `planned` only what that plan says is done, the rest is refused; a preview stores the plan and writes nothing remote. Raises
    ConnectionTrouble, LeaseLost or WritesStopped; every mail is accounted for then too, as held."""
    if not mails:
        return {}
    work = EmailWork({mail.ref.id: mail for mail in mails}, wishes or {})
    context.ledger.seen += len(work.records)
    try:
        _decide(context, work)
        if planned is not None:
            email_previews.refuse_changed(work, planned)
        if context.is_preview:
            email_previews.store_plan(context, work)
        else:
            _carry_out(context, work)
            one_way.look_at_refusals(work)
        email_work.decide_twins(work)
    except BaseException:
        one_way.hold_undone(work, "The run was interrupted before it was saved.")
        email_work.decide_twins(work)
        raise
    finally:
        email_work.interrupted(work, [work.records[id_] for id_ in work.open_ids])
        if not context.is_preview:
            _open_cases(context, work)  # what is refused waits for the person who reads of it, however the page ended
            _keep(context, work)
        context.write_events(_event(context, work, d) for d in work.decisions.values() if context.count(d) and d.reason not in QUIET)
    return work.decisions


# --- deciding -------------------------------------------------------------------------------------------------------------


def _decide(context: RunContext, work: EmailWork) -> None:
    work.copies = email_rows.copies_of(context, list(work.records))
    _say_why(context, work)
    _name(context, work)
    _remember(context, work)
    _refuse_unrelated(context, work, list(_open(work)))
    if not context.is_preview:
        _claim(context, work)
    _look_in_crm(context, work)
    _read(context, work)
    _link(context, work)


def _say_why(context: RunContext, work: EmailWork) -> None:
    """Leaves out what is not to be saved; notes of the rest why it is."""
    for id_, mail in work.records.items():
        if len(id_) > email_rows.MOST_ID:
            work.decide(rules.left_out(mail, LeftOut("id_too_long", f"Its mailbox calls it by too many characters: {len(id_):,}.")))
            continue
        if words.REASON in mail.fields and len(mail.fields) == 1:
            _wait_until_readable(context, work, id_, str(mail.fields[words.REASON]))
            continue
        wish = work.wishes.get(id_)
        why = rules.why_shared(_as_shared(mail, wish), context.terms, by_person=wish is not None and wish.why == BY_PERSON)
        if isinstance(why, LeftOut):
            work.decide(rules.left_out(mail, why))
        else:
            work.why[id_] = why


def _as_shared(mail: Record, wish: Wish | None) -> Record:
    """Returns a mail that waited with what shares it still: it was asked for by its id, which does not say that."""
    if wish is None or words.SHARED_BY not in mail.fields or mail.fields[words.SHARED_BY]:
        return mail
    held = mail.fields.get(words.CATEGORIES)
    is_marked = isinstance(held, tuple) and CATEGORY.casefold() in {str(text).casefold() for text in held}
    by = words.BY_FOLDER if mail.fields.get(words.FOLDER) == words.OURS else words.BY_CATEGORY if is_marked else words.BY_NOTHING
    return replace(mail, fields={**mail.fields, words.SHARED_BY: by})


def _wait_until_readable(context: RunContext, work: EmailWork, id_: str, reason: str) -> None:
    """A mail that its mailbox cannot show is looked at again by itself, then by a person: nobody knows yet whether it is to be saved."""
    mail, copy = work.records[id_], work.copies.get(id_)
    if copy is not None and not copy.is_open:
        work.decide(rules.decided(mail, Outcome.UNCHANGED, "echo", "It is known for good.", key=copy.email.key))
        return
    key = work.keys.setdefault(id_, copy.email.key if copy is not None else email_rows.key_unread(context, id_))
    row = work.rows.get(key) or (copy.email if copy is not None else None)
    sentence = f"It cannot be read: {reason.rstrip('.')}."
    if row is not None and row.state == Email.State.REFUSED:
        work.decide(rules.held(mail, "case_open", "It waits for a person in Errors.", key=key))
    elif email_rows.may_be_tried_again(row, UNREADABLE):
        work.decide(rules.held(mail, UNREADABLE, f"{sentence} It is tried again.", key=key))
    else:
        case = CaseOpening(Case.Kind.ERROR.value, UNREADABLE, sentence, "Open it in its mailbox: can it be read there? Then press Retry.")
        work.decide(rules.decided(mail, Outcome.FAILED, UNREADABLE, sentence, key=key, case=case))


def _name(context: RunContext, work: EmailWork) -> None:
    """Says which e-mail of the organisation each mail is. One without a Message-ID is read for that."""
    nameless = [id_ for id_ in work.why if rules.needs_text(work.records[id_])]
    if nameless:
        _refuse_unrelated(context, work, nameless)
        _read_some(context, work, [id_ for id_ in nameless if id_ not in work.decisions])
    first: dict[str, str] = {}
    for id_ in list(work.why):
        whole = work.wholes.get(id_)
        if id_ in work.decisions or (id_ in nameless and whole is None):
            continue
        key = rules.key_of(work.records[id_], (whole.text or whole.html) if whole is not None else "")
        work.keys[id_] = key
        if first.setdefault(key, id_) != id_:
            work.twins[id_] = first[key]


def _open(work: EmailWork) -> dict[str, str]:
    """Returns mail -> e-mail of those that are still to be decided about, without twins."""
    return {id_: key for id_, key in work.keys.items() if id_ not in work.decisions and id_ not in work.twins}


def _remember(context: RunContext, work: EmailWork) -> None:
    work.rows |= email_rows.rows_of(context, list(work.keys.values()))
    for id_, key in _open(work).items():
        known = email_rows.as_known(context, work.rows.get(key), work.copies.get(id_))
        decision = rules.remembered(work.records[id_], known, context.terms, key=key, why=work.why[id_]) if known is not None else None
        if decision is not None:
            work.decide(decision)


def _refuse_unrelated(context: RunContext, work: EmailWork, ids: Sequence[str]) -> None:
    """Leaves out what nobody asked for and the CRM knows nobody of (S4.37): before anything that it says is read."""
    unasked = [email_links.Asked(work.records[id_], work.why[id_]) for id_ in ids if work.why[id_] not in rules.BY_A_PERSON]
    if not unasked:
        return
    for id_, refusal in _links(context).refused(unasked).items():
        work.decide(rules.left_out(work.records[id_], LeftOut("unrelated", refusal), key=work.keys.get(id_, ""), why=work.why[id_]))


def _claim(context: RunContext, work: EmailWork) -> None:
    """Claims what is to be saved; what another mailbox came before with is left to it (C26)."""
    wanted = {key: work.records[id_] for id_, key in _open(work).items()}
    work.claimed = email_rows.claim(context, wanted)
    lost = {key for key in wanted if key not in work.claimed}
    rows = email_rows.rows_of(context, [*work.claimed, *lost])
    work.rows.update(rows)
    found = [(id_, key, work.why[id_], work.by_of(id_)) for id_, key in work.keys.items() if key in wanted]
    email_rows.note_copies(context, rows, found)
    _drop_unread(context, work, [id_ for id_, _, _, _ in found])
    for id_, key in _open(work).items():
        if key in lost:
            known = email_rows.as_known(context, rows.get(key), None)
            decision = rules.remembered(work.records[id_], known, context.terms, key=key, why=work.why[id_]) if known is not None else None
            sentence = "Another run is at the same e-mail just now."
            work.decide(decision or rules.held(work.records[id_], "other_mailbox", sentence, key=key, why=work.why[id_]))
    _settle_left(context, work)


def _settle_left(context: RunContext, work: EmailWork) -> None:
    """Looks into what an earlier run left of the e-mails that were claimed, whichever mailbox it was of."""
    left = email_rows.open_writes(context, list(work.claimed))
    if not left:
        return
    doubtful = email_recovery.settle(context, [work.claimed[key] for key in left])
    rows = email_rows.rows_of(context, list(left))
    work.rows.update(rows)
    for id_, key in _open(work).items():
        if key in doubtful:
            sentence = "It was sent and not answered; that is looked into before anything is sent twice."
            work.decide(rules.held(work.records[id_], one_way.IN_DOUBT, sentence, key=key, why=work.why[id_]))
        elif key in left and rows[key].is_over:
            known = email_rows.as_known(context, rows[key], None)
            assert known is not None
            decision = rules.remembered(work.records[id_], known, context.terms, key=key, why=work.why[id_])
            assert decision is not None
            work.decide(decision)


def _look_in_crm(context: RunContext, work: EmailWork) -> None:
    """Takes up what the CRM holds already: another program saved it, or a backup of ours has forgotten it. A draft that was left behind
    is finished."""
    open_ = _open(work)
    found = email_lookup.in_crm(context, {key: work.records[id_] for id_, key in open_.items()}) if open_ else {}
    for id_, key in open_.items():
        record = found.get(key)
        if record is None:
            continue
        if email_lookup.is_draft(context, record):
            work.drafts[key] = record.ref.id
        else:
            _take_up(context, work, id_, record)


def _take_up(context: RunContext, work: EmailWork, id_: str, record: Record) -> None:
    terms, key, why = context.terms, work.keys[id_], work.why[id_]
    if record.is_deleted:
        state, outcome, reason = Email.State.DELETED, Outcome.EXCLUDED, "deleted_in_crm"
        said = f"It was deleted in {terms.crm_name}; it is not made again."
    else:
        state, outcome, reason = Email.State.SAVED, Outcome.UNCHANGED, ADOPTED
        said = f"{record.ref.object_type} {record.ref.id} holds it already; it is not made again."
    decision = rules.decided(work.records[id_], outcome, reason, said, key=key, why=why, by=work.by_of(id_), crm_id=record.ref.id)
    work.decide(decision)
    if not context.is_preview:
        email_rows.saved(context, [(work.claimed[key], decision, record.ref.id)], state=state)


# --- what a mail says -------------------------------------------------------------------------------------------------------


def _read(context: RunContext, work: EmailWork) -> None:
    """Reads what those mails say that are to be saved; a plan reads none."""
    if context.is_preview:
        for id_ in _open(work):
            work.wholes.setdefault(id_, WholeMail(work.records[id_]))
        return
    is_with_files = context.terms.most_bytes > 0
    _read_some(context, work, [id_ for id_ in _open(work) if id_ not in work.wholes or is_with_files], is_with_files=is_with_files)
    while heirs := _heirs(work):
        _read_some(context, work, heirs, is_with_files=is_with_files)


def _heirs(work: EmailWork) -> list[str]:
    """Returns the mails that take the place of another one that is the same e-mail, and turned out to be gone, or to be unreadable."""
    heirs: dict[str, str] = {}
    for id_, first in list(work.twins.items()):
        decision = work.decisions.get(first)
        if decision is not None and decision.reason in (GONE, UNREADABLE):
            del work.twins[id_]
            if heirs.setdefault(first, id_) != id_:
                work.twins[id_] = heirs[first]
    return list(heirs.values())


def _read_some(context: RunContext, work: EmailWork, ids: Sequence[str], *, is_with_files: bool = False) -> None:
    box = context.peer.connector
    for start in range(0, len(ids), READ_AT_ONCE):
        context.lease.guard(context.crm.connector.request_timeout)
        found = box.read_whole(list(ids[start : start + READ_AT_ONCE]), with_attachments=is_with_files)
        work.wholes.update({whole.record.ref.id: rules.without_excess(whole, context.terms) for whole in found.mails})
        for record in found.unreadable:
            _wait_until_readable(context, work, record.ref.id, str(record.fields.get(words.REASON)))
        for id_ in found.gone:
            why = LeftOut(GONE, WAS_GONE)
            work.decide(rules.left_out(work.records[id_], why, key=work.keys.get(id_, "")))


# --- links ------------------------------------------------------------------------------------------------------------------


def _link(context: RunContext, work: EmailWork) -> None:
    """Links the e-mails, and says what is written of each."""
    open_ = _open(work)
    if not open_:
        return
    rows = {id_: work.rows.get(key) for id_, key in open_.items()}
    chosen = {id_: work.choice_of(id_) or email_links.choice_of(rows[id_]) for id_ in open_}
    asked = [email_links.Asked(work.records[id_], work.why[id_], chosen[id_]) for id_ in open_]
    linked = _links(context).links_of(asked, work.wholes)
    for id_, key in open_.items():
        found = linked[id_]
        mail, links = work.records[id_], {**found.as_json(), **email_links.kept(chosen[id_])}
        common: dict[str, Any] = {"key": key, "why": work.why[id_], "by": work.by_of(id_), "links": links}
        if found.waits:
            work.decide(rules.held(mail, "waits_for_person", found.waits, **common))
        elif found.links.refusal and work.why[id_] not in rules.BY_A_PERSON:
            work.decide(rules.left_out(mail, LeftOut("unrelated", found.links.refusal), **common))
        else:
            work.decide(_saving(context, work, id_, links))


def _saving(context: RunContext, work: EmailWork, id_: str, links: Mapping[str, Any]) -> EmailDecision:
    key, whole, terms = work.keys[id_], work.wholes[id_], context.terms
    files, said = rules.files_of(whole, terms)
    if files:
        work.files[id_] = files
    made = rules.write_of(whole, key, links, terms, said)
    return rules.decide(whole, key, work.why[id_], made, terms, links=links, by=work.by_of(id_), draft=work.drafts.get(key, ""))


def _links(context: RunContext) -> email_links.EmailLinks:
    """Returns what links the e-mails of this run: what was looked up once in a run is not asked for again."""
    if context.email_links is None:
        context.email_links = email_links.EmailLinks(context)
    return context.email_links


# --- writing ----------------------------------------------------------------------------------------------------------------


def _carry_out(context: RunContext, work: EmailWork) -> None:
    chosen = [d for d in work.decisions.values() if d.intent is not None]
    plain = [d for d in chosen if d.record.ref.id not in work.files]
    _send(context, work, plain)
    for decision in plain:
        work.wholes.pop(decision.record.ref.id, None)
    for decision in chosen:
        if decision.record.ref.id in work.files:  # one after another: files are large
            _send(context, work, [_with_files(context, work, decision)])
            work.wholes.pop(decision.record.ref.id, None)


def _send(context: RunContext, work: EmailWork, chosen: Sequence[EmailDecision]) -> None:
    still_ours = email_rows.renew(context, [d.key for d in chosen])
    for decision in (d for d in chosen if d.key not in still_ours):
        work.decide(one_way.held(decision, "other_mailbox", "Another mailbox took it over: this run was slow."))
    chosen = [d for d in chosen if d.key in still_ours]
    taken = "Somebody else is saving it just now."
    one_way.send(context, work, chosen, lambda done: _settle(context, work, done), taken=taken)


def _with_files(context: RunContext, work: EmailWork, decision: EmailDecision) -> EmailDecision:
    """Returns the decision with the bytes of its files. One that cannot be had stays in the mailbox, and that is said."""
    files, said = list[File](), list[str]()
    for attachment in work.files[decision.record.ref.id]:
        try:
            files.append(_opened(context, decision.record.ref, attachment))
        except RecordError as refusal:
            said.append(f"“{attachment.name[:60] or 'file'}” stays in the mailbox: {refusal.detail}")
    assert decision.intent is not None
    left_out = (*decision.left_out, *said)
    opened = replace(decision, intent=replace(decision.intent, files=tuple(files)), left_out=left_out, warnings=left_out)
    work.decide(opened)
    return opened


def _opened(context: RunContext, mail: Ref, attachment: Attachment) -> File:
    context.lease.guard(context.crm.connector.request_timeout)
    data = context.peer.connector.open_attachment(mail.id, attachment.id, most=context.terms.most_bytes)
    return File(attachment.name or "file", attachment.type, data)


def _settle(context: RunContext, work: EmailWork, done: Sequence[tuple[str, Done]]) -> None:
    """Turns what became of the writes into rows and outcomes, in the wave's transaction."""
    made, found = [], list[tuple[Email, EmailDecision, str]]()
    for id_, item in done:
        plan = work.decisions[id_]
        if item.error is None and item.record is not None:
            decision = replace(_with_what_was_left_out(plan, item.record), crm_id=item.record.ref.id)
            work.decide(decision)
            found.append((work.claimed[decision.key], decision, item.record.ref.id))
            made.append(id_)
        else:
            one_way.note_refusal(work, id_, item.error)
            work.decide(_why_not(context, plan, item))
        work.done.add(id_)
    if found:
        email_rows.saved(context, found)
    _close_solved(context, work, made)


def _with_what_was_left_out(decision: EmailDecision, record: Record) -> EmailDecision:
    said = record.fields.get(rules.LEFT_OUT)
    more = said if isinstance(said, tuple) else ()
    return replace(decision, left_out=(*decision.left_out, *more), warnings=(*decision.warnings, *more)) if more else decision


def _why_not(context: RunContext, plan: EmailDecision, item: Done) -> EmailDecision:
    """Returns the outcome of an e-mail that did not go through."""
    if item.is_alone and not item.is_in_doubt:
        remedy = "Look at it in its mailbox, then press Retry."
        return one_way.struck(context, plan, item, email_rows.case_id(plan.record.ref.id), remedy)
    if isinstance(item.error, StaleVersion):
        return one_way.held(plan, "locked", item.error.sentence)
    return one_way.not_done(plan, item)


# --- rows -------------------------------------------------------------------------------------------------------------------


def _keep(context: RunContext, work: EmailWork) -> None:
    """Remembers what waits and what was refused, gives back what was claimed and not sent, and forgets what nobody wants saved."""
    _keep_unread(context, work)
    in_doubt = {work.keys[i] for i, op in work.operations.items() if i in work.keys and op.state == Operation.State.SENT}
    settled = (Outcome.CREATED, Outcome.UNCHANGED, Outcome.FAILED)
    over_keys = {d.key for d in work.decisions.values() if d.outcome in (Outcome.CREATED, Outcome.UNCHANGED)}
    for id_, decision in work.decisions.items():
        row = work.claimed.get(decision.key)
        if row is None or id_ in work.twins or decision.key in over_keys:
            continue
        if decision.outcome is Outcome.FAILED:
            email_rows.refuse(context, row, decision)
        elif decision.outcome is Outcome.HELD:
            email_rows.wait(context, row, decision)
    back = [d.key for d in work.decisions.values() if d.key in work.claimed and d.outcome not in settled and d.key not in in_doubt]
    email_rows.release(context, [*back, *(key for key in work.claimed if key not in {d.key for d in work.decisions.values()})])
    dropped = [i for i, d in work.decisions.items() if d.outcome is Outcome.EXCLUDED and d.reason not in (CHANGED, "deleted_in_crm")]
    email_rows.forget(context, [i for i in dropped if i in work.copies or work.decisions[i].key in work.claimed])
    over = [i for i, d in work.decisions.items() if d.outcome is Outcome.UNCHANGED or d.reason in ("deleted_in_crm", "taken_back")]
    _bind(context, work, over)
    passing = (one_way.INTERRUPTED, UNREADABLE)  # what was interrupted comes again: the cursor stays
    held = [i for i, d in work.decisions.items() if d.outcome is Outcome.HELD and d.reason not in passing and i not in work.copies]
    _note(context, work, [i for i in held if work.decisions[i].key and work.decisions[i].key not in work.claimed])


def _keep_unread(context: RunContext, work: EmailWork) -> None:
    """Remembers mails that cannot be read, those that nobody has claimed: nothing but where they lie is known of them."""
    unread = [i for i, d in work.decisions.items() if d.reason == UNREADABLE and d.key not in work.claimed]
    if not unread:
        return
    email_rows.note_wanted(context, {work.decisions[i].key: work.records[i] for i in unread})
    rows = email_rows.rows_of(context, [work.decisions[i].key for i in unread])
    new = [i for i in unread if i not in work.copies]
    whys = {i: work.wishes[i].why if i in work.wishes else work.why.get(i, "") for i in new}
    email_rows.note_copies(context, rows, [(i, work.decisions[i].key, whys[i], work.by_of(i)) for i in new])
    for id_ in unread:
        decision = work.decisions[id_]
        row = rows.get(decision.key)
        if row is not None and row.state == Email.State.WAITING:
            if decision.outcome is Outcome.FAILED:
                email_rows.refuse(context, row, decision)
            else:
                email_rows.wait(context, row, decision)


def _bind(context: RunContext, work: EmailWork, ids: Sequence[str]) -> None:
    """Remembers that these mails are e-mails that are in the CRM, or were: the mailbox needs to look at them no more."""
    new = [id_ for id_ in ids if id_ not in work.copies or work.copies[id_].is_open]
    _note(context, work, [id_ for id_ in new if id_ not in work.copies or _is_another(work, id_)])
    email_rows.close_copies(context, new)


def _is_another(work: EmailWork, id_: str) -> bool:
    """Tells whether a mail turned out to be another e-mail than it was taken for: it could not be read then."""
    return bool(work.keys.get(id_)) and id_ in work.copies and work.copies[id_].email.key != work.keys[id_]


def _note(context: RunContext, work: EmailWork, ids: Sequence[str]) -> None:
    """Remembers that the mailbox holds these e-mails, which another one may have forgotten in this moment."""
    found = [(i, work.decisions[i].key, work.why.get(i, ""), work.by_of(i)) for i in ids if work.decisions[i].key]
    if found:
        rows = email_rows.rows_of(context, [key for _, key, _, _ in found])
        if lacking := {key: work.records[i] for i, key, _, _ in found if key not in rows}:
            email_rows.note_wanted(context, lacking)
            rows |= email_rows.rows_of(context, list(lacking))
        email_rows.note_copies(context, rows, found)
        _drop_unread(context, work, [i for i, _, _, _ in found])


def _drop_unread(context: RunContext, work: EmailWork, ids: Sequence[str]) -> None:
    """Forgets what stood for mails as long as they could not be read."""
    if before := [work.copies[i].email.key for i in ids if _is_another(work, i)]:
        email_rows.drop_unwanted(context, before)


# --- cases ------------------------------------------------------------------------------------------------------------------


def _open_cases(context: RunContext, work: EmailWork) -> None:
    case_ids = {id_: email_rows.case_id(id_) for id_ in work.decisions}
    one_way.open_cases(context, work, case_ids, context.terms.object_type, unnamed="E-mail")
    over = [case_ids[i] for i, d in work.decisions.items() if d.outcome is Outcome.EXCLUDED and i in work.copies]
    one_way.close_cases(context, over, "It is not to be saved any more.")
    if work.mapping_error is not None:
        tell_of_all(context, work.mapping_error)


def tell_of_all(context: RunContext, error: ConnectorError) -> None:
    """Opens the one case of all e-mails that wait because the CRM takes none as we make them."""
    sentence = f"E-mails are not saved just now: {error.sentence}"
    one_way.tell_of_all(context, context.terms.object_type, EMAILS_REFUSED, sentence, waiting="e-mails")
    email_terms.ask_again(context)


def tell_gone(context: RunContext, mail_ids: Sequence[str]) -> None:
    """Forgets mails that waited and are not in the mailbox any more, and says so."""
    email_rows.forget(context, mail_ids)
    one_way.close_cases(context, [email_rows.case_id(id_) for id_ in mail_ids], "It is not to be saved any more.")
    because = LeftOut(GONE, WAS_GONE)
    gone = [rules.left_out(Record(Ref(context.peer.connector.system, words.MAIL, id_), {}), because) for id_ in mail_ids]
    context.ledger.seen += len(gone)
    context.write_events((d, str(d.record.ref), "", "", None) for d in gone if context.count(d))


def _close_solved(context: RunContext, work: EmailWork, made: Sequence[str]) -> None:
    """Closes the cases of what went through; that one e-mail went through closes the case of all."""
    tried = [i for i in made if i in work.copies]
    if made:
        one_way.close_cases(context, ["", *(email_rows.case_id(i) for i in tried)], "A later run went through.")


def close_cases(context: RunContext, mail_ids: Sequence[str]) -> None:
    """Closes what is open about mails whose e-mails are in the CRM by now."""
    one_way.close_cases(context, [email_rows.case_id(id_) for id_ in mail_ids], "Another mailbox saved it.")


# --- telling ----------------------------------------------------------------------------------------------------------------


def _event(context: RunContext, work: EmailWork, decision: EmailDecision) -> tuple[EmailDecision, str, str, str, int | None]:
    """Returns what an event is filed under: the mail, and what stands for it in the CRM. What is left alone stays its user's: those who
    look at runs do not read what it is about (C21)."""
    row, operation = work.rows.get(decision.key), work.operations.get(decision.record.ref.id)
    crm_id = decision.crm_id or (row.crm_id if row is not None else "")
    kind = row.crm_type if row is not None and row.crm_type else context.terms.object_type
    ref = f"{context.crm.connector.system}:{kind}:{crm_id}" if crm_id else ""
    is_left_alone = decision.outcome is Outcome.EXCLUDED and decision.reason not in ("deleted_in_crm", "taken_back", CHANGED)
    name = "" if is_left_alone else decision.name
    return decision, str(decision.record.ref), name, ref, operation.pk if isinstance(operation, Operation) else None
