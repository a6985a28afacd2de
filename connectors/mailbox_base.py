"""What the boxes of mailboxes do alike, whatever lies in them and whatever system they are of, and what of a `Connector` is not for
them: they are read by their own cursor, and no server searches them for us."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Generic, NoReturn, TypeVar

from connectors.calendars import EVENT, EVENT_SCHEMA
from connectors.contract import CallCount, Check, Identity, Page, Record, Ref, Schema, Write, WriteResult
from connectors.http import HttpClient
from connectors.mailboxes import CONTACT, CONTACT_SCHEMA
from connectors.tasks import TASK, TASK_SCHEMA

SCHEMAS = {CONTACT: CONTACT_SCHEMA, EVENT: EVENT_SCHEMA, TASK: TASK_SCHEMA}
Client = TypeVar("Client")
Settings = TypeVar("Settings")


def _not_searched() -> NoReturn:
    raise NotImplementedError("mailboxes tell of changes by cursor, and are not searched")


def _elsewhere() -> NoReturn:
    raise NotImplementedError("contacts are in mailboxes: ask `mailbox` for one")


class NoSweeps:
    """Sweeps and searches: no mailbox has them."""

    def changes(self, object_type: str, **options: Any) -> Page:
        _not_searched()

    def scan(self, object_type: str, **options: Any) -> Iterator[Page]:
        _not_searched()

    def find(self, object_type: str, field: str, values: Sequence[str], columns: Sequence[str], **options: Any) -> list[Record]:
        _not_searched()

    def count(self, object_type: str, where: Any, **options: Any) -> int:
        _not_searched()

    def rivals(self, own_prefix: str) -> list[Check]:
        """Looks at nothing: what other programs keep with a contact is told of each contact, in BEYOND."""
        return []

    def schema(self, object_type: str) -> Schema:
        return SCHEMAS.get(object_type, CONTACT_SCHEMA)


class NoRecords(NoSweeps):
    """The connection itself holds no contacts; its mailboxes do."""

    def read(self, object_type: str, ids: Sequence[str], columns: Sequence[str]) -> list[Record]:
        _elsewhere()

    def find_marked(self, object_type: str, markers: Sequence[str], columns: Sequence[str], *, since: datetime) -> list[Record]:
        _elsewhere()

    def batch_size(self, object_type: str, *, is_create: bool) -> int:
        _elsewhere()

    def write(self, object_type: str, writes: Sequence[Write]) -> list[WriteResult]:
        _elsewhere()


class Box(ABC, Generic[Client, Settings]):
    """What lies in one mailbox, of one kind. `client` makes the calls of its system over `http`; `page_address_template` holds `{id}`
    and may hold `{object}`. Unless its system says otherwise, its calls go out one after the other."""

    concurrency = 1

    def __init__(
        self,
        address: str,
        http: HttpClient,
        client: Client,
        settings: Settings,
        *,
        settle_seconds: int = 0,
        page_address_template: str = "",
    ) -> None:
        self.address = address
        self.settle_seconds = settle_seconds
        self.request_timeout = http.timeout
        self._http, self._client, self._settings = http, client, settings
        self._template = page_address_template
        self._open()

    def _open(self) -> None:
        """Makes what the box reads and writes with. Costs no call."""

    @abstractmethod
    def check_mailbox(self) -> list[Check]:
        """Tries what the product needs and returns a line for each. Writes nothing."""

    def check(self, *, may_send: bool = True) -> list[Check]:
        return self.check_mailbox()

    def identity(self) -> Identity:
        return Identity(self.address)

    def keep_alive(self) -> None:
        """Has nothing to do: the box of contacts keeps a mailbox's tokens alive, and nothing of a password dies of not being used."""

    def web_url(self, ref: Ref) -> str:
        return self._template.replace("{object}", ref.object_type).replace("{id}", ref.id)

    def counts(self) -> CallCount:
        return self._http.counts

    def close(self) -> None:
        self._http.close()
