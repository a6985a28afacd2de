"""Open conflicts as both systems have them at this moment, and the writes that a person's choices come to.

CRM first: it refuses a write that rests on an old version, the peer does not. A field is settled in the transaction that
settles its last write, so that a crash or a lost answer between the two leaves it open and forgets nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, transaction

from connectors.contract import Connector, Record, Ref, Value
from connectors.errors import ConnectorError, StaleVersion
from reconciliation.core.mapping import FieldRule
from reconciliation.core.operations import Intent
from reconciliation.core.settling import CannotSettle, Names, Settlement, Take, do_agree, settle
from reconciliation.core.transforms import USER_PAIR
from reconciliation.core.values import is_blank, is_same
from reconciliation.engine import pair_bases
from reconciliation.engine.context import RunContext
from reconciliation.engine.executor import Done
from reconciliation.models import Binding, Case, ConflictField, MappingTable, Operation, RecordType, SyncPass, UserPair
from reconciliation.store import decode, decode_fields, encode, mapping_of

SIDES = ("crm", "peer")
RELATED = ("sync_pass__crm", "sync_pass__peer", "sync_pass__mapping")
OTHER_WRITER = "Somebody else is writing this record just now; try again in a moment."
MOOT = "Both sides were agreed on otherwise meanwhile: the link was moved, or a value forced. The case closes by itself."
ENDED = "The two records are not linked any more. The case closes by itself."
GONE = "One of the two records was deleted, or is hidden from our user. The pass finds out which."


def names_of(sync_pass: SyncPass) -> Names:
    return Names(sync_pass.crm.get_system_display(), sync_pass.peer.get_system_display())


def seen_of(row: ConflictField) -> str:
    """Returns what a choice rests on: a form sends it back, and another value on either side makes it another one."""
    values = json.dumps([row.pk, row.crm_value, row.peer_value], sort_keys=True)
    return hashlib.sha256(values.encode()).hexdigest()[:16]


def subject_of(case: Case) -> str:
    return f"{case.crm_type} {case.crm_id} {case.name}".strip()


@dataclass(frozen=True, slots=True)
class Tables:
    """The mappings of one pass as they stand, by object type of the CRM, and who is who in both systems."""

    names: Names
    rows: Mapping[str, MappingTable]
    rules: Mapping[str, Mapping[str, FieldRule]]  # object type -> field of the peer -> rule
    users: Mapping[str, str]

    def rule_of(self, row: ConflictField, case: Case) -> FieldRule | None:
        rule = self.rules.get(case.crm_type, {}).get(row.peer_field)
        return rule if rule is not None and rule.crm == row.crm_field else None


def tables_of(sync_pass: SyncPass) -> Tables:
    types = list(RecordType.objects.filter(sync_pass=sync_pass.whole).select_related("mapping").prefetch_related("mapping__rules"))
    rules = {}
    for type_ in types:
        table = mapping_of(type_.mapping, sync_pass.peer, crm=sync_pass.crm)
        rules[type_.crm_object] = {rule.peer: rule for rule in table.rules}
    is_asked = any(rule.transform == USER_PAIR for by_peer in rules.values() for rule in by_peer.values())
    pairs = UserPair.objects.filter(sync_pass=sync_pass).exclude(crm_user_id="").exclude(peer_user_id="")
    users = dict(pairs.values_list("crm_user_id", "peer_user_id")) if is_asked else {}
    return Tables(names_of(sync_pass), {t.crm_object: t.mapping for t in types}, rules, users)


@dataclass(frozen=True, slots=True)
class Choice:
    """What a person chose for one field. `value` is the typed one, as the CRM holds it; `seen` is what the page showed, ""
    where nothing was shown."""

    take: Take
    value: Value = None
    seen: str = ""


@dataclass(slots=True)
class Chosen:
    """One field with its choice, what that comes to, and what both sides hold once it is done."""

    row: ConflictField
    rule: FieldRule
    choice: Choice
    plan: Settlement
    crm_held: Value = None
    peer_held: Value = None
    is_crm_done: bool = False
    is_settled: bool = False

    @property
    def state(self) -> str:
        return ConflictField.State.AGREED if self.plan.agrees else self.choice.take


@dataclass(slots=True)
class Desk:
    """One case at work: both records as they are now, and what becomes of its fields. `operations` are the writes of each."""

    case: Case
    binding: Binding | None
    crm: Record | None
    peer: Record | None
    rows: dict[str, ConflictField]
    chosen: dict[str, Chosen] = field(default_factory=dict)
    refusals: dict[str, str] = field(default_factory=dict)
    operations: dict[str, list[int]] = field(default_factory=dict)
    is_stale: bool = False  # the CRM's record was changed between our read and our write

    @property
    def is_whole(self) -> bool:
        """Whether both records are there and belong together."""
        return self.binding is not None and self.crm is not None and self.peer is not None

    @property
    def settled(self) -> list[Chosen]:
        return [c for c in self.chosen.values() if c.is_settled]

    def now(self, row: ConflictField) -> tuple[Value, Value]:
        """Returns what both sides hold of a field now."""
        assert self.crm is not None and self.peer is not None
        return self.crm.fields.get(row.crm_field), self.peer.fields.get(row.peer_field)

    def is_moot(self, row: ConflictField) -> bool:
        """Whether what both sides hold was agreed on otherwise: their link was moved, or a value was forced."""
        assert self.binding is not None
        bases = self.binding.crm_base, self.binding.peer_base
        if row.crm_field not in bases[0] or row.peer_field not in bases[1]:
            return False
        crm, peer = self.now(row)
        return is_same(crm, decode(bases[0][row.crm_field])) and is_same(peer, decode(bases[1][row.peer_field]))


def open_rows(cases: Iterable[Case]) -> dict[int, dict[str, ConflictField]]:
    """Returns the open fields of these cases, by case and field of the peer."""
    found: dict[int, dict[str, ConflictField]] = {}
    for row in ConflictField.objects.filter(case__in=list(cases), state=ConflictField.State.OPEN).order_by("pk"):
        found.setdefault(row.case_id, {})[row.peer_field] = row
    return found


def sit_at(crm: Connector, peer: Connector, sync_pass: SyncPass, cases: Sequence[Case]) -> list[Desk]:
    """Returns the cases with both records of each as they are now, in order. Reads only. Raises ConnectorError."""
    rows = open_rows(cases)
    bound = _bindings_of(sync_pass, cases)
    columns = {c.pk: rows.get(c.pk, {}).values() for c in cases}
    crm_wanted: dict[str, dict[str, set[str]]] = {}
    peer_wanted: dict[str, dict[str, set[str]]] = {}
    for case in cases:
        binding = bound.get(case.pk)
        if binding is not None:
            crm_wanted.setdefault(case.crm_type, {}).setdefault(case.crm_id, set()).update(r.crm_field for r in columns[case.pk])
            peer_wanted.setdefault(binding.peer_type, {}).setdefault(binding.peer_id, set()).update(r.peer_field for r in columns[case.pk])
    crm_found, peer_found = read_all(crm, crm_wanted), read_all(peer, peer_wanted)
    desks = []
    for case in cases:
        binding = bound.get(case.pk)
        ours = crm_found.get((case.crm_type, case.crm_id))
        theirs = peer_found.get((binding.peer_type, binding.peer_id)) if binding is not None else None
        desks.append(Desk(case, binding, _living(ours), _living(theirs), rows.get(case.pk, {})))
    return desks


def _bindings_of(sync_pass: SyncPass, cases: Sequence[Case]) -> dict[int, Binding]:
    """Returns the link of each case. Where the CRM's record was merged or converted since, the case follows it to the one
    that the peer's record belongs to now."""
    crm_ids, peer_ids = [c.crm_id for c in cases], [c.peer_id for c in cases if c.peer_id]
    rows = Binding.objects.filter(sync_pass=sync_pass, is_tombstone=False)
    found = {b.pk: b for b in [*rows.filter(crm_id__in=crm_ids), *rows.filter(peer_id__in=peer_ids)]}.values()
    by_crm, by_peer = {(b.crm_type, b.crm_id): b for b in found}, {b.peer_id: b for b in found}
    bound = {}
    for case in cases:
        binding = by_crm.get((case.crm_type, case.crm_id))
        if binding is not None and case.peer_id not in ("", binding.peer_id):
            continue  # it hangs on another record of the peer by now
        if binding is None and case.peer_id in by_peer and _follow(case, by_peer[case.peer_id]):
            binding = by_peer[case.peer_id]
        if binding is not None:
            bound[case.pk] = binding
    return bound


