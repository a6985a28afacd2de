"""How the pass goes over one mailbox: first what happened in the mailbox, by its own list of changes, then what happened in
the CRM, by the feed that all mailboxes share. A mailbox that is new, or whose view changed, is compared as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.db import transaction
from django.db.models import Q

from connectors.contract import Record, Ref
from connectors.errors import ConnectorError, RecordGone
from connectors.mailboxes import BIN, CATEGORIES, FOLDER_GONE, FOREIGN_ID, INSIDE, OUTSIDE, PLACE, ContactChanges, Folder
from reconciliation.core.operations import Intent
from reconciliation.engine import (
    brakes,
    crm_feed,
    gate,
    mailbox_ends,
    mailbox_ids,
    mailbox_moves,
    mailbox_news,
    mailbox_terms,
    pair_cases,
    pair_previews,
    pair_reads,
    pair_sweep,
    pair_trouble,
    previews,
)
from reconciliation.engine.context import Order, RunContext
from reconciliation.engine.executor import Done
from reconciliation.engine.mailbox_view import view_of
from reconciliation.engine.pair_recovery import BRING_IN
from reconciliation.engine.pairs import process_page
from reconciliation.models import Binding, LookAgain, Mailbox, Operation, Run
from reconciliation.models.bulk import update_rows
from reconciliation.passes.contacts import CATEGORY, CONTACT, FOLDER, ITEM, ITEM_GONE

PIECE_ROWS = 600  # full batches of 20, 24 and 200 alike
FOLDER_MADE, CATEGORY_MADE = "contactFolder", "category"  # object types of the journal
BRINGING = "bringing_in"  # why a contact is looked at again: a run is, or died, at bringing it in
MOVES = (BRING_IN, BRINGING)
MOST_NAMED = 5  # contacts in a note of a run

Ended = tuple[str, str]


@dataclass(slots=True)
class Round:
    """One round over the mailbox's list of changes."""

    seen: set[str] = field(default_factory=set)  # ids in our folder that the list named
    gone: set[str] = field(default_factory=set)
    is_whole: bool = False


def sweep(context: RunContext, order: Order) -> Ended:
    """Looks at both sides. Returns the state the run ends in, and a note. Raises ConnectionTrouble, BrakeTripped."""
    ends = None if order.budget is None else context.wiring.monotonic() + order.budget
    pair_cases.take_up_answered(context)
    fresh = _read_feed(context, order)
    _set_view(context)  # anew: the feed may have read what it asks for
    if order.is_full:
        context.save_pass(cursor="", feed_at=None, sweep_blanked={}, approved_blanking=[])
    if not _mailbox_side(context, ends) or not _crm_side(context, fresh, ends):
        return Run.State.PARTIAL, "The time budget was used up; the next run goes on where this one stopped."
    context.save_pass(sweep_blanked={}, approved_blanking=[], backlog=0)
    if context.view is not None and not context.view.is_usable:
        return Run.State.FINISHED, f"The view cannot be used, nothing came down from it: {context.view.why_not}"
    return Run.State.FINISHED, " ".join(context.notes)


def open_mailbox(context: RunContext) -> None:
    """Opens the mailbox's folder, and says what of the CRM it shows. Raises RunHeld where nobody knows whose it is."""
    mailbox = context.sync_pass.mailbox
    if mailbox is None:
        raise gate.RunHeld("This pass goes over mailboxes; name one.")
    if not mailbox.crm_user_id:
        name = context.terms.crm_name
        raise gate.RunHeld(f"Nobody in {name} is known to be {mailbox.address}; choose its user on the mailbox's page.")
    _open_folder(context)
    _set_view(context)


def _open_folder(context: RunContext) -> None:
    """The folder is made once, with the category, when it is not there (S1.6)."""
    mailbox = context.sync_pass.mailbox
    if not mailbox.folder_id:
        _find_folder(context, mailbox)
    context.peer.connector.use_folder(mailbox.folder_id, CATEGORY)  # "" in a plan for a mailbox that has none yet


