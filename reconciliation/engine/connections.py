"""Opens the connector of a connection row: address, secrets, tokens with their one-refresher lock."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import requests
from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from connectors import registry
from connectors.contract import Attribute, Connector, Schema
from connectors.errors import NeedsAttention
from connectors.http import HttpClient
from connectors.oauth import Tokens
from connectors.registry import Access
from reconciliation.engine.hosts import host_of, is_allowed_host
from reconciliation.engine.threads import spread
from reconciliation.models import Connection, Mailbox

CANDIDATE = "candidate"  # in the secrets: tokens of a log-in that was not taken yet
PARTS = "parts"  # in the secrets of a mailbox: tokens of its calendar and the like, where each is a token of its own
NO_SECRETS = ("expires_at", "address", "identity", "scope")  # what stands with the tokens, and may be shown
LOCK_TRIES, LOCK_PAUSE_SECONDS = 50, 0.1  # most renewals take less
TOKEN_LOCK_SECONDS = 150  # longer than a refresh can take: connecting, answering, and a slow body


Sleep = Callable[[float], None]


class RowTokens(ABC):
    """Tokens in the encrypted column of a row, of a connection or of one of its mailboxes; one refresher at a time over all
    processes."""

    def __init__(self, rows: QuerySet[Any], db_now: Callable[[], Any] = Now, sleep: Sleep = time.sleep) -> None:
        self._rows, self._db_now, self._sleep = rows, db_now, sleep
        self._rests_on = ""

    def load(self) -> Tokens:
        secrets = self._rows.get().secrets
        self._rests_on = secrets.get("refresh_token", "")
        return self._found_in(secrets)

    def _found_in(self, secrets: Mapping[str, Any]) -> Tokens:
        return _tokens_in(secrets)

    def begin(self) -> bool:
        return not self._rows.filter(renewal_begun_at=None).update(renewal_begun_at=timezone.now())

    def settle(self) -> None:
        self._rows.update(renewal_begun_at=None)

    def save(self, tokens: Tokens) -> None:
        """As the protocol says; tokens that somebody connected with meanwhile stay, for ours are of the older consent."""
        with transaction.atomic():
            row = self._rows.select_for_update().get()
            if row.secrets.get("refresh_token", "") == self._rests_on:
                self._store(row, tokens)

    @abstractmethod
    def _store(self, row: Any, tokens: Tokens) -> None: ...

    def _take(self) -> bool:
        now = self._db_now()
        free = Q(token_lock_until__isnull=True) | Q(token_lock_until__lt=now)
        return bool(self._rows.filter(free).update(token_lock_until=now + timedelta(seconds=TOKEN_LOCK_SECONDS)))

    @contextmanager
    def lock(self) -> Iterator[bool]:
        """As the protocol says. Runs over many mailboxes share one token and meet its end together: each waits a moment for the
        one that renews, and then finds what that one stored."""
        won, tries = self._take(), 0
        while not won and tries < LOCK_TRIES:
            self._sleep(LOCK_PAUSE_SECONDS)
            won, tries = self._take(), tries + 1
        until = self._rows.values_list("token_lock_until", flat=True).get() if won else None
        try:
            yield bool(won)
        finally:
            if won:  # only our own lock: ours may have ended, and a successor's begun
                self._rows.filter(token_lock_until=until).update(token_lock_until=None)


class ConnectionTokens(RowTokens):
    """The tokens of one connection."""

    def __init__(self, connection_id: int, db_now: Callable[[], Any] = Now, sleep: Sleep = time.sleep) -> None:
        super().__init__(Connection.objects.filter(pk=connection_id), db_now, sleep)
        self._id = connection_id

    def _store(self, row: Connection, tokens: Tokens) -> None:
        store_tokens(row, tokens)


class MailboxTokens(RowTokens):
    """The tokens of one mailbox, or those of one part of it."""

    def __init__(self, mailbox_id: int, db_now: Callable[[], Any] = Now, sleep: Sleep = time.sleep, *, part: str = "") -> None:
        super().__init__(Mailbox.objects.filter(pk=mailbox_id), db_now, sleep)
        self._part = part

    def _found_in(self, secrets: Mapping[str, Any]) -> Tokens:
        return _tokens_in(secrets.get(PARTS, {}).get(self._part, {}) if self._part else secrets)

    def _store(self, row: Mailbox, tokens: Tokens) -> None:
        store_mailbox_tokens(row, tokens, part=self._part)


class PassingTokens:
    """Tokens of an address that is no mailbox here yet, as while it is tested, or of a consent that was not taken yet: they are
    kept no longer than the connector."""

    def __init__(self, tokens: Tokens | None = None) -> None:
        self._tokens = tokens or Tokens("")

    def load(self) -> Tokens:
        return self._tokens

    def begin(self) -> bool:
        return False

    def settle(self) -> None:
        """Nothing was noted."""

    def save(self, tokens: Tokens) -> None:
        self._tokens = tokens

    @contextmanager
    def lock(self) -> Iterator[bool]:
        yield True


def mailbox_tokens(
    connection_id: int, address: str, db_now: Callable[[], Any] = Now, sleep: Sleep = time.sleep, *, part: str = ""
) -> MailboxTokens | PassingTokens:
    """Returns where the tokens of a mailbox are kept, or those of one part of it."""
    key = Mailbox.objects.filter(connection=connection_id, address__iexact=address).values_list("pk", flat=True).first()
    return PassingTokens() if key is None else MailboxTokens(key, db_now, sleep, part=part)


class CandidateTokens(ConnectionTokens):
    """Tokens of a log-in that was not taken yet: stored apart, so that no run works with them before it is known whose
    they are. They are fresh, and have one user."""

    def load(self) -> Tokens:
        return _tokens_in(Connection.objects.get(pk=self._id).secrets.get(CANDIDATE, {}))

    def begin(self) -> bool:
        return False

    def settle(self) -> None:
        """Nothing was noted."""

    def save(self, tokens: Tokens) -> None:
        with transaction.atomic():
            row = Connection.objects.select_for_update().get(pk=self._id)
            store_candidate(row, tokens)

    @contextmanager
    def lock(self) -> Iterator[bool]:
        yield True


def store_candidate(row: Connection, tokens: Tokens | None) -> None:
    """Keeps the tokens apart, or forgets those that were kept; the caller has locked the row."""
    others = {k: v for k, v in row.secrets.items() if k != CANDIDATE}
    Connection.objects.filter(pk=row.pk).update(secrets=others | ({CANDIDATE: _secrets_of(tokens)} if tokens is not None else {}))


def _secrets_of(tokens: Tokens) -> dict[str, str]:
    expires_at = tokens.expires_at.astimezone(UTC).isoformat() if tokens.expires_at else ""
    said = {"address": tokens.address, "identity": tokens.identity}  # where a system names them with its tokens
    own = {"access_token": tokens.access_token, "refresh_token": tokens.refresh_token, "expires_at": expires_at}
    return own | {name: value for name, value in said.items() if value}


def _tokens_in(secrets: Mapping[str, Any]) -> Tokens:
    expires_at = datetime.fromisoformat(secrets["expires_at"]) if secrets.get("expires_at") else None
    return Tokens(
        secrets.get("access_token", ""),
        secrets.get("refresh_token", ""),
        expires_at,
        scope=secrets.get("scope", ""),
        address=secrets.get("address", ""),
        identity=secrets.get("identity", ""),
    )


def store_mailbox_tokens(row: Mailbox, tokens: Tokens, *, part: str = "") -> None:
    """Puts tokens into the row of a mailbox that the caller has locked. Of one whose sync was ended meanwhile none are kept."""
    if row.is_ended:
        return
    own = {**_secrets_of(tokens), "scope": tokens.scope}  # which of the scopes its user ticked
    secrets = {**row.secrets, **({PARTS: {**row.secrets.get(PARTS, {}), part: own}} if part else own)}
    Mailbox.objects.filter(pk=row.pk).update(secrets=secrets, refresh_used_at=timezone.now(), renewal_begun_at=None)


def forget_mailbox_tokens(connection: Connection) -> None:
    """Forgets the tokens of all mailboxes of a connection: they are of another app, user or host than it is now."""
    Mailbox.objects.filter(connection=connection).update(secrets={}, refresh_used_at=None, renewal_begun_at=None)


def store_tokens(row: Connection, tokens: Tokens, **changes: Any) -> None:
    """Puts tokens into a row that the caller has locked; nothing of it was used yet."""
    secrets = {k: v for k, v in row.secrets.items() if k != CANDIDATE} | _secrets_of(tokens)
    own = {**row.settings, "granted_scope": tokens.scope} if tokens.scope else row.settings
    own = {**own, **changes.pop("settings", {})}
    fields = {"secrets": secrets, "settings": own, "refresh_used_at": timezone.now(), "renewal_begun_at": None, **changes}
    Connection.objects.filter(pk=row.pk).update(**fields)


def open_http(
    connection: Connection,
    *,
    base_url: str = "",
    before_send: Callable[[float], None] | None = None,
    adapter: requests.adapters.BaseAdapter | None = None,
    **options: Any,
) -> HttpClient:
    """Returns a client of the row's address, or of another one of its system. Raises NeedsAttention when that address
    cannot be used."""
    own, address = connection.settings or {}, base_url or connection.base_url
    if not is_allowed_host(connection.system, host_of(address)):  # SYSTEM_HOSTS may have been narrowed since it was entered
        sentence = f"leads to {host_of(address)}, which the setting SYSTEM_HOSTS does not allow"
        raise NeedsAttention(sentence, system=connection.system)
    return HttpClient(
        connection.system,
        address,
        secrets=[v for k, v in (connection.secrets or {}).items() if isinstance(v, str) and k not in NO_SECRETS],
        allow_loopback=settings.ALLOW_LOOPBACK,
        allow_private=bool(own.get("allow_private")),
        least_tls=str(own.get("least_tls", "1.3")),
        own_authorities=str(own.get("authorities", "")),
        timeout=float(own.get("timeout_seconds", 30)),
        concurrency=8,
        before_send=before_send,
        adapter=adapter,
        **options,
    )


def open_connector(
    connection: Connection,
    *,
    before_send: Callable[[float], None] | None = None,
    adapter: requests.adapters.BaseAdapter | None = None,
    db_now: Callable[[], Any] = Now,
    workers: int = 0,
    is_candidate: bool = False,
    now: Callable[[], datetime] | None = None,
    of_mailbox: Tokens | None = None,
    **options: Any,
) -> Connector:
    """Returns the connector of the row; with `is_candidate` it works with a log-in that was not taken yet, and with `of_mailbox`
    its mailboxes work with these tokens, which nobody keeps. `now` is the clock that tokens end by. Raises NeedsAttention when
    its address or credentials cannot be used."""
    pause: Sleep = options.get("sleep", time.sleep)
    reach: dict[str, Any] = {"before_send": before_send, "adapter": adapter, **options}
    access = Access(
        open_http=lambda address: open_http(connection, base_url=address, **reach),
        store=(CandidateTokens if is_candidate else ConnectionTokens)(connection.pk, db_now, pause),
        base_url=connection.base_url,
        login_url=connection.login_url,
        secrets=connection.secrets or {},
        settings=connection.settings or {},
        page_address_template=connection.page_address_template,
        settle_seconds=connection.settle_seconds,
        spread=lambda most: spread(min(workers, most)),
        may_reach=lambda host: is_allowed_host(connection.system, host),
        schemas=lambda: _schemas_of(connection),
        mailbox_store=lambda address, part="": (
            PassingTokens(of_mailbox) if of_mailbox is not None else mailbox_tokens(connection.pk, address, db_now, pause, part=part)
        ),
        now=now,
    )
    return registry.open_connector(connection.system, access)


def _schemas_of(connection: Connection) -> dict[str, Schema]:
    """Returns what was kept of the system's description: as much as a connector needs to read and judge fields."""
    return {
        object_type: Schema(
            object_type,
            {
                name: Attribute(name, row.get("title", name), row.get("type", "text"), is_required=bool(row.get("is_required")))
                for name, row in rows.items()
            },
        )
        for object_type, rows in (connection.schema_cache or {}).items()
    }
