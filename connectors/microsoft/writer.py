"""Writes to one mailbox, twenty a call: creates with marker and category, sparse updates, deletes to the bin.

Each part goes out once. What was throttled or refused was not done; what the server failed over, or answered in a way
that cannot be read, is in doubt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from connectors.contract import Record, Value, Write, WriteResult
from connectors.errors import ConnectionTrouble, ConnectorError, RecordGone, Rejected, StaleVersion, not_sent
from connectors.mailboxes import FOREIGN_ID, INSIDE, told_of_records
from connectors.microsoft import codec
from connectors.microsoft.client import GraphClient, Part, Reply, segment
from connectors.microsoft.faults import folder_gone
from connectors.microsoft.held import Held
from connectors.microsoft.places import Places
from connectors.microsoft.reading import CONTACT_TEMPLATE, FOLDER_TEMPLATE, Reader
from connectors.microsoft.settings import PARTS_A_CALL, SYSTEM


@dataclass(frozen=True, slots=True)
class _Row:
    """One write on its way: where it stands among its fellows, and what is sent."""

    at: int
    write: Write
    part: Part = field(repr=False)


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
        rows = self._rows(writes, category, settled)
        for start in range(0, len(rows), PARTS_A_CALL):
            part = rows[start : start + PARTS_A_CALL]
            try:
                answers = self._client.write_all([row.part for row in part])
            except ConnectionTrouble as trouble:
                settled |= {row.at: _failed(row, trouble) for row in part}
                settled |= {row.at: _failed(row, not_sent(trouble)) for row in rows[start + PARTS_A_CALL :]}
                if len(part) == len(writes):
                    raise
                break
            settled |= {row.at: self._result(row.write, answer) for row, answer in zip(part, answers, strict=True)}
        results = told_of_records([settled[at] for at in range(len(writes))])
        troubles = [result.error for result in results if isinstance(result.error, ConnectionTrouble)]
        if troubles and len(troubles) == len(results) and not any(trouble.may_have_happened for trouble in troubles):
            raise max(troubles, key=lambda trouble: trouble.retry_after or 0.0)
        return results

    # --- what is sent -------------------------------------------------------------------------------------------------

    def _rows(self, writes: Sequence[Write], category: str, settled: dict[int, WriteResult]) -> list[_Row]:
        """Returns what is sent of each write; what cannot be sent is settled here, and so is what was changed or deleted
        since the version that it rests on."""
        known = self._known(writes)
        rows = []
        for at, write in enumerate(writes):
            try:
                rows.append(_Row(at, write, self._part(write, category, known)))
            except ConnectorError as error:
                settled[at] = WriteResult(write.key, error=error)
        return rows

    def _part(self, write: Write, category: str, known: Mapping[str, codec.Row | None]) -> Part:
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
        if isinstance(answer, ConnectorError):
            return WriteResult(write.key, error=answer, exchange=answer.exchange)
        if not answer.is_good:
            return WriteResult(write.key, error=self._refusal(write, answer), exchange=answer.exchange)
        if write.is_delete and write.ref is not None:
            self._held.forget(write.ref.id)
            return WriteResult(write.key, Record(write.ref, {}, is_deleted=True), exchange=answer.exchange)
        record = self._written(answer.body, write)
        if record is None or (write.ref is not None and record.ref.id != write.ref.id):
            return WriteResult(write.key, error=self._client.unreadable(answer, is_read=False), exchange=answer.exchange)
        return WriteResult(write.key, record, exchange=answer.exchange)

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

    def _refusal(self, write: Write, reply: Reply) -> ConnectorError:
        error = self._client.error_of(reply, is_read=False)
        if isinstance(error, RecordGone) and write.ref is None:
            return folder_gone(error)
        if isinstance(error, StaleVersion | RecordGone) and write.ref is not None:
            self._held.forget(write.ref.id)
        return error


def _failed(row: _Row, trouble: ConnectionTrouble) -> WriteResult:
    return WriteResult(row.write.key, error=trouble, exchange=trouble.exchange)