def _find_folder(context: RunContext, mailbox: Mailbox) -> None:
    box = context.peer.connector
    found = box.folders(FOLDER)
    settle_making(context, found)
    if context.is_preview:
        mailbox.folder_id = found[0].id if found else ""
        return
    why = f"Every contact of the folder bears the category “{CATEGORY}”; one that is there is left as it is."
    make_place(context, CATEGORY_MADE, CATEGORY, why, box.make_category)
    if not found:
        found = [make_place(context, FOLDER_MADE, FOLDER, "The mailbox had no such folder.", box.make_folder)]
    if len(found) > 1:
        context.notes.append(f"The mailbox has {len(found)} folders called “{FOLDER}”; the first one is used.")
    mailbox.folder_id = found[0].id
    Mailbox.objects.filter(pk=mailbox.pk).update(folder_id=mailbox.folder_id)


def make_place(context: RunContext, object_type: str, name: str, reason: str, make: Callable[[str], Any]) -> Any:
    """Makes a folder or category through the journal: a row says so before the call. Returns what `make` does. What is lost on
    the way is settled by its name, and making it again finds it by that: neither is ever made twice."""
    context.lease.guard(context.peer.connector.request_timeout)
    now = context.wiring.now()
    with transaction.atomic():
        context.lease.renew()
        row = Operation.objects.create(
            run=context.run,
            connection=context.peer.connection,
            kind=Operation.Kind.CREATE,
            state=Operation.State.SENT,
            object_type=object_type,
            source_ref=f"{context.peer.connector.system}:{object_type}:{name}",
            writer_key=f"{object_type}:{context.sync_pass.pk}",  # of this pass: another one over the mailbox may be at it, too
            after={"name": name},
            reason=reason,
            lease_token=context.lease.token,
            intended_at=now,
            sent_at=now,
        )
    try:
        made = make(name)
    except ConnectorError as error:
        if not error.may_have_happened:
            row.state, row.error, row.settled_at = Operation.State.REJECTED, error.sentence, context.wiring.now()
            row.save(update_fields=["state", "error", "settled_at"])
        raise
    _confirm_making(context, row, str(getattr(made, "id", name)))
    return made


def _confirm_making(context: RunContext, row: Operation, id_: str) -> None:
    row.state, row.target_id, row.settled_at = Operation.State.CONFIRMED, id_, context.wiring.now()
    row.save(update_fields=["state", "target_id", "settled_at"])


def make_category(context: RunContext, name: str, reason: str) -> None:
    """Makes the category in the mailbox, where it is not there yet."""
    settle_making(context, (), CATEGORY_MADE)
    make_place(context, CATEGORY_MADE, name, reason, context.peer.connector.make_category)


def settle_making(context: RunContext, found: Sequence[Folder], object_type: str = FOLDER_MADE) -> None:
    """Settles what an earlier run began to make and nobody saw answered: a folder that is there was made, and everything else
    is made anew, which finds what is there."""
    rows = Operation.objects.filter(
        run__sync_pass=context.sync_pass, state=Operation.State.SENT, object_type__in=(object_type, CATEGORY_MADE)
    )
    for row in rows.exclude(run=context.run):
        if row.object_type == object_type and found:
            _confirm_making(context, row, found[0].id)
        else:
            row.state, row.error, row.settled_at = Operation.State.VOID, "It was not answered; it is made anew.", context.wiring.now()
            row.save(update_fields=["state", "error", "settled_at"])


def _read_feed(context: RunContext, order: Order) -> dict[str, Record]:
    must_read = context.view is not None and not context.view.is_usable
    return mailbox_news.read_feed(context, CONTACT, order, has_views=True, must_read=must_read)


def _set_view(context: RunContext) -> None:
    """Takes up the view that the mailbox shows; another one than before means that everything is compared."""
    mailbox = context.sync_pass.mailbox
    wanted = mailbox_terms.effective_of(context.sync_pass, mailbox)["view"].value
    context.view = view_of(context.sync_pass, wanted, mailbox.crm_user_id, CONTACT)
    stored = context.sync_pass.settings.get("view", "")
    if context.view.is_usable and stored != context.view.key:
        context.save_pass(settings={**context.sync_pass.settings, "view": context.view.key}, feed_at=None)


