"""The part of a connection's form that is Salesforce's: where people log in, how, and the field that takes our key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.http import HttpRequest

from connectors.salesforce.login import PRODUCTION, TEST, login_address
from connectors.salesforce.scopes import SCOPES
from connectors.salesforce.settings import API_VERSION, EXTERNAL_ID_FIELD
from reconciliation.models import Connection
from reconciliation.models.connection import FLOWS
from reconciliation.services.certificates import MOST_BYTES, CertificateRefused, make_both, pair_read
from reconciliation.services.connections import ConnectionChange, ConnectionRefused
from reconciliation.services.salesforce import LoginHost, SalesforceChange, key_fields

FILES = ("jwt_key_file", "jwt_certificate_file")
HOSTS = (
    ("production", f"Production ({PRODUCTION.removeprefix('https://')})"),
    ("test", f"Sandbox ({TEST.removeprefix('https://')})"),
    ("own", "Own My Domain"),
)


def login_url_of(given: Mapping[str, str]) -> str:
    """Returns where people log in, as the form says; "" where a domain of one's own was chosen and not entered."""
    choice, own = given.get("login_host", ""), given.get("own_domain", "").strip()[:300]
    return login_address(choice) if choice in ("production", "test") else login_address(own) if own else ""


def change_of(given: Mapping[str, str]) -> SalesforceChange:
    """Returns what was entered, the files aside."""
    return SalesforceChange(
        flow=given.get("flow", "")[:40],
        jwt_user=given.get("jwt_user", "").strip()[:200],
        api_version=given.get("api_version", "").strip()[:10],
        external_id_field=given.get("external_id_field", "").strip()[:200],
        integration_users=given.get("integration_users", "").strip()[:2000],
    )


def with_files(change: ConnectionChange, request: HttpRequest) -> ConnectionChange:
    """Returns the change with key and certificate where files were chosen, and as it is for other systems. Raises
    ConnectionRefused."""
    if change.salesforce is not None and not change.base_url:
        raise ConnectionRefused("Enter your own My Domain: in Salesforce, Setup, My Domain shows it as Current My Domain URL.")
    files = [request.FILES[name] for name in FILES if name in request.FILES]
    if change.salesforce is None or not files:
        return change
    try:
        pair = pair_read([file.read(MOST_BYTES + 1) for file in files])
    except CertificateRefused as refusal:
        raise ConnectionRefused(str(refusal)) from None
    return replace(change, salesforce=replace(change.salesforce, pair=pair))


def entered(connection: Connection) -> SalesforceChange:
    """Returns the settings as the form shows them."""
    own = connection.settings
    field = own.get("external_id_field", EXTERNAL_ID_FIELD)
    return SalesforceChange(
        connection.flow,
        str(own.get("jwt_user", "")),
        str(own.get("api_version", API_VERSION)),
        str(field),
        "\n".join(own.get("integration_users") or ()),
    )


def shown(entry: SalesforceChange, login_url: str, connection: Connection | None) -> dict[str, Any]:
    """Returns what the template needs besides what every connection has."""
    return {
        "hosts": HOSTS,
        "host": LoginHost.of(login_url or "https://"),
        "flows": [(flow.value, flow.label) for flow in map(Connection.Flow, FLOWS[Connection.System.SALESFORCE])],
        "own": entry,
        "certificate": connection.settings.get("certificate") if connection else None,
        "has_key": bool(connection and connection.secrets.get("jwt_key")),
        "make_both": make_both("salesforce"),
        "key_fields": key_fields(connection) if connection else [],
        "has_no_key_field": bool(connection) and not entry.external_id_field,
        "scopes": SCOPES,
    }
