"""What must hold once everything is at rest, counted in the played systems (goals.md, I1 to I13; C21 to C26)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from reconciliation.models import Binding, Case, ConflictField, Difference, LookAgain, MailboxItem, Operation, Run, SyncPass, Tombstone
from tests.simulation.calendars.rows import DAY, NAMES, Item, when_text
from tests.simulation.calendars.users import TEXTS, instant, standing
from tests.simulation.calendars.watch import LONGEST, WITHHELD
from tests.simulation.common import texts_in

if TYPE_CHECKING:
    from tests.simulation.calendars.play import Story

SHOWN = {"Busy": ("busy", "tentative", "workingElsewhere"), "Free": ("free",), "OutOfOffice": ("oof",)}
UNANSWERED = ("needsAction", "notResponded", "none", "declined")
BACK, AHEAD = 14 * DAY, 61 * DAY


def look_at(story: Story, costs: Mapping[str, Mapping[str, int]]) -> None:
    """Adds to the story what does not hold. `costs` are the calls of the last run over each mailbox, which was a quiet one."""
    items = story.users.items()
    for box in story.users.addresses:
        _links_agree(story, box, items)
        _nobody_is_left_out(story, box, items)
        _nothing_twice(story, box)
    _families_are_not_doubled(story)
    _nothing_private_is_told(story, items)
    _nothing_is_lost(story)
    _journal_is_whole(story)
    _ledgers_add_up(story)
    _rest_is_silent(story, costs)
    _nothing_private_is_told(story, story.users.items(), back=BACK + 31 * DAY)


def what_stands(story: Story) -> Iterator[str]:
    """Yields what our tables and the systems hold, in lines, for the person who looks for a fault."""
    for op in Operation.objects.order_by("pk"):
        what = f"{op.kind} {op.object_type} {op.target_id} for {op.source_ref}"
        yield f"journal: run {op.run_id} {what} {op.state} {op.error} {op.after}"[:400]
    for row in Binding.objects.order_by("pk"):
        yield f"bound: {row.sync_pass_id} {row.crm_id} {row.peer_id} {'tombstone' if row.is_tombstone else row.how}"
    for stone in Tombstone.objects.order_by("pk"):
        yield f"tombstone: {stone.sync_pass_id} {stone.crm_id} {stone.peer_id} {stone.why}"
    for known in MailboxItem.objects.order_by("pk"):
        yield f"known: {known.sync_pass_id} {known.item_id} {known.state} {known.why} {known.reason} {known.occasion[:6]} {known.held}"
    for case in Case.objects.order_by("pk"):
        yield f"case: {case.sync_pass_id} {case.state} {case.kind} {case.reason} {case.crm_id} {case.peer_id} {case.sentence}"[:300]
    for again in LookAgain.objects.order_by("pk"):
        yield f"again: {again.sync_pass_id} {again.side} {again.record_id} {again.reason}"
    for row in story.users.crm_rows().values():
        texts = {n: row.get(n) for n in (*TEXTS, "StartDateTime", "IsAllDayEvent", "ShowAs", "OwnerId", "Sync_Key__c")}
        yield f"crm: {row['Id']} {'deleted' if row.get('IsDeleted') else ''} {texts}"
    for item in story.users.items().values():
        yield f"item: {item}"


def _when_there(row: Mapping[str, Any]) -> str:
    start, end = instant(str(row["StartDateTime"])), instant(str(row["EndDateTime"]))
    is_whole = bool(row.get("IsAllDayEvent"))
    return when_text(start, end + DAY if is_whole else end, is_all_day=is_whole)


def _links_agree(story: Story, box: str, items: Mapping[tuple[str, str], Item]) -> None:
    """I4: both sides of a link hold the same, or a row says why not."""
    sync_pass = story.boxes.passes[box]
    known = {row.item_id: row for row in MailboxItem.objects.filter(sync_pass=sync_pass)}
    cases = Case.objects.filter(sync_pass=sync_pass, state="open")
    failed = {id_ for pair in cases.values_list("crm_id", "peer_id") for id_ in pair if id_}
    for link in Binding.objects.filter(sync_pass=sync_pass, is_tombstone=False):
        crm, item = story.users.crm(link.crm_id), items.get((box, link.peer_id))
        if not _is_seen(story, item, known.get(link.peer_id)):
            continue  # what happens outside the days that are looked at is told by nobody
        if not crm or crm.get("IsDeleted") or item is None:
            if link.crm_id not in failed:
                story.broken.append(f"I4: Event {link.crm_id} and {link.peer_id} of {box} are linked, and one is gone")
            continue
        if item.is_cancelled:
            continue
        row = known.get(link.peer_id)
        if row is None or row.state != MailboxItem.State.LINKED:
            story.broken.append(f"I4: {link.peer_id} of {box} is linked, and its row says {row and row.state}")
            continue
        told = set(Difference.objects.filter(binding=link).values_list("peer_field", flat=True)) | set(row.held)
        open_ = ConflictField.objects.filter(case__in=cases, case__peer_id=link.peer_id, state="open")
        told |= set(open_.values_list("peer_field", flat=True))
        if {link.crm_id, link.peer_id} & failed:
            told |= _refused(link)
        _pair_agrees(story, crm, item, told)


def _refused(link: Binding) -> set[str]:
    """Returns the fields of the item that its mail system refused; an open case names the pair."""
    refused = Operation.objects.filter(target_id=link.peer_id, state=Operation.State.REJECTED)
    return {name for after in refused.values_list("after", flat=True) for name in after}


def _is_seen(story: Story, item: Item | None, known: MailboxItem | None) -> bool:
    """Tells whether an event lies in the days that are looked at, as far as anybody knows."""
    today = story.boxes.clock.at.replace(hour=0, minute=0, second=0, microsecond=0)
    spans = [(item.starts, item.ends)] if item is not None else []
    spans += [(known.starts_at, known.ends_at)] if known is not None and known.starts_at and known.ends_at else []
    return any(end > today - BACK and start < today + AHEAD for start, end in spans)


def _pair_agrees(story: Story, crm: Mapping[str, Any], item: Item, told: set[str]) -> None:
    texts = dict(item.texts)
    if story.watch.is_withheld(item):
        texts = {"Subject": WITHHELD, "Location": "", "Description": ""}
    is_withheld = story.watch.is_withheld(item)
    is_anothers = not item.is_own and not is_withheld  # only its organiser can change it: a change of Salesforce stays there
    for name, other in NAMES.items():
        here = str(crm.get(name) or "")
        is_typed_here = here in story.users.typed or (not here and (crm["Id"], name) in story.users.blanked)
        if here != texts[name] and other not in told and not (is_anothers and is_typed_here):
            story.broken.append(f"I4: {name} is {here!r} in {crm['Id']} and {texts[name]!r} in {item.id} of {item.box}")
    if _when_there(crm) != item.when and "when" not in told and item.is_own and not is_withheld:
        story.broken.append(f"C25: {crm['Id']} is at {_when_there(crm)}, and {item.id} of {item.box} at {item.when}")
    if item.show not in SHOWN.get(str(crm.get("ShowAs")), ()) and "showAs" not in told and not is_withheld:
        story.broken.append(f"I4: ShowAs is {crm.get('ShowAs')} in {crm['Id']} and {item.show} in {item.id} of {item.box}")


def _nobody_is_left_out(story: Story, box: str, items: Mapping[tuple[str, str], Item]) -> None:
    """I4, I10: what is to be shared is linked, or carried by a colleague, or a row says why not."""
    sync_pass, now = story.boxes.passes[box], story.boxes.clock.at
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    links = Binding.objects.filter(sync_pass=sync_pass, is_tombstone=False)
    bound, bound_there = set(links.values_list("peer_id", flat=True)), set(links.values_list("crm_id", flat=True))
    rows = {row.item_id: row for row in MailboxItem.objects.filter(sync_pass=sync_pass)}
    cases = Case.objects.filter(sync_pass=sync_pass, state="open")
    told = {id_ for pair in cases.values_list("crm_id", "peer_id") for id_ in pair if id_}
    settings = story.watch.settings_of(box)
    for item in items.values():
        is_seen = item.ends > today - BACK and item.starts < today + AHEAD
        is_kept = item.is_cancelled or (item.is_hidden and settings["private_events"] == "skip") or item.ends - item.starts > LONGEST
        if item.box != box or not is_seen or is_kept or item.id in bound | told:
            continue
        is_shared = item.is_marked or (settings["share_events"] and (item.is_own or item.response not in UNANSWERED))
        row = rows.get(item.id)
        if not is_shared or (row is not None and row.state == MailboxItem.State.ENDED):
            continue
        if row is not None and row.state == MailboxItem.State.COLLEAGUE and _is_carried(story, box, item, items):
            continue
        story.broken.append(f"I4: {item.id} of {box} is shared, and not in Salesforce ({row and row.state}, {item.when})")
    stones = dict(Tombstone.objects.filter(sync_pass=sync_pass).order_by("pk").values_list("crm_id", "why"))
    owed = [id_ for id_, why in stones.items() if why == Tombstone.Why.MADE_AGAIN and id_ not in bound_there | told]
    for id_ in owed:
        if not story.users.crm(id_).get("IsDeleted") and not _is_held(id_) and _is_near(story, story.users.crm(id_)):
            story.broken.append(f"I4: Event {id_} was to be made again in {box}, and is not")
    for row_there in story.users.events():
        is_mine = row_there.get("OwnerId") == story.boxes.users[box] and row_there["Id"] not in story.watch.made_for
        if is_mine and _is_near(story, row_there) and row_there["Id"] not in bound_there | stones.keys() | told:
            story.broken.append(
                f"I4: Event {row_there['Id']} of {box} at {row_there['StartDateTime']} is not in the calendar, and nothing says why"
            )


def _is_near(story: Story, row: Mapping[str, Any]) -> bool:
    """Tells whether an event of Salesforce lies in the days that are looked at."""
    today = story.boxes.clock.at.replace(hour=0, minute=0, second=0, microsecond=0)
    return instant(str(row["EndDateTime"])) > today - BACK and instant(str(row["StartDateTime"])) < today + AHEAD


def _is_held(crm_id: str) -> bool:
    return Binding.objects.filter(crm_id=crm_id, is_tombstone=False).exists()


def _is_carried(story: Story, box: str, item: Item, items: Mapping[tuple[str, str], Item]) -> bool:
    """Tells whether a colleague's calendar is linked to the same occurrence."""
    for link in Binding.objects.filter(is_tombstone=False).exclude(sync_pass=story.boxes.passes[box]).select_related("sync_pass__mailbox"):
        other = items.get((link.sync_pass.mailbox.address, link.peer_id))
        if other is not None and other.key == item.key:
            return True
    return False


