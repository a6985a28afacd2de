"""Our webhooks at Outreach: switched on and off, looked at daily, and what a delivery wakes.

What is registered stands in the connection's settings under `hooks`, the secret with its other secrets. Making them is no
record's write: it stands in the audit log."""

from __future__ import annotations

import ipaddress
import logging
import secrets as generator
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from connectors.contract import Connector, Hook, KeepsHooks
from connectors.errors import ConnectorError
from connectors.text import clean
from reconciliation.engine import stop
from reconciliation.engine.hosts import LOOPBACK, host_of
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Connection, HookDelivery, SyncPass
from reconciliation.services.audit import audit

log = logging.getLogger(__name__)
HOOKS, HOOK_SECRET = "hooks", "hook_secret"
OBJECTS = ("prospect", "account")
DEBOUNCE_SECONDS, LEAST_DEBOUNCE, MOST_DEBOUNCE = 60, 10, 3600
INSIDE = (".local", ".internal", ".intranet", ".lan", ".home.arpa", ".localhost", ".test", ".invalid")


class HooksRefused(ValueError):
    """The receiver cannot be switched on, or not so; the sentence says why."""


class _Keeper(Connector, KeepsHooks, Protocol):
    """A connector of a system that keeps webhooks."""


# --- where they lead -------------------------------------------------------------------------------------------------
def receiver_address(connection: Connection) -> str:
    """Returns the address that deliveries of this connection come to, "" while the site has none."""
    return f"{settings.SITE_URL}{reverse('outreach_hook', args=[connection.pk])}" if settings.SITE_URL else ""


def receiver_refusal(connection: Connection) -> str:
    """Returns why the receiver cannot be on, "" when it can: Outreach delivers to public https addresses only, and bars
    others for an hour. A sandbox on this machine delivers to this machine."""
    if connection.system != Connection.System.OUTREACH:
        return f"{connection.get_system_display()} tells of no changes by webhook."
    if not settings.SITE_URL:
        return "The setting SITE_URL, the public https address of this site, is not set."
    parts = urlsplit(settings.SITE_URL)
    host = host_of(settings.SITE_URL)
    if host in LOOPBACK:
        is_demonstration = settings.ALLOW_LOOPBACK and host_of(connection.base_url) in LOOPBACK
        return "" if is_demonstration else f"Outreach cannot reach {host}: SITE_URL must be a public https address."
    if parts.scheme != "https":
        return "Outreach delivers by https only; SITE_URL is not https."
    return "" if is_public(host) else f"Outreach cannot reach {host}: SITE_URL must be a public https address."


def is_public(host: str) -> bool:
    """Tells whether the host can be one that others reach, as far as its name says."""
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return "." in host and not host.endswith(INSIDE)


# --- how it is -------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class HooksState:
    """What the page of a connection says of its webhooks. `refusal` is why they cannot be switched on."""

    is_on: bool
    address: str
    refusal: str
    debounce_seconds: int
    registered: tuple[str, ...] = ()
    note: str = ""
    trouble: str = ""
    checked_at: datetime | None = None
    last: HookDelivery | None = None
    waiting: int = 0


def hooks_state(connection: Connection) -> HooksState:
    """Returns what is known here; nobody is asked."""
    own = hooks_of(connection)
    rows = HookDelivery.objects.filter(connection=connection)
    is_on = bool(own.get("is_on"))
    return HooksState(
        is_on=is_on,
        address=receiver_address(connection),
        refusal=receiver_refusal(connection),
        debounce_seconds=debounce_of(own),
        registered=tuple(f"{object_type}s" for object_type in OBJECTS if object_type in own.get("ids", {})),
        note=str(own.get("note") or ""),
        trouble=str(own.get("trouble") or ""),
        checked_at=_instant(own.get("checked_at")),
        last=rows.defer("body").order_by("-pk").first(),
        waiting=rows.filter(state=HookDelivery.State.WAITING).count(),
    )


def hooks_of(connection: Connection) -> Mapping[str, Any]:
    found = (connection.settings or {}).get(HOOKS)
    return found if isinstance(found, dict) else {}


def debounce_of(own: Mapping[str, Any]) -> int:
    return int(own.get("debounce_seconds") or DEBOUNCE_SECONDS)


def _instant(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) and text else None


