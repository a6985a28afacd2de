"""What of a `Connector` is not for mailboxes: they are read by their own cursor, and no server searches them for us."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NoReturn

from connectors.calendars import EVENT, EVENT_SCHEMA
from connectors.contract import Check, Page, Record, Schema, Write, WriteResult
from connectors.mailboxes import CONTACT, CONTACT_SCHEMA
from connectors.tasks import TASK, TASK_SCHEMA

SCHEMAS = {CONTACT: CONTACT_SCHEMA, EVENT: EVENT_SCHEMA, TASK: TASK_SCHEMA}


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