def _nothing_twice(story: Story, box: str) -> None:
    """I3: one item for an event of Salesforce, and one event for an item."""
    markers = Counter(item.marker for item in story.rows.all(box) if item.marker)
    story.broken += [f"I3: {n} items of {box} name Event {marker}" for marker, n in markers.items() if n > 1]
    links = Binding.objects.filter(sync_pass=story.boxes.passes[box], is_tombstone=False)
    for name in ("crm_id", "peer_id"):
        held = Counter(links.values_list(name, flat=True))
        story.broken += [f"I3: {id_} is linked {n} times in {box}" for id_, n in held.items() if n > 1]


def _families_are_not_doubled(story: Story) -> None:
    """C23, C26: of what takes place once there is one event in Salesforce, whoever attends; and for each occurrence that users took out
    one more, which Salesforce may keep."""
    made = Counter(story.watch.made_for[row["Id"]].family for row in story.users.events() if row["Id"] in story.watch.made_for)
    for family, n in made.items():
        most = story.users.most.get(family, 0) + story.users.ended.get(family, 0)
        if n > most:
            story.broken.append(f"C23: {n} events in Salesforce stand for {family[-12:]}, which takes place {most} times")
    linked: dict[tuple[str, str], set[str]] = {}
    items = story.users.items()
    for link in Binding.objects.filter(is_tombstone=False).select_related("sync_pass__mailbox"):
        item = items.get((link.sync_pass.mailbox.address, link.peer_id))
        if item is not None:
            linked.setdefault(item.key, set()).add(link.crm_id)
    story.broken += [f"C26: {sorted(ids)} are linked to one occasion" for ids in linked.values() if len(ids) > 1]


