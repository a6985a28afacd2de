"""Writes to one mailbox: creates with marker and category, sparse updates that rest on a version, deletes to the bin.

Creates, updates and deletes go out in a call each. Nothing is sent twice; what was throttled or refused was not done, and what the
server failed over, or answered in a way that cannot be read, is in doubt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from exchangelib.services import CreateItem, DeleteItem, GetItem, UpdateItem

from connectors.contract import Record, Ref, Value, Write, WriteResult
from connectors.errors import ConnectionTrouble, ConnectorError, RecordGone, Rejected, StaleVersion, not_sent
from connectors.exchange import models
from connectors.exchange.client import EwsClient, Message
from connectors.exchange.codec import with_category
from connectors.exchange.settings import SYSTEM, ExchangeSettings
from connectors.mailbox_writes import in_halves, result_of, trouble_in
from connectors.mailboxes import CATEGORIES, FOREIGN_ID

NEVER_OVERWRITE, SAVE_ONLY, TO_NONE, TO_BIN = "NeverOverwrite", "SaveOnly", "SendToNone", "MoveToDeletedItems"
TO_ALL = "SendToAllAndSaveCopy"


@dataclass(frozen=True, slots=True)
class Prepared:
    """One write on its way: where it stands among its fellows, and what is sent of it: an item, or the elements of an update.
    `is_told`: the people it concerns are to be mailed."""

    at: int
    write: Write
    sent: Any = field(default=None, repr=False)
    version: str = ""
    is_told: bool = False


Answered = Message | ConnectorError


class Sender:
    """Sends writes of one kind of item."""

    def __init__(self, client: EwsClient, settings: ExchangeSettings, model: Any, folder_of: Callable[[], str]) -> None:
        self._client = client
        self._settings = settings
        self._model = model
        self._folder_of = folder_of

    def create(self, some: Sequence[Prepared]) -> list[Message]:
        service = self._client.service(CreateItem)
        mode = TO_ALL if some[0].is_told else TO_NONE
        payload = service.get_payload([row.sent for row in some], self._client.folder(self._folder_of()), SAVE_ONLY, mode)
        return self._client.call(service, payload, is_read=False, count=len(some))

    def update(self, some: Sequence[Prepared]) -> list[Message]:
        service = self._client.service(UpdateItem)
        mode = TO_ALL if some[0].is_told else TO_NONE
        payload = service.get_payload([], NEVER_OVERWRITE, SAVE_ONLY, mode, True)
        changes = next(iter(payload))
        for row in some:
            assert row.write.ref is not None
            changes.append(models.item_change(row.write.ref.id, row.version, row.sent, self._client.version))
        return self._client.call(service, payload, is_read=False, count=len(some))

    def delete(self, some: Sequence[Prepared]) -> list[Message]:
        service = self._client.service(DeleteItem)
        mode = TO_ALL if some[0].is_told else TO_NONE
        ids = models.item_ids(row.write.ref.id for row in some if row.write.ref is not None)
        payload = service.get_payload(ids, TO_BIN, mode, "AllOccurrences", True)
        return self._client.call(service, payload, is_read=False, count=len(some))

    def change_keys(self, ids: Iterable[str]) -> dict[str, str]:
        """Returns the version that each of these items has now; missing ones are left out."""
        found: dict[str, str] = {}
        for some in self._client.in_calls(list(dict.fromkeys(ids)), self._settings.items_a_call):
            service = self._client.service(GetItem)
            payload = service.get_payload(models.item_ids(some), None, "IdOnly")
            for id_, message in zip(some, self._client.call(service, payload, is_read=True, count=len(some)), strict=True):
                if message.is_good:
                    items = message.items()
                    found[id_] = models.id_of(items[0])[1] if items else ""
                elif not isinstance(error := self._client.error_of(message, is_read=True), RecordGone):
                    raise error
        return found

    def versions(self, writes: Sequence[Write]) -> dict[str, str]:
        """Returns the present versions of what is deleted, for which Exchange compares none, and of what a write names none of."""
        unseen = [w.ref.id for w in writes if w.ref is not None and (w.is_delete or not w.version)]
        return self.change_keys(unseen) if unseen else {}

    def carry_out(self, writes: Iterable[tuple[int, Write]], prepare: Callable[[int, Write], Prepared]) -> dict[int, Answered]:
        """Prepares writes and sends them; returns what came of each by where it stands, of one that cannot be sent its error."""
        settled: dict[int, Answered] = {}
        rows = []
        for at, write in writes:
            try:
                rows.append(prepare(at, write))
            except ConnectorError as error:
                settled[at] = error
        self.send(rows, settled)
        return settled

    def send(self, rows: Sequence[Prepared], settled: dict[int, Answered]) -> None:
        """Sends prepared writes and settles each. What follows a trouble of the connection is not sent."""
        trouble: ConnectionTrouble | None = None
        for send, some in self._calls(rows):
            if trouble is not None:
                settled |= {row.at: not_sent(trouble) for row in some}
                continue
            try:
                answers = in_halves(send, some, (Rejected, RecordGone))
            except ConnectionTrouble as error:
                answers = [error for _ in some]
            trouble = trouble_in(answers)
            settled |= {row.at: answer for row, answer in zip(some, answers, strict=True)}

    def _calls(self, rows: Sequence[Prepared]) -> Iterable[tuple[Callable[[Sequence[Prepared]], list[Message]], Sequence[Prepared]]]:
        creates = [row for row in rows if row.write.ref is None]
        deletes = [row for row in rows if row.write.is_delete]
        updates = [row for row in rows if row.write.ref is not None and not row.write.is_delete]
        for send, all_ in ((self.create, creates), (self.update, updates), (self.delete, deletes)):
            for is_told in (False, True):  # whether people are mailed is said of a whole call
                alike = [row for row in all_ if row.is_told == is_told]
                for some in self._client.in_calls(alike, self._settings.items_a_call):
                    yield send, some

    # --- what came of it ----------------------------------------------------------------------------------------------

    def result_of(self, write: Write, answer: Answered, object_type: str, fields: Mapping[str, Any]) -> WriteResult:
        """Returns what became of a write. Exchange answers with id and version only: `fields` are what the item holds of it now."""
        return result_of(self._client, write, answer, lambda message: _written(message, object_type, fields))


def _written(message: Message, object_type: str, fields: Mapping[str, Any]) -> Record | None:
    items = message.items()
    id_, change_key = models.id_of(items[0]) if len(items) == 1 else ("", "")
    return Record(Ref(SYSTEM, object_type, id_), dict(fields), version=change_key) if id_ and change_key else None


def fields_of_create(write: Write, category: str) -> dict[str, Value]:
    """Returns what a new item holds: marker and category, too."""
    fields: dict[str, Value] = {**write.fields, **({FOREIGN_ID: write.marker} if write.marker else {})}
    held = fields.get(CATEGORIES)
    return fields | {CATEGORIES: with_category(held if isinstance(held, tuple) else (), category)}


def checked(item: Any, client: EwsClient, kind: str) -> Any:
    """Returns the item. Raises Rejected for one that exchangelib knows no server takes."""
    try:
        item.clean(version=client.version)
    except (ValueError, TypeError) as error:  # a text that is too long, and its like
        raise Rejected(f"takes no such {kind}: {error}"[:300], system=SYSTEM) from None
    return item


def rests_on(id_: str, version: str, known: Mapping[str, str]) -> str:
    """Returns the version that a write rests on: the one it names, or where it names none the present one. Raises RecordGone, and
    StaleVersion where the item is another than it was."""
    if id_ not in known:
        raise RecordGone("it is not there (any more)", system=SYSTEM, code="ErrorItemNotFound")
    if version and known[id_] != version:
        raise StaleVersion("the item was changed meanwhile", system=SYSTEM)
    return known[id_]
