"""Where one record of a two-way pass stands now: both sides, what they agreed on last, and why it is or is not synced."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Case as Choice
from django.db.models import Exists, OuterRef, Q, Value, When

from connectors.contract import Connector, Record, Ref
from connectors.errors import ConnectorError
from reconciliation.core.conditions import holds
from reconciliation.core.values import is_same, name_key
from reconciliation.engine.pair_terms import KINDS
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Binding, Case, FieldRule, Policy, RecordType, SearchKey, SyncPass
from reconciliation.models.prefix import starts_with
from reconciliation.models.sync_pass import MAILBOX_PASSES
from reconciliation.models.sync_pass import TWO_WAY as PAIR_PASSES
from reconciliation.store import decode

MOST_FOUND = 50
MOST_BY_ID = 5
ID = re.compile(r"[0-9A-Za-z]{1,40}")


def pair_passes() -> list[SyncPass]:
    """Returns the two-way passes that are set up, with their connections."""
    return list(SyncPass.objects.filter(name__in=PAIR_PASSES).select_related("crm", "peer", "mapping").order_by("pk"))


def passes_about(ref: Ref) -> list[SyncPass]:
    """Returns every pass that people know, in one query; `knows_record` says of each whether it is a two-way pass that knows
    such a record: by its link, or since no other pass has this kind of record."""
    own = RecordType.objects.filter(sync_pass=OuterRef("pk"), crm_object=ref.object_type)
    linked = Binding.objects.filter(sync_pass=OuterRef("pk"), peer_id=ref.id)
    seen = SearchKey.objects.filter(sync_pass=OuterRef("pk"), ref=str(ref))
    of_peer = [name for name in PAIR_PASSES if KINDS[name].peer_object == ref.object_type]  # an item of a mailbox has no page
    knows = Q(Exists(own), name__in=(*PAIR_PASSES, *MAILBOX_PASSES), crm__system=ref.system)
    knows |= Q(name__in=of_peer, peer__system=ref.system) & (Exists(linked) | Exists(seen))
    rows = SyncPass.objects.whole().select_related("crm", "peer", "mapping").order_by("pk")
    return list(rows.annotate(knows_record=Choice(When(knows, then=Value(True)), default=Value(False))))


def pass_of(ref: Ref, passes: Iterable[SyncPass] | None = None) -> SyncPass | None:
    """Returns the two-way pass that knows such a record, the one over mailboxes where no other does. An account or a prospect
    that only the one-way pass knows is left to that. `passes` are those of `passes_about`, read already."""
    known = [p for p in (passes_about(ref) if passes is None else passes) if p.knows_record]  # type: ignore[attr-defined]  # annotated
    return next(iter(sorted(known, key=lambda p: p.is_over_mailboxes)), None)


def ref_of(system: str, object_type: str, record_id: str) -> Ref | None:
    """Returns the reference that an address spells, None where it spells none of a two-way pass."""
    return Ref(system, object_type, record_id) if ID.fullmatch(record_id) and object_type.isidentifier() else None


def binding_of(sync_pass: SyncPass, ref: Ref) -> Binding | None:
    """Returns the link of a record, the one that holds before one that ended; `allows_remap` says of it whether users may
    move it to another record."""
    choosing = Policy.objects.filter(pk=1, same_email=Policy.SameEmail.CHOOSE)
    own = Q(crm_type=ref.object_type, crm_id=ref.id) if ref.system == sync_pass.crm.system else Q(peer_id=ref.id)
    rows = Binding.objects.filter(own, sync_pass=sync_pass).select_related("sync_pass__crm", "sync_pass__peer")
    return rows.annotate(allows_remap=Exists(choosing)).order_by("is_tombstone", "-pk").first()


def aliases(sync_pass: SyncPass, ref: Ref) -> list[Ref]:
    """Returns the record and the one it is linked to: they have one history."""
    binding = binding_of(sync_pass, ref)
    if binding is None:
        return [ref]
    return list(dict.fromkeys([ref, Ref.parse(binding.crm_ref), Ref.parse(binding.peer_ref)]))


@dataclass(frozen=True, slots=True)
class FieldNow:
    """One mapped field: both sides now and at the last agreement."""

    rule: FieldRule
    title: str
    left: Any
    right: Any
    crm_base: Any
    peer_base: Any
    crm_moved: bool
    peer_moved: bool


@dataclass(slots=True)
class PairNow:
    """Everything the page of one record says."""

    ref: Ref
    sync_pass: SyncPass
    sentence: str
    binding: Binding | None
    record_type: RecordType | None
    crm: Record | None = None
    peer: Record | None = None
    trouble: str = ""
    next_look: str = ""
    cases: list[Case] = field(default_factory=list)
    fields: list[FieldNow] = field(default_factory=list)

    @property
    def is_linked(self) -> bool:
        return self.binding is not None and not self.binding.is_tombstone

    @property
    def name(self) -> str:
        record = self.peer if self.ref.system == self.sync_pass.peer.system else self.crm
        own = KINDS[self.sync_pass.kind].name_of(record) if record is not None and record.fields else ""
        return own or (self.binding.name if self.binding is not None else "")


def explain_pair(sync_pass: SyncPass, ref: Ref, *, wiring: Wiring | None = None) -> PairNow:
    """Returns where the record stands; a system that does not answer is said in `trouble`, what we know ourselves is
    shown. Reads only."""
    binding = binding_of(sync_pass, ref)
    is_crm = ref.system == sync_pass.crm.system
    crm_type = binding.crm_type if binding is not None else ref.object_type if is_crm else ""
    types = list(sync_pass.whole.record_types.select_related("mapping").order_by("order", "pk"))
    row = next((t for t in types if t.crm_object == crm_type), types[0] if types else None)
    about = Q(crm_id=ref.id) if is_crm else Q(peer_id=ref.id)
    cases = Case.objects.filter(about, sync_pass=sync_pass).select_related("decided_by", "sync_pass__crm").order_by("-id")[:10]
    it = PairNow(ref, sync_pass, "", binding, row, cases=list(cases))
    has_two_sides = row is not None and not sync_pass.is_over_mailboxes  # what each mailbox holds stands on the page of that copy
    rules = list(row.mapping.rules.filter(is_enabled=True)) if has_two_sides else []
    _read(it, rules, wiring or Wiring())
    it.fields = [_field(it, rule) for rule in rules]
    it.sentence = _sentence(it)
    it.next_look = _next_look(it)
    return it


def _read(it: PairNow, rules: list[FieldRule], wiring: Wiring) -> None:
    kind, opened = KINDS[it.sync_pass.kind], list[Connector]()
    is_crm = it.ref.system == it.sync_pass.crm.system
    crm_ref = (it.binding.crm_type, it.binding.crm_id) if it.is_linked else (it.ref.object_type, it.ref.id) if is_crm else None
    peer_id = it.binding.peer_id if it.is_linked else "" if is_crm else it.ref.id
    try:
        if crm_ref is not None:
            opened.append(crm := wiring.open_connector(it.sync_pass.crm))
            it.crm = _one(crm, crm_ref[0], crm_ref[1], [r.crm_field for r in rules], kind.columns.get(crm_ref[0], ()))
        if peer_id:
            opened.append(peer := wiring.open_peer(it.sync_pass))
            it.peer = _one(peer, kind.peer_object, peer_id, [r.peer_field for r in rules], kind.columns[kind.peer_object])
    except ConnectorError as error:
        it.trouble = error.sentence
    finally:
        for connector in opened:
            connector.close()


def _one(connector: Connector, object_type: str, id_: str, mapped: list[str], more: Iterable[str]) -> Record | None:
    found = connector.read(object_type, [id_], list(dict.fromkeys([*mapped, *more])))
    return found[0] if found else None


def _field(it: PairNow, rule: FieldRule) -> FieldNow:
    titles = (it.sync_pass.crm.schema_cache or {}).get(it.record_type.crm_object if it.record_type else "", {})
    left = it.crm.fields.get(rule.crm_field) if it.crm is not None else None
    right = it.peer.fields.get(rule.peer_field) if it.peer is not None else None
    base = it.binding if it.is_linked else None
    crm_base = base.crm_base.get(rule.crm_field) if base is not None else None
    peer_base = base.peer_base.get(rule.peer_field) if base is not None else None
    return FieldNow(
        rule,
        (titles.get(rule.crm_field) or {}).get("title") or rule.crm_field,
        left,
        right,
        crm_base,
        peer_base,
        it.crm is not None and base is not None and not is_same(left, decode(crm_base)),
        it.peer is not None and base is not None and not is_same(right, decode(peer_base)),
    )


def _sentence(it: PairNow) -> str:
    sync_pass, record = it.sync_pass, it.crm if it.ref.system == it.sync_pass.crm.system else it.peer
    system = sync_pass.crm if it.ref.system == sync_pass.crm.system else sync_pass.peer
    if record is None:
        return f"It could not be read: {it.trouble}." if it.trouble else f"{system} has no such record, or our user may not see it."
    if record.is_deleted:
        return f"It was deleted in {system}; what it was linked to stays as it is."
    for case in it.cases:
        if case.is_open:
            return f"It waits for a person: {case.sentence}"
    if sync_pass.is_over_mailboxes:
        return "Each mailbox has a copy of its own; how each stands is shown below."
    if it.is_linked:
        moved = [f.rule.peer_field for f in it.fields if f.crm_moved or f.peer_moved]
        if moved:
            return f"It is linked, and the next run looks at what changed since: {', '.join(moved[:8])}."
        return "It is linked, and nothing changed since the last agreement."
    if it.binding is not None:
        return "It was linked once; the link has ended. Find matches links it again."
    if it.record_type is not None and it.crm is not None and not holds(it.record_type.conditions, it.crm.fields):
        return "It is not synced: the polling conditions of its type do not hold."
    if not KINDS[sync_pass.kind].keys(record):
        return KINDS[sync_pass.kind].no_key_sentence
    return "It is not linked yet; it is looked at in the first run after it is edited, and in the next full comparison."


def _next_look(it: PairNow) -> str:
    sync_pass = it.sync_pass
    if not sync_pass.is_on:
        return "Not as long as the pass is switched off."
    if sync_pass.hold_reason:
        return "When its mapping is corrected: the pass is held."
    if sync_pass.is_paused:
        return "When the pass is resumed."
    if any(f.crm_moved or f.peer_moved for f in it.fields):
        return "In the next run."
    return "In the first run after it is edited on either side, and in the next full comparison."


@dataclass(frozen=True, slots=True)
class FoundPair:
    """One record that a search found, with the state of its link."""

    ref: Ref
    name: str
    word: str
    state: str
    why: str = ""


def search_pairs(text: str, passes: Iterable[SyncPass] | None = None) -> list[FoundPair]:
    """Returns the records of two-way passes whose name or address begins with the text, or whose id it is; of a linked
    pair the CRM's record stands for both."""
    text = text.strip()
    key = name_key(text)[:200]
    asked = {p.pk: p for p in (pair_passes() if passes is None else passes) if p.name in PAIR_PASSES}
    if not key or not asked:
        return []
    rows = SearchKey.objects.filter(starts_with("key", key), sync_pass__in=asked).order_by("key")[: MOST_FOUND * len(asked)]
    texts = {(row.sync_pass_id, row.ref): row for row in rows}
    is_id = bool(ID.fullmatch(text)) and any(c.isdigit() for c in text)
    bound = _links(asked.values(), [(pk, Ref.parse(ref)) for pk, ref in texts], text if is_id else "")
    found: dict[Ref, FoundPair] = {}
    for (pk, ref), row in texts.items():
        binding = bound.get((pk, Ref.parse(ref)))
        home = Ref.parse(binding.crm_ref) if binding is not None else Ref.parse(ref)
        why = f"e-mail {row.text}" if row.kind == SearchKey.Kind.EMAIL else ""
        if home not in found or (found[home].why and not why):
            found[home] = _found(home, binding, row.text if row.kind == SearchKey.Kind.NAME else "", why)
    for binding in list(dict.fromkeys(b for b in bound.values() if is_id and text in (b.crm_id, b.peer_id)))[:MOST_BY_ID]:
        home = Ref.parse(binding.crm_ref)
        found.setdefault(home, _found(home, binding, binding.name, "by its id"))
    return list(found.values())[:MOST_FOUND]


