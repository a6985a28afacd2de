"""Keeps the refresh tokens of connections alive that no pass uses: paused, switched off, or idle."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db.models import Q
from django.utils import timezone

from connectors.errors import ConnectorError, NeedsAttention
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Connection
from reconciliation.services.connections import connection_test

log = logging.getLogger(__name__)
RENEW_AFTER = timedelta(hours=20)  # looked at four times a day, so each is renewed daily


def tokens_keep_alive(wiring: Wiring | None = None) -> dict[str, str]:
    """Renews each refresh token that was not used for a day. Returns what became of each connection by name. A refusal
    is said on the connection; trouble on the way is left to the next time."""
    wiring = wiring or Wiring()
    idle = Q(refresh_used_at=None) | Q(refresh_used_at__lt=timezone.now() - RENEW_AFTER)
    done: dict[str, str] = {}
    for connection in Connection.objects.filter(idle):
        if connection.secrets.get("refresh_token"):
            done[connection.name] = _keep_alive(connection, wiring)
    return done


def _keep_alive(connection: Connection, wiring: Wiring) -> str:
    try:
        connector = wiring.open_connector(connection)
        try:
            connector.keep_alive()
        finally:
            connector.close()
    except NeedsAttention as error:
        # Unless somebody connected it anew while this was tried with the old token.
        Connection.objects.filter(pk=connection.pk, connected_at=connection.connected_at).update(
            state=Connection.State.NEEDS_ATTENTION, last_error=error.sentence, last_error_at=timezone.now()
        )
        return error.sentence
    except ConnectorError as error:
        log.warning("the token of %s was not renewed: %s", connection.name, error.sentence)
        return error.sentence
    if connection.state == Connection.State.NEEDS_ATTENTION:
        connection_test(connection, wiring=wiring)  # access works again: its test says whether that is all it needed
    return "renewed"