# --- on and off --------------------------------------------------------------------------------------------------------
def hooks_switch_on(
    connection: Connection, by: AbstractBaseUser | None, *, debounce_seconds: int = DEBOUNCE_SECONDS, wiring: Wiring | None = None
) -> None:
    """Registers the webhooks, or sees to it that they are as they should be. Raises HooksRefused, WritesStopped and
    ConnectorError; a first registration that fails leaves the receiver off."""
    if refusal := receiver_refusal(connection):
        raise HooksRefused(refusal)
    if not LEAST_DEBOUNCE <= debounce_seconds <= MOST_DEBOUNCE:
        raise HooksRefused(f"Passes may be woken every {LEAST_DEBOUNCE} to {MOST_DEBOUNCE:,} seconds.")
    stop.refuse_while_stopped()
    was_on = bool(hooks_of(connection).get("is_on"))
    secret = str(connection.secrets.get(HOOK_SECRET) or "") if was_on else ""
    _store(connection, {"is_on": True, "debounce_seconds": debounce_seconds}, secret or generator.token_urlsafe(32))
    try:
        _register(connection, wiring or Wiring())
    except ConnectorError:
        if not was_on:
            _forget(connection)
        raise
    audit(by, "switch webhooks on", connection.name, address=receiver_address(connection), debounce_seconds=debounce_seconds)


def hooks_switch_off(connection: Connection, by: AbstractBaseUser | None, *, wiring: Wiring | None = None) -> str:
    """Closes the receiver, then removes the webhooks there. Returns "" or what is left there and why. Raises
    WritesStopped."""
    stop.refuse_while_stopped()
    known = dict(hooks_of(connection).get("ids", {}))
    address = str(hooks_of(connection).get("address") or receiver_address(connection))
    _forget(connection)
    audit(by, "switch webhooks off", connection.name)
    try:
        with _opened(connection, wiring or Wiring()) as keeper:
            for id_ in {*known.values(), *(hook.id for hook in keeper.hooks(address))}:
                keeper.drop_hook(id_)
    except ConnectorError as error:
        return f"The receiver is closed, but the webhooks could not be deleted at Outreach: {error.sentence}. Delete them there."
    return ""


def hooks_check(wiring: Wiring | None = None) -> dict[str, str]:
    """Looks at the webhooks of every connection that has them on, and makes anew what Outreach switched off: one that
    could not be delivered for seven days is dead for good. Returns what was done by connection."""
    if stop.stopped():
        return {}
    done: dict[str, str] = {}
    for row in Connection.objects.filter(system=Connection.System.OUTREACH).order_by("pk"):
        if hooks_of(row).get("is_on"):
            try:
                done[row.name] = _register(row, wiring or Wiring()) or "as they should be"
            except ConnectorError as error:
                done[row.name] = error.sentence
                log.warning("the webhooks of %s were not looked at: %s", row.name, error.sentence)
    return done


def _register(connection: Connection, wiring: Wiring) -> str:
    """Sees to it that there is one active webhook of ours per object type, and returns what had to be done, "" for
    nothing. Raises ConnectorError, noting it."""
    connection.refresh_from_db()
    own, address = hooks_of(connection), receiver_address(connection)
    known, secret = dict(own.get("ids", {})), str(connection.secrets.get(HOOK_SECRET) or "")
    try:
        with _opened(connection, wiring) as keeper:
            there = keeper.hooks(address)
            kept = _kept(there, known)
            gone = {id_ for id_ in known.values() if id_ not in {hook.id for hook in there}}
            for id_ in gone if str(own.get("address") or "") != address else ():
                keeper.drop_hook(id_)  # it leads to the address this site had before
            for hook in there:
                if hook.id not in kept.values():
                    keeper.drop_hook(hook.id)
            missing = [object_type for object_type in OBJECTS if object_type not in kept]
            for object_type in missing:
                kept[object_type] = keeper.make_hook(object_type, address, secret).id
                _store(connection, {"ids": dict(kept), "address": address})
    except ConnectorError as error:
        if hooks_of(connection).get("is_on"):
            _store(connection, {"trouble": error.sentence[:300], "checked_at": timezone.now().isoformat()})
        raise
    note = _what_was_done(there, known, missing)
    changes = {"ids": kept, "address": address, "trouble": "", "checked_at": timezone.now().isoformat()}
    _store(connection, {**changes, **({"note": note} if note else {})})
    if note:
        audit(None, "make webhooks anew", connection.name, why=note)
        log.warning("%s: %s", connection.name, note)
    return note


