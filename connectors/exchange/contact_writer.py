"""Writes of contacts to one mailbox."""

from __future__ import annotations

from collections.abc import Sequence

from exchangelib import Contact

from connectors.contract import Value, Write, WriteResult
from connectors.errors import ConnectorError, RecordGone, Rejected
from connectors.exchange import codec
from connectors.exchange.client import EwsClient
from connectors.exchange.faults import folder_gone
from connectors.exchange.folders import Folders
from connectors.exchange.settings import SYSTEM, ExchangeSettings
from connectors.exchange.writer import Answered, Prepared, Sender, raise_common_trouble, rests_on, result_of
from connectors.mailboxes import CATEGORIES, CONTACT, FOREIGN_ID, INSIDE, PLACE, told_of_records


class ContactWriter:
    """The writes of one mailbox."""

    def __init__(self, client: EwsClient, folders: Folders, settings: ExchangeSettings) -> None:
        self._client = client
        self._folders = folders
        self._settings = settings
        self._sender = Sender(client, settings, Contact, lambda: folders.ours)

    def write(self, writes: Sequence[Write], *, category: str) -> list[WriteResult]:
        """Returns a result for each write, in order. Raises when one trouble met them all, and none was done."""
        settled: dict[int, Answered] = {}
        self._sender.send(self._prepared(writes, category, settled), settled)
        results = told_of_records([self._result(write, settled[at], category) for at, write in enumerate(writes)])
        raise_common_trouble(results)
        return results

    def _prepared(self, writes: Sequence[Write], category: str, settled: dict[int, Answered]) -> list[Prepared]:
        """Returns what is sent of each write; what cannot be sent is settled here, and so is a delete of what was changed since the
        version that it rests on: Exchange compares none for it."""
        if any(write.ref is None for write in writes):
            self._folders.verify()
        unseen = [w.ref.id for w in writes if w.ref is not None and (w.is_delete or not w.version)]
        known = self._sender.change_keys(unseen) if unseen else {}
        rows = []
        for at, write in enumerate(writes):
            try:
                rows.append(self._one(at, write, category, known))
            except ConnectorError as error:
                settled[at] = error
        return rows

    def _one(self, at: int, write: Write, category: str, known: dict[str, str]) -> Prepared:
        if write.ref is None:
            return Prepared(at, write, self._item(self._fields_of(write, category)))
        if write.is_delete:
            return Prepared(at, write, version=rests_on(write.ref.id, write.version, known))
        elements = codec.updates(write.fields, self._client.version)
        if not elements:
            raise Rejected("nothing of it is to be written", system=SYSTEM)
        version = write.version or rests_on(write.ref.id, "", known)
        return Prepared(at, write, elements, version)

    def _item(self, fields: dict[str, Value]) -> Contact:
        item = codec.new_contact(fields, file_as=self._settings.file_as)
        try:
            item.clean(version=self._client.version)
        except (ValueError, TypeError) as error:  # a text that is too long, and its like
            raise Rejected(f"takes no such contact: {error}"[:300], system=SYSTEM) from None
        return item

    @staticmethod
    def _fields_of(write: Write, category: str) -> dict[str, Value]:
        fields: dict[str, Value] = dict(write.fields)
        if write.marker:
            fields[FOREIGN_ID] = write.marker
        held = fields.get(CATEGORIES)
        fields[CATEGORIES] = codec.with_category(held if isinstance(held, tuple) else (), category)
        return fields

    def _result(self, write: Write, answer: Answered, category: str) -> WriteResult:
        held = dict(write.fields) if write.ref is not None else self._fields_of(write, category)
        fields = codec.sent_fields(held) | ({PLACE: INSIDE} if write.ref is None else {})
        result = result_of(self._sender, write, answer, CONTACT, fields)
        if write.ref is None and isinstance(result.error, RecordGone):
            gone = folder_gone(result.error.detail, result.error.exchange)
            return WriteResult(write.key, error=gone, exchange=result.exchange)
        return result
