"""The records of the CRM that a prospect may belong to, and what is active on it (S2.17, S2.18, S2.21, D9): read from both
systems now, many prospects in few calls, and kept with the time they were read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.db.models import Exists, QuerySet, Value

from connectors.contract import Connector, Fate, Op, Record, Test
from connectors.errors import ConnectorError
from reconciliation.core.mapping import Mapping as Rules
from reconciliation.core.matching import Active, Candidate, Holder, as_json, from_json, has_choice, ordered, reasons
from reconciliation.core.settling import do_agree
from reconciliation.core.transforms import USER_PAIR
from reconciliation.core.values import is_blank
from reconciliation.engine.pair_terms import KINDS
from reconciliation.engine.relinking import taken_from
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Binding, Policy, ProspectMatches, RecordType, SyncPass, UserPair
from reconciliation.models.bulk import insert_rows
from reconciliation.passes.pairs import Kind
from reconciliation.passes.prospects import PROSPECT, email_key
from reconciliation.selectors import pass_named, prospect_marks
from reconciliation.services.duplicates import DecisionRefused
from reconciliation.services.policy import allows_remap
from reconciliation.store import encode, mapping_of

PASS = "prospects"
TASKS = ("pending", "incomplete")
SEQUENCES = ("active", "paused", "failed", "bounced", "pending", "disabled")  # of these the prospect was not taken out
BESIDE = {"Contact": ("Account.Name", "Owner.Name"), "Lead": ("Company", "Owner.Name")}
MOST_COMPARED = 50  # candidates whose fields are kept for the comparison
MOST_HOLDERS = 200  # other prospects whose activity is counted


class ProspectGone(DecisionRefused):
    """Outreach does not show the prospect."""


@dataclass(slots=True)
class Matches:
    """One prospect with its candidates, as both systems have them. `records` are those that were read just now, by
    candidate key; `trouble` says why an older reading is shown."""

    sync_pass: SyncPass
    peer_id: str
    name: str
    read_at: datetime
    fields: Mapping[str, Any] = field(default_factory=dict)
    emails: tuple[str, ...] = ()
    active: Active = Active()
    binding: Binding | None = None
    candidates: list[Candidate] = field(default_factory=list)
    prospect: Record | None = None
    records: Mapping[str, Record] = field(default_factory=dict)
    trouble: str = ""
    allows_remap: bool = False  # the dedupe policy (S2.3)
    ended: frozenset[str] = frozenset()  # "type:id" of what it was linked to until a person ended the link

    def is_remap(self, candidate: Candidate) -> bool:
        """Tells whether choosing this record moves a link: the present one, another prospect's, or one that was ended."""
        return self.is_bound or candidate.bound_to is not None or bool(self.ended - {candidate.key})

    @property
    def is_bound(self) -> bool:
        return self.binding is not None

    @property
    def has_choice(self) -> bool:
        return has_choice(self.candidates)

    def candidate(self, crm_type: str, crm_id: str) -> Candidate | None:
        return next((it for it in self.candidates if (it.type, it.id) == (crm_type, crm_id)), None)


def prospects_pass() -> SyncPass:
    """Returns the pass of prospects. Raises DecisionRefused before both systems are connected."""
    return pass_at_work(PASS)


