"""Connecting by OAuth: a person is sent to the system's consent page and comes back with a code, once.

The flow's memory (state, PKCE verifier, who began it) travels in the session; the tokens are stored, encrypted and apart,
before anything is done with them, and taken once it is known whose they are. Connecting again replaces tokens and nothing
else: bindings, cursors and cases stay.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from connectors.contract import Identity
from connectors.errors import ConnectorError, NeedsAttention, RateLimited, connection_sentence
from connectors.oauth import App, Tokens, authorize_url, request_tokens
from connectors.registry import consent_of
from reconciliation.engine.connections import CandidateTokens, store_candidate, store_tokens
from reconciliation.engine.hosts import host_of, is_allowed_host
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Binding, Connection, SyncPass
from reconciliation.services.audit import audit

LONGEST = timedelta(minutes=10)
CONNECTING, ADMIN_CONSENT, OF_MAILBOX = "connecting", "admin consent", "mailbox"  # what a person went away for
AGAIN = "Nothing was changed; press Connect to try again."


class ConnectRefused(ValueError):
    """Connecting came to nothing; the sentence says why. The connection is as it was."""


@dataclass(frozen=True, slots=True)
class Flow:
    """One log-in under way, as the session keeps it under its state."""

    connection_id: int
    user_id: int
    verifier: str
    redirect_uri: str
    begun_at: str
    kind: str = CONNECTING
    mailbox_id: int = 0  # whose user connects it; 0: it is the connection's own log-in

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def connect_begin(connection: Connection, by: AbstractBaseUser, redirect_uri: str) -> tuple[str, str, Flow]:
    """Returns the address of the consent page, the state it will bring back, and what to remember under it. Raises
    ConnectRefused."""
    if not connection.needs_consent:
        raise ConnectRefused(f"“{connection}” needs no log-in in the browser; its test says whether it works.")
    app, needs_secret = app_for(connection, redirect_uri), consent_of(connection.system).needs_secret
    if not app.client_id or needs_secret and not app.client_secret:
        raise ConnectRefused(f"Enter client id {'and client secret ' if needs_secret else ''}first, then press Connect.")
    state, flow = begun(connection, by, redirect_uri)
    verifier = flow.verifier
    url = authorize_url(connection.authorise_base, app, scope=consent_of(connection.system).scope, state=state, verifier=verifier)
    audit(by, "begin to connect", connection.name)
    return url, state, flow


def begun(
    connection: Connection, by: AbstractBaseUser, redirect_uri: str, *, kind: str = CONNECTING, mailbox_id: int = 0
) -> tuple[str, Flow]:
    """Returns the state that a log-in brings back, and what to remember under it. Raises ConnectRefused where the log-in page is on
    a host that nobody allowed."""
    if not is_allowed_host(connection.system, host_of(connection.authorise_base)):
        raise ConnectRefused("The log-in address is on no host that SYSTEM_HOSTS allows.")
    state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
    return state, Flow(connection.pk, by.pk, verifier, redirect_uri, timezone.now().isoformat(), kind, mailbox_id)


def connect_finish(
    remembered: Mapping[str, Any] | None, answer: Mapping[str, str], by: AbstractBaseUser, wiring: Wiring | None = None
) -> tuple[Connection, Identity]:
    """Returns the connected connection and whom the system takes us for. `answer` is what came back with the browser.
    Raises ConnectRefused; the flow is over either way."""
    wiring = wiring or Wiring()
    flow, connection = known_flow(remembered, by, CONNECTING)
    refuse_denial(answer)
    tokens = _exchange(connection, flow, answer["code"], wiring)
    with transaction.atomic():  # before their first use, and apart: no run works with them before we know whose they are
        store_candidate(Connection.objects.select_for_update().get(pk=connection.pk), tokens)
    identity = _identity(connection, wiring)
    with transaction.atomic():
        row = Connection.objects.select_for_update().get(pk=connection.pk)  # an admin may have changed it meanwhile
        refusal = _refuse_others(row, identity)
        if refusal:
            store_candidate(row, None)
            audit(by, "refuse to connect", row.name, organisation=identity.organisation or "not said")
        else:
            _take(row, flow, tokens, identity, by)
    if refusal:
        raise ConnectRefused(refusal)
    connection.refresh_from_db()
    return connection, identity


def _refuse_others(connection: Connection, identity: Identity) -> str:
    """Returns why a log-in is not taken: the records linked so far are another organisation's. "" when it is."""
    known, said = str(connection.settings.get("organisation", "")), identity.organisation
    known_id, said_id = str(connection.settings.get("organisation_id", "")), identity.organisation_id
    is_same = known_id == said_id if known_id and said_id else known == said  # names and addresses may be changed
    linked = Binding.objects.filter(Q(sync_pass__crm=connection) | Q(sync_pass__peer=connection))
    if not known or is_same or not linked.exists():
        return ""
    whose = f"That log-in belongs to “{said}”" if said else f"{connection.name} did not say whose log-in that is"
    advice = "" if said else f" {AGAIN}"
    return f"{whose}, but the records linked so far are of “{known}”. Its access was not kept.{advice}"


