"""What has to be known before activities become Tasks: whom their prospects are linked to, whose they are. Links and pairs of
users come from our own tables, the rest from the fewest batched reads; nothing is asked for one record alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from django.db.models import QuerySet

from connectors.contract import Record, Ref
from reconciliation.engine import pair_reads
from reconciliation.engine.context import RunContext
from reconciliation.models import Activity, Binding, Operation, SyncPass, UserPair
from reconciliation.passes.activities import SOURCES, Known, Owner, Person, State
from reconciliation.passes.prospects import PROSPECT

PEOPLE = {"Contact": ("AccountId",), "Lead": ()}  # what an activity may be done with, and what is read of it
USER_COLUMNS = ("IsActive", "TimeZoneSidKey")
AT_ONCE = 500


@dataclass(slots=True)
class Facts:
    """What is known of the activities of one page, by the id of the prospect or the peer's user."""

    links: dict[str, Ref] = field(default_factory=dict)  # prospect -> record of the CRM
    gone: set[str] = field(default_factory=set)  # prospects that are no more
    people: dict[str, Person] = field(default_factory=dict)  # by the id of the CRM's record
    owners: dict[str, Owner] = field(default_factory=dict)  # user of the peer -> user of the CRM


def known_of(sync_pass: SyncPass, object_type: str, ids: Sequence[str]) -> dict[str, Activity]:
    """Returns what we remember of these activities, by id."""
    found: dict[str, Activity] = {}
    for start in range(0, len(ids), AT_ONCE):
        some = ids[start : start + AT_ONCE]
        rows = Activity.objects.filter(sync_pass=sync_pass, object_type=object_type, activity_id__in=some)
        found.update({row.activity_id: row for row in rows})
    return found


def as_known(row: Activity | None) -> Known | None:
    return Known(State(row.state), row.version) if row is not None else None


def links_of(sync_pass: SyncPass) -> QuerySet[Binding]:
    """Returns the links of prospects that the passes between the same two systems keep."""
    return Binding.objects.filter(
        sync_pass__crm=sync_pass.crm_id, sync_pass__peer=sync_pass.peer_id, peer_type=PROSPECT, crm_type__in=PEOPLE, is_tombstone=False
    )


def in_doubt(context: RunContext, records: Iterable[Record]) -> set[str]:
    """Returns the ids of those activities whose Task was sent and not answered."""
    refs = {str(r.ref): r.ref.id for r in records}
    mine = Operation.objects.filter(run__sync_pass=context.sync_pass, kind=Operation.Kind.CREATE, state__in=Operation.OPEN)
    return {refs[ref] for ref in mine.exclude(run=context.run).values_list("source_ref", flat=True) if ref in refs}


def gather(context: RunContext, records: Sequence[Record], unasked: Iterable[str]) -> Facts:
    """Returns the facts of these activities of one type. `unasked` are the ids of activities whose prospect was not looked for
    lately: a prospect without a link may be gone. Raises ConnectionTrouble."""
    facts, system = Facts(), context.crm.connector.system
    prospects = {r.ref.id: str(r.fields["prospect"]) for r in records}
    facts.links = _links(context.sync_pass, system, set(prospects.values()))
    unlinked = {prospects[id_] for id_ in unasked if id_ in prospects} - facts.links.keys()
    facts.gone = _gone(context, unlinked)
    linked = [r for r in records if prospects[r.ref.id] in facts.links]
    facts.people = _people(context, set(facts.links.values()))
    facts.owners = _owners(context, linked)
    return facts


def _links(sync_pass: SyncPass, system: str, prospects: set[str]) -> dict[str, Ref]:
    found: dict[str, Ref] = {}
    wanted = sorted(prospects)
    for start in range(0, len(wanted), AT_ONCE):
        rows = links_of(sync_pass).filter(peer_id__in=wanted[start : start + AT_ONCE])
        found.update({peer: Ref(system, type_, id_) for peer, type_, id_ in rows.values_list("peer_id", "crm_type", "crm_id")})
    return found


def _gone(context: RunContext, prospects: set[str]) -> set[str]:
    if not prospects:
        return set()
    there = {r.ref.id for r in context.peer.connector.read(PROSPECT, sorted(prospects), [])}
    return prospects - there


def _people(context: RunContext, refs: set[Ref]) -> dict[str, Person]:
    """Returns the people who are there, living: what was merged or converted is followed by the pass that keeps its link."""
    found: dict[str, Person] = {}
    for object_type, columns in PEOPLE.items():
        ids = sorted(ref.id for ref in refs if ref.object_type == object_type)
        for record in context.crm.connector.read(object_type, ids, list(columns)) if ids else ():
            if not record.is_deleted and record.succeeded_by is None:
                found[record.ref.id] = Person(record.ref, str(record.fields.get("AccountId") or ""))
    return found


def _owners(context: RunContext, records: Sequence[Record]) -> dict[str, Owner]:
    """Returns the active users of the CRM who are the same persons, with their zones. What staff paired holds for this pass, too,
    where they said it of the prospects."""
    users = {str(owner) for r in records if (owner := r.fields.get(SOURCES[r.ref.object_type].owner))}
    if not users:
        return {}
    pairs = {**pair_reads.pairs_of_peer_users(context, users), **_paired_by_staff(context.sync_pass, users)}
    wanted = sorted(set(pairs.values()))
    read = {r.ref.id: r for r in context.crm.connector.read(pair_reads.CRM_USER, wanted, list(USER_COLUMNS))} if wanted else {}
    return {user: _owner(read[crm]) for user, crm in pairs.items() if crm in read and read[crm].fields.get("IsActive") is True}


def _owner(user: Record) -> Owner:
    return Owner(user.ref.id, str(user.fields.get("TimeZoneSidKey") or ""))


def _paired_by_staff(sync_pass: SyncPass, users: set[str]) -> Mapping[str, str]:
    rows = UserPair.objects.filter(sync_pass__crm=sync_pass.crm_id, sync_pass__peer=sync_pass.peer_id, how=UserPair.How.STAFF)
    chosen = rows.filter(peer_user_id__in=users).exclude(crm_user_id="").order_by("read_at")
    return dict(chosen.values_list("peer_user_id", "crm_user_id"))