# --- the mailbox ----------------------------------------------------------------------------------------------------


def _mailbox_side(context: RunContext, ends: float | None) -> bool:
    """Carries what happened in the mailbox. Returns whether its list came to its end."""
    columns = pair_reads.columns(context.terms, ITEM)
    round_, cursor, was_made_again = Round(), context.sync_pass.cursor, False
    while True:
        context.lease.guard(context.peer.connector.request_timeout)
        try:
            page = context.peer.connector.contact_changes(cursor, columns)
        except RecordGone as error:
            if error.code != FOLDER_GONE or context.is_preview or was_made_again:
                raise
            _make_folder_again(context)
            round_, cursor, was_made_again = Round(), "", True
            continue
        if page.is_restart:
            round_ = Round()
        round_.is_whole = round_.is_whole or page.is_whole
        _process(context, page, round_)
        cursor = page.cursor
        if page.is_last and not round_.is_whole:
            round_.gone.update(mailbox_moves.unheard(context, round_.seen))
        if page.is_last or not round_.is_whole:  # the cursor goes by what this page said
            _process_gone(context, _gone_of(context, round_))
            round_.gone.clear()
        if page.is_last or not round_.is_whole:  # what a whole round saw is forgotten with the process: it begins anew
            with transaction.atomic():
                context.lease.renew()
                context.save_pass(cursor=cursor, **(mailbox_moves.heard(context) if page.is_last else {}))
        context.show_progress()
        if page.is_last:
            return True
        if ends is not None and context.wiring.monotonic() >= ends and not round_.is_whole:
            return False


def _make_folder_again(context: RunContext) -> None:
    """Somebody deleted the folder: nothing is concluded from that about its contacts; each is asked for by its id."""
    mailbox = context.sync_pass.mailbox
    context.notes.append(f"The folder “{FOLDER}” was gone and was made again.")
    Mailbox.objects.filter(pk=mailbox.pk).update(folder_id="")
    mailbox.folder_id = ""
    context.save_pass(cursor="")
    _open_folder(context)


def _process(context: RunContext, page: ContactChanges, round_: Round) -> None:
    mailbox_ids.follow(context, page.renamed)
    taken_out = mailbox_moves.follow_out(context, page.outside)
    inside = {record.ref.id: record for record in page.inside}
    round_.seen.update(inside)
    round_.gone.update((*page.gone, *taken_out))
    round_.gone.difference_update(inside)
    shared = [s.id for s in page.outside if s.has_category and s.id not in inside]
    _process_items(context, list(inside.values()))
    if shared and context.is_preview:
        _plan_bringing_in(context, shared)
    elif shared:
        round_.gone.difference_update(shared)
        _process_items(context, _bring_in(context, shared))


def _process_items(context: RunContext, items: Sequence[Record]) -> None:
    for start in range(0, len(items), PIECE_ROWS):
        piece = _whole(context, items[start : start + PIECE_ROWS])
        _rebind_moved(context, piece)
        process_page(context, "peer", not_done_yet(context, "peer", piece))


def not_done_yet(context: RunContext, side: str, records: Sequence[Record]) -> list[Record]:
    """Returns the records without those that had their outcome earlier in this run and are as they were then, or as we wrote
    them since. Any other change is told once only: whoever passes it by has lost it."""
    done = {r.ref.id: context.counted[f"{side}:{r.ref.id}"] for r in records if f"{side}:{r.ref.id}" in context.counted}
    if not done:
        return list(records)
    rows = Binding.objects.filter(sync_pass=context.sync_pass, is_tombstone=False, **{f"{side}_id__in": list(done)})
    written = dict(rows.values_list(f"{side}_id", f"{side}_version"))
    return [r for r in records if r.ref.id not in done or r.is_deleted or r.version not in (done[r.ref.id], written.get(r.ref.id))]


