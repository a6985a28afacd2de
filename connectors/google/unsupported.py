"""What of a `Connector` is not for mailboxes: they are read by their own cursor, and no server searches them for us."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NoReturn

from connectors.contract import Check, Page, Record, Schema, Write, WriteResult


def _not_here(what: str) -> NoReturn:
    raise NotImplementedError(f"Google contacts know no {what}; use contact_changes, read and find_marked of a mailbox")


class NoSweeps:
    """Sweeps and searches: no mailbox has them."""

    def changes(self, object_type: str, **options: Any) -> Page:
        _not_here("sweep")

    def scan(self, object_type: str, **options: Any) -> Iterator[Page]:
        _not_here("scan")

    def find(self, object_type: str, field: str, values: Sequence[str], columns: Sequence[str], **options: Any) -> list[Record]:
        _not_here("search")

    def count(self, object_type: str, where: Any, **options: Any) -> int:
        _not_here("count")

    def rivals(self, own_prefix: str) -> list[Check]:
        """Looks at nothing: what other programs keep with a contact is told of each contact, in BEYOND."""
        return []


class NoRecords(NoSweeps):
    """The connection itself holds no contacts; its mailboxes do."""

    def read(self, object_type: str, ids: Sequence[str], columns: Sequence[str]) -> list[Record]:
        _not_here("record outside a mailbox")

    def find_marked(self, object_type: str, markers: Sequence[str], columns: Sequence[str], *, since: datetime) -> list[Record]:
        _not_here("record outside a mailbox")

    def batch_size(self, object_type: str, *, is_create: bool) -> int:
        _not_here("write outside a mailbox")

    def write(self, object_type: str, writes: Sequence[Write]) -> list[WriteResult]:
        _not_here("write outside a mailbox")

    def schema(self, object_type: str) -> Schema:
        _not_here("record outside a mailbox")
