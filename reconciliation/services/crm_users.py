"""Users of the CRM that mailboxes belong to, looked up by address or by id, in few calls however many they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from connectors.contract import Connector, Op, Record, Test
from reconciliation.core.mailbox_people import EMAIL, IS_ACTIVE, USER_COLUMNS
from reconciliation.engine.pair_reads import CRM_USER
from reconciliation.models import Connection, SyncPass
from reconciliation.models.sync_pass import MAILBOX_PASSES

ASKED_BY_NAME = 400  # addresses; beyond that all active users cost fewer calls


def crm_of_mailboxes() -> Connection | None:
    """Returns the connection of the CRM that mailboxes are synced with, None before there is one."""
    row = SyncPass.objects.whole().filter(name__in=MAILBOX_PASSES).select_related("crm").order_by("pk").first()
    return row.crm if row is not None else Connection.objects.filter(system=Connection.System.SALESFORCE).order_by("pk").first()


def users_with(connector: Connector, addresses: Iterable[str]) -> dict[str, list[Record]]:
    """Returns the users of each address, by the address in lower case. Where many are asked for, inactive users are left out.
    Raises ConnectorError."""
    wanted = {address.strip().casefold() for address in addresses}
    found: dict[str, list[Record]] = {}
    for record in _users(connector, sorted(wanted)):
        key = str(record.fields.get(EMAIL) or "").strip().casefold()
        if key in wanted:
            found.setdefault(key, []).append(record)
    return found


def _users(connector: Connector, addresses: Sequence[str]) -> Iterable[Record]:
    if not addresses:
        return
    if len(addresses) <= ASKED_BY_NAME:
        yield from connector.find(CRM_USER, EMAIL, addresses, USER_COLUMNS)
        return
    for page in connector.scan(CRM_USER, where=Test(IS_ACTIVE, Op.EQ, True), columns=USER_COLUMNS):
        yield from page.records


def users_by_id(connector: Connector, ids: Iterable[str]) -> dict[str, Record]:
    """Returns the users by id; those that the CRM does not show are left out. Raises ConnectorError."""
    asked = sorted(set(ids))
    return {record.ref.id: record for record in (connector.read(CRM_USER, asked, USER_COLUMNS) if asked else ())}
