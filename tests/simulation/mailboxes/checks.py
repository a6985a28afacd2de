"""What must hold once everything is at rest, counted in the played systems (goals.md, I1 to I13)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from connectors.mailboxes import INSIDE as BROUGHT_IN
from reconciliation.models import Binding, Case, ConflictField, Difference, LookAgain, Operation, Run, SyncPass, Tombstone
from reconciliation.passes.pairs import NOT_VISIBLE
from tests.simulation.common import texts_in
from tests.simulation.mailboxes.rows import CATEGORY, IN_BIN, INSIDE, NOT_IN_VIEW, PEER, Item
from tests.simulation.mailboxes.users import TEXTS
from tests.simulation.mailboxes.watch import tombstones_of

if TYPE_CHECKING:
    from tests.simulation.mailboxes.play import Story

STAYS_AWAY = (Tombstone.Why.TAKEN_OUT, Tombstone.Why.MAILBOX)  # a contact whose link ended so is not put back


def look_at(story: Story, costs: Mapping[str, Mapping[str, int]]) -> None:
    """Adds to the story what does not hold. `costs` are the calls of the last run over each mailbox, which was a quiet one."""
    for box in story.users.addresses:
        _links_agree(story, box)
        _nobody_is_left_out(story, box)
        _nothing_twice(story, box)
    _nothing_is_lost(story)
    _journal_is_whole(story)
    _ledgers_add_up(story)
    _cases_name_their_cause(story)
    _rest_is_silent(story, costs)


def what_stands(story: Story) -> Iterator[str]:
    """Yields what our tables and the systems hold, in lines, for the person who looks for a fault."""
    for op in Operation.objects.order_by("pk"):
        what = f"{op.kind} {op.object_type} {op.target_id} for {op.source_ref}"
        yield f"journal: run {op.run_id} {what} {op.state} {op.error} {op.after}"[:300]
    for row in Binding.objects.order_by("pk"):
        how = "tombstone" if row.is_tombstone else row.how
        yield f"bound: {row.sync_pass_id} {row.crm_id} {row.peer_id} {how} hidden={row.is_out_of_view}"
    for stone in Tombstone.objects.order_by("pk"):
        yield f"tombstone: {stone.sync_pass_id} {stone.crm_id} {stone.peer_id} {stone.why}"
    for case in Case.objects.order_by("pk"):
        yield f"case: {case.sync_pass_id} {case.state} {case.kind} {case.reason} {case.crm_id} {case.peer_id} {case.sentence}"[:300]
    for again in LookAgain.objects.order_by("pk"):
        yield f"again: {again.sync_pass_id} {again.side} {again.record_id} {again.reason}"
    for row in story.boxes.world.salesforce.records.tables["Contact"].rows.values():
        texts = {n: row.get(n) for n in (*TEXTS, "Email", "Department", "OwnerId")}
        yield f"crm: {row['Id']} {'deleted' if row.get('IsDeleted') else ''} {texts}"
    for box in story.users.addresses:
        for item in story.rows.all(box):
            yield f"item: {box} {item.id} {item.place} {sorted(item.categories)} {item.marker} {item.texts}"


def _items(story: Story, box: str) -> dict[str, Item]:
    return {item.id: item for item in story.rows.all(box)}


def _open_cases(story: Story, box: str) -> Any:
    return Case.objects.filter(sync_pass=story.boxes.passes[box], state="open")


def _links_agree(story: Story, box: str) -> None:
    """I4: both sides of a link hold the same, or a row says why not; S1.8, D8: the categories say what holds."""
    items, in_view = _items(story, box), story.watch.in_view(box)
    cases = list(_open_cases(story, box))
    for row in Binding.objects.filter(sync_pass=story.boxes.passes[box], is_tombstone=False):
        crm, item = story.users.crm(row.crm_id), items.get(row.peer_id)
        about = [c.kind for c in cases if row.crm_id == c.crm_id or row.peer_id == c.peer_id]
        if "deletion" in about or "error" in about:
            continue
        if not crm or crm.get("IsDeleted") or item is None or item.place != INSIDE:
            story.broken.append(f"I4: {row.crm_id} and {row.peer_id} of {box} are linked, and one is gone")
            continue
        if item.marker != row.crm_id:
            story.broken.append(f"I4: {item.id} of {box} names {item.marker}, and is linked to {row.crm_id}")
        is_hidden = row.crm_id not in in_view
        if row.is_out_of_view != is_hidden and story.view_is_usable(box):
            story.broken.append(f"D8: {row.crm_id} is noted as {'out of' if row.is_out_of_view else 'in'} view of {box}")
        if CATEGORY not in item.categories or (NOT_IN_VIEW in item.categories) != row.is_out_of_view:
            story.broken.append(f"S1.8: {item.id} of {box} has the categories {sorted(item.categories)}, hidden: {row.is_out_of_view}")
        if row.is_out_of_view:
            continue
        named = set(Difference.objects.filter(binding=row).values_list("peer_field", flat=True))
        named |= set(
            ConflictField.objects.filter(case__in=cases, case__peer_id=row.peer_id, state="open").values_list("peer_field", flat=True)
        )
        for name, other in PEER.items():
            here, there = str(crm.get(name) or ""), item.texts[name]
            if here.casefold() != there.casefold() and other not in named:
                story.broken.append(f"I4: {name} is {here!r} in {row.crm_id} and {there!r} in {row.peer_id} of {box}")


def _nobody_is_left_out(story: Story, box: str) -> None:
    """I4, I10: whoever is in view, or in the folder, is linked, or a row says why not."""
    sync_pass = story.boxes.passes[box]
    bound = Binding.objects.filter(sync_pass=sync_pass, is_tombstone=False)
    crm_bound, peer_bound = (set(bound.values_list(n, flat=True)) for n in ("crm_id", "peer_id"))
    cases = list(_open_cases(story, box).values_list("crm_id", "peer_id"))
    told = {id_ for pair in cases for id_ in pair if id_}
    told |= {i["peer_id"] for candidates in _open_cases(story, box).values_list("candidates", flat=True) for i in candidates or []}
    stones = tombstones_of(story.boxes, box)
    for id_ in story.watch.in_view(box) - crm_bound - told:
        if stones.get(id_) not in STAYS_AWAY:
            story.broken.append(f"I4: Contact {id_} is in view of {box} and not in its folder, and nothing says why ({stones.get(id_)})")
    for item in _items(story, box).values():
        if item.place == INSIDE and item.id not in peer_bound | told:
            story.broken.append(f"I4: {item.id} is in the folder of {box} and linked to nothing, and nothing says why")
        if item.place != INSIDE and item.place != IN_BIN and not item.is_personal and item.id not in told:
            story.broken.append(f"S1.12: {item.id} of {box} has the category, and is not in the folder")


def _nothing_twice(story: Story, box: str) -> None:
    """I3: one item for a contact, one contact for an item."""
    asked = set(_open_cases(story, box).values_list("peer_id", flat=True))
    markers = Counter(i.marker for i in _items(story, box).values() if i.place == INSIDE and i.marker and i.id not in asked)
    for marker, n in markers.items():
        if n > 1:
            story.broken.append(f"I3: {n} items in the folder of {box} name {marker}")
    keys = Counter(str(r["Sync_Key__c"]) for r in story.users.contacts() if r.get("Sync_Key__c"))
    story.broken += [f"I3: {n} contacts were made for {key}" for key, n in keys.items() if n > 1]


def _nothing_is_lost(story: Story) -> None:
    """I1: what a user typed stands somewhere still, unless a user typed over it."""
    standing = {str(row.get(n) or "") for row in story.users.contacts() for n in TEXTS}
    standing |= {text for box in story.users.addresses for i in story.rows.all(box) if i.place != IN_BIN for text in i.texts.values()}
    kept = set(_kept())
    for value, typed in story.users.typed.items():
        if not typed.is_replaced and value not in standing and value not in kept:
            story.broken.append(f"I1: {typed.name} {value!r}, typed in {typed.side} {typed.id}, is nowhere")


def _kept() -> Iterator[str]:
    """Yields the values that our tables keep of what gave way, or waits for a person."""
    for origin in Operation.objects.exclude(origin={}).values_list("origin", flat=True):
        yield from texts_in(origin.get("losers"))
    for row in ConflictField.objects.values_list("crm_value", "peer_value"):
        yield from texts_in(row)
    for row in Difference.objects.values_list("crm_value", "peer_value"):
        yield from texts_in(row)


def _journal_is_whole(story: Story) -> None:
    """I13: every write that arrived has a row of its own in the journal, and none is open."""
    rows: Counter[tuple[str, str, str]] = Counter()
    brought: Counter[str] = Counter()
    crm = story.boxes.parent.crm_id
    for op in Operation.objects.filter(object_type__in=("Contact", "contact")):
        side = "crm" if op.connection_id == crm else "peer"
        rows[side, op.kind, op.target_id] += 1
        if op.after.get("place") == BROUGHT_IN:
            brought[op.target_id] += 1
    for key, n in story.watch.writes.items():
        side, kind, id_ = key
        if kind == "create" and rows[key] < n and id_ in story.users.dropped:
            continue  # its user threw it away before its answer, that was lost, could be asked for
        if rows[key] >= n or (side == "peer" and (brought or kind == "create") and _is_of_a_move(story, id_)):
            continue
        story.broken.append(f"I13: {n} writes {key} arrived, {rows[key]} stand in the journal")
    left = Operation.objects.filter(state__in=Operation.OPEN).exclude(state=Operation.State.PLANNED)
    story.broken += [f"I13: {op.kind} of {op.object_type} for {op.source_ref} is still {op.state}" for op in left]


def _is_of_a_move(story: Story, id_: str) -> bool:
    """Tells whether a row is the copy or the original of a move into the folder, which is one line of the journal."""
    return id_ in story.watch.moved


def _ledgers_add_up(story: Story) -> None:
    """I9: every run accounts for each record that it saw, once."""
    for run in Run.objects.exclude(kind=Run.Kind.STAFF):
        total = run.created + run.updated + run.unchanged + sum(run.excluded.values()) + run.duplicates + run.failed + run.held
        if total != run.seen:
            story.broken.append(f"I9: run {run.pk} ({run.state}) saw {run.seen} and accounts for {total}")


def _cases_name_their_cause(story: Story) -> None:
    for case in Case.objects.filter(state="open"):
        if not case.sentence or not (case.crm_id or case.peer_id):
            story.broken.append(f"I9: an open {case.kind} case names no cause or no record")


def _rest_is_silent(story: Story, costs: Mapping[str, Mapping[str, int]]) -> None:
    """I5: nothing new, two calls; nothing written, also when everything is compared again."""
    news: set[str] = set()
    for box in story.users.addresses:
        if sum(costs[box].values()) > 2 and _is_simple(story, box):
            story.broken.append(f"acceptance 3: a quiet run over {box} cost {costs[box]}")
        if not story.users.is_there(box):
            continue  # its user deleted the empty folder, which is made again when everything is compared
        waiting = _waiting(story, box, news)
        before, last = Counter(story.watch.writes), Operation.objects.order_by("pk").last()
        story.run(box, forward=60, is_full=True)
        written = {id_ for _, _, id_ in story.watch.writes - before}
        for op in Operation.objects.filter(pk__gt=last.pk if last is not None else 0):
            pair = {op.target_id, op.source_ref.rpartition(":")[2]} - {""}
            written |= pair
            waiting |= pair if pair & waiting else set()  # what was made for one that waited
        news |= written & waiting
        if written - waiting:
            story.broken.append(f"I5: a run over {box} at rest wrote {sorted(written - waiting)} when everything was compared")


def _waiting(story: Story, box: str, news: set[str]) -> set[str]:
    """Returns the records of a mailbox, of both sides, that are asked about, or looked at again, and may have an answer by now, or
    of which another mailbox just brought news."""
    sync_pass = story.boxes.passes[box]
    waiting = {id_ for pair in _open_cases(story, box).values_list("crm_id", "peer_id") for id_ in pair if id_}
    waiting |= set(LookAgain.objects.filter(sync_pass=sync_pass).values_list("record_id", flat=True))
    waiting |= news
    links = Binding.objects.filter(sync_pass=sync_pass).values_list("crm_id", "peer_id")
    return waiting | {id_ for pair in links if waiting & set(pair) for id_ in pair}


def _is_simple(story: Story, box: str) -> bool:
    """Tells whether nothing waits in the mailbox that is asked about in every run, and its list of changes is told as it is."""
    if story.history.moods.get("delta_replays"):
        return False
    if LookAgain.objects.filter(sync_pass=story.boxes.passes[box], reason=NOT_VISIBLE).exists():
        return False  # what cannot be seen is looked for again, ever less often
    return not SyncPass.objects.get(pk=story.boxes.passes[box].pk).bindings.filter(is_retry_due=True).exists()
