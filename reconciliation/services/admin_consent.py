"""An administrator's consent to our app for all mailboxes of an organisation, as Microsoft has it: we lead to the page, and hear
of the answer where log-ins come back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone

from connectors.registry import consent_of
from reconciliation.models import Connection
from reconciliation.services.audit import audit
from reconciliation.services.oauth import ADMIN_CONSENT, AGAIN, ConnectRefused, Flow, app_for, begun, known_flow

SHORT_LIVED = ("access_token", "expires_at")
_GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def has_admin_consent(connection: Connection) -> bool:
    """Tells whether an administrator lets the app of this connection into all mailboxes at once, on a page of the system's."""
    return connection.system == Connection.System.MICROSOFT and not connection.is_personal


def admin_consent_link(connection: Connection, redirect_uri: str) -> str:
    """Returns the address of the page for an administrator who is nobody here: what they bring back is told by nobody, and the
    connection's test says whether they consented. "" as long as the app is not known."""
    try:
        return _address(connection, redirect_uri, "") if has_admin_consent(connection) else ""
    except ConnectRefused:
        return ""


def _address(connection: Connection, redirect_uri: str, state: str) -> str:
    app, leads = app_for(connection, redirect_uri), consent_of(connection.system).admin_address
    if not app.client_id or leads is None:
        raise ConnectRefused("Enter the application id first, then ask for consent.")
    return leads(connection.authorise_base, app, state)


def admin_consent_begin(connection: Connection, by: AbstractBaseUser, redirect_uri: str) -> tuple[str, str, Flow]:
    """Returns the address of the administrator's page, the state it will bring back, and what to remember under it. Raises
    ConnectRefused."""
    if not has_admin_consent(connection):
        raise ConnectRefused(f"“{connection}” is not let into all mailboxes on a page of consent.")
    state, flow = begun(connection, by, redirect_uri, kind=ADMIN_CONSENT)
    url = _address(connection, redirect_uri, state)
    audit(by, "begin to ask for admin consent", connection.name)
    return url, state, flow


def admin_consent_finish(remembered: Mapping[str, Any] | None, answer: Mapping[str, str], by: AbstractBaseUser) -> Connection:
    """Returns the connection that an administrator consented to; its next call asks for a token that knows of it. Raises
    ConnectRefused; the flow is over either way."""
    _, connection = known_flow(remembered, by, ADMIN_CONSENT)
    error = answer.get("error", "")
    if error in ("access_denied", "consent_required") or (not error and answer.get("admin_consent", "").lower() != "true"):
        audit(by, "refused admin consent", connection.name)
        raise ConnectRefused(
            f"The administrator did not consent: the app was let into no mailbox. An account that may consent for the whole "
            f"organisation is needed (Cloud Application Administrator or higher). {AGAIN.replace('Connect', 'Ask for consent')}"
        )
    if error:
        raise ConnectRefused(
            f"Microsoft refused to ask for consent ({error[:60]}). Compare application id and redirect URI with those registered there."
        )
    ours, theirs = str(connection.settings.get("tenant", "")), answer.get("tenant", "")
    if _GUID.fullmatch(ours) and _GUID.fullmatch(theirs) and ours.lower() != theirs.lower():
        raise ConnectRefused(f"The consent was given for another organisation ({theirs}) than this connection's ({ours}).")
    with transaction.atomic():
        row = Connection.objects.select_for_update().get(pk=connection.pk)
        own = {**row.settings, "consented_at": timezone.now().isoformat(timespec="seconds"), "consented_by": by.get_username()}
        secrets = {k: v for k, v in row.secrets.items() if k not in SHORT_LIVED}  # a token tells what was granted when it was made
        Connection.objects.filter(pk=row.pk).update(settings=own, secrets=secrets)
        audit(by, "admin consent", row.name, tenant=theirs)
    connection.refresh_from_db()
    return connection
