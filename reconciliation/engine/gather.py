"""Answers a page's questions in the fewest batched calls: accounts by id and by name, users, markers, people.

Reads only. What it learns of names and users is kept in the local index, so that the next page asks less.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from django.db.models import Q

from connectors.contract import All, Condition, Connector, Op, Record, Test
from reconciliation.core.eligibility import PluginColumns, switched_on
from reconciliation.core.mapping import Mapping
from reconciliation.core.values import is_blank, name_key
from reconciliation.engine import search_index
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Binding, Connection, Operation, PeerName, RemoteUser, SyncPass
from reconciliation.models.bulk import insert_rows
from reconciliation.passes.organisations import ACCOUNT, PERSON, PROSPECT

USERS_KEPT = timedelta(hours=24)
OWN_NAMES_KEPT = timedelta(hours=1)
PROSPECT_FIELDS = ("account", "emails", "name")


def account_columns(peer: Connector, mapping: Mapping) -> list[str]:
    """Returns what is read of an account: the mapped fields, its name and our marker."""
    return list(dict.fromkeys([*mapping.peer_fields, "name", peer.marker_field]))


def accounts_by_id(peer: Connector, mapping: Mapping, ids: Iterable[str]) -> dict[str, Record]:
    """Returns the accounts as they are now (S3.3: both records are compared as they are), by id."""
    wanted = sorted(set(ids))
    return {r.ref.id: r for r in peer.read(ACCOUNT, wanted, account_columns(peer, mapping))} if wanted else {}


def users_by_name(peer: Connector, connection: Connection, names: Iterable[str], wiring: Wiring) -> dict[str, str]:
    """Returns exact username -> user id. One call only for names the 24-hour cache lacks; absence is cached too."""
    wanted = {n for n in names if n}
    if not wanted:
        return {}
    since = wiring.now() - USERS_KEPT
    known = dict(
        RemoteUser.objects.filter(connection=connection, username__in=wanted, read_at__gte=since).values_list("username", "user_id")
    )
    missing = sorted(wanted - known.keys())
    if missing:
        found = {str(u.fields.get("username")): u.ref.id for u in peer.find("user", "username", missing, ["username"])}
        rows = [RemoteUser(connection=connection, username=n[:255], user_id=found.get(n, ""), read_at=wiring.now()) for n in missing]
        RemoteUser.objects.bulk_create(
            rows, update_conflicts=True, unique_fields=["connection", "username"], update_fields=["user_id", "read_at"], batch_size=100
        )
        known.update({n: found.get(n, "") for n in missing})
    return {name: user_id for name, user_id in known.items() if user_id}


def refresh_names(peer: Connector, sync_pass: SyncPass, wiring: Wiring) -> None:
    """Brings the local index of account names up to date: everything at first, then only what changed (D2)."""
    since = sync_pass.names_read_until
    where: Condition = Test("updatedAt", Op.GE, since) if since else Test("updatedAt", Op.GE, None)
    started = None
    for page in peer.scan(ACCOUNT, where=where, columns=["name", peer.marker_field]):
        started = started or page.server_time
        if since is not None:
            search_index.note_renamed_accounts(sync_pass, peer.system, page.records, wiring.now())
        remember_names(sync_pass, page.records, peer.marker_field, wiring)
    sync_pass.names_read_until = started - timedelta(seconds=sync_pass.overlap_seconds)
    SyncPass.objects.filter(pk=sync_pass.pk).update(names_read_until=sync_pass.names_read_until)


def remember_names(sync_pass: SyncPass, accounts: Sequence[Record], marker_field: str, wiring: Wiring) -> None:
    """Stores name and marker of these accounts."""
    rows = {
        a.ref.id: PeerName(
            sync_pass=sync_pass,
            peer_id=a.ref.id,
            name=str(a.fields.get("name") or "")[:255],
            name_key=name_key(a.fields.get("name")),
            marker=str(a.fields.get(marker_field) or "")[:255],
            seen_at=wiring.now(),
        )
        for a in accounts
    }
    insert_rows(list(rows.values()), unique=["sync_pass", "peer_id"], update=["name", "name_key", "marker", "seen_at"])


def accounts_by_name(peer: Connector, sync_pass: SyncPass, mapping: Mapping, names: Sequence[str]) -> dict[str, list[Record]]:
    """Returns normalised name -> the accounts that bear it: from the wire by exact name, and from the local index by
    normalised name, each read afresh so that a deleted or renamed account raises no false duplicate."""
    columns = account_columns(peer, mapping)
    found = {r.ref.id: r for r in peer.find(ACCOUNT, "name", sorted(set(names)), columns)}
    keys = {name_key(n) for n in names}
    local = PeerName.objects.filter(sync_pass=sync_pass, name_key__in=keys).values_list("peer_id", flat=True)
    unseen = [i for i in local if i not in found]
    if unseen:
        found.update({r.ref.id: r for r in peer.read(ACCOUNT, unseen, columns)})
    by_key: dict[str, list[Record]] = {}
    for record in found.values():
        by_key.setdefault(name_key(record.fields.get("name")), []).append(record)
    return by_key


def names_in_flight(connection: Connection, keys: Iterable[str], wiring: Wiring) -> dict[str, list[Operation]]:
    """Returns the creates of the last hour by normalised name, whatever page or run made them (D20, engine-rules 13)."""
    since = wiring.now() - OWN_NAMES_KEPT
    states = [Operation.State.INTENDED, Operation.State.SENT, Operation.State.CONFIRMED]
    rows = Operation.objects.filter(connection=connection, kind=Operation.Kind.CREATE, name_key__in=set(keys), state__in=states)
    by_key: dict[str, list[Operation]] = {}
    for op in rows.filter(Q(state=Operation.State.SENT) | Q(intended_at__gte=since)):
        by_key.setdefault(op.name_key, []).append(op)
    return by_key


def bound_organisations(sync_pass: SyncPass, peer_ids: Iterable[str]) -> dict[str, str]:
    """Returns account id -> id of the organisation it is bound to."""
    rows = Binding.objects.filter(sync_pass=sync_pass, peer_type=ACCOUNT, peer_id__in=set(peer_ids), is_tombstone=False)
    return dict(rows.values_list("peer_id", "crm_id"))


def employed_people(crm: Connector, columns: PluginColumns, organisation_ids: Sequence[str]) -> list[Record]:
    """Returns the people employed by these organisations that may be touched: synced, unflagged (S0.20, rule 14)."""
    wanted = ["name", columns.peer_id, "employer_link", "main_location[email]"]
    return crm.find(PERSON, "employer_link", organisation_ids, wanted, also=All(switched_on(columns)))


def prospects_of(peer: Connector, people: Sequence[Record], columns: PluginColumns) -> dict[str, Record]:
    """Returns person id -> prospect: by the id stored on the person, else the one prospect with that e-mail (D4)."""
    stored = {p.ref.id: str(p.fields.get(columns.peer_id)) for p in people if not is_blank(p.fields.get(columns.peer_id))}
    wanted = sorted({i for i in stored.values() if i.isascii() and i.isdigit()})  # anything else names no prospect
    by_id = {r.ref.id: r for r in peer.read(PROSPECT, wanted, PROSPECT_FIELDS)} if wanted else {}
    found = {person: by_id[prospect] for person, prospect in stored.items() if prospect in by_id}
    mails = {
        p.ref.id: str(p.fields["main_location[email]"]).strip().casefold()
        for p in people
        if p.ref.id not in stored and not is_blank(p.fields.get("main_location[email]"))
    }
    if mails:
        holders: dict[str, list[Record]] = {}
        for record in peer.find(PROSPECT, "emails", sorted(set(mails.values())), PROSPECT_FIELDS):
            addresses = record.fields.get("emails")
            for address in addresses if isinstance(addresses, tuple) else ():
                holders.setdefault(str(address).casefold(), []).append(record)
        found.update({person: holders[mail][0] for person, mail in mails.items() if len(holders.get(mail, ())) == 1})
    return found