def _take(row: Connection, flow: Flow, tokens: Tokens, identity: Identity, by: AbstractBaseUser) -> None:
    again = row.connected_at is not None or bool(row.secrets.get("refresh_token"))
    stored = CandidateTokens(row.pk).load()  # renewed since, if it lasted
    own = {"redirect_uri": flow.redirect_uri, "granted_scope": tokens.scope}
    whose = {"organisation": identity.organisation, "organisation_id": identity.organisation_id}
    store_tokens(
        row,
        replace(stored, scope=tokens.scope),
        settings=own | {name: said for name, said in whose.items() if said},
        connected_at=timezone.now(),
        connected_by=by.get_username(),
        connected_as=str(identity),
        state=Connection.State.UNTESTED,
        last_error="",
    )
    waiting = SyncPass.objects.filter(Q(crm=row) | Q(peer=row), trouble_count__gt=0)
    waiting.update(trouble_count=0, next_due_at=timezone.now())  # what waited for this goes on at the next tick
    audit(by, "reconnect" if again else "connect", row.name, connected_as=str(identity), scopes=tokens.scope)


def app_for(connection: Connection, redirect_uri: str) -> App:
    """Returns our registration with the system; Microsoft's tenant stands among the settings. Raises ConnectRefused."""
    tenant = {"tenant": connection.settings["tenant"]} if connection.settings.get("tenant") else {}
    try:
        return consent_of(connection.system).app_of({**connection.secrets, **tenant}, redirect_uri)
    except NeedsAttention as error:
        raise ConnectRefused(f"{error.sentence}.") from None


def known_flow(remembered: Mapping[str, Any] | None, by: AbstractBaseUser, kind: str) -> tuple[Flow, Connection]:
    """Returns the flow of this kind that this person began, and its connection. Raises ConnectRefused."""
    flow = Flow(**remembered) if remembered else None
    is_theirs = flow is not None and flow.user_id == by.pk and flow.kind == kind
    connection = Connection.objects.filter(pk=flow.connection_id).first() if flow is not None and is_theirs else None
    if flow is None or connection is None:
        raise ConnectRefused(f"This answer belongs to no log-in that you began here, or it was used already. {AGAIN}")
    if timezone.now() - datetime.fromisoformat(flow.begun_at) > LONGEST:
        raise ConnectRefused(f"The log-in took longer than ten minutes. {AGAIN}")
    return flow, connection


def refuse_denial(answer: Mapping[str, str]) -> None:
    """Raises ConnectRefused for an answer that brings no code."""
    error = answer.get("error", "")
    if error == "access_denied":
        raise ConnectRefused(f"Access was denied on the system's page. {AGAIN}")
    if error:
        raise ConnectRefused(
            f"The system refused the log-in ({error[:60]}). Compare redirect URI and scopes with those registered there. {AGAIN}"
        )
    if not answer.get("code"):
        raise ConnectRefused(f"The system sent no code. {AGAIN}")


def _exchange(connection: Connection, flow: Flow, code: str, wiring: Wiring) -> Tokens:
    """Returns the tokens for the code. Raises ConnectRefused."""
    fields = {"grant_type": "authorization_code", "code": code, "code_verifier": flow.verifier}
    system = connection.get_system_display()
    try:
        http = wiring.open_http(connection, base_url=connection.authorise_base)
        http.redact.add(flow.verifier)
        try:
            tokens = request_tokens(http, app_for(connection, flow.redirect_uri), fields, timezone.now())
        finally:
            http.close()
    except ConnectorError as error:
        raise refused_code(error, system) from None
    refuse_short_lived(tokens, system)
    return tokens


def refused_code(error: ConnectorError, system: str) -> ConnectRefused:
    """Returns what it means that a code was not redeemed, in words for the person who came back with it."""
    if isinstance(error, NeedsAttention):
        if error.code in ("invalid_client", "invalid_client_id"):
            return ConnectRefused(f"{system} does not know this client id and secret. Enter both anew. {AGAIN}")
        if error.status in (400, 401, 403):
            said = f"{system} refused the code ({error.code or error.status}); it is good once, and for a short while"
            return ConnectRefused(f"{said}. {AGAIN}")
        return ConnectRefused(f"{connection_sentence(error)} {AGAIN}")
    if isinstance(error, RateLimited):
        return ConnectRefused(f"{error.sentence}. {AGAIN}")
    return ConnectRefused(f"{connection_sentence(error)} {AGAIN}")


def refuse_short_lived(tokens: Tokens, system: str) -> None:
    """Raises ConnectRefused for access that ends before anybody would connect again."""
    if not tokens.refresh_token:
        raise ConnectRefused(f"{system} gave access without a refresh token, which would end within hours. {AGAIN}")


def _identity(connection: Connection, wiring: Wiring) -> Identity:
    """Returns whom the system takes us for; unknown where it does not say so just now."""
    try:
        connector = wiring.open_connector(connection, is_candidate=True)
        try:
            return connector.identity()
        finally:
            connector.close()
    except ConnectorError:
        return Identity()
