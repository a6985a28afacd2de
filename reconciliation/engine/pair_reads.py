"""Answers the questions of a page of a two-way pass in the fewest batched calls. Reads only; what it learns of users is
kept for a day."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Max, Q, QuerySet

from connectors.contract import Record, Ref
from reconciliation.core.transforms import USER_PAIR
from reconciliation.core.values import is_blank
from reconciliation.engine import gather
from reconciliation.engine.context import RunContext
from reconciliation.engine.executor import Side
from reconciliation.models import Binding, Operation, PeerName, UserPair
from reconciliation.passes import pairs as rules
from reconciliation.passes.pairs import PairDecision, PairTerms
from reconciliation.store import decode_fields

CRM_USER, PEER_USER = "User", "user"
USERS_KEPT = timedelta(hours=24)
OWN_KEPT = timedelta(hours=1)  # for so long a search may not show what we made


def side_of(context: RunContext, side: str) -> Side:
    return context.crm if side == "crm" else context.peer


def columns(terms: PairTerms, object_type: str) -> list[str]:
    """Returns what is read of a record: its mapped fields, its keys, and what it is called."""
    mapped: list[str] = []
    for type_ in terms.types:
        if type_.crm_object == object_type:
            mapped += [*type_.mapping.crm_fields, *(field for field, _, _ in type_.conditions)]
        elif type_.peer_object == object_type:
            mapped += type_.mapping.peer_fields
    return list(dict.fromkeys([*mapped, *terms.kind.columns.get(object_type, ())]))


def read(context: RunContext, side: str, object_type: str, ids: Iterable[str]) -> dict[str, Record]:
    """Returns the records as they are now, by id; those that are gone are left out."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    found = side_of(context, side).connector.read(object_type, wanted, columns(context.terms, object_type))
    return {r.ref.id: r for r in found}


def _links(context: RunContext, side: str, records: Iterable[Record]) -> Iterator[QuerySet[Binding]]:
    """Yields the bindings of these records, tombstones among them, an object type at a time."""
    by_type: dict[str, list[str]] = {}
    for record in records:
        by_type.setdefault(record.ref.object_type, []).append(record.ref.id)
    for object_type, ids in by_type.items():
        names = {"crm_type": object_type, "crm_id__in": ids} if side == "crm" else {"peer_type": object_type, "peer_id__in": ids}
        yield Binding.objects.filter(sync_pass=context.sync_pass, **names)


def bindings_of(context: RunContext, side: str, records: Iterable[Record]) -> dict[str, Binding]:
    """Returns record id -> its binding, one that holds before a tombstone."""
    found: dict[str, Binding] = {}
    for rows in _links(context, side, records):
        for row in rows.order_by("pk"):
            id_ = row.crm_id if side == "crm" else row.peer_id
            if id_ not in found or found[id_].is_tombstone:
                found[id_] = row
    return found


def echoes_among(context: RunContext, side: str, records: Sequence[Record]) -> dict[str, PairDecision]:
    """Returns record id -> its decision, for bound records that hold what was agreed on last: nearly all of a full
    comparison. Of their bindings only five columns are read; an instance each would cost several times as much."""
    by_id, system = {r.ref.id: r for r in records}, context.crm.connector.system
    found: dict[str, PairDecision] = {}
    for links in _links(context, side, records):
        rows = links.filter(is_tombstone=False, is_retry_due=False, lacks=None)
        values = rows.values_list(f"{side}_id", "crm_type", "crm_id", "is_out_of_view", "mapping_version", "crm_base", "peer_base")
        for id_, crm_type, crm_id, is_hidden, version, *raw in values.iterator():
            record, type_, bases = by_id[id_], context.terms.type_of(crm_type), map(decode_fields, raw)
            if type_ is None or not rules.is_marked(record, side, Ref(system, crm_type, crm_id), context.terms, is_hidden=is_hidden):
                continue
            if rules.is_echo(record, side, *bases, mapping_version=version, type_=type_):
                found[id_] = rules.echo(record, type_)
    return found


def creates_in_doubt(context: RunContext, records: Iterable[Record]) -> set[str]:
    """Returns the records of which a create was sent and not answered: nothing is decided about them before that is known."""
    refs = {str(r.ref): r.ref.id for r in records}
    rows = Operation.objects.filter(kind=Operation.Kind.CREATE, state__in=Operation.OPEN).exclude(run=context.run)
    if context.terms.kind.is_mailbox:  # the same contact may be made in other mailboxes
        rows = rows.filter(run__sync_pass=context.sync_pass)
    # Few are open at any time, and they have an index; asking for every record of the page would cost more than finding them.
    return {refs[ref] for ref in rows.values_list("source_ref", flat=True) if ref in refs}


