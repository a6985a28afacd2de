"""*Pull data down from Salesforce* and *Force update all fields* (S2.8, S2.14, S2.15, D29), in either direction.

Without force it is the merge of this one record towards one side; forced, every mapped field of the chosen side goes across
where the other differs, also one whose updates are off. The differences are shown first, and carried out as shown."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Exists, QuerySet

from connectors.contract import Connector, Record
from connectors.errors import ConnectorError, StaleVersion
from connectors.mailboxes import INSIDE, PLACE
from reconciliation.core.mapping import FieldRule, Survivorship
from reconciliation.core.mapping import Mapping as Rules
from reconciliation.core.merging import FieldWrite, Merge, Side, SideState, forced_fields, is_changed, values_of
from reconciliation.core.operations import Intent
from reconciliation.core.settling import do_agree
from reconciliation.core.transforms import USER_PAIR
from reconciliation.core.values import isolated
from reconciliation.engine import pair_bases, pair_differences
from reconciliation.engine.context import RunContext
from reconciliation.engine.executor import Done
from reconciliation.engine.executor import Side as Connected
from reconciliation.engine.pair_bases import bound_of
from reconciliation.engine.pair_reads import columns
from reconciliation.engine.pair_terms import KINDS
from reconciliation.engine.staff import at_work
from reconciliation.engine.wiring import Wiring
from reconciliation.engine.works import work_of
from reconciliation.models import Binding, Mailbox, Operation, Policy, SyncPass, UserPair
from reconciliation.passes.pairs import PairTerms, TypeTerms, merge_pair
from reconciliation.services.audit import audit
from reconciliation.services.duplicates import DecisionRefused
from reconciliation.services.matches import PASS, both_sides
from reconciliation.store import decode_fields, encode

MOST_TRIES = 3
CHANGED = "A value changed while you were looking at it. Look at the differences again, then sync. Nothing was done."
NOT_LINKED = "This record is linked to nothing, so there is nothing to pull."
LEFT = "{} has left: nothing is written to its mailbox, or taken from it, any more. Nothing was done."
OUTSIDE = "The contact lies outside the folder in {} by now: it is personal, and is not touched. Nothing was done."
NO_RIGHT = "The user of {} may not edit {} {} in {}. Nothing was done."
RELATED = ("sync_pass__crm", "sync_pass__peer", "sync_pass__mapping", "sync_pass__parent", "sync_pass__mailbox__group")


@dataclass(frozen=True, slots=True)
class Choice:
    """What somebody asked for: from which side, forced or not, which fields of the peer (None: all), blanks too."""

    source: Side = "crm"
    is_forced: bool = False
    fields: frozenset[str] | None = None
    also_blanks: bool = False


@dataclass(frozen=True, slots=True)
class PullLine:
    """One mapped field as both sides hold it, and what becomes of it. `is_off`: updates in this direction are off, so only
    force takes it across."""

    rule: FieldRule
    title: str
    crm: Any
    peer: Any
    becomes: Any = None
    is_written: bool = False
    is_off: bool = False
    note: str = ""
    seen: str = ""  # what a choice of this line rests on: another value on either side makes it another one

    @property
    def name(self) -> str:
        return self.rule.peer


@dataclass(frozen=True, slots=True)
class PullPlan:
    """What a sync writes, from what both systems hold now."""

    binding: Binding
    choice: Choice
    name: str
    lines: tuple[PullLine, ...]

    @property
    def seen(self) -> dict[str, str]:
        """Returns what carrying it out rests on, by field of the peer."""
        return {line.name: line.seen for line in self.writes}

    @property
    def writes(self) -> list[PullLine]:
        return [line for line in self.lines if line.is_written]

    @property
    def held(self) -> list[PullLine]:
        """The fields that differ and are left so."""
        return [line for line in self.lines if line.note and not line.is_written]

    @property
    def equal(self) -> int:
        return sum(not line.is_written and not line.note for line in self.lines)


@dataclass(frozen=True, slots=True)
class Pulled:
    """What was done: which fields, by which write."""

    fields: tuple[str, ...]
    run_id: int
    operation_id: int | None


@dataclass(slots=True)
class _Pair:
    """Both records of a link as they are now, and the rules between them."""

    binding: Binding
    crm: Record
    peer: Record
    type: TypeTerms
    terms: PairTerms
    users: Mapping[str, str]
    names: Mapping[tuple[str, str], str]  # (side, user id) -> name, where a rule carries users

    @property
    def rules(self) -> Rules:
        return self.type.mapping

    def states(self) -> tuple[SideState, SideState]:
        bound, crm, peer = self.binding, self.crm, self.peer
        return (
            SideState(decode_fields(bound.crm_base), crm.fields, crm.edited_at or crm.updated_at, crm.damaged),
            SideState(decode_fields(bound.peer_base), peer.fields, peer.edited_at or peer.updated_at, peer.damaged),
        )


def bound(sync_pass: SyncPass, peer_id: str) -> Binding:
    """Returns the link of a record of the peer. Raises DecisionRefused where there is none."""
    rows = _links().filter(sync_pass=sync_pass, peer_type=KINDS[sync_pass.kind].peer_object, peer_id=peer_id)
    binding = rows.first()
    if binding is None:
        raise DecisionRefused(NOT_LINKED)
    return binding


def linked(pass_name: str, peer_id: str) -> Binding | None:
    """Returns the link of a record of the peer with its pass, and as `allows_remap` the dedupe policy, in one query."""
    return _links().filter(sync_pass__name=pass_name, peer_type=KINDS[pass_name].peer_object, peer_id=peer_id).first()


def _links() -> QuerySet[Binding]:
    """Returns the links that hold, each with its pass, its systems and its mailbox."""
    choosing = Policy.objects.filter(pk=1, same_email=Policy.SameEmail.CHOOSE)
    return Binding.objects.filter(is_tombstone=False).annotate(allows_remap=Exists(choosing)).select_related(*RELATED)


def called(binding: Binding) -> str:
    """Returns what sentences call a record of the peer. The id of an item in a mailbox means nothing to people."""
    address = binding.sync_pass.mailbox_address
    return f"{binding.peer_type} {isolated(binding.name)} in {address}" if address else f"{binding.peer_type} {binding.peer_id}"


def pull_plan(sync_pass: SyncPass, peer_id: str, choice: Choice, *, wiring: Wiring | None = None) -> PullPlan:
    """Returns what a sync would write. Reads only. Raises DecisionRefused, ConnectorError."""
    return plan_of(bound(sync_pass, peer_id), choice, wiring=wiring)


def plan_of(binding: Binding, choice: Choice, *, wiring: Wiring | None = None) -> PullPlan:
    """Returns as `pull_plan` for a link that was read just now."""
    sync_pass = binding.sync_pass
    with both_sides(sync_pass, wiring) as (crm, peer):
        pair = _read(sync_pass, binding, crm, peer, _terms(sync_pass, crm, peer))
    return _plan(sync_pass, pair, choice)[0]


def _terms(sync_pass: SyncPass, crm: Connector, peer: Connector) -> PairTerms:
    """Returns the terms of the pass as they stand now, outside a run."""
    sides = Connected(sync_pass.crm, crm), Connected(sync_pass.peer, peer)
    return work_of(sync_pass).terms(sync_pass, *sides, Wiring())  # type: ignore[no-any-return]  # those of a two-way pass


def _read(sync_pass: SyncPass, binding: Binding, crm: Connector, peer: Connector, terms: PairTerms) -> _Pair:
    mailbox = sync_pass.mailbox
    if mailbox is not None and mailbox.state in Mailbox.GONE:
        raise DecisionRefused(LEFT.format(mailbox.address))
    type_ = terms.type_of(binding.crm_type)
    if type_ is None:
        raise DecisionRefused(f"{binding.crm_type}s are not synced: see Record types. Nothing was done.")
    ours = crm.read(binding.crm_type, [binding.crm_id], columns(terms, binding.crm_type))
    theirs = peer.read(binding.peer_type, [binding.peer_id], columns(terms, binding.peer_type))
    if not ours or ours[0].is_deleted or ours[0].succeeded_by is not None:
        way_out = " Find matches shows what can take its place." if sync_pass.name == PASS else ""
        raise DecisionRefused(f"{binding.crm_type} {binding.crm_id} is gone in {sync_pass.crm.get_system_display()}.{way_out}")
    if not theirs:
        raise DecisionRefused(f"{_capital(called(binding))} is gone in {sync_pass.peer.get_system_display()}.")
    if mailbox is not None and theirs[0].fields.get(PLACE, INSIDE) != INSIDE:
        raise DecisionRefused(OUTSIDE.format(mailbox.address))
    users, names = _users(sync_pass) if any(r.transform == USER_PAIR for r in type_.mapping.rules) else ({}, {})
    return _Pair(binding, ours[0], theirs[0], type_, terms, users, names)


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def _users(sync_pass: SyncPass) -> tuple[dict[str, str], dict[tuple[str, str], str]]:
    """Returns user of the CRM -> user of the peer, and the names of both by side and id."""
    users, names = dict[str, str](), dict[tuple[str, str], str]()
    rows = UserPair.objects.filter(sync_pass=sync_pass)
    for ours, theirs, our_name, their_name in rows.values_list("crm_user_id", "peer_user_id", "crm_name", "peer_name"):
        names["crm", ours], names["peer", theirs] = our_name, their_name
        if ours and theirs:
            users[ours] = theirs
    return users, names


def merged(pair: _Pair, choice: Choice) -> Merge:
    """Returns the merge that a choice comes to; only what goes to the other side counts. Without force it is that of the
    pass: what the pass leaves to a person is not decided here."""
    if not choice.is_forced and not pair.type.covers(pair.crm):
        return Merge()
    if not choice.is_forced:
        return merge_pair(pair.crm, pair.peer, bound_of(pair.binding, pair.crm.ref.system), pair.type, pair.terms, pair.users)
    crm, peer = pair.states()
    return forced_fields(
        pair.rules, choice.source, crm=crm, peer=peer, users=pair.users, fields=choice.fields, also_blanks=choice.also_blanks
    )


def _plan(sync_pass: SyncPass, pair: _Pair, choice: Choice) -> tuple[PullPlan, dict[str, FieldWrite]]:
    merge = merged(pair, choice)
    writes = merge.to_peer if choice.source == "crm" else merge.to_crm
    by_rule = {write.rule.id: write for write in writes.values()}
    titles = (sync_pass.crm.schema_cache or {}).get(pair.binding.crm_type, {})
    lines = [_line(pair, choice, rule, by_rule.get(rule.id), merge, titles) for rule in pair.rules.rules]
    name = KINDS[sync_pass.kind].name_of(pair.peer)
    return PullPlan(pair.binding, choice, name, tuple(lines)), writes


def _line(
    pair: _Pair,
    choice: Choice,
    rule: FieldRule,
    write: FieldWrite | None,
    merge: Merge,
    titles: Mapping[str, Any],
) -> PullLine:
    ours, theirs = pair.crm.fields.get(rule.crm), pair.peer.fields.get(rule.peer)
    title = str((titles.get(rule.crm) or {}).get("title") or rule.crm)
    flowing = next(r for r in pair.type.flowing.rules if r.id == rule.id)
    is_off = not (flowing.flows_to_peer if choice.source == "crm" else flowing.flows_to_crm)
    note = "" if write is not None or do_agree(rule, ours, theirs, pair.users) else _why_left(pair, choice, rule, merge, is_off=is_off)
    becomes = write.value if write is not None else None
    if rule.transform == USER_PAIR:
        to = "peer" if choice.source == "crm" else "crm"
        names = pair.names
        ours, theirs = names.get(("crm", str(ours)), ours), names.get(("peer", str(theirs)), theirs)  # type: ignore[assignment]
        becomes = names.get((to, str(becomes)), becomes)  # type: ignore[assignment]
    return PullLine(rule, title, ours, theirs, becomes, write is not None, is_off, note, _seen(pair, rule))


def _why_left(pair: _Pair, choice: Choice, rule: FieldRule, merge: Merge, *, is_off: bool) -> str:
    """Returns why a field that differs is left as it is."""
    warned = next((w.sentence for w in merge.warnings if w.rule.id == rule.id), "")
    if warned:
        return warned
    if any(held.id == rule.id for held in merge.held_blanks):
        return "blank there; tick “also blanks” to take it over"
    if any(unmatched.id == rule.id for unmatched, _ in merge.unmatched):
        return "the owner has no counterpart; see the user mapping"
    if rule.survivorship is Survivorship.RESTRICTIVE:
        return "a consent: an opt-out is never taken back"
    asked = next((conflict for conflict in merge.conflicts if conflict.rule.id == rule.id), None)
    if asked is not None:
        return f"{asked.why or 'Changed on both sides.'} A person decides under Conflicts"
    if choice.is_forced:
        return "not chosen"
    if not pair.type.covers(pair.crm):
        return "the record does not meet the polling conditions; only force takes it over"
    if is_off:
        return "updates of this field are off in this direction; only force takes it over"
    return "different since linking; only force takes it over"


def _seen(pair: _Pair, rule: FieldRule) -> str:
    link = [pair.binding.crm_type, pair.binding.crm_id, rule.id]
    values = [encode(pair.crm.fields.get(rule.crm)), encode(pair.peer.fields.get(rule.peer))]
    return hashlib.sha256(json.dumps([link, values], sort_keys=True).encode()).hexdigest()[:16]


# --- carrying out ---------------------------------------------------------------------------------------------------


def pull(
    sync_pass: SyncPass,
    peer_id: str,
    choice: Choice,
    *,
    by: AbstractBaseUser | None,
    seen: Mapping[str, str] | None = None,
    reason: str = "",
    wiring: Wiring | None = None,
) -> Pulled:
    """Sends the fields that differ and moves what both sides agreed on to what they answered. `seen` is that of the plan
    that was shown, of the fields that were chosen from it. Raises DecisionRefused, Busy, WritesStopped, ConnectorError."""
    binding = bound(sync_pass, peer_id)
    towards = sync_pass.peer if choice.source == "crm" else sync_pass.crm
    how = "Force update" if choice.is_forced else "Pull data"
    whose = called(binding) if sync_pass.mailbox_id else f"{called(binding)} {binding.name}"
    what = f"{how} of {whose} towards {towards.get_system_display()}."
    name = by.get_username() if by is not None else "command line"
    with at_work(sync_pass, by=name, what=what, reason=reason, wiring=wiring) as context:
        return pull_within(context, peer_id, choice, by=by, seen=seen)


def pull_within(
    context: RunContext, peer_id: str, choice: Choice, *, by: AbstractBaseUser | None, seen: Mapping[str, str] | None = None
) -> Pulled:
    """As `pull`, in a run that is under way: many links are one run, and one undo."""
    if seen is not None and choice.is_forced:
        choice = replace(choice, fields=frozenset(seen))
    subject = called(bound(context.sync_pass, peer_id))
    for _ in range(MOST_TRIES):
        done = _pull_once(context, peer_id, choice, seen)
        if done is not None:
            break
    else:
        raise DecisionRefused(CHANGED)
    fields, operation = done
    said = {"run": context.run.pk, "fields": list(fields), "source": choice.source, "forced": choice.is_forced}
    audit(by, "force update" if choice.is_forced else "pull data", subject, **said)
    return Pulled(fields, context.run.pk, operation.pk if operation is not None else None)


def _pull_once(
    context: RunContext, peer_id: str, choice: Choice, seen: Mapping[str, str] | None
) -> tuple[tuple[str, ...], Operation | None] | None:
    """Returns the fields and the write, None where somebody changed the record between our read and our write."""
    sync_pass = context.sync_pass
    binding = bound(sync_pass, peer_id)  # the link may have been moved while this waited
    pair = _read(sync_pass, binding, context.crm.connector, context.peer.connector, context.terms)
    plan, writes = _plan(sync_pass, pair, choice)
    if seen is not None and any(seen.get(name) != stamp for name, stamp in plan.seen.items()):
        raise DecisionRefused(CHANGED)
    type_ = context.terms.type_of(binding.crm_type)
    if type_ is None:
        raise DecisionRefused(f"{binding.crm_type}s are not synced: see Record types. Nothing was done.")
    if not writes:
        _agree(context, type_, pair, {}, None, choice)
        return (), None
    _refuse_without_right(context, binding, choice)
    (operation,) = context.executor.intend([_intent(context, pair, choice, writes)])
    if operation is None:
        raise DecisionRefused("Somebody else is writing this record just now; try again in a moment. Nothing was done.")
    errors: list[Exception] = []

    def settle(done: list[Done]) -> None:
        for item in done:
            if item.error is not None:
                errors.append(item.error)
            elif item.record is not None:
                _agree(context, type_, pair, writes, item.record, choice)

    context.executor.send("peer" if choice.source == "crm" else "crm", [operation], settle)
    if errors and isinstance(errors[0], StaleVersion):
        return None
    if errors:
        said = errors[0].sentence if isinstance(errors[0], ConnectorError) else str(errors[0])
        raise DecisionRefused(f"It was refused: {said}. Nothing was changed.")
    return tuple(write.rule.peer for write in writes.values()), operation


def _refuse_without_right(context: RunContext, binding: Binding, choice: Choice) -> None:
    """Raises DecisionRefused where a mailbox's value would change what the mailbox's user may not change in the CRM: no run
    does that, so no click does."""
    mailbox = context.sync_pass.mailbox
    if mailbox is None or choice.source == "crm":
        return
    may = context.crm.connector.may_change(context.terms.user_id, [binding.crm_id])[binding.crm_id]
    if not may.edit:
        raise DecisionRefused(NO_RIGHT.format(mailbox.address, binding.crm_type, binding.crm_id, context.terms.crm_name))


def _intent(context: RunContext, pair: _Pair, choice: Choice, writes: Mapping[str, FieldWrite]) -> Intent:
    target, source = (pair.peer, pair.crm) if choice.source == "crm" else (pair.crm, pair.peer)
    side: Side = "peer" if choice.source == "crm" else "crm"
    state = pair.states()[1 if side == "peer" else 0]
    edited = {name: w.before for name, w in writes.items() if w.has_loser or (name in state.base and is_changed(state, name))}
    at = source.edited_at or source.updated_at
    return Intent(
        Operation.Kind.UPDATE.value,
        side,
        target.ref.object_type,
        str(source.ref),
        after=values_of(writes),
        before={name: write.before for name, write in writes.items()},
        target_id=target.ref.id,
        version=target.version,
        reason="Force update by staff." if choice.is_forced else "Pulled by staff.",
        origin={
            "system": source.ref.system,
            "name": context.terms.kind.name_of(pair.peer)[:255],
            "by": source.updated_by,
            "at": at.isoformat() if at else "",
            "mapping": pair.rules.version,
            "rules": {name: write.rule.id for name, write in writes.items()},
            "forced": choice.is_forced,
        },
        losers=edited,
    )


def _agree(
    context: RunContext, type_: TypeTerms, pair: _Pair, writes: Mapping[str, FieldWrite], answer: Record | None, choice: Choice
) -> None:
    """Moves the bases of what was written, and of what agrees by now, to what both sides hold; other edits stay to be found
    by the next run. A person's edit in the CRM between our write and the read-back is such an edit (engine-rules 30)."""
    crm, peer = dict(pair.crm.fields), dict(pair.peer.fields)
    held = peer if choice.source == "crm" else crm
    held |= values_of(writes)
    side = "peer" if choice.source == "crm" else "crm"
    answered = pair_bases.answered(context, side, values_of(writes), answer) if answer is not None else None
    held |= answered or {}
    written = {write.rule.id for write in writes.values()}
    settled = [r for r in type_.mapping.rules if r.id in written or do_agree(r, crm.get(r.crm), peer.get(r.peer), pair.users)]
    binding, is_whole = pair.binding, not type_.mapping.newer_than(pair.binding.mapping_version)
    owed, synced_at = binding.is_retry_due, binding.synced_at
    pair_bases.agree(binding, settled, crm, peer)
    to_peer = choice.source == "crm"
    now = SideState(decode_fields(binding.peer_base if to_peer else binding.crm_base), held)
    names = type_.mapping.peer_fields if to_peer else type_.mapping.crm_fields
    seen = answer if answered is not None and not any(is_changed(now, name) for name in names) else None  # an edit keeps its date
    crm_seen, peer_seen = (None, _whole(pair.peer, seen) if seen is not None else None) if to_peer else (seen, None)
    # Rules that came since, and what rested or was restored, are still to be looked at as a whole.
    pair_bases.seen(context, binding, type_, crm_seen, peer_seen, is_carried_out=is_whole)
    binding.is_retry_due = owed
    if pair.terms.restore is not None and synced_at < pair.terms.restore.at:
        binding.synced_at = synced_at
    pair_bases.save_known([binding])
    pair_differences.note_agreed(context, type_, binding)