def _follow(case: Case, binding: Binding) -> bool:
    """Lets the case stand for the CRM's record that is linked now; False when that one has a case of its own."""
    now = {"crm_type": binding.crm_type, "crm_id": binding.crm_id}
    try:
        with transaction.atomic():
            Case.objects.filter(pk=case.pk).update(**now)
    except IntegrityError:
        return False
    case.crm_type, case.crm_id = binding.crm_type, binding.crm_id
    return True


def _living(record: Record | None) -> Record | None:
    return None if record is None or record.is_deleted or record.succeeded_by is not None else record


def read_all(connector: Connector, wanted: Mapping[str, Mapping[str, set[str]]]) -> dict[tuple[str, str], Record]:
    """Returns the records by (object type, id); `wanted` names the columns of each. Raises ConnectorError."""
    found = {}
    for object_type, ids in wanted.items():
        names = sorted({name for columns in ids.values() for name in columns})
        if names:
            found.update({(object_type, r.ref.id): r for r in connector.read(object_type, sorted(ids), names)})
    return found


def follow_values(desk: Desk, rows: Iterable[ConflictField]) -> list[ConflictField]:
    """Stores what both sides hold by now where it is not what the page shows, and returns those fields."""
    changed = []
    for row in rows:
        crm, peer = desk.now(row)
        is_same_crm, is_same_peer = is_same(crm, decode(row.crm_value)), is_same(peer, decode(row.peer_value))
        if is_same_crm and is_same_peer:
            continue
        if not is_same_crm and desk.crm is not None:
            row.crm_value, row.crm_changed_by = encode(crm), desk.crm.updated_by[:255]
            row.crm_changed_at = desk.crm.edited_at or desk.crm.updated_at
        if not is_same_peer and desk.peer is not None:
            row.peer_value, row.peer_changed_by = encode(peer), desk.peer.updated_by[:255]
            row.peer_changed_at = desk.peer.edited_at or desk.peer.updated_at
        row.save(update_fields=["crm_value", "crm_changed_by", "crm_changed_at", "peer_value", "peer_changed_by", "peer_changed_at"])
        changed.append(row)
    return changed


