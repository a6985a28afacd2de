"""What the contacts of a mailbox do alike where ours lie in a folder and others are brought into it: at Microsoft and at Exchange."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from connectors.contract import Record, Schema, Write, WriteResult
from connectors.mailbox_base import NoSweeps
from connectors.mailboxes import CONTACT, CONTACT_SCHEMA, FOREIGN_ID, write_or_bring_in


class KnowsOurs(Protocol):
    ours: str


class Reads(Protocol):
    def read(self, ids: Sequence[str], columns: Sequence[str]) -> list[Record]: ...

    def find_marked(self, markers: Sequence[str], columns: Sequence[str]) -> list[Record]: ...


class Writes(Protocol):
    def write(self, writes: Sequence[Write], *, category: str) -> list[WriteResult]: ...


class Moves(Protocol):
    def bring_in(self, id_: str, marker: str, category: str) -> Record: ...


class FolderContacts(NoSweeps):
    """The reads and writes of one mailbox's contacts, by what its system reads, writes and moves them with."""

    marker_field = FOREIGN_ID
    _category = ""
    _places: KnowsOurs
    _reader: Reads
    _writer: Writes
    _mover: Moves

    def use_folder(self, folder_id: str, category: str) -> None:
        self._places.ours, self._category = folder_id, category

    def read(self, object_type: str, ids: Sequence[str], columns: Sequence[str]) -> list[Record]:
        _only_contacts(object_type)
        return self._reader.read(ids, columns) if ids else []

    def find_marked(self, object_type: str, markers: Sequence[str], columns: Sequence[str], *, since: datetime) -> list[Record]:
        _only_contacts(object_type)
        return self._reader.find_marked(markers, columns) if markers else []

    def write(self, object_type: str, writes: Sequence[Write]) -> list[WriteResult]:
        """As the contract says, in as few calls as the system takes."""
        _only_contacts(object_type)
        if any(write.ref is None for write in writes):
            self._ours()
        return write_or_bring_in(writes, lambda rest: self._writer.write(rest, category=self._category), self.bring_in)

    def bring_in(self, id_: str, marker: str) -> Record:
        self._ours()
        return self._mover.bring_in(id_, marker, self._category)

    def _ours(self) -> str:
        if not self._places.ours:
            raise ValueError("nobody has said yet which folder is ours")
        return self._places.ours

    def schema(self, object_type: str) -> Schema:
        _only_contacts(object_type)
        return CONTACT_SCHEMA


def _only_contacts(object_type: str) -> None:
    if object_type != CONTACT:
        raise ValueError(f"a mailbox holds contacts, not {object_type[:40]!r}")