def _whole(context: RunContext, items: Sequence[Record]) -> list[Record]:
    """Returns the items with their marker read, where that matters and the list does not bring it: of those nobody knows."""
    lacking = [r.ref.id for r in items if FOREIGN_ID not in r.fields]
    if not lacking:
        return list(items)
    rows = Binding.objects.filter(sync_pass=context.sync_pass, peer_id__in=lacking, is_tombstone=False)
    known = set(rows.values_list("peer_id", flat=True))
    read = pair_reads.read(context, "peer", ITEM, [id_ for id_ in lacking if id_ not in known])
    gone = set(lacking) - known - read.keys()  # deleted since they were listed; the next list says so
    return [read.get(r.ref.id, r) for r in items if r.ref.id not in gone]


def _rebind_moved(context: RunContext, items: Sequence[Record]) -> None:
    """Lets a link follow to an item that names its contact under another id: it was moved by a copy, or came back from
    elsewhere. One whose first item is there still is a copy, and no move."""
    named = {str(r.fields[FOREIGN_ID]): r for r in items if r.fields.get(FOREIGN_ID)}
    rows = [
        b
        for b in Binding.objects.filter(sync_pass=context.sync_pass, is_tombstone=False, crm_id__in=named)
        if named[b.crm_id].ref.id != b.peer_id
    ]
    here = {r.ref.id for r in items}
    places = mailbox_ends.where_they_are(context, [b.peer_id for b in rows if b.peer_id not in here])
    taken = pair_reads.holders(context, "peer", [r.ref.id for r in named.values()])
    for row in rows:
        item = named[row.crm_id].ref.id
        if row.peer_id not in here and places[row.peer_id] != INSIDE and item not in taken and not context.is_preview:
            row.peer_id = item
            row.save(update_fields=["peer_id"])


def _bring_in(context: RunContext, ids: Sequence[str]) -> list[Record]:
    """Brings shared contacts into our folder (S1.12), through the journal, and returns them as they lie there."""
    bound = dict(Binding.objects.filter(sync_pass=context.sync_pass, peer_id__in=ids, is_tombstone=False).values_list("peer_id", "crm_id"))
    system = context.peer.connector.system
    intents = [
        Intent(
            "update",
            "peer",
            ITEM,
            str(Ref(system, ITEM, id_)),
            after={PLACE: INSIDE, FOREIGN_ID: bound.get(id_, f"in:{id_}"[:255])},
            target_id=id_,
            reason=f"It has the category “{CATEGORY}”.",
        )
        for id_ in ids
    ]
    brought: list[str] = []

    def settle(done: list[Done]) -> None:
        brought.extend(item.record.ref.id for item in done if item.error is None and item.record is not None)
        back = _follow_moves(context, {asked[i.operation.pk]: i.record for i in done if i.error is None and i.record is not None})
        if back:
            named = ", ".join(back[:MOST_NAMED]) + (f" and {len(back) - MOST_NAMED:,} more" if len(back) > MOST_NAMED else "")
            context.notes.append(f"Brought back into the folder, since the category “{CATEGORY}” was left on: {named}.")
        failed = [item for item in done if item.error is not None and not isinstance(item.error, RecordGone)]
        context.notes.extend(f"A contact was not moved into the folder: {item.error}." for item in failed)
        _owe_bringing_in(context, [item.operation.target_id for item in failed])

    operations = context.executor.intend(intents)
    asked = {op.pk: id_ for id_, op in zip(ids, operations, strict=True) if op is not None}
    _owe_bringing_in(context, [id_ for id_, op in zip(ids, operations, strict=True) if op is None])  # somebody else is at it
    context.executor.send("peer", [op for op in operations if op is not None], settle)
    return list(pair_reads.read(context, "peer", ITEM, brought).values())