def _nothing_private_is_told(story: Story, items: Mapping[tuple[str, str], Item], *, back: timedelta = BACK) -> None:
    """C22: no event of Salesforce that is linked to a private one tells its details. Of days that are not looked at any more only a
    full comparison knows."""
    since = story.boxes.clock.at.replace(hour=0, minute=0, second=0, microsecond=0) - back
    for link in Binding.objects.filter(is_tombstone=False).select_related("sync_pass__mailbox"):
        box = link.sync_pass.mailbox.address
        item, crm = items.get((box, link.peer_id)), story.users.crm(link.crm_id)
        if item is None or not story.watch.is_withheld(item) or crm.get("IsDeleted") or item.ends <= since:
            continue
        told = [name for name in TEXTS if crm.get(name) and crm.get(name) != WITHHELD]
        if told or story.watch.settings_of(box)["private_events"] == "skip":
            story.broken.append(f"C22: Event {link.crm_id} tells {told} of {item.id} of {box}, which is private")


def _nothing_is_lost(story: Story) -> None:
    """I1: what a user typed stands somewhere still, unless a user typed over it."""
    there = set(standing(story.users)) | set(_kept())
    for value, typed in story.users.typed.items():
        if not typed.is_replaced and value not in there:
            story.broken.append(f"I1: {typed.name} {value!r}, typed in {typed.side}, is nowhere")


