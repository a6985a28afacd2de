"""Brings a contact from elsewhere in the mailbox into our folder. Exchange moves it with all that belongs to it, photo included;
its id is another one afterwards.

The contact gets marker and category where it lies, and is moved then: a call that was interrupted in between, or whose answer
was lost, is simply made again, for the marker tells where the contact is.
"""

from __future__ import annotations

from exchangelib.services import MoveItem

from connectors.contract import Record, Value, Write
from connectors.errors import ConnectorError, RecordGone, StaleVersion
from connectors.exchange import codec, models
from connectors.exchange.client import EwsClient
from connectors.exchange.contact_writer import ContactWriter
from connectors.exchange.folders import Folders
from connectors.exchange.reading import Reader
from connectors.exchange.settings import SYSTEM
from connectors.mailboxes import BIN, CATEGORIES, CONTACT, CONTACT_SCHEMA, FOREIGN_ID, INSIDE, PLACE

ALL = tuple(CONTACT_SCHEMA.attributes)


class Mover:
    """Moves of one mailbox."""

    def __init__(self, client: EwsClient, reader: Reader, writer: ContactWriter, folders: Folders, tries: int) -> None:
        self._client = client
        self._reader = reader
        self._writer = writer
        self._folders = folders
        self._tries = tries

    def bring_in(self, id_: str, marker: str, category: str) -> Record:
        """Returns the contact as it lies in our folder. Raises RecordGone when it is not there under any id, StaleVersion when it is
        being edited again and again."""
        self._folders.verify()
        for _ in range(self._tries):
            found = next(iter(self._reader.read([id_], ALL)), None)
            if found is None or found.fields[PLACE] == BIN:
                return self._moved_before(marker)
            if found.fields.get(FOREIGN_ID) != marker or not self._bears(found, category):
                if not self._mark(found, marker, category):
                    continue
                found = next(iter(self._reader.read([id_], ALL)), None)
                if found is None:
                    continue
            return found if found.fields[PLACE] == INSIDE else self._moved(id_, marker)
        raise StaleVersion("the contact was changed again and again while it was moved", system=SYSTEM)

    def _moved_before(self, marker: str) -> Record:
        found = [r for r in self._reader.find_marked([marker], ALL) if r.fields.get(PLACE) == INSIDE] if marker else []
        if not found:
            raise RecordGone("the contact is not there any more", system=SYSTEM, code="ErrorItemNotFound")
        return found[0]

    @staticmethod
    def _bears(record: Record, category: str) -> bool:
        held = record.fields.get(CATEGORIES)
        return not category or codec.is_among(category, held if isinstance(held, tuple) else ())

    def _mark(self, record: Record, marker: str, category: str) -> bool:
        """Gives a contact marker and category. Returns whether it was as we knew it."""
        held = record.fields.get(CATEGORIES)
        fields: dict[str, Value] = {FOREIGN_ID: marker, CATEGORIES: codec.with_category(held if isinstance(held, tuple) else (), category)}
        (result,) = self._writer.write([Write(CONTACT, fields, record.ref.id, ref=record.ref, version=record.version)], category="")
        if isinstance(result.error, StaleVersion | RecordGone):
            return False
        if isinstance(result.error, ConnectorError):
            raise result.error
        return True

    def _moved(self, id_: str, marker: str) -> Record:
        service = self._client.service(MoveItem)
        payload = service.get_payload(models.item_ids([id_]), self._client.folder(self._folders.ours))
        message = self._client.call(service, payload, is_read=False, count=1)[0]
        if not message.is_good:
            error = self._client.error_of(message, is_read=False)
            if isinstance(error, RecordGone):  # somebody moved or deleted it in this moment
                return self._moved_before(marker)
            raise error
        items = message.items()
        new_id = models.id_of(items[0])[0] if len(items) == 1 else ""
        found = self._reader.read([new_id], ALL) if new_id else []
        return found[0] if found else self._moved_before(marker)
