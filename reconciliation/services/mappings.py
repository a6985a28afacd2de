"""Changes of mapping rows, checked against the schemas of both systems before they are stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from connectors.contract import Record
from reconciliation.core.impact import impact
from reconciliation.core.mapping import Direction, Mapping, Survivorship
from reconciliation.core.transforms import TRANSFORMS, VALUE_MAP, has_way_back
from reconciliation.engine import gather, pair_trouble
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Binding, Case, Connection, FieldRule, MappingTable, MappingVersion, RecordType, SyncPass, UserPair
from reconciliation.passes.organisations import ACCOUNT, ORGANISATION, OWNER
from reconciliation.selectors import bounded_count
from reconciliation.services.audit import audit
from reconciliation.store import mapping_of

SAMPLE = 200
EXAMPLES = 10


class MappingRefused(ValueError):
    """The row cannot work; the sentence says why."""


@dataclass(frozen=True, slots=True)
class RowChange:
    """What a person entered for one row. None keeps what the row has."""

    crm_field: str
    peer_field: str
    transform: str = "same"
    is_enabled: bool = True
    blank_to_peer: bool = False
    is_removed: bool = False
    direction: str | None = None
    survivorship: str | None = None
    blank_to_crm: bool | None = None
    value_map: Sequence[Sequence[str]] | None = None
    default_in_peer: str | None = None
    default_in_crm: str | None = None


Added = RowChange | Sequence[RowChange] | None
KEPT_FIELDS = ("crm_field", "peer_field", "transform", "is_enabled", "blank_to_peer")
OPTIONAL_FIELDS = ("direction", "survivorship", "blank_to_crm", "value_map", "default_in_peer", "default_in_crm")


def listed(added: Added) -> list[RowChange]:
    """Returns the rows that come new: none, one, or several."""
    return [] if added is None else [added] if isinstance(added, RowChange) else list(added)


# What a conversion makes of a value, by the type of the CRM's field; None: whatever it was.
RESULTS = {"same": None, "text": "text", "integer": "integer", "date": "date", "date as instant": "datetime"}
RESULTS |= {"host of web address": "text", "user by username": "reference"}
RESULTS |= {"first of list": "list", "user by user mapping": "reference", "value map": None}
FITS = {  # type of the peer's attribute -> what it takes
    "text": {"text", "date", "integer", "number", "boolean"},
    "integer": {"integer"},
    "number": {"integer", "number"},
    "boolean": {"boolean"},
    "datetime": {"datetime"},
    "date": {"date"},
    "list": {"list"},
    "reference": {"reference"},
}
ADVICE = {"integer": "integer", "datetime": "date as instant", "date": "date", "reference": "user by username"}


def lint(sync_pass: SyncPass, change: RowChange) -> list[str]:
    """Returns what speaks against a row, as sentences; empty when nothing does."""
    table = sync_pass.mapping
    crm = (sync_pass.crm.schema_cache or {}).get(table.crm_object, {})
    peer = (sync_pass.peer.schema_cache or {}).get(table.peer_object, {})
    problems = []
    if change.transform not in TRANSFORMS:
        return [f"There is no conversion called {change.transform!r}."]
    if crm and not _is_known(change.crm_field, crm):
        problems.append(f"{sync_pass.crm.get_system_display()} has no field {change.crm_field!r}.")
    attribute = peer.get(change.peer_field)
    problems += _two_way_problems(change) + _consent_problems(change, crm.get(change.crm_field), attribute)
    if change.direction in (Direction.BOTH, Direction.TO_CRM) and not _is_writable(change.crm_field, crm):
        problems.append(f"{change.crm_field} is read-only in {sync_pass.crm.get_system_display()}; let the row go one way.")
    if peer and attribute is None:
        problems.append(f"{sync_pass.peer.get_system_display()} has no field {change.peer_field!r}.")
    if attribute and not attribute["is_updatable"]:
        problems.append(f"{change.peer_field} is read-only.")
    marker = str(sync_pass.peer.settings.get("marker_attribute", "customId"))
    if change.peer_field == marker:
        problems.append(f"{marker} holds our own key and cannot be mapped.")
    if attribute and not problems:
        problems += _type_problem(change, crm.get(change.crm_field, {}).get("type", ""), attribute)
    return problems


def _two_way_problems(change: RowChange) -> list[str]:
    """Returns what speaks against direction, winner and value map of a row."""
    problems = []
    if change.direction not in (None, *Direction):
        problems.append(f"There is no direction called {change.direction!r}.")
    if change.survivorship not in (None, *Survivorship):
        problems.append(f"There is no winner called {change.survivorship!r}.")
    if change.direction in (Direction.BOTH, Direction.TO_CRM) and not has_way_back(change.transform):
        problems.append(f"The conversion “{change.transform}” has no way back to the CRM; let the row go one way, or choose another.")
    pairs = change.value_map or ()
    for side, values in (("CRM", [p[0] for p in pairs]), ("peer", [p[1] for p in pairs])):
        if twice := sorted({v for v in values if values.count(v) > 1}):
            problems.append(f"The value map names {', '.join(twice)} of the {side} twice.")
    if change.transform == VALUE_MAP and change.value_map is not None and not change.value_map:
        problems.append("The conversion “value map” needs lines of “CRM value = peer value”.")
    return problems


def _consent_problems(change: RowChange, crm: dict[str, object] | None, peer: dict[str, object] | None) -> list[str]:
    """Returns why *Most restrictive wins* cannot work here: it knows yes and no only, and the same on both sides."""
    if change.survivorship != Survivorship.RESTRICTIVE:
        return []
    if change.transform != "same":
        return ["“Most restrictive wins” needs the conversion “same”: it makes a yes of one side a yes of the other."]
    other = [n for n, a in ((change.crm_field, crm), (change.peer_field, peer)) if a and a.get("type") != "boolean"]
    return [f"“Most restrictive wins” is for yes and no; {' and '.join(other)} holds something else."] if other else []


def _is_writable(field: str, schema: dict[str, dict[str, object]]) -> bool:
    """Tells whether the CRM takes the field on an update, as far as is known; none of another record (Account.Name) is."""
    return "." not in field and schema.get(field, {}).get("is_updatable") is not False


def value_map_of(text: str) -> list[list[str]]:
    """Returns the pairs of "CRM value = peer value", one a line. Raises MappingRefused for a line that is none."""
    pairs = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        left, sign, right = line.partition("=")
        if not sign or not left.strip() or not right.strip():
            raise MappingRefused(f"Line {number} of the value map, “{line.strip()[:60]}”, is not “CRM value = peer value”.")
        pairs.append([left.strip(), right.strip()])
    return pairs


def _is_known(field: str, schema: dict[str, object]) -> bool:
    """Tells whether the CRM has the field; one of another record is reached by way of its reference (Account.Name)."""
    parent, is_of_parent, _ = field.partition(".")
    return field in schema or bool(is_of_parent) and f"{parent}Id" in schema


def _type_problem(change: RowChange, source: str, attribute: dict[str, object]) -> list[str]:
    """Returns why the peer's field cannot hold what the conversion makes of the CRM's."""
    made = RESULTS.get(change.transform) or source
    wanted = str(attribute["type"])
    if not made or change.transform == VALUE_MAP or made in FITS.get(wanted, {made}):  # what a map makes stands in the map
        return []
    advice = ADVICE.get(wanted)
    kind = {"text": "text", "datetime": "an instant", "date": "a date", "integer": "a whole number", "reference": "another record"}
    sentence = f"{change.peer_field} takes {kind.get(wanted, wanted)}, and this row would send {kind.get(made, made)}"
    return [f"{sentence}; choose the conversion “{advice}”." if advice and advice != change.transform else f"{sentence}."]


def check(sync_pass: SyncPass, changes: dict[int, RowChange], added: Added) -> None:
    """Raises MappingRefused when a row cannot work, a field is mapped twice, or a required one not at all."""
    rows = [c for c in [*changes.values(), *listed(added)] if not c.is_removed]
    for change in rows:
        if change.is_enabled and (problems := lint(sync_pass, change)):
            raise MappingRefused(f"{change.crm_field} → {change.peer_field}: {' '.join(problems)}")
    after = _proposed(sync_pass.mapping, list(sync_pass.mapping.rules.all()), changes, added)
    twice = sorted({row.peer_field for row in after if [r.peer_field for r in after].count(row.peer_field) > 1})
    if twice:
        raise MappingRefused(f"{', '.join(twice)} is mapped twice; tick Remove in one of the rows.")
    peer = (sync_pass.peer.schema_cache or {}).get(sync_pass.mapping.peer_object, {})
    required = {name for name, attribute in peer.items() if attribute.get("is_required")}
    required |= {"name"} if sync_pass.mapping.peer_object == ACCOUNT else set()
    missing = sorted(required - {row.peer_field for row in after if row.is_enabled})
    if missing:
        raise MappingRefused(f"{', '.join(missing)} must be filled in {sync_pass.peer.get_system_display()}; keep a row for it enabled.")
    into_crm = [row for row in after if row.is_enabled and row.direction in (Direction.BOTH, Direction.TO_CRM)]
    _check_crm(sync_pass, into_crm)


def _check_crm(sync_pass: SyncPass, rows: list[FieldRule]) -> None:
    """Raises MappingRefused when two of the rows that write to the CRM write one field, or a record could not be created there."""
    written = Counter(row.crm_field for row in rows)
    if twice := sorted(name for name, count in written.items() if count > 1):
        raise MappingRefused(f"Two rows write {', '.join(twice)} of {sync_pass.crm.get_system_display()}; let one of them go one way.")
    table = sync_pass.mapping
    types = sync_pass.record_types.all()  # prefetched where a page lists them
    if not any(kind.mapping_id == table.pk and kind.outbound_create and kind.is_on for kind in types):
        return
    schema = (sync_pass.crm.schema_cache or {}).get(table.crm_object, {})
    missing = sorted(name for name, a in schema.items() if a.get("is_required") and name not in written)
    if missing:
        raise MappingRefused(
            f"{table.crm_object}s need {', '.join(missing)}: creation would be refused. Let a row fill it, or create none."
        )


def pass_of(table: MappingTable) -> SyncPass | None:
    """Returns the pass that works with this table, as if it were its only one: a two-way pass has one for each record type.
    None for a table that no pass uses."""
    rows = SyncPass.objects.whole().select_related("crm", "peer", "mapping").order_by("pk")
    found = rows.filter(mapping=table).first() or rows.filter(record_types__mapping=table).first()
    if found is not None:
        found.mapping = table
    return found


def systems_of_tables() -> dict[int, tuple[str, str]]:
    """Returns table -> the names of the CRM and of the peer whose fields it pairs, in one query."""
    names = ("crm__system", "peer__system")
    of_types = RecordType.objects.order_by().values_list("mapping", *(f"sync_pass__{name}" for name in names))
    rows = SyncPass.objects.whole().order_by().values_list("mapping", *names).union(of_types)
    return {table: (Connection.System(crm).label, Connection.System(peer).label) for table, crm, peer in rows}


def lint_types(sync_pass: SyncPass) -> list[str]:
    """Returns what speaks against the tables of a pass: those of its record types that are on, or its one."""
    types = [kind for kind in sync_pass.record_types.all() if kind.is_on]
    if not types:
        return lint_table(sync_pass)
    problems = []
    for kind in types:
        each = copy(sync_pass)
        each.mapping = kind.mapping
        problems += lint_table(each)
    return list(dict.fromkeys(problems))


def lint_table(sync_pass: SyncPass) -> list[str]:
    """Returns what speaks against the table as it stands, a sentence a problem; also that it could not be checked, when the
    field lists were never read."""
    if not (sync_pass.crm.schema_cache and sync_pass.peer.schema_cache):
        return ["The field lists of both systems have not been read yet: test the connections."]
    rows = [row for row in sync_pass.mapping.rules.all() if row.is_enabled]
    problems = []
    for row in rows:
        said = {name: getattr(row, name) for name in OPTIONAL_FIELDS}
        change = RowChange(row.crm_field, row.peer_field, row.transform, blank_to_peer=row.blank_to_peer, **said)
        problems += [f"{row.crm_field} → {row.peer_field}: {problem}" for problem in lint(sync_pass, change)]
        if row.held_reason:
            problems.append(f"{row.crm_field} → {row.peer_field} is held: {row.held_reason}")
    try:
        check(sync_pass, {}, None)
    except MappingRefused as refusal:
        problems.append(str(refusal))
    return problems


@transaction.atomic
def mapping_save(
    sync_pass: SyncPass,
    changes: dict[int, RowChange],
    added: Added,
    on_first_link: str = "",
    by: AbstractBaseUser | None = None,
    *,
    rests_on: int | None = None,
    reason: str = "",
) -> int:
    """Stores the rows and raises the table's version, which it returns; the version is kept whole. `rests_on` is the
    version that was edited, -1 when that is not known: when somebody saved another meanwhile, nothing is stored. Raises
    MappingRefused."""
    table = MappingTable.objects.select_for_update().get(pk=sync_pass.mapping_id)
    if rests_on is not None and rests_on != table.version:
        yours = f"version {rests_on}" if rests_on >= 0 else "another"
        raise MappingRefused(f"Somebody saved version {table.version} while you were editing {yours}. Look at it, then change it.")
    check(sync_pass, changes, added)
    if on_first_link and on_first_link not in dict(MappingTable._meta.get_field("on_first_link").choices):
        raise MappingRefused(f"There is no choice {on_first_link[:40]!r} for On first link.")
    MappingTable.objects.filter(pk=table.pk).update(version=F("version") + 1, **({"on_first_link": on_first_link} if on_first_link else {}))
    version = int(MappingTable.objects.values_list("version", flat=True).get(pk=table.pk))
    rows = list(FieldRule.objects.filter(pk__in=changes, table=table))
    for row in rows:
        if row.peer_field != changes[row.pk].peer_field:  # two rows may swap their fields
            FieldRule.objects.filter(pk=row.pk).update(peer_field=f"(moving {row.pk})")
    said = [f"{r}: {d}" for r in rows if (d := _difference(r, changes[r.pk]))]
    said += [f"added {new.crm_field} → {new.peer_field}" for new in listed(added)]
    removed = [row.pk for row in rows if changes[row.pk].is_removed and not row.is_standard]
    FieldRule.objects.filter(pk__in=removed).delete()
    rows = [row for row in rows if row.pk not in removed]
    for row in rows:
        change = changes[row.pk]
        if _has_new_meaning(row, change):
            row.since_version = version
        fill(row, change)
        row.save()
    for new in listed(added):
        row = FieldRule(table=table, since_version=version)
        fill(row, new)
        row.save()
    _take_up_again(sync_pass, version)
    MappingVersion.keep(table, by, reason)
    audit(by, "change mapping", table.name, version=version, changed=said, **({"reason": reason} if reason else {}))
    return version


@dataclass(frozen=True, slots=True)
class Example:
    """One value that a changed mapping would write."""

    crm_id: str
    name: str
    field: str
    before: object
    after: object


@dataclass(frozen=True, slots=True)
class Impact:
    """What a changed mapping would do in the peer: of `looked_at` linked records, `changed` would be written."""

    looked_at: int
    changed: int
    linked: str
    by_field: dict[str, int]
    examples: list[Example]
    system: str  # of the CRM
    object_type: str
    crm_title: str
    peer_title: str
    is_two_way: bool

    @property
    def noun(self) -> str:
        """What the records are called: organisations, contacts, leads, accounts."""
        return f"{self.object_type.lower()}s"

    @property
    def is_complete(self) -> bool:
        return self.linked == f"{self.looked_at:,}"


def impact_of(sync_pass: SyncPass, changes: dict[int, RowChange], added: Added, *, wiring: Wiring | None = None) -> Impact:
    """Returns what the proposal would write, from both sides as they are now, over the newest SAMPLE linked
    organisations. Stores and writes nothing. Raises MappingRefused, ConnectorError."""
    wiring = wiring or Wiring()
    check(sync_pass, changes, added)
    stored = list(sync_pass.mapping.rules.all())
    before = mapping_of(sync_pass.mapping, sync_pass.peer, stored)
    after = mapping_of(sync_pass.mapping, sync_pass.peer, _proposed(sync_pass.mapping, stored, changes, added))
    bound = Binding.objects.filter(sync_pass=sync_pass, crm_type=sync_pass.mapping.crm_object, is_tombstone=False)
    sample = {b.crm_id: b for b in bound.order_by("-pk")[:SAMPLE]}
    by_field: Counter[str] = Counter()
    examples, changed = [], 0
    for record, account, users in _both_sides(sync_pass, sample, before, after, wiring):
        writes = impact(before, after, record.fields, account.fields, users)
        changed += bool(writes)
        by_field.update(writes.keys())
        name = sample[record.ref.id].name
        examples += [Example(record.ref.id, name, n, w.before, w.value) for n, w in writes.items() if len(examples) < EXAMPLES]
    kind = (sync_pass.crm.system, sync_pass.mapping.crm_object)
    titles = (sync_pass.crm.get_system_display(), sync_pass.peer.get_system_display())
    return Impact(len(sample), changed, bounded_count(bound), dict(by_field), examples[:EXAMPLES], *kind, *titles, sync_pass.is_two_way)


def _proposed(table: MappingTable, stored: list[FieldRule], changes: dict[int, RowChange], added: Added) -> list[FieldRule]:
    rows = [copy(row) for row in stored if row.is_standard or not (row.pk in changes and changes[row.pk].is_removed)]
    for row in rows:
        if row.pk in changes:
            fill(row, changes[row.pk])
            row.held_reason = ""
    for new in listed(added):
        rows.append(FieldRule(table=table))
        fill(rows[-1], new)
    return rows


def _both_sides(
    sync_pass: SyncPass, sample: dict[str, Binding], before: Mapping, after: Mapping, wiring: Wiring
) -> Iterator[tuple[Record, Record, dict[str, str]]]:
    """Yields both records and the users for the sample, as both systems hold them now."""
    if not sample:
        return
    if sync_pass.mapping.crm_object != ORGANISATION:
        yield from _both_of_pairs(sync_pass, sample, Mapping(after.version, (*before.rules, *after.rules)), wiring)
        return
    crm, peer = wiring.open_connector(sync_pass.crm), wiring.open_connector(sync_pass.peer)
    try:
        both = Mapping(after.version, (*before.rules, *after.rules))
        organisations = [r for r in crm.read(ORGANISATION, list(sample), ["name", *both.crm_fields]) if not r.is_deleted]
        accounts = gather.accounts_by_id(peer, both, [b.peer_id for b in sample.values()])
        owners = {str(r.fields.get(rule.crm) or "") for r in organisations for rule in both.rules if rule.peer == OWNER}
        users = gather.users_by_name(peer, sync_pass.peer, owners, wiring)
        for record in organisations:
            account = accounts.get(sample[record.ref.id].peer_id)
            if account is not None:
                yield record, account, users
    finally:
        crm.close()
        peer.close()


def _both_of_pairs(
    sync_pass: SyncPass, sample: dict[str, Binding], both: Mapping, wiring: Wiring
) -> Iterator[tuple[Record, Record, dict[str, str]]]:
    """Yields the same for a record type of a two-way pass; users are the pairs that are known."""
    table, known = sync_pass.mapping, UserPair.objects.filter(sync_pass=sync_pass)
    users = dict(known.exclude(crm_user_id="").exclude(peer_user_id="").values_list("crm_user_id", "peer_user_id"))
    crm, peer = wiring.open_connector(sync_pass.crm), wiring.open_connector(sync_pass.peer)
    try:
        theirs = peer.read(table.peer_object, [b.peer_id for b in sample.values()], list(both.peer_fields))
        there = {record.ref.id: record for record in theirs if not record.is_deleted}
        for record in crm.read(table.crm_object, list(sample), list(both.crm_fields)):
            other = there.get(sample[record.ref.id].peer_id) if record.ref.id in sample else None
            if other is not None and not record.is_deleted:
                yield record, other, users
    finally:
        crm.close()
        peer.close()


def fill(row: FieldRule, change: RowChange) -> None:
    """Puts what was entered into the row, which is not stored yet."""
    row.crm_field, row.peer_field, row.transform = change.crm_field, change.peer_field, change.transform
    row.is_enabled, row.blank_to_peer = change.is_enabled, change.blank_to_peer
    for name in OPTIONAL_FIELDS:
        if getattr(change, name) is not None:
            setattr(row, name, getattr(change, name))


def _difference(row: FieldRule, change: RowChange) -> str:
    """Returns what a change does to a row, in words, "" when nothing."""
    if change.is_removed and not row.is_standard:
        return "removed"
    names = [*KEPT_FIELDS, *(n for n in OPTIONAL_FIELDS if getattr(change, n) is not None)]
    return ", ".join(f"{n} {getattr(row, n)} → {getattr(change, n)}" for n in names if getattr(row, n) != getattr(change, n))


def _has_new_meaning(row: FieldRule, change: RowChange) -> bool:
    """Tells whether records that agree under the row as it was may differ under the changed one."""
    same = (row.crm_field, row.peer_field, row.transform) == (change.crm_field, change.peer_field, change.transform)
    same &= all(getattr(change, n) in (None, getattr(row, n)) for n in ("direction", "survivorship", "value_map"))
    widens = change.blank_to_peer and not row.blank_to_peer or bool(change.blank_to_crm) and not row.blank_to_crm
    return change.is_enabled and not (same and row.is_enabled and not widens)


def _take_up_again(sync_pass: SyncPass, version: int) -> None:
    """A saved mapping is a mended one: what was held for it goes on, and its cases close."""
    FieldRule.objects.filter(table=sync_pass.mapping).exclude(held_reason="").update(held_reason="", since_version=version)
    SyncPass.objects.filter(pk=sync_pass.pk).update(hold_reason="")
    sync_pass.children.exclude(hold_reason="").update(hold_reason="")  # a mailbox is held by the mapping that all share
    sync_pass.record_types.filter(mapping=sync_pass.mapping).update(held_reason="")
    pair_trouble.release(sync_pass)
    of_whole = Case.objects.filter(Q(sync_pass=sync_pass.pk) | Q(sync_pass__parent=sync_pass.pk))
    of_whole.filter(kind=Case.Kind.MAPPING, state=Case.State.OPEN).update(
        state=Case.State.CLOSED, decision="mapping saved", closed_at=timezone.now()
    )