def choose(desk: Desk, choices: Mapping[str, Choice], tables: Tables) -> None:
    """Works out what each choice comes to; what cannot be done, or is no longer what the page showed, is refused in a
    sentence."""
    if not desk.is_whole:
        desk.refusals.update(dict.fromkeys(choices, ENDED if desk.binding is None else GONE))
        return
    shown = {name: seen_of(row) for name, row in desk.rows.items()}
    follow_values(desk, [desk.rows[name] for name in choices if name in desk.rows])
    for name, choice in choices.items():
        row = desk.rows.get(name)
        if row is None:
            desk.refusals[name] = "It was decided already, or the sides agree by now."
            continue
        rule = tables.rule_of(row, desk.case)
        crm, peer = desk.now(row)
        if rule is None:
            desk.refusals[name] = "It is not mapped any more. The case closes by itself."
        elif desk.is_moot(row):
            desk.refusals[name] = MOOT
        elif choice.seen and (choice.seen != shown[name] or seen_of(row) != shown[name]) and not do_agree(rule, crm, peer, tables.users):
            desk.refusals[name] = stale_sentence(row, tables.names)
        else:
            try:
                plan = settle(rule, crm, peer, choice.take, choice.value, tables.users, tables.names)
            except CannotSettle as reason:
                desk.refusals[name] = str(reason)
            else:
                desk.chosen[name] = Chosen(row, rule, choice, plan, crm, peer)


def stale_sentence(row: ConflictField, names: Names) -> str:
    ours, theirs = (_cut(decode(v)) for v in (row.crm_value, row.peer_value))
    return f"It changed since this page was opened: {names.crm} holds {ours} now, {names.peer} {theirs}. Look at it again, then decide."


def _cut(value: Value) -> str:
    if is_blank(value):
        return "nothing"
    return f"“{', '.join(value) if isinstance(value, tuple) else value}”"[:80]


def carry_out(context: RunContext, desks: Sequence[Desk], by: AbstractBaseUser) -> None:
    """Writes what was chosen and settles each field that went through. Raises ConnectionTrouble; what was settled by then
    stays settled."""
    for desk in desks:
        ready = [c for c in desk.chosen.values() if c.plan.agrees]
        if ready:
            with transaction.atomic():
                context.lease.renew()
                _settle(context, desk, ready, by)
    _write(context, "crm", desks, by)
    _write(context, "peer", desks, by)


def _write(context: RunContext, side: str, desks: Sequence[Desk], by: AbstractBaseUser) -> None:
    """Sends what one side gets, one update a record."""
    parts = [(desk, due) for desk in desks if (due := _due(side, desk))]
    operations = context.executor.intend([_intent(context, side, desk, due) for desk, due in parts])
    by_type: dict[str, list[Operation]] = {}
    mine: dict[int, tuple[Desk, list[Chosen]]] = {}
    for op, (desk, due) in zip(operations, parts, strict=True):
        if op is None:
            desk.refusals.update({c.row.peer_field: OTHER_WRITER for c in due})
            continue
        by_type.setdefault(op.object_type, []).append(op)
        mine[op.pk] = (desk, due)
    for group in by_type.values():
        context.executor.send(side, group, lambda done: _written(context, side, done, mine, by))


def _due(side: str, desk: Desk) -> list[Chosen]:
    if side == "crm":
        return [c for c in desk.chosen.values() if c.plan.writes_crm]
    return [c for c in desk.chosen.values() if c.plan.writes_peer and (c.is_crm_done or not c.plan.writes_crm)]


