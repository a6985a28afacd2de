"""Connecting by OAuth: a person is sent to the system's consent page and comes back with a code, once.

The flow's memory (state, PKCE verifier, who began it) travels in the session; the tokens are stored, encrypted, before
anything is done with them. Connecting again replaces tokens and nothing else: bindings, cursors and cases stay.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from connectors.contract import Identity
from connectors.errors import ConnectorError, NeedsAttention, RateLimited, connection_sentence
from connectors.oauth import App, Tokens, authorize_url, request_tokens
from connectors.outreach import scopes
from reconciliation.engine.connections import store_tokens
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Binding, Connection, SyncPass
from reconciliation.services.audit import audit
from reconciliation.services.connections import TOKENS, host_of, is_allowed_host

LONGEST = timedelta(minutes=10)
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

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def connect_begin(connection: Connection, by: AbstractBaseUser, redirect_uri: str) -> tuple[str, str, Flow]:
    """Returns the address of the consent page, the state it will bring back, and what to remember under it. Raises
    ConnectRefused."""
    app = _app(connection, redirect_uri)
    if not (app.client_id and app.client_secret):
        raise ConnectRefused("Enter client id and client secret first, then press Connect.")
    if not is_allowed_host(connection.system, host_of(connection.authorise_base)):
        raise ConnectRefused("The log-in address is on no host that SYSTEM_HOSTS allows.")
    state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
    flow = Flow(connection.pk, by.pk, verifier, redirect_uri, timezone.now().isoformat())
    url = authorize_url(connection.authorise_base, app, scope=scopes.ALL, state=state, verifier=verifier)
    audit(by, "begin to connect", connection.name)
    return url, state, flow


# What a log-in changes, and what is put back when it is refused.
GRANTED = ("redirect_uri", "granted_scope")
KEPT = ("connected_at", "connected_by", "state", "last_error", "refresh_used_at", "renewal_begun_at")


def connect_finish(
    remembered: Mapping[str, Any] | None, answer: Mapping[str, str], by: AbstractBaseUser, wiring: Wiring | None = None
) -> tuple[Connection, Identity]:
    """Returns the connected connection and whom the system takes us for. `answer` is what came back with the browser.
    Raises ConnectRefused; the flow is over either way."""
    wiring = wiring or Wiring()
    flow, connection = _known(remembered, by)
    _refuse_denial(answer)
    tokens = _exchange(connection, flow, answer["code"], wiring)
    again = connection.connected_at is not None or bool(connection.secrets.get("refresh_token"))
    with transaction.atomic():  # before their first use
        before = Connection.objects.select_for_update().get(pk=connection.pk)  # a run may have renewed its tokens meanwhile
        store_tokens(
            before,
            tokens,
            settings={"redirect_uri": flow.redirect_uri, "granted_scope": tokens.scope},
            connected_at=timezone.now(),
            connected_by=by.get_username(),
            state=Connection.State.UNTESTED,
            last_error="",
        )
    connection.refresh_from_db()
    identity = _identity(connection, wiring)
    known, said = str(connection.settings.get("organisation", "")), identity.organisation
    if known and known != said and Binding.objects.filter(sync_pass__peer=connection).exists():
        _put_back(before)
        audit(by, "refuse to connect", connection.name, organisation=said or "not said")
        whose = f"That log-in belongs to “{said}”" if said else f"{connection.name} did not say whose log-in that is"
        advice = "" if said else f" {AGAIN}"
        raise ConnectRefused(f"{whose}, but the records linked so far are of “{known}”. Its access was not kept.{advice}")
    with transaction.atomic():
        row = Connection.objects.select_for_update().get(pk=connection.pk)
        own = {**row.settings, **({"organisation": said} if said else {})}
        Connection.objects.filter(pk=row.pk).update(connected_as=str(identity), settings=own)
    waiting = SyncPass.objects.filter(Q(crm=connection) | Q(peer=connection), trouble_count__gt=0)
    waiting.update(trouble_count=0, next_due_at=timezone.now())  # what waited for this goes on at the next tick
    audit(by, "reconnect" if again else "connect", connection.name, connected_as=str(identity), scopes=tokens.scope)
    connection.refresh_from_db()
    return connection, identity


@transaction.atomic
def _put_back(before: Connection) -> None:
    """Restores what the log-in replaced, and leaves what an admin changed since."""
    row = Connection.objects.select_for_update().get(pk=before.pk)
    Connection.objects.filter(pk=row.pk).update(
        secrets=_with(row.secrets, before.secrets, TOKENS),
        settings=_with(row.settings, before.settings, GRANTED),
        **{name: getattr(before, name) for name in KEPT},
    )


def _with(now: Mapping[str, Any], before: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Returns `now` with what `before` held, or did not hold, under these names."""
    return {**{n: v for n, v in now.items() if n not in names}, **{n: before[n] for n in names if n in before}}


def _app(connection: Connection, redirect_uri: str) -> App:
    return App(connection.secrets.get("client_id", ""), connection.secrets.get("client_secret", ""), redirect_uri)


def _known(remembered: Mapping[str, Any] | None, by: AbstractBaseUser) -> tuple[Flow, Connection]:
    """Returns the flow that this person began, and its connection. Raises ConnectRefused."""
    flow = Flow(**remembered) if remembered else None
    connection = Connection.objects.filter(pk=flow.connection_id).first() if flow and flow.user_id == by.pk else None
    if flow is None or connection is None:
        raise ConnectRefused(f"This answer belongs to no log-in that you began here, or it was used already. {AGAIN}")
    if timezone.now() - datetime.fromisoformat(flow.begun_at) > LONGEST:
        raise ConnectRefused(f"The log-in took longer than ten minutes. {AGAIN}")
    return flow, connection


def _refuse_denial(answer: Mapping[str, str]) -> None:
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
            tokens = request_tokens(http, _app(connection, flow.redirect_uri), fields, timezone.now())
        finally:
            http.close()
    except NeedsAttention as error:
        if error.code == "invalid_client":
            raise ConnectRefused(f"{system} does not know this client id and secret. Enter both anew. {AGAIN}") from None
        if error.status in (400, 401, 403):
            said = f"{system} refused the code ({error.code or error.status}); it is good once, and for a short while"
            raise ConnectRefused(f"{said}. {AGAIN}") from None
        raise ConnectRefused(f"{connection_sentence(error)} {AGAIN}") from None
    except RateLimited as error:
        raise ConnectRefused(f"{error.sentence}. {AGAIN}") from None
    except ConnectorError as error:
        raise ConnectRefused(f"{connection_sentence(error)} {AGAIN}") from None
    if not tokens.refresh_token:
        raise ConnectRefused(f"{system} gave access without a refresh token, which would end within hours. {AGAIN}")
    return tokens


def _identity(connection: Connection, wiring: Wiring) -> Identity:
    """Returns whom the system takes us for; unknown where it does not say so just now."""
    try:
        connector = wiring.open_connector(connection)
        try:
            return connector.identity()
        finally:
            connector.close()
    except ConnectorError:
        return Identity()