def end_of_journal() -> int:
    """Returns the key of the journal's last row."""
    return Operation.objects.aggregate(last=Max("pk"))["last"] or 0


def made_meanwhile(context: RunContext, keys: Collection[str], since: tuple[int, datetime]) -> dict[str, bool]:
    """Returns those keys that creates of other runs in the CRM bear, which are under way or were settled since then (a row of the
    journal, and the time of day): whether it was made, False where that is not known yet."""
    if not keys:
        return {}
    rows = Operation.objects.filter(connection=context.crm.connection, kind=Operation.Kind.CREATE, name_key__in=set(keys))
    made = Q(state=Operation.State.CONFIRMED) & (Q(pk__gt=since[0]) | Q(settled_at__gte=since[1]))
    rows = rows.filter(made | Q(state__in=Operation.OPEN)).exclude(run=context.run)
    found: dict[str, bool] = {}
    for key, state in rows.values_list("name_key", "state"):
        found[key] = found.get(key, True) and state == Operation.State.CONFIRMED
    return found


def by_keys(
    context: RunContext, side: str, object_types: Sequence[str], keys: Iterable[str], spellings: Iterable[str] = ()
) -> list[Record]:
    """Returns the living records of these types that bear one of the keys: found by search, which is for the keys and for
    their `spellings`, in the local index of names, and those of our own making that a search may not show yet."""
    wanted = sorted(set(keys))
    if not wanted:
        return []
    kind, connector = context.terms.kind, side_of(context, side).connector
    asked = sorted({*wanted, *spellings})
    found: dict[str, Record] = {}
    for object_type in object_types:
        for record in connector.find(object_type, kind.key_fields[object_type], asked, columns(context.terms, object_type)):
            found[record.ref.id] = record
        own = _made_lately(context, side, object_type, wanted) | _in_the_index(context, side, wanted)
        found.update(read(context, side, object_type, own - found.keys()))
    known = set(wanted)
    return [r for r in found.values() if not r.is_deleted and r.succeeded_by is None and known & set(kind.keys(r))]


def _in_the_index(context: RunContext, side: str, keys: Sequence[str]) -> set[str]:
    """Returns the ids of the peer's records that are called so, brought up to date first (D2)."""
    if side != "peer" or not context.terms.kind.has_name_index:
        return set()
    gather.refresh_names(context.peer.connector, context.sync_pass, context.wiring)
    return set(PeerName.objects.filter(sync_pass=context.sync_pass, name_key__in=keys).values_list("peer_id", flat=True))


def _made_lately(context: RunContext, side: str, object_type: str, keys: Sequence[str]) -> set[str]:
    """Returns the ids of what we made with these keys within the last hour (D20)."""
    rows = Operation.objects.filter(
        connection=side_of(context, side).connection,
        kind=Operation.Kind.CREATE,
        state=Operation.State.CONFIRMED,
        object_type=object_type,
        name_key__in=keys,
        intended_at__gte=context.wiring.now() - OWN_KEPT,
    )
    return set(rows.values_list("target_id", flat=True))


def in_flight(context: RunContext, side: str, keys: Iterable[str]) -> dict[str, str]:
    """Returns key -> the source of a create with it that nobody answered yet."""
    rows = Operation.objects.filter(
        connection=side_of(context, side).connection, kind=Operation.Kind.CREATE, state__in=Operation.OPEN, name_key__in=set(keys)
    )
    return dict(rows.values_list("name_key", "source_ref"))


def holders(context: RunContext, side: str, ids: Iterable[str]) -> dict[str, str]:
    """Returns id of a record of `side` -> id of the record of the other side that it is bound to."""
    names = ("crm_id", "peer_id") if side == "crm" else ("peer_id", "crm_id")
    rows = Binding.objects.filter(sync_pass=context.sync_pass, is_tombstone=False, **{f"{names[0]}__in": set(ids)})
    return dict(rows.values_list(*names))


# --- users ----------------------------------------------------------------------------------------------------------