def _intent(context: RunContext, side: str, desk: Desk, due: Sequence[Chosen]) -> Intent:
    crm, peer, case = desk.crm, desk.peer, desk.case
    assert crm is not None and peer is not None and desk.binding is not None
    target, source = (crm, peer) if side == "crm" else (peer, crm)
    before = {_name(side, c): target.fields.get(_name(side, c)) for c in due}
    return Intent(
        Operation.Kind.UPDATE.value,
        side,
        target.ref.object_type,
        str(source.ref),
        after={_name(side, c): c.plan.crm if side == "crm" else c.plan.peer for c in due},
        before=before,
        target_id=target.ref.id,
        version=target.version,
        reason="A conflict was decided by staff.",
        origin={
            "system": source.ref.system,
            "name": case.name,
            "by": source.updated_by,
            "at": source.updated_at.isoformat() if source.updated_at else "",
            "mapping": desk.binding.mapping_version,
            "rules": {_name(side, c): c.rule.id for c in due},
            "conflict": case.pk,
        },
        losers=before,
    )


def _name(side: str, chosen: Chosen) -> str:
    return chosen.rule.crm if side == "crm" else chosen.rule.peer


def _written(context: RunContext, side: str, done: list[Done], mine: Mapping[int, tuple[Desk, list[Chosen]]], by: AbstractBaseUser) -> None:
    for item in done:
        desk, due = mine[item.operation.pk]
        for chosen in due:
            desk.operations.setdefault(chosen.row.peer_field, []).append(item.operation.pk)
        if item.error is not None:
            said = item.error.sentence if isinstance(item.error, ConnectorError) else str(item.error)
            item.operation.error = said
            desk.is_stale |= isinstance(item.error, StaleVersion)
            tail = "" if side == "crm" or not any(c.is_crm_done for c in due) else " The other side has it already; decide once more."
            desk.refusals.update({c.row.peer_field: f"{said}.{tail}" for c in due})
            continue
        answered = pair_bases.answered(context, side, decode_fields(item.operation.after), item.record) if item.record is not None else None
        held = answered or {}
        for chosen in due:
            if side == "crm":
                chosen.is_crm_done, chosen.crm_held = True, held.get(chosen.rule.crm, chosen.plan.crm)
            else:
                chosen.peer_held = held.get(chosen.rule.peer, chosen.plan.peer)
        if item.record is not None and answered is not None:  # an edit of somebody else keeps its date
            setattr(desk.binding, f"{side}_version", item.record.version)
        _settle(context, desk, [c for c in due if side == "peer" or not c.plan.writes_peer], by)


def _settle(context: RunContext, desk: Desk, done: Sequence[Chosen], by: AbstractBaseUser) -> None:
    """Moves the bases of these fields to what both sides hold, closes their rows, and the case with its last one."""
    binding, now = desk.binding, context.wiring.now()
    assert binding is not None
    for chosen in done:
        binding.crm_base = {**binding.crm_base, chosen.rule.crm: encode(chosen.crm_held)}
        binding.peer_base = {**binding.peer_base, chosen.rule.peer: encode(chosen.peer_held)}
        chosen.is_settled = True
        ConflictField.objects.filter(pk=chosen.row.pk, state=ConflictField.State.OPEN).update(
            state=chosen.state,
            decided_value=encode(chosen.crm_held),
            decided_by=by.get_username(),
            decided_at=now,
            crm_value=encode(desk.now(chosen.row)[0]),
            peer_value=encode(desk.now(chosen.row)[1]),
        )
    binding.save(update_fields=["crm_base", "peer_base", "crm_version", "peer_version"])
    _close(context, desk, by)


def _close(context: RunContext, desk: Desk, by: AbstractBaseUser) -> None:
    case = desk.case
    if case.pk is None:  # a value that is put back belongs to no case
        return
    earlier = case.decided.get("operations", {})
    case.decided = {"run": context.run.pk, "operations": {**earlier, **desk.operations}}
    Case.objects.filter(pk=case.pk).update(decided=case.decided)
    rows = ConflictField.objects.filter(case=case)
    if rows.filter(state=ConflictField.State.OPEN).exists():
        return
    states = {row.state for row in rows} - {ConflictField.State.AGREED}
    decision = f"conflict {states.pop()}" if len(states) == 1 else "conflict mixed" if states else "conflict agreed"
    Case.objects.filter(pk=case.pk, state=Case.State.OPEN).update(
        state=Case.State.RESOLVED, decision=decision, decided_by=by, note=context.reason, closed_at=context.wiring.now()
    )


def ref_of(case: Case) -> Ref:
    return Ref(case.sync_pass.crm.system, case.crm_type, case.crm_id)


def told(desk: Desk, titles: Mapping[str, Any] | None = None) -> str:
    """Returns the refusals of a case in one text."""
    return " ".join(f"{(titles or {}).get(name, name)}: {sentence}" for name, sentence in desk.refusals.items())
