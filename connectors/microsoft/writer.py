"""Writes to one mailbox, twenty a call: creates with marker and category, sparse updates, deletes to the bin.

Each part goes out once. What was throttled or refused was not done; what the server failed over, or answered in a way
that cannot be read, is in doubt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from connectors.contract import Record, Value, Write, WriteResult
from connectors.errors import ConnectorError, RecordGone, Rejected, StaleVersion
from connectors.mailbox_writes import raise_common_trouble, result_of
from connectors.mailboxes import FOREIGN_ID, INSIDE, told_of_records
from connectors.microsoft import codec
from connectors.microsoft.client import GraphClient, Part, Reply, segment
from connectors.microsoft.faults import folder_gone
from connectors.microsoft.held import Held
from connectors.microsoft.places import Places
from connectors.microsoft.reading import CONTACT_TEMPLATE, FOLDER_TEMPLATE, Reader
from connectors.microsoft.sending import prepared, send
from connectors.microsoft.settings import SYSTEM


class Writer:
    """The writes of one mailbox."""

    def __init__(self, client: GraphClient, reader: Reader, places: Places, held: Held) -> None:
        self._client = client
        self._reader = reader
        self._places = places
        self._held = held

    def write(self, writes: Sequence[Write], *, category: str) -> list[WriteResult]:
        """Returns a result for each write, in order. Raises when one trouble met them all, and none was done."""
        settled: dict[int, WriteResult] = {}
        known = self._known(writes)
        parts = prepared(writes, lambda write: self._part(write, category, known), settled)
        send(self._client, writes, parts, settled, self._result)
        results = told_of_records([settled[at] for at in range(len(writes))])
        raise_common_trouble(results)
        return results

    # --- what is sent -------------------------------------------------------------------------------------------------

    def _part(self, write: Write, category: str, known: Mapping[str, codec.Row | None]) -> Part:
        """Returns the call of a write. Raises the write's error, also of what was changed or deleted since the version that it rests
        on."""
        if write.ref is None:
            return self._create(write, category)
        path = f"{self._client.root}/contacts/{segment(write.ref.id)}"
        if write.is_delete:
            return Part("DELETE", path, CONTACT_TEMPLATE, if_match=write.version)
        held: codec.Row = {}
        version = write.version
        properties = codec.needed(write.fields)
        if properties:
            row = self._held.of(write.ref.id, version, properties) or known.get(write.ref.id)
            if row is None:
                raise RecordGone("it is not there (any more)", system=SYSTEM, code="ErrorItemNotFound")
            held, etag = row, codec.etag_of(row)
            if version and etag != version:
                raise StaleVersion("the contact was changed meanwhile", system=SYSTEM)
            version = etag  # what is sent rests on this, whether or not the caller compares
        body = codec.write_body(write.fields, held)
        if not body:
            raise Rejected("nothing of it is to be written", system=SYSTEM)
        return Part("PATCH", path, CONTACT_TEMPLATE, body, if_match=version)

    def _create(self, write: Write, category: str) -> Part:
        fields: dict[str, Value] = dict(write.fields)
        if write.marker:
            fields[FOREIGN_ID] = write.marker
        body = codec.write_body(fields, {})
        body["categories"] = codec.with_category(body.get("categories", []), category)
        path = f"{self._client.root}/contactFolders/{segment(self._places.ours)}/contacts"
        return Part("POST", path, FOLDER_TEMPLATE, body)

    def _known(self, writes: Sequence[Write]) -> dict[str, codec.Row]:
        """Reads, many a call, what lists hold of which a write names a part, unless it was read in this version."""
        ids = []
        for write in writes:
            if write.ref is None or write.is_delete:
                continue
            properties = codec.needed(write.fields)
            if properties and self._held.of(write.ref.id, write.version, properties) is None:
                ids.append(write.ref.id)
        columns = [*codec.SLOTS, *codec.PARTS, "displayName"]
        return {codec.id_of(row): row for row in self._reader.rows(ids, columns)} if ids else {}

    # --- what came of it ----------------------------------------------------------------------------------------------

    def _result(self, write: Write, answer: Reply | ConnectorError) -> WriteResult:
        result = result_of(self._client, write, answer, lambda reply: self._written(reply.body, write))
        if isinstance(answer, Reply) and result.error is not None and write.ref is None:
            return replace(result, error=_of_our_folder(result.error))
        is_gone = result.record is not None and result.record.is_deleted
        if write.ref is not None and (is_gone or isinstance(result.error, StaleVersion | RecordGone)):
            self._held.forget(write.ref.id)
        return result

    def _written(self, body: Any, write: Write) -> Record | None:
        """Returns the record that answers a write, None for an answer that cannot be read. Extended properties are never
        told in it: those that were sent are held now. Where it lies is told only as far as no call is needed for it."""
        if not codec.is_sound(body) or not codec.etag_of(body):
            return None
        row = {name: value for name, value in body.items() if name != codec.EXTENDED_LIST}
        self._held.keep(row)
        is_inside = write.ref is None or row.get("parentFolderId") == self._places.ours
        record = codec.read_contact(row, place=INSIDE if is_inside else None)
        sent = {name: write.fields[name] or None for name in codec.EXTENDED if name in write.fields}
        if write.ref is None:
            sent[FOREIGN_ID] = write.marker or sent.get(FOREIGN_ID)
        return replace(record, fields={**record.fields, **sent})


def _of_our_folder(error: Exception) -> Exception:
    """Returns what the refusal of a create means: what is not there is the folder that it was to lie in."""
    return folder_gone(error) if isinstance(error, RecordGone) else error
