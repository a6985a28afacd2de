"""Writes of contacts to one mailbox."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from exchangelib import Contact

from connectors.contract import Value, Write, WriteResult
from connectors.errors import RecordGone, Rejected
from connectors.exchange import codec
from connectors.exchange.client import EwsClient
from connectors.exchange.faults import folder_gone
from connectors.exchange.folders import Folders
from connectors.exchange.settings import SYSTEM, ExchangeSettings
from connectors.exchange.writer import Answered, Prepared, Sender, checked, fields_of_create, rests_on
from connectors.mailbox_writes import raise_common_trouble
from connectors.mailboxes import CONTACT, INSIDE, PLACE, told_of_records


class ContactWriter:
    """The writes of one mailbox."""

    def __init__(self, client: EwsClient, folders: Folders, settings: ExchangeSettings) -> None:
        self._client = client
        self._folders = folders
        self._settings = settings
        self._sender = Sender(client, settings, Contact, lambda: folders.ours)

    def write(self, writes: Sequence[Write], *, category: str) -> list[WriteResult]:
        """Returns a result for each write, in order. Raises when one trouble met them all, and none was done."""
        if any(write.ref is None for write in writes):
            self._folders.verify()
        known = self._sender.versions(writes)
        settled = self._sender.carry_out(enumerate(writes), lambda at, write: self._prepared(at, write, category, known))
        results = told_of_records([self._result(write, settled[at], category) for at, write in enumerate(writes)])
        raise_common_trouble(results)
        return results

    def _prepared(self, at: int, write: Write, category: str, known: dict[str, str]) -> Prepared:
        """Returns what is sent of a write. Raises the write's error, also of a delete of what was changed since the version that it
        rests on: Exchange compares none for it."""
        if write.ref is None:
            return Prepared(at, write, self._item(fields_of_create(write, category)))
        if write.is_delete:
            return Prepared(at, write, version=rests_on(write.ref.id, write.version, known))
        elements = codec.updates(write.fields, self._client.version)
        if not elements:
            raise Rejected("nothing of it is to be written", system=SYSTEM)
        version = write.version or rests_on(write.ref.id, "", known)
        return Prepared(at, write, elements, version)

    def _item(self, fields: dict[str, Value]) -> Any:
        return checked(codec.new_contact(fields, file_as=self._settings.file_as), self._client, "contact")

    def _result(self, write: Write, answer: Answered, category: str) -> WriteResult:
        held = dict(write.fields) if write.ref is not None else fields_of_create(write, category)
        fields = codec.sent_fields(held) | ({PLACE: INSIDE} if write.ref is None else {})
        result = self._sender.result_of(write, answer, CONTACT, fields)
        if write.ref is None and isinstance(result.error, RecordGone):
            gone = folder_gone(result.error.detail, result.error.exchange)
            return WriteResult(write.key, error=gone, exchange=result.exchange)
        return result