def _follow_moves(context: RunContext, moved: Mapping[str, Record]) -> list[str]:
    """Lets links follow to where we moved their items, with the move itself: the original in the bin is no deletion of its
    user's. The versions that our moves made date nobody's edit. Returns their names."""
    links = Binding.objects.filter(sync_pass=context.sync_pass, is_tombstone=False)
    taken = pair_reads.holders(context, "peer", [r.ref.id for r in moved.values()]).keys() - moved.keys()
    rows = [row for row in links.filter(peer_id__in=moved) if moved[row.peer_id].ref.id not in taken]
    for row in rows:
        record = moved[row.peer_id]
        row.peer_id, row.peer_version = record.ref.id, record.version or row.peer_version
    update_rows(rows, ["peer_id", "peer_version"])
    return [row.name for row in rows]


def _plan_bringing_in(context: RunContext, ids: Sequence[str]) -> None:
    """Plans what a run would do with shared contacts (S1.12): the move, and what it writes of each then. Only what its user
    shares by the category is read."""
    for start in range(0, len(ids), PIECE_ROWS):
        found = pair_reads.read(context, "peer", ITEM, ids[start : start + PIECE_ROWS]).values()
        items = [replace(r, fields={**r.fields, PLACE: INSIDE}) for r in found if _is_shared(r)]
        pair_previews.store_moves(context, items, {PLACE: INSIDE}, f"It has the category “{CATEGORY}”.")
        process_page(context, "peer", items)
        pair_previews.mark_moves(context, items)


def _is_shared(record: Record) -> bool:
    return record.fields.get(PLACE) == OUTSIDE and CATEGORY in (record.fields.get(CATEGORIES) or ())


def _apply_moves(context: RunContext, preview: Run) -> None:
    """Brings in what the plan shows, unless it was edited since, and carries what it was planned for."""
    for planned in pair_previews.planned_moves(context, preview):
        found = pair_reads.read(context, "peer", ITEM, planned)
        same = [id_ for id_, r in found.items() if _is_shared(r) and r.version == planned[id_][0].context["version"]]
        items = _bring_in(context, same)
        _process_items(context, items)
        pair_previews.settle_moves(context, planned, same)
        context.ledger.excluded["changed_meanwhile"] += len(planned) - len(same)
        context.show_progress()


def _owe_bringing_in(context: RunContext, ids: Sequence[str]) -> None:
    """Has the next run bring them in: the list of changes tells of their category once."""
    pair_trouble.look_again(context, "peer", [Ref(context.peer.connector.system, ITEM, id_) for id_ in ids], BRING_IN)


def _gone_of(context: RunContext, round_: Round) -> list[str]:
    """Returns the linked items that are not in the folder any more."""
    rows = Binding.objects.filter(sync_pass=context.sync_pass, is_tombstone=False)
    if round_.is_whole:
        rows = rows.filter(bound_at__lt=context.run.started_at)
        return [id_ for id_ in rows.values_list("peer_id", flat=True) if id_ not in round_.seen]
    gone: list[str] = []
    ids = sorted(round_.gone)
    for start in range(0, len(ids), PIECE_ROWS):
        gone += rows.filter(peer_id__in=ids[start : start + PIECE_ROWS]).values_list("peer_id", flat=True)
    return gone


def _process_gone(context: RunContext, ids: Sequence[str]) -> None:
    """Decides for linked items that left the folder, once it was asked where each lies: no list of changes says it (I8). What a
    move of ours was not answered about may be gone by that."""
    moving = LookAgain.objects.filter(sync_pass=context.sync_pass, side="peer", reason__in=MOVES)
    under_way = set(moving.values_list("record_id", flat=True)) if ids else set()
    ids = [id_ for id_ in ids if id_ not in under_way]
    again: list[str] = []
    for start in range(0, len(ids), PIECE_ROWS):
        places = mailbox_moves.follow_lost(context, mailbox_ends.where_they_are(context, ids[start : start + PIECE_ROWS]))
        left = {id_: place for id_, place in places.items() if place != INSIDE}
        system = context.peer.connector.system
        records = [Record(Ref(system, ITEM, id_), {PLACE: place}, is_deleted=True) for id_, place in left.items()]
        done = process_page(context, "peer", records)
        again += [d.crm.ref.id for d in done.values() if d.reason == "made_again" and d.crm is not None]
    if again and not context.is_preview:
        _process_contacts(context, pair_reads.read(context, "crm", CONTACT, again).values())
        made = Binding.objects.filter(sync_pass=context.sync_pass, crm_id__in=again, is_tombstone=False).values("crm_id")
        LookAgain.objects.filter(sync_pass=context.sync_pass, side="crm", record_id__in=made).delete()  # noted for a crash