def _kept(there: list[Hook], known: Mapping[str, str]) -> dict[str, str]:
    """Returns those that are as they should be, by object type: made by us with the secret we have, and active."""
    return {h.object_type: h.id for h in there if h.is_active and h.object_type in OBJECTS and known.get(h.object_type) == h.id}


def _what_was_done(there: list[Hook], known: Mapping[str, str], missing: list[str]) -> str:
    """Returns a sentence for people when webhooks that had been registered were made anew."""
    lost = [object_type for object_type in missing if object_type in known]
    if not lost:
        return ""
    said = {hook.object_type: hook.why for hook in there if not hook.is_active}
    why = next((clean(said[t])[0] for t in lost if said.get(t)), "")
    words = f"Outreach had switched off or lost the webhook of {' and '.join(f'{t}s' for t in lost)}{f' ({why})' if why else ''}"
    return f"{words}; it was made anew on {timezone.localtime():%d %B %Y at %H:%M}."[:300]


class _opened:
    """The connector of a row, closed afterwards."""

    def __init__(self, connection: Connection, wiring: Wiring) -> None:
        self._connection, self._wiring = connection, wiring

    def __enter__(self) -> _Keeper:
        self._connector = self._wiring.open_connector(self._connection)
        return cast(_Keeper, self._connector)

    def __exit__(self, *_error: object) -> None:
        self._connector.close()


def _store(connection: Connection, changes: Mapping[str, Any], secret: str = "") -> None:
    """Puts the changes into the row, and into the one in memory: others write its settings at the same time."""
    with transaction.atomic():
        row = Connection.objects.select_for_update().get(pk=connection.pk)
        row.settings = {**row.settings, HOOKS: {**hooks_of(row), **changes}}
        row.secrets = {**row.secrets, HOOK_SECRET: secret} if secret else row.secrets
        row.save(update_fields=["settings", *(["secrets"] if secret else [])])
    connection.settings, connection.secrets = row.settings, row.secrets


def _forget(connection: Connection) -> None:
    with transaction.atomic():
        row = Connection.objects.select_for_update().get(pk=connection.pk)
        row.settings, row.secrets = without_hooks(row.settings), {k: v for k, v in row.secrets.items() if k != HOOK_SECRET}
        row.save(update_fields=["settings", "secrets"])
    connection.settings, connection.secrets = row.settings, row.secrets


def without_hooks(own: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in own.items() if name != HOOKS}


# --- waking ------------------------------------------------------------------------------------------------------------
def wake(connection: Connection, now: datetime) -> bool:
    """Marks the two-way passes of the connection as wanted, at most once in the connection's debounce. Returns whether it
    did. `connection` may be some moments old: the row is asked again before anything is written."""
    if not _is_due(connection, now):
        return False
    with transaction.atomic():
        row = Connection.objects.select_for_update().get(pk=connection.pk)
        if not _is_due(row, now):
            return False
        own = {**hooks_of(row), "woke_at": now.isoformat(), "is_owed": False}
        Connection.objects.filter(pk=row.pk).update(settings={**row.settings, HOOKS: own})
        two_way = SyncPass.objects.whole().filter(peer=row.pk, is_on=True, record_types__isnull=False).values("pk")
        SyncPass.objects.filter(pk__in=list(two_way.values_list("pk", flat=True))).update(run_requested_at=now)
    return True


def wake_later(connection: Connection, told_at: datetime | None, now: datetime) -> bool:
    """Sees to it that a change told of after the last waking wakes the passes too, as soon as the debounce allows. Returns
    whether it did so now."""
    own = hooks_of(connection)
    woke_at = _instant(own.get("woke_at"))
    is_new = told_at is not None and (woke_at is None or told_at > woke_at)
    if not (is_new or own.get("is_owed")):
        return False
    if wake(connection, now):
        return True
    if not own.get("is_owed"):
        _store(connection, {"is_owed": True})
    return False


def _is_due(connection: Connection, now: datetime) -> bool:
    own = hooks_of(connection)
    woke_at = _instant(own.get("woke_at"))
    return woke_at is None or not timedelta(0) <= now - woke_at < timedelta(seconds=debounce_of(own))
