"""Everything that was ever seen, found by present and former names, e-mails and ids; and where each record stands now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, OuterRef, Value

from connectors.contract import Record, Ref
from connectors.errors import ConnectorError
from reconciliation.core.eligibility import is_selected
from reconciliation.core.values import name_key, normalise_name
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Binding, Case, PeerName, SearchKey, SyncPass, Tombstone
from reconciliation.models.prefix import starts_with
from reconciliation.passes.organisations import ACCOUNT, ORGANISATION, PERSON, PROSPECT
from reconciliation.services.why import Explanation, find, find_by_exact_name

MOST_FOUND = 50
STATES = {
    "linked": "Linked",
    "duplicate": "Duplicate",
    "error": "Error",
    "deleted": "Deleted",
    "ended": "Link ended",
    "unlinked": "Not linked",
    "unseen": "Not seen yet",
    "person": "Person",
}


@dataclass(frozen=True, slots=True)
class Found:
    """One record that a search found: what it is called now, how it stands, and why it matched ("formerly …")."""

    ref: Ref
    name: str
    state: str
    why: str = ""

    @property
    def word(self) -> str:
        return STATES[self.state]


@dataclass(frozen=True, slots=True)
class Search:
    """What a search came to; `is_cut` when there is more than it shows."""

    found: list[Any]
    is_cut: bool = False


@dataclass(slots=True)
class _Hit:
    """One record on its way to `Found`."""

    name: str = ""
    kind: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class _Standing:
    """What the store knows of the hits: bindings by either side; by organisation the kind and name of what waits for a
    person, or "deleted" for one that was deleted before it was ever linked; by account its present name."""

    by_crm: dict[str, Binding]
    by_peer: dict[str, Binding]
    waiting: dict[str, tuple[str, str]]
    names: dict[str, str]


def refs_of(sync_pass: SyncPass, text: str) -> list[Ref]:
    """Returns the records that a number or a reference such as workbooks:organisation:226 may name."""
    crm, peer = sync_pass.crm.system, sync_pass.peer.system
    types = ((crm, ORGANISATION), (peer, ACCOUNT), (crm, PERSON), (peer, PROSPECT))
    if text.isascii() and text.isdigit() and len(text) < 19:
        return [Ref(system, type_, text) for system, type_ in types]
    parts = text.split(":")
    if len(parts) == 3 and tuple(parts[:2]) in types and parts[2].isascii() and parts[2].isdigit():
        return [Ref(*parts)]
    return []


def meant(sync_pass: SyncPass, text: str, *, wiring: Wiring | None = None) -> Ref | None:
    """Returns the one record that a person means by an organisation's number, a reference or the start of a name; None
    where it may be several, or none that is known."""
    named = refs_of(sync_pass, text)
    if named:
        return named[0]
    found = find(sync_pass, text, wiring=wiring)
    return Ref(sync_pass.crm.system, ORGANISATION, found[0][0]) if len(found) == 1 else None


def search(sync_pass: SyncPass, text: str, *, wiring: Wiring | None = None, asks_crm: bool = True) -> Search:
    """Returns what a person may mean by the start of a present or former name, an e-mail or an id. What we never saw is
    asked of Workbooks by its exact name, unless `asks_crm` is False."""
    text = text.strip()
    key, named = normalise_name(text)[:200], refs_of(sync_pass, text)
    if not key:
        return Search([])
    hits: dict[Ref, _Hit] = {}
    rows = SearchKey.objects.filter(sync_pass=sync_pass)
    if named:
        for row in rows.filter(ref__in=[str(r) for r in named]).order_by("-seen_at")[:MOST_FOUND]:
            _take(hits, Ref.parse(row.ref), row.text if row.kind == SearchKey.Kind.NAME else "", "id", "")
    by_name = list(rows.filter(starts_with("key", key)).order_by("key")[: MOST_FOUND + 1])
    for row in by_name:
        _take(hits, Ref.parse(row.ref), row.text if row.kind == SearchKey.Kind.NAME else "", row.kind, row.text)
    accounts = _accounts(sync_pass, key, named)
    for peer_id, name in accounts:
        _take(hits, Ref(sync_pass.peer.system, ACCOUNT, peer_id), name, "id" if named else SearchKey.Kind.NAME, name)
    is_cut = len(by_name) > MOST_FOUND or len(accounts) > MOST_FOUND
    standing = _standing(sync_pass, [*hits, *named])
    for ref, hit in hits.items():  # known by a former name only
        hit.name = hit.name or (standing.names.get(ref.id, "") if ref.object_type == ACCOUNT else "")
    for ref in named:  # what was bound before the index knew it, or stands in a case
        binding = _binding_of(ref, standing)
        waits = ref.object_type == ORGANISATION and ref.id in standing.waiting
        if ref not in hits and (binding is not None or waits):
            hits[ref] = _Hit(binding.name if binding is not None else standing.waiting[ref.id][1], "id")
    found = [_found(ref, hit, standing) for ref, hit in hits.items() if not _is_other_side(ref, hits, standing)]
    if not found and asks_crm:
        found = _unseen(sync_pass, text, named, wiring or Wiring())
    return Search(found[:MOST_FOUND], is_cut or len(found) > MOST_FOUND)


def _take(hits: dict[Ref, _Hit], ref: Ref, name: str, kind: str, text: str) -> None:
    """Keeps the best reason of a record: its present name before a former one."""
    hit = hits.setdefault(ref, _Hit(name, kind, text))
    hit.name = hit.name or name
    if hit.kind == SearchKey.Kind.FORMER and kind == SearchKey.Kind.NAME:
        hit.kind, hit.text = kind, text


def _accounts(sync_pass: SyncPass, key: str, named: list[Ref]) -> list[tuple[str, str]]:
    rows = PeerName.objects.filter(sync_pass=sync_pass)
    if named:
        return list(rows.filter(peer_id__in={r.id for r in named if r.object_type == ACCOUNT}).values_list("peer_id", "name"))
    return list(rows.filter(starts_with("name_key", key)).order_by("name_key").values_list("peer_id", "name")[: MOST_FOUND + 1])


def _standing(sync_pass: SyncPass, refs: Iterable[Ref]) -> _Standing:
    refs = list(refs)
    crm_ids = {r.id for r in refs if r.object_type == ORGANISATION}
    peer_ids = {r.id for r in refs if r.object_type == ACCOUNT}
    if not crm_ids and not peer_ids:
        return _Standing({}, {}, {}, {})
    gone = Exists(Tombstone.objects.filter(sync_pass=sync_pass, crm_id=OuterRef("crm_id"), restored_at=None))
    bound = Binding.objects.filter(sync_pass=sync_pass).annotate(is_deleted=gone)
    # Two questions in one: each has an index of its own, and the one by account holds standing links only.
    rows = bound.filter(crm_type=ORGANISATION, crm_id__in=crm_ids).union(
        bound.filter(peer_type=ACCOUNT, peer_id__in=peer_ids, is_tombstone=False)
    )
    by_crm: dict[str, Binding] = {}
    by_peer: dict[str, Binding] = {}
    for row in sorted(rows, key=lambda row: not row.is_tombstone):  # a standing link last: it counts
        by_crm[row.crm_id] = row
        by_peer[row.peer_id] = row
    cases = Case.objects.filter(sync_pass=sync_pass, crm_id__in=crm_ids, state=Case.State.OPEN).exclude(kind=Case.Kind.MAPPING)
    stones = Tombstone.objects.filter(sync_pass=sync_pass, crm_id__in=crm_ids, binding=None, restored_at=None)
    accounts = PeerName.objects.filter(sync_pass=sync_pass, peer_id__in=peer_ids)
    told = cases.values_list("crm_id", "kind", "name").union(
        stones.values_list("crm_id", Value("deleted"), "name"), accounts.values_list("peer_id", Value(ACCOUNT), "name")
    )
    rows_told = sorted(told, key=lambda row: row[1] != "deleted")  # a case counts
    waiting = {id_: (kind, name) for id_, kind, name in rows_told if kind != ACCOUNT}
    return _Standing(by_crm, by_peer, waiting, {id_: name for id_, kind, name in rows_told if kind == ACCOUNT})


def _binding_of(ref: Ref, standing: _Standing) -> Binding | None:
    return {ORGANISATION: standing.by_crm, ACCOUNT: standing.by_peer}.get(ref.object_type, {}).get(ref.id)


def _is_other_side(ref: Ref, hits: dict[Ref, _Hit], standing: _Standing) -> bool:
    """Tells whether an account is linked to an organisation that was found too: one thing stands in a list once."""
    binding = standing.by_peer.get(ref.id) if ref.object_type == ACCOUNT else None
    if binding is None or binding.is_tombstone:
        return False
    return any(r.object_type == ORGANISATION and r.id == binding.crm_id and hits[ref].kind == hit.kind for r, hit in hits.items())


def _found(ref: Ref, hit: _Hit, standing: _Standing) -> Found:
    binding, name = _binding_of(ref, standing), hit.name
    if ref.object_type == ORGANISATION:
        kind, told = standing.waiting.get(ref.id, ("", ""))
        name = (binding.name if binding is not None else "") or told or name or hit.text
        state = kind or _link_state(binding)
    elif ref.object_type == ACCOUNT:
        name, state = name or (binding.name if binding is not None else "") or hit.text, _link_state(binding)
    else:
        name, state = name or hit.text, "person"
    return Found(ref, name, state, _why(hit, name))


def _link_state(binding: Binding | None) -> str:
    if binding is None:
        return "unlinked"
    if not binding.is_tombstone:
        return "linked"
    return "deleted" if binding.is_deleted else "ended"  # type: ignore[attr-defined]  # annotated in _standing


def _why(hit: _Hit, name: str) -> str:
    if hit.kind == "id":
        return "by its id"
    if hit.kind == SearchKey.Kind.EMAIL:
        return f"e-mail {hit.text}"
    is_former = hit.kind == SearchKey.Kind.FORMER or name_key(hit.text) != name_key(name)
    return f"formerly “{hit.text}”" if is_former else ""


def _unseen(sync_pass: SyncPass, text: str, named: list[Ref], wiring: Wiring) -> list[Found]:
    """Returns what Workbooks itself has: the record people ask about may never have been seen here."""
    if named:
        return [Found(r, "", "unseen", "by its id") for r in named if r.object_type in (ORGANISATION, ACCOUNT)]
    by_name = find_by_exact_name(sync_pass, text, wiring)
    return [Found(Ref(sync_pass.crm.system, ORGANISATION, id_), name, "unseen", "Workbooks has it") for id_, name in by_name]


def home_of(sync_pass: SyncPass, ref: Ref) -> Ref:
    """Returns the record whose page tells of this one: the organisation of a linked account, the person of a prospect."""
    if ref.object_type == ACCOUNT:
        rows = Binding.objects.filter(sync_pass=sync_pass, peer_type=ACCOUNT, peer_id=ref.id, is_tombstone=False)
        crm_id = rows.values_list("crm_id", flat=True).first()
        if crm_id is None:
            gone = Tombstone.objects.filter(sync_pass=sync_pass, peer_id=ref.id).order_by("-pk")
            crm_id = gone.values_list("crm_id", flat=True).first()
        return Ref(sync_pass.crm.system, ORGANISATION, crm_id) if crm_id else ref
    if ref.object_type == PROSPECT:
        about = SearchKey.objects.filter(sync_pass=sync_pass, ref=str(ref)).exclude(about="").values_list("about", flat=True).first()
        return Ref.parse(about) if about else ref
    return ref


def name_of(sync_pass: SyncPass, ref: Ref) -> str:
    """Returns what a record was called when it was last seen, "" when nobody knows."""
    if ref.object_type == ACCOUNT:
        return PeerName.objects.filter(sync_pass=sync_pass, peer_id=ref.id).values_list("name", flat=True).first() or ""
    rows = SearchKey.objects.filter(sync_pass=sync_pass, ref=str(ref), kind=SearchKey.Kind.NAME)
    return rows.order_by("-seen_at").values_list("text", flat=True).first() or ""


def last_tombstone(sync_pass: SyncPass, organisation_id: str) -> Tombstone | None:
    """Returns what is remembered of the last time the organisation was deleted."""
    found = Tombstone.objects.filter(sync_pass=sync_pass, crm_id=organisation_id).order_by("-pk").first()
    if found is not None:
        found.sync_pass = sync_pass  # with its systems, as it was read
    return found


def read_now(sync_pass: SyncPass, ref: Ref, wiring: Wiring | None = None) -> tuple[Record | None, str]:
    """Returns a person, a prospect or an account as it is now, or why it could not be read."""
    columns = {
        ACCOUNT: ["name", "domain", "websiteUrl", "industry", "locality"],
        PERSON: ["name", "main_location[email]", "employer[name]", "employer_link"],
        PROSPECT: ["name", "emails", "account"],
    }[ref.object_type]
    connection = sync_pass.crm if ref.system == sync_pass.crm.system else sync_pass.peer
    try:
        connector = (wiring or Wiring()).open_connector(connection)
    except ConnectorError as error:
        return None, error.sentence
    try:
        found = connector.read(ref.object_type, [ref.id], columns)
        return (found[0], "") if found else (None, f"{connection} has no such record, or our user may not see it.")
    except ConnectorError as error:
        return None, error.sentence
    finally:
        connector.close()


def next_look(sync_pass: SyncPass, it: Explanation) -> str:
    """Returns when the pass looks at an organisation next, in words; the page adds the times."""
    if it.record is not None and it.record.is_deleted:
        return "Not again: it was deleted in Workbooks."
    if not sync_pass.is_on:
        return "Not as long as the pass is switched off."
    if sync_pass.hold_reason:
        return "When its mapping is corrected: the pass is held."
    if sync_pass.is_paused:
        return "When the pass is resumed."
    if any(case.is_open for case in it.cases):
        return "When its case is decided; open cases are compared with Workbooks every hour."
    failing = [c.title for c in it.conditions[:3] if not c.holds]
    if failing:
        return f"In the first run after {' and '.join(failing)}."
    if (it.binding is not None and it.binding.is_write_back_due) or (it.conditions and is_selected(it.conditions)):
        return "In the next run."
    return "In the first run after it is edited in Workbooks, and in the next full comparison."