# --- the CRM --------------------------------------------------------------------------------------------------------


def _crm_side(context: RunContext, fresh: dict[str, Record], ends: float | None) -> bool:
    """Carries what happened in the CRM. Returns whether it came to its end."""
    view = context.view
    if view is None or not view.is_usable:
        return True
    return mailbox_news.carry(context, CONTACT, fresh, ends, relevant=_relevant, process=_process_contacts, compare_all=_compare_all)


def _relevant(context: RunContext, ids: Sequence[str]) -> list[str]:
    """Returns those that concern this mailbox: linked in it, or perhaps in its view."""
    bound = mailbox_news.linked(context, CONTACT, ids)
    shown = crm_feed.perhaps_shown(context.sync_pass, CONTACT, context.view, [id_ for id_ in ids if id_ not in bound])
    return [id_ for id_ in ids if id_ in bound or id_ in shown]


def _process_contacts(context: RunContext, records: Iterable[Record]) -> None:
    """Carries contacts that are linked here or in view; a link whose contact left the view, or came back, is looked at whole."""
    all_ = list(records)
    for start in range(0, len(all_), PIECE_ROWS):
        piece = all_[start : start + PIECE_ROWS]
        shown = context.view.shown(piece)
        bound = note_views(context, piece, shown)
        open_ = not_done_yet(context, "crm", piece)
        process_page(context, "crm", [r for r in open_ if r.ref.id in bound or r.ref.id in shown])


def note_views(context: RunContext, records: Sequence[Record], shown: set[str]) -> set[str]:
    """Notes of links whether their contact is in view now; what changed is looked at whole, in the next run where this one had
    its outcome before. Returns the ids that are linked."""
    ids = [r.ref.id for r in records]
    rows = list(Binding.objects.filter(sync_pass=context.sync_pass, crm_type=CONTACT, crm_id__in=ids, is_tombstone=False))
    alive = {r.ref.id for r in records if not r.is_deleted}
    for hidden in (True, False):
        moved = {b.crm_id: b.pk for b in rows if b.crm_id in alive and b.is_out_of_view != hidden and (b.crm_id not in shown) == hidden}
        Binding.objects.filter(pk__in=moved.values()).update(is_out_of_view=hidden, is_retry_due=True)
        done = [Ref(context.crm.connector.system, CONTACT, id_) for id_ in moved if f"crm:{id_}" in context.counted]
        pair_trouble.look_again(context, "crm", done, "view")
    return {b.crm_id for b in rows}


def _compare_all(context: RunContext, ends: float | None) -> bool:
    """Compares the mailbox with all that its view shows, then asks for what is linked and was not shown."""
    view, upto = context.view, crm_feed.newest(context.sync_pass, CONTACT)
    began = context.wiring.now()
    seen: set[str] = set()
    columns = pair_reads.columns(context.terms, CONTACT)
    for page in context.crm.connector.members(CONTACT, view.terms(CONTACT), owners=[view.user_id], ids=None, columns=columns):
        context.lease.guard(context.crm.connector.request_timeout)
        seen.update(r.ref.id for r in page.records)
        _process_contacts(context, page.records)
        context.show_progress()
        if ends is not None and context.wiring.monotonic() >= ends:
            return False
    bound = Binding.objects.filter(sync_pass=context.sync_pass, crm_type=CONTACT, is_tombstone=False, bound_at__lt=began)
    rest = [id_ for id_ in bound.values_list("crm_id", flat=True) if id_ not in seen]
    for start in range(0, len(rest), PIECE_ROWS):
        some = rest[start : start + PIECE_ROWS]
        _process_contacts(context, mailbox_news.read(context, CONTACT, some))
    context.save_pass(feed_at=upto)
    return True