def _links(passes: Iterable[SyncPass], refs: list[tuple[int, Ref]], id_: str) -> dict[tuple[int, Ref], Binding]:
    """Returns the links of these records and of those with this id, by pass and record, in one query or none."""
    by_pass = {p.pk: p for p in passes}
    crm = {ref.id for pk, ref in refs if ref.system == by_pass[pk].crm.system} | ({id_} if id_ else set())
    peer = {ref.id for pk, ref in refs if ref.system == by_pass[pk].peer.system} | ({id_} if id_ else set())
    if not crm and not peer:
        return {}
    rows = Binding.objects.filter(Q(crm_id__in=crm) | Q(peer_id__in=peer), sync_pass__in=by_pass)
    links: dict[tuple[int, Ref], Binding] = {}
    for row in rows.order_by("-is_tombstone", "pk"):  # one that holds comes last, and counts
        row.sync_pass = by_pass[row.sync_pass_id]
        links[row.sync_pass_id, Ref.parse(row.crm_ref)] = row
        if not row.is_tombstone:
            links[row.sync_pass_id, Ref.parse(row.peer_ref)] = row
    return links


def _found(ref: Ref, binding: Binding | None, text: str, why: str) -> FoundPair:
    name = (binding.name if binding is not None else "") or text
    if binding is None:
        return FoundPair(ref, name, "Not linked", "unlinked", why)
    return FoundPair(ref, name, "Link ended" if binding.is_tombstone else "Linked", "ended" if binding.is_tombstone else "linked", why)
