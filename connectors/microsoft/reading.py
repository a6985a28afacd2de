"""Reads contacts of one mailbox by id and by marker, many a call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from connectors.contract import Record
from connectors.errors import RecordGone
from connectors.mailboxes import BIN, FOREIGN_ID, PLACE
from connectors.microsoft import codec, faults
from connectors.microsoft.client import GraphClient, Part, Reply, address, segment
from connectors.microsoft.held import Held
from connectors.microsoft.places import Places

CONTACT_TEMPLATE = "/users/{user}/contacts/{contact}"
LIST_TEMPLATE = "/users/{user}/contacts"
FOLDER_TEMPLATE = "/users/{user}/contactFolders/{folder}/contacts"


class Reader:
    """The reads of one mailbox. What it reads is kept in mind for writes."""

    def __init__(self, client: GraphClient, places: Places, held: Held) -> None:
        self._client = client
        self._places = places
        self._held = held

    def rows(self, ids: Iterable[str], columns: Sequence[str]) -> list[dict[str, Any]]:
        """Returns the contacts with these ids as Microsoft tells them, those in the bin too; missing ones are left out."""
        properties = [*codec.properties_of(columns), "parentFolderId"]
        extended = codec.extended_of([*columns, FOREIGN_ID])
        asked = list(dict.fromkeys(ids))
        parts = [self.part(id_, select=",".join(dict.fromkeys(properties)), extended=extended) for id_ in asked]
        found = [self.row_of(reply, properties) for reply in self._client.read_all(parts)]
        return [row for row in found if row is not None]

    def part(self, id_: str, *, select: str = "", extended: Sequence[str] = tuple(codec.EXTENDED)) -> Part:
        """Returns the read of one contact as part of a call; without `select` everything of it is asked for."""
        path = f"{self._client.root}/contacts/{segment(id_)}"
        return Part("GET", address(path, select=select, expand=codec.expand(extended)), CONTACT_TEMPLATE)

    def row_of(self, reply: Reply, properties: Iterable[str]) -> dict[str, Any] | None:
        """Returns the contact that answers a read, None where there is none. Raises the error of any other answer."""
        if not reply.is_good:
            error = self._client.error_of(reply, is_read=True)
            if isinstance(error, RecordGone) or error.code.casefold() == faults.MALFORMED_ID:
                return None
            raise error
        return self.sound(reply.body, properties, reply)

    def sound(self, raw: Any, properties: Iterable[str], reply: Reply) -> dict[str, Any]:
        """Returns a contact of an answer, blank where it leaves out what was asked for. Raises for one that cannot be read."""
        if not codec.is_sound(raw) or not codec.etag_of(raw) or not isinstance(raw.get("parentFolderId"), str):
            raise self._client.unreadable(reply, is_read=True)
        row = codec.completed(raw, properties)
        self._held.keep(row)
        return row

    def read(self, ids: Sequence[str], columns: Sequence[str]) -> list[Record]:
        records = [self.record(row, columns) for row in self.rows(ids, columns)]
        return records if PLACE in columns else [record for record in records if record.fields[PLACE] != BIN]

    def is_ours(self, row: codec.Row) -> bool:
        """Tells whether a contact lies in our folder, as far as the row says where it lies."""
        return bool(row.get("parentFolderId", self._places.ours) == self._places.ours)

    def record(self, row: codec.Row, columns: Sequence[str] | None = None) -> Record:
        """Returns the record of a contact that was read, with the place where it lies."""
        return codec.read_contact(row, place=self._places.of(str(row["parentFolderId"])), columns=columns)

    def find_marked(self, markers: Sequence[str], columns: Sequence[str]) -> list[Record]:
        """Returns the contacts that carry one of these markers. Our folder is looked through by itself: whether a search of
        the mailbox reaches below the default folder is told in two ways."""
        properties = [*codec.properties_of(columns), "parentFolderId"]
        extended = codec.extended_of([*columns, FOREIGN_ID])
        asked = [marker for marker in dict.fromkeys(markers) if marker]
        parts = [part for marker in asked for part in self.searches(marker, ",".join(dict.fromkeys(properties)), extended)]
        found: dict[str, Record] = {}
        for reply in self._client.read_all(parts):
            for row in self.listed(reply, properties):
                record = self.record(row, columns)
                if record.fields.get(FOREIGN_ID) in asked:  # Microsoft compares values without regard to case
                    found[record.ref.id] = record
        return list(found.values())

    def searches(self, marker: str, select: str = "", extended: Sequence[str] = tuple(codec.EXTENDED)) -> list[Part]:
        """Returns the reads that find a marker: in the mailbox, and in our folder."""
        options = {"filter": codec.has_marker(marker), "select": select, "expand": codec.expand(extended)}
        root = self._client.root
        parts = [Part("GET", address(f"{root}/contacts", **options), LIST_TEMPLATE)]
        if self._places.ours:
            path = f"{root}/contactFolders/{segment(self._places.ours)}/contacts"
            parts.append(Part("GET", address(path, **options), FOLDER_TEMPLATE))
        return parts

    def listed(self, reply: Reply, properties: Iterable[str]) -> list[dict[str, Any]]:
        """Returns the contacts that a search found, of all its pages. A folder that is gone holds none."""
        if not reply.is_good:
            error = self._client.error_of(reply, is_read=True)
            if isinstance(error, RecordGone):
                return []
            raise error
        body = reply.body if isinstance(reply.body, dict) else {}
        rows, link = body.get("value"), body.get("@odata.nextLink")
        if not isinstance(rows, list):
            raise self._client.unreadable(reply, is_read=True)
        if isinstance(link, str):
            rows = [*rows, *self._client.every(self._client.local(link), template=reply.part.template)]
        return [self.sound(raw, properties, reply) for raw in rows]