# --- the rest of a pass ---------------------------------------------------------------------------------------------


def retry_owed(context: RunContext) -> None:
    """As in every two-way pass; what lies outside our folder with the category is brought in, whatever it is owed a look for:
    that it could not be before, or that a write of it was not answered. Its list of changes may have told of it already."""
    mailbox_moves.follow_owed(context)
    _process_gone(context, _waiting_for_items(context))
    ids = pair_sweep.look_again(context, _is_to_be_brought)
    if ids:
        rows = LookAgain.objects.filter(sync_pass=context.sync_pass, side="peer", record_id__in=ids)
        rows.update(reason=BRINGING)  # what fails again is noted again, and a death keeps them all
        _process_items(context, _bring_in(context, ids))
        done = rows.filter(reason=BRINGING)
        gone = list(done.values_list("record_id", flat=True))
        done.delete()
        # What its list of changes told was passed over as long as a move was at it.
        _process_gone(context, list(pair_reads.holders(context, "peer", gone)))


def _is_to_be_brought(row: LookAgain, record: Record | None) -> bool:
    """Tells whether an item is to be brought in: it is shared, or a move of ours that was not answered may have got as far as
    putting the original into the bin; the mailbox finds the copy then."""
    if row.side != "peer" or (record is not None and _is_shared(record)):
        return row.side == "peer"
    place = BIN if record is None else record.fields.get(PLACE, INSIDE)
    return place == BIN and row.reason in MOVES


def _waiting_for_items(context: RunContext) -> list[str]:
    """Returns the linked items that were not in the folder when their contact was looked at, and that no list of changes told of
    since: it did before the link was known, where a contact was made and our side died."""
    now = context.wiring.now()
    due = LookAgain.objects.due().filter(Q(due_at=None) | Q(due_at__lte=now), sync_pass=context.sync_pass, side="crm", reason=ITEM_GONE)
    links = Binding.objects.filter(sync_pass=context.sync_pass, is_tombstone=False, crm_id__in=due.values("record_id"))
    return list(links.values_list("peer_id", flat=True)[:PIECE_ROWS])


def apply(context: RunContext, preview_id: int) -> Ended:
    """Carries out the plan of a preview or of a brake."""
    preview = previews.to_apply(preview_id)
    brakes.approve_held(context, preview)
    _apply_moves(context, preview)
    is_more = Operation.objects.filter(run=preview, state=Operation.State.PLANNED).exists()
    for side, object_type, planned in pair_previews.planned_pages(context, preview) if is_more else ():
        found = _as_planned(context, side, object_type, planned)
        outcomes = process_page(context, side, found, planned)
        pair_previews.settle(context, planned, outcomes)
        context.show_progress()
    return previews.applied(context, preview)


def _as_planned(context: RunContext, side: str, object_type: str, planned: pair_previews.Rows) -> list[Record]:
    """Reads the records of a plan as they are now; an item that is not in the folder is what its plan was about."""
    found = pair_reads.read(context, side, object_type, planned)
    if side == "crm":  # one that is gone still is as it was planned: no later version of it can be
        gone = {
            id_: mailbox_news.deleted(context, CONTACT, id_, str(planned[id_][0].context["version"])) for id_ in planned if id_ not in found
        }
        return [found.get(id_) or gone[id_] for id_ in planned]
    system = context.peer.connector.system
    inside = {id_: r for id_, r in found.items() if r.fields.get(PLACE, INSIDE) == INSIDE}
    places = mailbox_ends.where_they_are(context, [id_ for id_ in planned if id_ not in inside])
    return [inside.get(id_) or Record(Ref(system, ITEM, id_), {PLACE: places[id_]}, is_deleted=True) for id_ in planned]
