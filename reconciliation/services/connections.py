"""What an admin may do with a connection."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.utils import timezone

from connectors.contract import Check
from connectors.errors import ConnectorError
from connectors.http import HttpClient
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Connection
from reconciliation.services.audit import audit

# What each system's connection needs; shown as fields that can be written and never read.
SECRETS = {"workbooks": ("api_key",), "outreach": ("client_id", "client_secret", "refresh_token", "access_token")}
OBJECTS = {"workbooks": ("organisation", "person"), "outreach": ("account", "prospect")}


class ConnectionRefused(ValueError):
    """A value that a connection must not have; the sentence says why."""


@dataclass(frozen=True, slots=True)
class ConnectionChange:
    """What an admin entered. A secret that is blank keeps its value."""

    name: str
    base_url: str
    page_address_template: str
    settle_seconds: int
    secrets: dict[str, str]


def connection_save(connection: Connection, change: ConnectionChange, by: AbstractBaseUser | None = None) -> None:
    """Stores the change. Raises ConnectionRefused, storing nothing."""
    if not change.name.strip():
        raise ConnectionRefused("A connection needs a name.")
    if not 0 <= change.settle_seconds <= 3600:
        raise ConnectionRefused("The settle time must lie between 0 and 3,600 seconds.")
    if change.page_address_template and "{id}" not in change.page_address_template:
        raise ConnectionRefused("The page address needs {id} where the record's id belongs.")
    if change.page_address_template and not change.page_address_template.startswith(("https://", "http://127.0.0.1")):
        raise ConnectionRefused("The page address must begin with https://.")
    try:
        HttpClient(connection.system, change.base_url, allow_loopback=settings.ALLOW_LOOPBACK).close()
    except ConnectorError as error:
        raise ConnectionRefused(f"The address: {error.detail}.") from None
    known = SECRETS[connection.system]
    secrets = {**connection.secrets, **{k: v for k, v in change.secrets.items() if v and k in known}}
    if {"access_token", "refresh_token"} & {k for k, v in change.secrets.items() if v}:
        secrets.pop("expires_at", None)  # it belonged to the token that was replaced
    Connection.objects.filter(pk=connection.pk).update(
        name=change.name.strip(),
        base_url=change.base_url.rstrip("/"),
        page_address_template=change.page_address_template,
        settle_seconds=change.settle_seconds,
        secrets=secrets,
        state=Connection.State.UNTESTED,
        last_error="",
    )
    shown = {"name": change.name.strip(), "base_url": change.base_url.rstrip("/"), "settle_seconds": change.settle_seconds}
    changed = {n: [getattr(connection, n), value] for n, value in shown.items() if getattr(connection, n) != value}
    replaced = sorted(k for k, v in change.secrets.items() if v and k in known)
    audit(by, "change connection", change.name.strip(), **changed, **({"secrets_replaced": replaced} if replaced else {}))


def connection_test(connection: Connection, *, wiring: Wiring | None = None) -> list[Check]:
    """Returns a line for everything the product needs of this connection, and keeps the schema it describes."""
    wiring = wiring or Wiring()
    try:
        connector = wiring.open_connector(connection)
    except ConnectorError as error:
        lines = [Check("Open the connection", False, f"{error.sentence}. {error.remedy}")]
    else:
        try:
            lines = connector.check()
            if all(line.is_ok for line in lines):
                lines.append(_keep_schema(connection, connector))
        finally:
            connector.close()
    failing = [line for line in lines if not line.is_ok]
    state = Connection.State.NEEDS_ATTENTION if failing else Connection.State.OK
    Connection.objects.filter(pk=connection.pk).update(
        state=state, last_error=failing[0].sentence if failing else "", last_error_at=timezone.now() if failing else None
    )
    return lines


def _keep_schema(connection: Connection, connector) -> Check:
    schemas = {}
    try:
        for object_type in OBJECTS[connection.system]:
            attributes = connector.schema(object_type).attributes
            schemas[object_type] = {
                a.name: {
                    "title": a.title,
                    "type": a.type,
                    "max_length": a.max_length,
                    "is_required": a.is_required,
                    "is_updatable": a.is_updatable,
                }
                for a in attributes.values()
            }
    except ConnectorError as error:
        return Check("Read the field lists", False, f"{error.sentence}. {error.remedy}")
    Connection.objects.filter(pk=connection.pk).update(schema_cache=schemas)
    count = sum(len(s) for s in schemas.values())
    return Check("Read the field lists", True, f"{count} fields known; mappings offer them by name.")
