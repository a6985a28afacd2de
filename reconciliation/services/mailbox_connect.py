"""The user of a mailbox connects it, where a connection opens none by itself: they consent on the mail system's page, and what
they bring back opens their own mailbox and no other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone

from connectors.errors import ConnectorError, connection_sentence
from connectors.oauth import Tokens
from connectors.registry import Code, MailboxConsent, consent_of
from reconciliation.engine.connections import store_mailbox_tokens
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Connection, Mailbox, SyncPass
from reconciliation.services.audit import audit
from reconciliation.services.oauth import (
    AGAIN,
    OF_MAILBOX,
    ConnectRefused,
    Flow,
    app_for,
    begun,
    known_flow,
    refuse_denial,
    refuse_short_lived,
    refused_code,
)


def can_connect(mailbox: Mailbox) -> bool:
    """Tells whether the mailbox is connected by its user."""
    return mailbox.connection.is_personal


def is_connected(mailbox: Mailbox) -> bool:
    """Tells whether its user connected it, or need not."""
    return not can_connect(mailbox) or bool(mailbox.secrets.get("refresh_token"))


def mailbox_connect_begin(mailbox: Mailbox, by: AbstractBaseUser, redirect_uri: str) -> tuple[str, str, Flow]:
    """Returns the address of the consent page, the state it will bring back, and what to remember under it. Nobody connects the
    mailbox of somebody else. Raises ConnectRefused."""
    connection = mailbox.connection
    _refuse_stranger(mailbox, by)
    if not can_connect(mailbox):
        raise ConnectRefused("This mailbox needs no log-in of its user; an admin connected all of them.")
    app = app_for(connection, redirect_uri)
    if not app.client_id:
        raise ConnectRefused("An admin has to complete the connection first: it has no application id.")
    state, flow = begun(connection, by, redirect_uri, kind=OF_MAILBOX, mailbox_id=mailbox.pk)
    url = _consent(connection).address_of(connection.authorise_base, app, state, flow.verifier, mailbox.address)
    audit(by, "begin to connect mailbox", mailbox.address)
    return url, state, flow


def mailbox_connect_finish(
    remembered: Mapping[str, Any] | None, answer: Mapping[str, str], by: AbstractBaseUser, wiring: Wiring | None = None
) -> Mailbox:
    """Returns the connected mailbox, which is synced as soon as a worker is free. Raises ConnectRefused, keeping the tokens of
    before: also when somebody else's account was chosen on the page."""
    wiring = wiring or Wiring()
    flow, connection = known_flow(remembered, by, OF_MAILBOX)
    mailbox = Mailbox.objects.select_related("connection").filter(pk=flow.mailbox_id, connection=connection).first()
    if mailbox is None:
        raise ConnectRefused("This mailbox is not here any more.")
    _refuse_stranger(mailbox, by)
    refuse_denial(answer)
    tokens = _exchange(connection, flow, answer["code"], wiring)
    refuse_short_lived(tokens, connection.get_system_display())
    _refuse_other_account(mailbox, tokens, wiring)
    with transaction.atomic():
        row = Mailbox.objects.select_for_update().get(pk=mailbox.pk)
        store_mailbox_tokens(row, tokens)
        Mailbox.objects.filter(pk=row.pk).update(failed_runs=0)
        SyncPass.objects.filter(mailbox=row).update(trouble_count=0, next_due_at=timezone.now())
        audit(by, "connect mailbox", row.address, scopes=tokens.scope)
    mailbox.refresh_from_db()
    return mailbox


def _consent(connection: Connection) -> MailboxConsent:
    found = consent_of(connection.system).of_mailbox
    if found is None:
        raise ConnectRefused(f"“{connection}” leads to no mailboxes.")
    return found


def _refuse_stranger(mailbox: Mailbox, by: AbstractBaseUser) -> None:
    if mailbox.user_id != by.pk:
        raise ConnectRefused("Only the user of a mailbox connects it: send them a sign-in link from the mailbox's page.")


def _exchange(connection: Connection, flow: Flow, code: str, wiring: Wiring) -> Tokens:
    own = (connection.secrets, connection.settings, connection.base_url)
    try:
        http = wiring.open_http(connection, base_url=connection.authorise_base)
        http.redact.add(flow.verifier)
        try:
            return _consent(connection).tokens_for(http, Code(code, flow.verifier, flow.redirect_uri, *own, timezone.now()))
        finally:
            http.close()
    except ConnectorError as error:
        raise refused_code(error, connection.get_system_display()) from None


def _refuse_other_account(mailbox: Mailbox, tokens: Tokens, wiring: Wiring) -> None:
    """Raises ConnectRefused unless the consent is of the mailbox's own account: contacts must not go into another one."""
    try:
        connector = wiring.open_connector(mailbox.connection, of_mailbox=tokens)
        try:
            addresses = connector.mailbox(mailbox.address).owner_addresses()  # type: ignore[attr-defined]  # of mail systems alone
        finally:
            connector.close()
    except ConnectorError as error:
        raise ConnectRefused(f"Whose mailbox this is could not be asked: {connection_sentence(error)} {AGAIN}") from None
    if mailbox.address.lower() in addresses:
        return
    whose = f"That account is {addresses[0]}" if addresses else "The mail system does not say whose account that is (tick every box there)"
    raise ConnectRefused(f"{whose}; this mailbox is {mailbox.address}. Choose that account on the page. {AGAIN}")
