"""Reads contacts of one mailbox by id and by marker, many a call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from exchangelib import Contact
from exchangelib.services import FindItem, GetItem
from exchangelib.util import MNS, create_element, set_xml_value

from connectors.contract import Record
from connectors.errors import ConnectorError, OutcomeUnknown, RecordGone
from connectors.exchange import codec, models
from connectors.exchange.client import EwsClient, Message
from connectors.exchange.folders import Folders
from connectors.exchange.settings import SYSTEM, ExchangeSettings
from connectors.mailboxes import BIN, FOREIGN_ID, PLACE

MARKERS_A_CALL = 20  # conditions of one search
MOST_PAGES = 200


class Finder:
    """Finds items of one mailbox by our marker, and reads items by id: of contacts, events, tasks and mails alike."""

    def __init__(self, client: EwsClient, settings: ExchangeSettings) -> None:
        self._client = client
        self._settings = settings

    def elements(self, ids: Iterable[str], paths: Sequence[Any]) -> list[Message | None]:
        """Returns the answers to reads, in order, None for what is not there. Raises the error of any other refusal."""
        found: list[Message | None] = []
        asked = list(ids)
        for some in self._client.in_calls(asked, self._settings.items_a_call):
            service = self._client.service(GetItem)
            payload = in_plain_text(service.get_payload(models.item_ids(some), paths, "IdOnly"))
            found += [self._there(message) for message in self._client.call(service, payload, is_read=True, count=len(some))]
        return found

    def _there(self, message: Message) -> Message | None:
        if message.is_good:
            return message
        error = self._client.error_of(message, is_read=True)
        if isinstance(error, RecordGone):
            return None
        raise error

    def marked(self, markers: Sequence[str], folders: Sequence[str], model: Any) -> list[str]:
        """Returns the ids of items that carry one of these markers in these folders. A folder that is gone holds none."""
        found: dict[str, None] = {}
        wanted = [marker for marker in dict.fromkeys(markers) if marker]
        for some in self._client.in_calls(wanted, MARKERS_A_CALL):
            for id_ in self._search(has_marker(some, model), folders):
                found[id_] = None
        return list(found)

    def _search(self, restriction: Any, folders: Sequence[str]) -> list[str]:
        found: list[str] = []
        offset = 0
        for _ in range(MOST_PAGES):
            service = self._client.service(FindItem)
            payload = service.get_payload(
                [self._client.folder(id_) for id_ in folders],
                None,
                None,
                None,
                None,
                "IdOnly",
                "Shallow",
                None,
                self._settings.found_a_page,
                offset,
            )
            payload.insert(2, restriction)
            are_last = True
            for message in self._client.call(service, payload, is_read=True, count=len(folders)):
                ids, is_last = self._page(message)
                found += ids
                are_last = are_last and is_last
            if are_last:
                return found
            offset += self._settings.found_a_page
        raise OutcomeUnknown("finds items without end", system=SYSTEM)

    def _page(self, message: Message) -> tuple[list[str], bool]:
        if not message.is_good:
            error = self._client.error_of(message, is_read=True)
            if isinstance(error, RecordGone):
                return [], True
            raise error
        root = message.element.find(f"{{{MNS}}}RootFolder")
        if root is None:
            raise self._client.unreadable(message, is_read=True)
        ids = [models.id_of(each)[0] for each in message.items()]
        if not all(ids):
            raise self._client.unreadable(message, is_read=True)
        return ids, root.get("IncludesLastItemInRange") in ("true", "1") or not ids

    def error_of(self, message: Message) -> ConnectorError:
        return self._client.error_of(message, is_read=True)


def in_plain_text(payload: Any) -> Any:
    """Returns a request for items with their texts asked for without markup."""
    shape = payload.find(f"{{{MNS}}}ItemShape")
    wanted = create_element("t:BodyType")
    wanted.text = "Text"
    shape.insert(1, wanted)
    return payload


def has_marker(markers: Sequence[str], model: Any) -> Any:
    """Returns the condition that an item carries one of these markers."""
    restriction = create_element("m:Restriction")
    above = restriction
    if len(markers) > 1:
        above = create_element("t:Or")
        restriction.append(above)
    at = models.path(model, models.FOREIGN)
    for marker in markers:
        equal = set_xml_value(create_element("t:IsEqualTo"), at)
        constant = create_element("t:FieldURIOrConstant")
        constant.append(create_element("t:Constant", attrs={"Value": marker}))
        equal.append(constant)
        above.append(equal)
    return restriction


class Reader:
    """The reads of one mailbox's contacts."""

    def __init__(self, client: EwsClient, finder: Finder, folders: Folders) -> None:
        self._client = client
        self._finder = finder
        self._folders = folders

    def rows(self, ids: Iterable[str], columns: Sequence[str]) -> list[codec.Row]:
        """Returns the contacts with these ids; missing ones are left out, and so is what is no contact."""
        asked = list(dict.fromkeys(ids))
        found = [self._row(message) for message in self._finder.elements(asked, codec.paths_of(columns)) if message is not None]
        return [row for row in found if row is not None]

    def _row(self, message: Message) -> codec.Row | None:
        items = message.items()
        if len(items) != 1:
            raise self._client.unreadable(message, is_read=True)
        if not codec.is_contact(items[0]):
            return None
        row = codec.row_of(items[0])
        if row is None or not row.folder_id:
            raise self._client.unreadable(message, is_read=True)
        return row

    def record(self, row: codec.Row, columns: Sequence[str]) -> Record:
        """Returns the record of a contact that was read, with the place where it lies."""
        return codec.read_contact(row, columns, place=self._folders.place_of(row.folder_id))

    def read(self, ids: Sequence[str], columns: Sequence[str]) -> list[Record]:
        records = [self.record(row, columns) for row in self.rows(ids, columns)]
        return records if PLACE in columns else [record for record in records if record.fields[PLACE] != BIN]

    def find_marked(self, markers: Sequence[str], columns: Sequence[str]) -> list[Record]:
        """Returns the contacts that carry one of these markers, in every folder of contacts but the bin: an item that was moved
        has another id, and its marker is all that is known of it."""
        ids = self._finder.marked(markers, self._folders.ids(), Contact)
        records = [self.record(row, columns) for row in self.rows(ids, columns)] if ids else []
        return [r for r in records if r.fields.get(FOREIGN_ID) in markers]  # Exchange compares without regard to case