def pass_at_work(name: str) -> SyncPass:
    """Returns a two-way pass. Raises DecisionRefused before both systems are connected."""
    sync_pass = pass_named(name)
    if sync_pass is None:
        raise DecisionRefused("Salesforce and Outreach are not both connected yet. Nothing was done.")
    return sync_pass


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for the matches of every prospect: the types that are synced, in the order that decides which wins, with
    their rules, and the dedupe policy (S2.3)."""

    types: dict[str, Rules]
    allows_remap: bool


def prospects_terms() -> tuple[SyncPass, Terms]:
    """Returns the pass of prospects with its terms, in two queries. Raises DecisionRefused as `prospects_pass`."""
    of_pass = ("sync_pass__crm", "sync_pass__peer", "sync_pass__mapping")
    choosing = Policy.objects.filter(pk=1, same_email=Policy.SameEmail.CHOOSE)
    rows = list(_types(sync_pass__name=PASS).select_related(*of_pass, "mapping").annotate(allows_remap=Exists(choosing)))
    if not rows:
        return prospects_pass(), Terms({}, allows_remap())
    sync_pass = rows[0].sync_pass
    return sync_pass, Terms(_rules(sync_pass, rows), rows[0].allows_remap)


def terms_of(sync_pass: SyncPass) -> Terms:
    return Terms(_rules(sync_pass, _types(sync_pass=sync_pass).select_related("mapping")), allows_remap())


def _types(**of_pass: Any) -> QuerySet[RecordType]:
    return RecordType.objects.filter(**of_pass).prefetch_related("mapping__rules").order_by("order", "id")


def _rules(sync_pass: SyncPass, rows: Iterable[RecordType]) -> dict[str, Rules]:
    return {row.crm_object: mapping_of(row.mapping, sync_pass.peer, crm=sync_pass.crm) for row in rows if row.is_on}


@contextmanager
def both_sides(sync_pass: SyncPass, wiring: Wiring | None) -> Iterator[tuple[Connector, Connector]]:
    """Yields the connectors of both sides, for reading beside the pass."""
    wiring = wiring or Wiring()
    crm = wiring.open_connector(sync_pass.crm)
    try:
        peer = wiring.open_peer(sync_pass)
        try:
            yield crm, peer
        finally:
            peer.close()
    finally:
        crm.close()


def find_matches(sync_pass: SyncPass, prospect_id: str, *, terms: Terms | None = None, wiring: Wiring | None = None) -> Matches:
    """Returns the prospect with its candidates as they are now, and keeps them. Where a system does not answer, what was
    read last is returned with the reason. Raises DecisionRefused for a prospect that is not there, ConnectorError when
    nothing was read before."""
    wiring, terms = wiring or Wiring(), terms or terms_of(sync_pass)
    try:
        with both_sides(sync_pass, wiring) as (crm, peer):
            found = read_matches(sync_pass, crm, peer, [prospect_id], wiring.now(), terms).get(prospect_id)
    except ConnectorError as error:
        if (kept := kept_matches(sync_pass, prospect_id, terms)) is None:
            raise
        return replace(kept, trouble=error.sentence)
    if found is None:
        raise ProspectGone(f"Prospect {prospect_id} is not in Outreach, or our user may not see it.")
    keep_matches([found])
    return found


def keep_matches(found: Iterable[Matches]) -> None:
    """Keeps what was read, one row a prospect."""
    rows = []
    for it in found:
        said = {"name": it.name, "emails": list(it.emails), "fields": dict(it.fields), "active": [it.active.tasks, it.active.sequences]}
        counts = {"active_tasks": it.active.tasks or 0, "active_sequences": it.active.sequences or 0}
        stored = [as_json(c) for c in it.candidates]
        values = {"prospect": said, "candidates": stored, "read_at": it.read_at, **counts}
        rows.append(ProspectMatches(sync_pass=it.sync_pass, peer_id=it.peer_id, **values))
    insert_rows(rows, unique=["sync_pass", "peer_id"], update=["prospect", "candidates", "active_tasks", "active_sequences", "read_at"])


def kept_matches(sync_pass: SyncPass, prospect_id: str, terms: Terms) -> Matches | None:
    """Returns what was read last, None where nothing was."""
    row = ProspectMatches.objects.filter(sync_pass=sync_pass, peer_id=prospect_id).first()
    if row is None:
        return None
    said, (bindings, ended) = row.prospect, _links_of(sync_pass, [prospect_id])
    return Matches(
        sync_pass,
        prospect_id,
        str(said.get("name", "")),
        row.read_at,
        said.get("fields", {}),
        tuple(said.get("emails", ())),
        Active(*said.get("active", (0, 0))),
        bindings.get(prospect_id),
        [from_json(c) for c in row.candidates],
        allows_remap=terms.allows_remap,
        ended=ended.get(prospect_id, frozenset()),
    )


def bindings_of(sync_pass: SyncPass, peer_ids: Collection[str]) -> dict[str, Binding]:
    """Returns prospect id -> the link that holds; `is_asked` says of it whether a question about it is open."""
    rows = Binding.objects.filter(sync_pass=sync_pass, peer_type=PROSPECT, peer_id__in=list(peer_ids), is_tombstone=False)
    return {row.peer_id: row for row in rows.annotate(is_asked=prospect_marks()["is_asked"])}


def _links_of(sync_pass: SyncPass, peer_ids: Collection[str]) -> tuple[dict[str, Binding], dict[str, frozenset[str]]]:
    """Returns prospect id -> the link that holds, and -> "type:id" of the records whose link with it a person ended, by a remap
    or an undo."""
    rows = Binding.objects.filter(sync_pass=sync_pass, peer_type=PROSPECT, peer_id__in=list(peer_ids))
    rows = rows.annotate(is_asked=prospect_marks()["is_asked"])
    ended: dict[str, set[str]] = {}
    for row in rows:
        if row.is_tombstone and (was := taken_from(row.crm_id, row.peer_id)):
            ended.setdefault(row.peer_id, set()).add(f"{row.crm_type}:{was}")
    return {row.peer_id: row for row in rows if not row.is_tombstone}, {id_: frozenset(keys) for id_, keys in ended.items()}


# --- reading --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Reading:
    """What is read for some prospects at once."""

    sync_pass: SyncPass
    crm: Connector
    kind: Kind
    types: dict[str, Rules]  # object type -> its rules, in the order that decides which wins
    found: dict[str, Record] = field(default_factory=dict)  # by "type:id"
    fates: dict[str, tuple[str, str]] = field(default_factory=dict)  # "type:id" that is gone -> fate, what it became
    succeeded: dict[str, str] = field(default_factory=dict)  # "type:id" -> whose place it took

    def columns(self, object_type: str) -> list[str]:
        own = (*self.types[object_type].crm_fields, *self.kind.columns[object_type], *BESIDE.get(object_type, ()))
        return list(dict.fromkeys(own))

    def add(self, records: Iterable[Record]) -> None:
        self.found |= {f"{r.ref.object_type}:{r.ref.id}": r for r in records if not r.is_deleted}


def read_matches(
    sync_pass: SyncPass, crm: Connector, peer: Connector, peer_ids: Sequence[str], now: datetime, terms: Terms | None = None
) -> dict[str, Matches]:
    """Returns the prospects that are there, with their candidates, by id. Reads only. Raises ConnectorError."""
    terms = terms or terms_of(sync_pass)
    kind, types = KINDS[sync_pass.name], terms.types
    prospects = {r.ref.id: r for r in peer.read(PROSPECT, list(peer_ids), _prospect_columns(kind, types))}
    reading = _Reading(sync_pass, crm, kind, types)
    bindings, ended = _links_of(sync_pass, prospects)
    _search(reading, prospects.values())
    _read_named(reading, prospects.values(), bindings)
    _follow(reading, bindings.values())
    holders, users = _holders_and_users(reading)
    active = active_on(peer, [*prospects, *(h.peer_id for h in holders.values())][: len(prospects) + MOST_HOLDERS])
    by_key: dict[str, list[str]] = {}
    for key, record in reading.found.items():
        for address in kind.keys(record):
            by_key.setdefault(address, []).append(key)
    matches = {}
    for id_, prospect in prospects.items():
        binding = bindings.get(id_)
        mine = list(dict.fromkeys(key for address in kind.keys(prospect) for key in by_key.get(address, ())))
        mine += [key for key in _beside(reading, prospect, binding) if key not in mine]
        candidates = [_candidate(reading, prospect, binding, key, holders, active, users) for key in mine]
        matches[id_] = Matches(
            sync_pass,
            id_,
            kind.name_of(prospect),
            now,
            {rule.peer: encode(prospect.fields.get(rule.peer)) for rules in types.values() for rule in rules.rules},
            kind.keys(prospect),
            active.get(id_, Active(None, None)),
            binding,
            _trimmed(ordered([it for it in candidates if it is not None], list(types))),
            prospect,
            {key: reading.found[key] for key in mine if key in reading.found},
            allows_remap=terms.allows_remap,
            ended=ended.get(id_, frozenset()),
        )
    return matches


def _prospect_columns(kind: Kind, types: Mapping[str, Rules]) -> list[str]:
    mapped = (name for rules in types.values() for name in rules.peer_fields)
    return list(dict.fromkeys([*mapped, *kind.columns[PROSPECT]]))


def _search(reading: _Reading, prospects: Iterable[Record]) -> None:
    """Finds the records that bear an address of one of the prospects, as it is written and as it is compared."""
    addresses: dict[str, None] = {}
    for prospect in prospects:
        addresses |= dict.fromkeys(reading.kind.keys(prospect))
        held = prospect.fields.get("emails")
        addresses |= dict.fromkeys(str(a).strip() for a in (held if isinstance(held, tuple) else ()) if email_key(a))
    if addresses:
        for object_type in reading.types:
            reading.add(reading.crm.find(object_type, reading.kind.key_fields[object_type], list(addresses), reading.columns(object_type)))


def _read_named(reading: _Reading, prospects: Iterable[Record], bindings: Mapping[str, Binding]) -> None:
    """Reads the present links, and what prospects without one name themselves, where no address led there."""
    wanted: dict[str, set[str]] = {name: set() for name in reading.types}
    for prospect in prospects:
        binding = bindings.get(prospect.ref.id)
        if binding is not None:
            wanted.setdefault(binding.crm_type, set()).add(binding.crm_id)
        elif named := reading.kind.pointer_of(prospect):
            for ids in wanted.values():
                ids.add(named)
    for object_type, ids in wanted.items():
        left = sorted(id_ for id_ in ids if f"{object_type}:{id_}" not in reading.found)
        if left and object_type in reading.types:
            reading.add(reading.crm.read(object_type, left, reading.columns(object_type)))


def _follow(reading: _Reading, bindings: Iterable[Binding]) -> None:
    """Asks what became of present links that are gone and of converted records, and reads what took their place."""
    gone: dict[str, set[str]] = {}
    for binding in bindings:
        if f"{binding.crm_type}:{binding.crm_id}" not in reading.found:
            gone.setdefault(binding.crm_type, set()).add(binding.crm_id)
    for record in reading.found.values():
        if record.succeeded_by is not None:
            gone.setdefault(record.ref.object_type, set()).add(record.ref.id)
    heirs: dict[str, set[str]] = {}
    for object_type, ids in gone.items():
        for id_, survivor in reading.crm.survivors(object_type, sorted(ids)).items():  # type: ignore[attr-defined]  # of a CRM that merges
            heir = survivor.ref
            key = f"{object_type}:{id_}"
            reading.fates[key] = (survivor.fate.value, f"{heir.object_type}:{heir.id}" if heir is not None and heir.id != id_ else "")
            if heir is not None and heir.id != id_ and heir.object_type in reading.types:
                reading.succeeded[f"{heir.object_type}:{heir.id}"] = f"{object_type} {id_}"
                if f"{heir.object_type}:{heir.id}" not in reading.found:
                    heirs.setdefault(heir.object_type, set()).add(heir.id)
    for object_type, ids in heirs.items():
        reading.add(reading.crm.read(object_type, sorted(ids), reading.columns(object_type)))


def _beside(reading: _Reading, prospect: Record, binding: Binding | None) -> list[str]:
    """Returns the candidates that no address leads to: the present link, what took its place, what the prospect names."""
    if binding is not None:
        present = f"{binding.crm_type}:{binding.crm_id}"
        heir = reading.fates.get(present, ("", ""))[1]
        return [present, *([heir] if heir in reading.found else [])]
    named = reading.kind.pointer_of(prospect)
    return [key for name in reading.types if (key := f"{name}:{named}") in reading.found] if named else []


@dataclass(frozen=True, slots=True)
class _Held:
    """The prospect that a candidate is linked to."""

    peer_id: str
    name: str


def _holders_and_users(reading: _Reading) -> tuple[dict[str, _Held], dict[str, str]]:
    """Returns "type:id" of a candidate -> the prospect that it is linked to, and which user of the CRM is which of the peer,
    where a rule asks: two questions in one query."""
    ids = [key.partition(":")[2] for key in reading.found]
    held, users = dict[str, _Held](), dict[str, str]()
    for start in range(0, len(ids), 500):
        links = Binding.objects.filter(sync_pass=reading.sync_pass, is_tombstone=False, crm_id__in=ids[start : start + 500])
        rows = links.values_list("crm_type", "crm_id", "peer_id", "name")
        if start == 0 and any(rule.transform == USER_PAIR for rules in reading.types.values() for rule in rules.rules):
            pairs = UserPair.objects.filter(sync_pass=reading.sync_pass).exclude(crm_user_id="").exclude(peer_user_id="")
            rows = rows.union(pairs.values_list(Value(""), "crm_user_id", "peer_user_id", Value("")))
        for type_, id_, peer_id, name in rows:
            if type_:
                held[f"{type_}:{id_}"] = _Held(peer_id, name)
            else:
                users[id_] = peer_id
    return held, users


def active_on(peer: Connector, ids: Sequence[str]) -> dict[str, Active]:
    """Returns the tasks and sequences that are active on each prospect, counted (S2.18). Raises ConnectorError."""
    wanted = list(dict.fromkeys(ids))
    tasks = _counted(peer, "task", wanted, TASKS)
    states = _counted(peer, "sequenceState", wanted, SEQUENCES)
    return {id_: Active(tasks[id_] if tasks is not None else None, states[id_] if states is not None else None) for id_ in wanted}


def _counted(peer: Connector, object_type: str, ids: Sequence[str], states: tuple[str, ...]) -> Counter[str] | None:
    """Returns prospect id -> how many of these are in one of the states; None where our access may not read them."""
    if not ids:
        return Counter()
    try:
        rows = peer.find(object_type, "prospect.id", ids, ["state"], also=Test("state", Op.IN, states))
    except ConnectorError as error:
        if error.status == 403:
            return None
        raise
    return Counter(str(row.fields.get("prospect")) for row in rows if row.fields.get("state") in states)


def _candidate(
    reading: _Reading,
    prospect: Record,
    binding: Binding | None,
    key: str,
    holders: Mapping[str, _Held],
    active: Mapping[str, Active],
    users: Mapping[str, str],
) -> Candidate | None:
    object_type, _, id_ = key.partition(":")
    is_current = binding is not None and (binding.crm_type, binding.crm_id) == (object_type, id_)
    record = reading.found.get(key)
    fate, became = reading.fates.get(key, (Fate.LIVING.value, ""))
    address = reading.crm.web_url(record.ref) if record is not None else ""
    if record is None:  # the present link, gone
        name = binding.name if binding is not None else ""
        return Candidate(object_type, id_, name, is_current=is_current, fate=fate, became=became.replace(":", " "), why="The present link")
    holder = holders.get(key)
    elsewhere = holder if holder is not None and holder.peer_id != prospect.ref.id else None
    why = reasons(
        reading.kind.keys(prospect),
        reading.kind.keys(record),
        is_current=is_current,
        is_named=reading.kind.pointer_of(prospect) == id_,
        succeeded=reading.succeeded.get(key, ""),
    )
    return Candidate(
        object_type,
        id_,
        _said(record, "Name"),
        _said(record, "Email"),
        _said(record, "Account.Name") or _said(record, "Company"),
        _said(record, "Owner.Name"),
        record.edited_at or record.updated_at,
        address,
        is_current,
        fate if record.succeeded_by is not None else Fate.LIVING.value,
        became.replace(":", " "),
        Holder(elsewhere.peer_id, elsewhere.name, active.get(elsewhere.peer_id, Active(None, None))) if elsewhere is not None else None,
        why,
        _compared(reading.types[object_type], record, prospect, users),
    )


def _said(record: Record, name: str) -> str:
    value = record.fields.get(name)
    return "" if is_blank(value) else str(value)[:255]


def _compared(rules: Rules, record: Record, prospect: Record, users: Mapping[str, str]) -> dict[str, Any]:
    """Returns field of the prospect -> [what the record holds for it, whether they differ]."""
    found = {}
    for rule in rules.rules:
        ours, theirs = record.fields.get(rule.crm), prospect.fields.get(rule.peer)
        found[rule.peer] = [encode(ours), not do_agree(rule, ours, theirs, users)]
    return found


def _trimmed(candidates: list[Candidate]) -> list[Candidate]:
    return [it if n < MOST_COMPARED else replace(it, fields={}) for n, it in enumerate(candidates)]
