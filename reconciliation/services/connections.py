"""What an admin may do with a connection."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone

from connectors.contract import Check
from connectors.errors import ConnectorError, connection_sentence
from connectors.http import HttpClient
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Connection, SyncPass
from reconciliation.services.audit import audit
from reconciliation.services.fields import fields_find
from reconciliation.services.schemas import schemas_read

# What each system's connection needs; shown as fields that can be written and never read.
SECRETS = {"workbooks": ("api_key",), "outreach": ("client_id", "client_secret", "refresh_token", "access_token")}


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
    _check(connection, change)
    known = SECRETS[connection.system]
    given = {k: v for k, v in change.secrets.items() if v and k in known}
    with transaction.atomic():
        row = Connection.objects.select_for_update().get(pk=connection.pk)  # a token may be rotated at this moment
        if _host(change.base_url) != _host(row.base_url) and (missing := [k for k in known if row.secrets.get(k) and k not in given]):
            names = ", ".join(name.replace("_", " ") for name in missing)
            raise ConnectionRefused(
                f"The address names another host. Secrets are never sent to a host they were not given for: enter {names} anew."
            )
        before = {n: getattr(row, n) for n in ("name", "base_url", "page_address_template", "settle_seconds")}
        row.name, row.base_url = change.name.strip(), change.base_url.rstrip("/")
        row.page_address_template, row.settle_seconds = change.page_address_template, change.settle_seconds
        row.state, row.last_error = Connection.State.UNTESTED, ""
        row.secrets = {**row.secrets, **given}
        if {"access_token", "refresh_token"} & given.keys():
            row.secrets.pop("expires_at", None)  # it belonged to the token that was replaced
        row.save(update_fields=[*before, "state", "last_error", *(["secrets"] if given else [])])
        changed = {n: [old, getattr(row, n)] for n, old in before.items() if old != getattr(row, n)}
        audit(by, "change connection", row.name, **changed, **({"secrets_replaced": sorted(given)} if given else {}))


def _check(connection: Connection, change: ConnectionChange) -> None:
    if not change.name.strip():
        raise ConnectionRefused("A connection needs a name.")
    if Connection.objects.filter(name=change.name.strip()).exclude(pk=connection.pk).exists():
        raise ConnectionRefused("Another connection has this name.")
    if not 0 <= change.settle_seconds <= 3600:
        raise ConnectionRefused("The settle time must lie between 0 and 3,600 seconds.")
    if change.page_address_template and "{id}" not in change.page_address_template:
        raise ConnectionRefused("The page address needs {id} where the record's id belongs.")
    if change.page_address_template:
        _check_address("The page address", connection.system, change.page_address_template.replace("{id}", "1").replace("{object}", "x"))
    _check_address("The address", connection.system, change.base_url)
    if not is_allowed_host(connection.system, _host(change.base_url)):
        hosts = ", ".join(settings.SYSTEM_HOSTS[connection.system])
        raise ConnectionRefused(
            f"{connection.get_system_display()} is reached at {hosts}. Another host must be allowed first, with the setting SYSTEM_HOSTS."
        )


def _check_address(what: str, system: str, address: str) -> None:
    """Raises ConnectionRefused for an address that is none, is not https, names a private host, or holds a password."""
    try:
        has_user = bool(urlsplit(address).username or urlsplit(address).password)
        if has_user:
            raise ConnectionRefused(f"{what} must not hold a user name or password; enter secrets in their own fields.")
        HttpClient(system, address, allow_loopback=settings.ALLOW_LOOPBACK).close()
    except ConnectorError as error:
        raise ConnectionRefused(f"{what}: {error.detail}.") from None
    except ConnectionRefused:
        raise
    except ValueError:
        raise ConnectionRefused(f"{what} is not a web address.") from None


def _host(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").lower()
    except ValueError:
        return ""


def is_allowed_host(system: str, host: str) -> bool:
    """Tells whether a connection of the system may name this host: one of SYSTEM_HOSTS, or this machine in demonstrations."""
    if settings.ALLOW_LOOPBACK and host in ("127.0.0.1", "localhost", "::1"):
        return True
    names = settings.SYSTEM_HOSTS[system]
    return any(host.endswith(name[1:]) and host != name[2:] if name.startswith("*.") else host == name for name in names)


def connection_test(connection: Connection, *, wiring: Wiring | None = None) -> list[Check]:
    """Returns a line for everything the product needs of this connection, and keeps the schema it describes."""
    wiring = wiring or Wiring()
    try:
        connector = wiring.open_connector(connection)
    except ConnectorError as error:
        lines = [Check("Open the connection", False, connection_sentence(error))]
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
    try:
        count = schemas_read(connection, connector)
    except ConnectorError as error:
        return Check("Read the field lists", False, connection_sentence(error))
    for sync_pass in SyncPass.objects.select_related("crm").filter(crm=connection):
        fields_find(sync_pass)
    return Check("Read the field lists", True, f"{count} fields known; mappings offer them by name.")