def _whole(before: Record, answer: Record) -> Record:
    """Returns the peer's record as it is after the write, for what it is called."""
    return replace(answer, fields={**before.fields, **answer.fields})


# --- many at once ---------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _ReadAhead:
    """One side while many links of a type are looked at: their records are read in one go and handed out one by one."""

    connector: Connector
    ids: frozenset[str]
    found: dict[str, Record] | None = None

    def read(self, object_type: str, ids: Sequence[str], columns: Sequence[str]) -> list[Record]:
        if self.found is None:
            self.found = {r.ref.id: r for r in self.connector.read(object_type, sorted(self.ids), columns)}
        return [self.found[id_] for id_ in ids if id_ in self.found]


def pull_plans(sync_pass: SyncPass, asked: Sequence[tuple[Binding, Choice]], *, wiring: Wiring | None = None) -> list[PullPlan | str]:
    """Returns as `pull_plan` for many links, in their order, read in batched calls; where nothing can be done, the sentence
    that says why. Reads only. Raises ConnectorError."""
    plans: dict[int, PullPlan | str] = {}
    by_type: dict[str, list[int]] = {}
    for n, (binding, _) in enumerate(asked):
        by_type.setdefault(binding.crm_type, []).append(n)
    with both_sides(sync_pass, wiring) as (crm, peer):
        terms = _terms(sync_pass, crm, peer)
        for some in by_type.values():
            ours = _ReadAhead(crm, frozenset(asked[n][0].crm_id for n in some))
            theirs = _ReadAhead(peer, frozenset(asked[n][0].peer_id for n in some))
            for n in some:
                binding, choice = asked[n]
                try:
                    plans[n] = _plan(sync_pass, _read(sync_pass, binding, ours, theirs, terms), choice)[0]  # type: ignore[arg-type]
                except DecisionRefused as refusal:
                    plans[n] = str(refusal)
    return [plans[n] for n in range(len(asked))]
