"""Records without owner: look again for their *Assigned To* among the Outreach users, suggest near matches, apply none (D6)."""

from __future__ import annotations

from collections.abc import Iterable

from connectors.contract import Op, Test
from reconciliation.core.values import normalise_name
from reconciliation.engine.context import RunContext
from reconciliation.engine.staff import at_work
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Binding, Connection, RemoteUser, SyncPass
from reconciliation.models.bulk import update_rows
from reconciliation.passes.organisations import ORGANISATION, OWNER

ROWS_A_BATCH = 500


def owners_recheck(sync_pass: SyncPass, by: str, *, wiring: Wiring | None = None) -> int:
    """Reads the Outreach users, a thousand a call, and re-arms the records whose *Assigned To* is a username by now;
    the next run sets their owner. Returns how many. Raises Busy, ConnectorError."""
    rows = Binding.objects.filter(sync_pass=sync_pass, crm_type=ORGANISATION, is_without_owner=True, is_tombstone=False)
    if not rows.exists():
        return 0
    with at_work(sync_pass, by=by, what="Look again for owners of records without one.", only_reads=True, wiring=wiring) as context:
        _read_users(context)
        known = RemoteUser.objects.filter(connection=context.peer.connection).exclude(user_id="").values_list("username", flat=True)
        return _rearm(context, set(known))


def _read_users(context: RunContext) -> None:
    connection, now = context.peer.connection, context.wiring.now()
    for page in context.peer.connector.scan("user", where=Test("updatedAt", Op.GE, None), columns=["username", "email"]):
        users = {
            str(r.fields["username"])[:255]: RemoteUser(
                connection=connection,
                username=str(r.fields["username"])[:255],
                user_id=r.ref.id,
                email=str(r.fields.get("email") or "")[:255],
                read_at=now,
            )
            for r in page.records
            if r.fields.get("username")
        }
        RemoteUser.objects.bulk_create(
            users.values(),
            update_conflicts=True,
            unique_fields=["connection", "username"],
            update_fields=["user_id", "email", "read_at"],
            batch_size=100,
        )


def _rearm(context: RunContext, usernames: set[str]) -> int:
    """Makes the next run compare these records anew: their base forgets the owner, which then counts as changed."""
    columns = [rule.crm for rule in context.terms.mapping.rules if rule.peer == OWNER]
    rows = Binding.objects.filter(sync_pass=context.sync_pass, is_without_owner=True, is_tombstone=False).order_by("pk")
    last, done = 0, 0
    while part := list(rows.filter(pk__gt=last)[:ROWS_A_BATCH]):
        last = part[-1].pk
        found = [row for row in part if row.owner_text in usernames]
        for row in found:
            row.crm_base = {k: v for k, v in row.crm_base.items() if k not in columns}
            row.crm_version, row.is_retry_due = "", True
        update_rows(found, ["crm_base", "crm_version", "is_retry_due"])
        done += len(found)
    return done


def near_matches(connection: Connection, texts: Iterable[str]) -> dict[str, list[str]]:
    """Returns *Assigned To* -> usernames that differ from it by case or blanks only, or whose e-mail it is. Suggestions
    for a person; never applied (S0.25)."""
    wanted = {text: spelling_key(text) for text in set(texts) if text}
    if not wanted:
        return {}
    by_key: dict[str, list[str]] = {}
    users = RemoteUser.objects.filter(connection=connection).exclude(user_id="")
    for username, email in users.values_list("username", "email")[:20_000]:
        keys = {spelling_key(username), normalise_name(email), normalise_name(email.split("@")[0].replace(".", " "))}
        for key in keys - {""}:
            by_key.setdefault(key, []).append(username)
    return {text: sorted(set(by_key.get(key, []))) for text, key in wanted.items() if by_key.get(key)}


def spelling_key(text: str) -> str:
    """Returns what two spellings of one person share: "Jane_Doe", "jane doe" and "JANE  DOE" have one key."""
    return normalise_name(text.replace("_", " ").replace(".", " ") if "@" not in text else text)