def user_pairs(context: RunContext, crm: Iterable[Record], peer: Iterable[Record]) -> dict[str, str]:
    """Returns id of a CRM user -> id of the peer's user who is the same person, for the owners of these records (C34). Who
    is not known yet is looked up by e-mail, once a day; what staff chose stands above it."""
    rules = [r for t in context.terms.types for r in t.mapping.rules if r.transform == USER_PAIR]
    if not rules:
        return {}
    crm_ids = {str(v) for record in crm for r in rules if not is_blank(v := record.fields.get(r.crm))}
    peer_ids = {str(v) for record in peer for r in rules if not is_blank(v := record.fields.get(r.peer))}
    rows = UserPair.objects.filter(sync_pass=context.sync_pass)
    since = context.wiring.now() - USERS_KEPT
    fresh = [p for p in rows if p.how == UserPair.How.STAFF or p.read_at >= since]
    _look_up(context, "crm", crm_ids - {p.crm_user_id for p in fresh})
    _look_up(context, "peer", peer_ids - {p.peer_user_id for p in fresh})
    return dict(rows.exclude(crm_user_id="").exclude(peer_user_id="").values_list("crm_user_id", "peer_user_id"))


def pairs_of_peer_users(context: RunContext, ids: set[str]) -> dict[str, str]:
    """Returns id of a user of the peer -> id of the CRM user who is the same person. Who is not known yet is looked up by e-mail,
    once a day; what staff chose stands above it."""
    rows = UserPair.objects.filter(sync_pass=context.sync_pass, peer_user_id__in=ids)
    since = context.wiring.now() - USERS_KEPT
    _look_up(context, "peer", ids - {p.peer_user_id for p in rows if p.how == UserPair.How.STAFF or p.read_at >= since})
    return dict(rows.exclude(crm_user_id="").values_list("peer_user_id", "crm_user_id"))


def _look_up(context: RunContext, side: str, ids: set[str]) -> None:
    """Finds the counterparts of these users by e-mail and keeps the pairs; who has none is remembered as that."""
    if not ids:
        return
    own = {str(u.ref.id): u for u in _users(context, side, ids)}
    mails = {id_: str(_mail(u) or "").strip() for id_, u in own.items()}
    wanted = sorted({form for mail in mails.values() if mail for form in (mail, mail.casefold())})
    other = "peer" if side == "crm" else "crm"
    theirs = {str(_mail(u) or "").strip().casefold(): u for u in _users_with(context, other, wanted)} if wanted else {}
    for id_ in sorted(ids):
        user = own.get(id_)
        match = theirs.get(mails.get(id_, "").casefold()) if mails.get(id_) else None
        _keep(context, side, id_, _name(user), match.ref.id if match else "", _name(match))


def _users(context: RunContext, side: str, ids: set[str]) -> list[Record]:
    connector = side_of(context, side).connector
    return connector.read(CRM_USER if side == "crm" else PEER_USER, sorted(ids), _user_columns(side))


def _users_with(context: RunContext, side: str, mails: list[str]) -> list[Record]:
    connector = side_of(context, side).connector
    field = "Email" if side == "crm" else "email"
    return connector.find(CRM_USER if side == "crm" else PEER_USER, field, mails, _user_columns(side))


def _user_columns(side: str) -> list[str]:
    return ["Email", "Name"] if side == "crm" else ["email", "username"]


def _mail(user: Record) -> Any:
    return user.fields.get("Email") or user.fields.get("email")


def _name(user: Record | None) -> str:
    return str((user.fields.get("Name") or user.fields.get("username") or "") if user is not None else "")[:255]


def _keep(context: RunContext, side: str, own_id: str, own_name: str, other_id: str, other_name: str) -> None:
    rows, now = UserPair.objects.filter(sync_pass=context.sync_pass), context.wiring.now()
    mine, theirs = ("crm", "peer") if side == "crm" else ("peer", "crm")
    values: Mapping[str, Any] = {f"{mine}_name": own_name, "read_at": now}
    if other_id:  # each may have been remembered alone, before their addresses became the same
        rows.filter(**{f"{theirs}_user_id": other_id, f"{mine}_user_id": ""}).exclude(how=UserPair.How.STAFF).delete()
    if other_id and not rows.filter(**{f"{theirs}_user_id": other_id}).exclude(**{f"{mine}_user_id": own_id}).exists():
        values = {**values, f"{theirs}_user_id": other_id, f"{theirs}_name": other_name}
    row = rows.filter(**{f"{mine}_user_id": own_id}).first()
    if row is None:
        UserPair.objects.create(sync_pass=context.sync_pass, **{f"{mine}_user_id": own_id}, **values)
    elif row.how != UserPair.How.STAFF:
        rows.filter(pk=row.pk).update(**values)
