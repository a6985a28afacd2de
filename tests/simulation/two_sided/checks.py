"""What must hold once everything is at rest, counted in the played systems (goals.md, I1 to I13)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from reconciliation.models import Binding, Case, ConflictField, Difference, Operation, Tombstone
from tests.simulation.common import texts_in
from tests.simulation.two_sided.people import text_of

if TYPE_CHECKING:
    from tests.simulation.two_sided.story import Story


MARGIN, TOO_CLOSE = 65.0, 55.0  # seconds; within 60 a person decides


def look_at(story: Story) -> None:
    """Adds to the story what does not hold."""
    _one_to_one(story)
    _pairs_agree(story)
    _nobody_is_left_out(story)
    _nothing_is_lost(story)
    _later_edits_win(story)
    _journal_is_whole(story)
    _queues_name_their_cause(story)
    _nobody_is_asked_needlessly(story)
    _rest_is_silent(story, "a further pass that compares everything again", is_full=True)  # the last quiet one wrote nothing


def what_stands() -> Iterator[str]:
    """Yields what our tables hold, in lines, for the person who looks for a fault."""
    for op in Operation.objects.order_by("pk"):
        what = f"{op.kind} {op.object_type} {op.target_id} for {op.source_ref}"
        yield f"journal: run {op.run_id} {what} {op.state} {op.error} {op.after}"[:260]
    for row in Binding.objects.order_by("pk"):
        yield f"bound: {row.crm_ref} {row.peer_ref} {'tombstone' if row.is_tombstone else row.how}"
    for case in Case.objects.order_by("pk"):
        yield f"case: {case.state} {case.kind} {case.reason} {case.crm_id} {case.peer_id} {case.sentence}"[:260]


def _one_to_one(story: Story) -> None:
    """I3: one prospect for a CRM record and one CRM record for a prospect."""
    people = story.people
    at = people.cast.pointer
    pointers = Counter(str(p[at]) for p in people.peers() if p.get(at))
    living = {r["Id"] for t in people.cast.crm_types for r in people.living(t)}
    ended = set(Binding.objects.filter(is_tombstone=True).values_list("peer_id", flat=True))
    for id_, n in pointers.items():
        if n > 1:
            story.broken.append(f"I3: {n} of the peer's records name {id_}")
    named = {str(p["id"]): str(p[at]) for p in people.peers() if p.get(at)}
    for peer_id, id_ in named.items():
        if id_ not in living and peer_id not in ended:
            story.broken.append(f"I3: {people.cast.peer_type} {peer_id} names {id_}, which is gone")
    keys = Counter(str(r["Sync_Key__c"]) for t in people.cast.crm_types for r in people.living(t) if r.get("Sync_Key__c"))
    story.broken += [f"I3: {n} CRM records were made for {key}" for key, n in keys.items() if n > 1]


def _pairs_agree(story: Story) -> None:
    """I4: fields of linked records are equal, or a row says which are not."""
    cast = story.people.cast
    for row in Binding.objects.filter(is_tombstone=False):
        crm, peer = story.people.crm(row.crm_type, row.crm_id), story.people.peer(row.peer_id)
        if not crm or crm.get("IsDeleted") or crm.get("IsConverted") or not peer:
            story.broken.append(f"I4: {row.crm_ref} and {row.peer_type} {row.peer_id} are linked, and one is gone")
            continue
        pointer = peer.get(cast.pointer)
        if pointer != row.crm_id or (row.peer_type == "prospect" and peer.get("externalSource") != "salesforce"):
            story.broken.append(f"I4: {row.peer_type} {row.peer_id} names {pointer}, not {row.crm_id}")
        named = set(Difference.objects.filter(binding=row).values_list("peer_field", flat=True))
        case = Case.objects.filter(state="open", peer_id=row.peer_id)
        named |= set(ConflictField.objects.filter(case__in=case, state="open").values_list("peer_field", flat=True))
        if case.filter(kind="error").exists():
            continue
        for name, other in cast.fields.items():
            if name == "Company" and row.crm_type != "Lead":
                continue
            here, there = text_of(crm, name), text_of(peer, other)
            if here.casefold() != there.casefold() and other not in named and not (here == "[not provided]" and not there):
                story.broken.append(f"I4: {name} is {here!r} in {row.crm_ref} and {there!r} in {row.peer_type} {row.peer_id}")
        for name, other in cast.consent.items():
            if bool(crm.get(name)) != bool(peer.get(other)):
                story.broken.append(
                    f"consent: {name} is {crm.get(name)} in {row.crm_ref} and {peer.get(other)} in {row.peer_type} {row.peer_id}"
                )


def _nobody_is_left_out(story: Story) -> None:
    """I4, I10: whoever has an address is linked, or a row says why not."""
    people = story.people
    bound = Binding.objects.filter(is_tombstone=False)
    crm_bound, peer_bound = (set(bound.values_list(n, flat=True)) for n in ("crm_id", "peer_id"))
    ended = Binding.objects.filter(is_tombstone=True)
    crm_told = set(Case.objects.filter(state="open").values_list("crm_id", flat=True)) | set(ended.values_list("crm_id", flat=True))
    peer_told = set(Case.objects.filter(state="open").values_list("peer_id", flat=True)) | set(ended.values_list("peer_id", flat=True))
    cast = people.cast
    crm_keys = {k for t in cast.crm_types for r in people.living(t) if r["Id"] in crm_bound for k in cast.keys_of(t, r)}
    peer_keys = {k for p in people.peers() if str(p["id"]) in peer_bound for k in cast.keys_of(cast.peer_type, p)}
    for type_ in people.cast.crm_types:
        for row in people.living(type_):
            keys = cast.keys_of(type_, row)
            if keys and row["Id"] not in crm_bound | crm_told and not keys & peer_keys:
                story.broken.append(f"I4: {type_} {row['Id']} {sorted(keys)} has no {cast.peer_type}, and nothing says why")
    for peer in people.peers():
        keys = cast.keys_of(cast.peer_type, peer)
        id_ = str(peer["id"])
        if keys and id_ not in peer_bound | peer_told and not keys & crm_keys and story.makes_crm_records:
            story.broken.append(f"I4: {cast.peer_type} {id_} {sorted(keys)} has no CRM record, and nothing says why")


def _nothing_is_lost(story: Story) -> None:
    """I1: what a user typed stands somewhere still, unless a user typed over it."""
    people = story.people
    standing = {
        text_of(r, n)
        for t in people.cast.crm_types
        for r in people.world.salesforce.records.tables[t].rows.values()
        for n in people.cast.fields
    }
    standing |= {text_of(p, n) for p in people.peers() for n in people.cast.fields.values()}
    kept = set(_kept())
    for value, typed in people.typed.items():
        if typed.is_replaced or value in standing or value in kept or value.casefold() in {v.casefold() for v in standing | kept}:
            continue
        if typed.window:
            story.windows.append(f"{typed.name} {value!r} of {typed.side} {typed.id}: {typed.window}")
        else:
            story.broken.append(f"I1: {typed.name} {value!r}, typed in {typed.side} {typed.id}, is nowhere")


def _later_edits_win(story: Story) -> None:
    """S3.5: of two edits of one field the later one stands; one that is older by more than the margin never beats it. Systems
    date records, not fields, so whoever edited a record at all counts as its last editor; we ourselves never do."""
    people = story.people
    for op in Operation.objects.filter(origin__has_key="losers", state="confirmed").select_related("run"):
        for name, lost in op.origin["losers"].items():
            loser = people.typed.get(next(texts_in(lost), ""))
            winner = people.typed.get(next(texts_in(op.after.get(name)), ""))
            if loser is None or winner is None or loser.window:  # what nobody could see is kept, which is all one can ask
                continue
            won_at = people.last_edit(winner.id, op.intended_at.timestamp(), winner.at)
            lost_at = people.last_edit(loser.id, op.run.started_at.timestamp(), loser.at)
            if lost_at - won_at > MARGIN and loser.side != winner.side:
                story.broken.append(f"S3.5: {winner.value!r} of {winner.side} beat {loser.value!r}, typed later")
            if abs(lost_at - won_at) < TOO_CLOSE and _was_asked(winner.value, loser.value):
                story.broken.append(f"D10: a person was asked about {winner.value!r} and {loser.value!r}, then we chose")


def _was_asked(*values: str) -> bool:
    """Tells whether a person was asked to choose between these values, and did not."""
    rows = ConflictField.objects.filter(state=ConflictField.State.AGREED)
    return any(set(values) == {*texts_in(crm), *texts_in(peer)} for crm, peer in rows.values_list("crm_value", "peer_value"))


def _kept() -> Iterator[str]:
    """Yields the values that our tables keep of what gave way, or waits for a person."""
    for origin in Operation.objects.exclude(origin={}).values_list("origin", flat=True):
        yield from texts_in(origin.get("losers"))
    for row in ConflictField.objects.values_list("crm_value", "peer_value"):
        yield from texts_in(row)
    for row in Difference.objects.values_list("crm_value", "peer_value"):
        yield from texts_in(row)
    for row in Tombstone.objects.values_list("crm_values", "peer_values"):
        yield from texts_in(row)


def _journal_is_whole(story: Story) -> None:
    """I13: every write that arrived has a row of its own in the journal, and none is open."""
    rows: Counter[tuple[str, str, tuple[str, ...]]] = Counter()
    crm_id = story.sync_pass.crm_id
    for op in Operation.objects.all():
        side = "crm" if op.connection_id == crm_id else "peer"
        rows[side, op.target_id, () if op.kind == "create" else tuple(sorted(op.after))] += 1
    for key, n in story.watch.writes.items():
        side, id_, names = key
        if not names and side == "peer" and not story.people.peer(id_):
            continue  # a user threw it away before its answer, that was lost, could be asked for: Outreach keeps no trace
        if rows[key] < n:
            story.broken.append(f"I13: {n} writes {key} arrived, {rows[key]} stand in the journal")
    left = Operation.objects.filter(state__in=Operation.OPEN)
    story.broken += [f"I13: {op.kind} of {op.object_type} for {op.source_ref} is still {op.state}" for op in left]


def _queues_name_their_cause(story: Story) -> None:
    """I9: every open case says why it is there, and no run of a calm day opens an error."""
    for case in Case.objects.filter(state="open"):
        if not case.sentence or not (case.crm_id or case.peer_id):
            story.broken.append(f"I9: an open {case.kind} case names no cause or no record")
        if case.kind == "error":
            story.errors.append(f"{case.reason} {case.crm_id} {case.peer_id}: {case.sentence}")


def _nobody_is_asked_needlessly(story: Story) -> None:
    """D10: a person is asked about a field only when both sides changed it since they agreed."""
    for row in ConflictField.objects.filter(state="open"):
        if row.crm_base == row.crm_value or row.peer_base == row.peer_value:
            story.broken.append(f"D10: a person is asked about {row.peer_field} of {row.case.peer_id}, which one side alone changed")


def _rest_is_silent(story: Story, what: str, **order: Any) -> None:
    """I5: nothing new, nothing written; also when everything is compared again."""
    before, rows = sum(story.watch.writes.values()), Operation.objects.count()
    story.world.forget_calls()
    story.run(**order)
    sent = [f"{m} {t}" for c in story.world.counts.values() for k in c for m, t in [k.split(" ", 1)] if m not in ("GET",)]
    sent = [s for s in sent if "/token" not in s and "/query" not in s]
    if story.errors:  # what was refused is tried again when everything is compared, and refused again
        rows, sent = Operation.objects.count(), []
    if sum(story.watch.writes.values()) != before or Operation.objects.count() != rows or sent:
        story.broken.append(f"I5: {what} at rest wrote: {sent}")