def _kept() -> Iterator[str]:
    """Yields the values that our tables keep of what gave way, waits for a person, or had to be withheld."""
    for origin in Operation.objects.exclude(origin={}).values_list("origin", flat=True):
        yield from texts_in(origin.get("losers"))
    for before in Operation.objects.filter(reason__contains="withheld").values_list("before", flat=True):
        yield from texts_in(before)
    for row in ConflictField.objects.values_list("crm_value", "peer_value"):
        yield from texts_in(row)
    for row in Difference.objects.values_list("crm_value", "peer_value"):
        yield from texts_in(row)


def _journal_is_whole(story: Story) -> None:
    """I13: every write that arrived has a row of its own in the journal, and none is open."""
    rows: Counter[tuple[str, str, str]] = Counter()
    crm = story.boxes.parent.crm_id
    for op in Operation.objects.filter(object_type__in=("Event", "event")):
        rows["crm" if op.connection_id == crm else "peer", op.kind, op.target_id] += 1
    for key, n in story.watch.writes.items():
        side, kind, id_ = key
        if kind == "create" and rows[key] < n and ((side == "peer" and _left(story, id_)) or id_ in story.users.dropped_there):
            continue  # its user threw it away before its answer, that was lost, could be asked for
        if rows[key] < n:
            story.broken.append(f"I13: {n} writes {key} arrived, {rows[key]} stand in the journal")
    left = Operation.objects.filter(state__in=Operation.OPEN).exclude(state=Operation.State.PLANNED)
    story.broken += [f"I13: {op.kind} of {op.object_type} for {op.source_ref} is still {op.state}" for op in left]


def _left(story: Story, id_: str) -> bool:
    return any(gone == id_ for _, gone in story.users.gone)


def _ledgers_add_up(story: Story) -> None:
    """I9: every run accounts for each record that it saw, once."""
    for run in Run.objects.exclude(kind=Run.Kind.STAFF):
        total = run.created + run.updated + run.unchanged + sum(run.excluded.values()) + run.duplicates + run.failed + run.held
        if total != run.seen:
            story.broken.append(f"I9: run {run.pk} ({run.state}) saw {run.seen} and accounts for {total}")
    for case in Case.objects.filter(state="open"):
        if not case.sentence or not (case.crm_id or case.peer_id):
            story.broken.append(f"I9: an open {case.kind} case names no cause or no record")


def _rest_is_silent(story: Story, costs: Mapping[str, Mapping[str, int]]) -> None:
    """I5: nothing new, two calls; nothing written, also when everything is compared again."""
    for box in story.users.addresses:
        if sum(costs[box].values()) > 2 and _is_simple(story, box):
            story.broken.append(f"acceptance 5: a quiet run over {box} cost {costs[box]}")
        before, old = Counter(story.watch.writes), _out_of_view(story, box)
        story.run(box, forward=60, is_full=True)
        old |= _out_of_view(story, box)
        if written := sorted(key for key in story.watch.writes - before if key[2] not in old):
            story.broken.append(f"I5: a run over {box} at rest wrote {written} when everything was compared")


def _out_of_view(story: Story, box: str) -> set[str]:
    """Returns the events of Salesforce that are, or were, linked to events before the days that are looked at."""
    today = story.boxes.clock.at.replace(hour=0, minute=0, second=0, microsecond=0)
    rows = MailboxItem.objects.filter(sync_pass=story.boxes.passes[box], ends_at__lte=today - BACK)
    return set(rows.values_list("crm_id", flat=True))


def _is_simple(story: Story, box: str) -> bool:
    """Tells whether nothing waits in the mailbox that is asked about in every run, and its list of changes is told as it is."""
    if story.history.moods.get("delta_replays") or story.history.moods.get("empty_event_pages"):
        return False
    if LookAgain.objects.filter(sync_pass=story.boxes.passes[box]).exists():
        return False
    return not SyncPass.objects.get(pk=story.boxes.passes[box].pk).bindings.filter(is_retry_due=True).exists()
