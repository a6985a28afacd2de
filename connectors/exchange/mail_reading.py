"""Reads messages of one mailbox: by id, by what they say, and where they lie. One message must not stop the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from exchangelib.services import FindItem, GetFolder, GetItem
from exchangelib.util import MNS, create_element

from connectors import mails
from connectors.contract import Record
from connectors.errors import OutcomeUnknown, RecordGone, Rejected
from connectors.exchange import mail_codec as codec
from connectors.exchange import models
from connectors.exchange.client import EwsClient, Message
from connectors.exchange.folders import OF_MAILS, Folders
from connectors.exchange.settings import SYSTEM, ExchangeSettings
from connectors.mail_rows import CannotBeRead, FoundMails
from connectors.mails import WholeMail, WholeMails

KINDS = {"inbox": mails.INBOX, "sentitems": mails.SENT, "drafts": mails.DRAFTS, "deleteditems": mails.BIN, "junkemail": mails.JUNK}
FOLDERS_A_CALL = 100
MOST_PAGES = 200
TEXT_MAILS_A_CALL = 20  # messages with their texts


class MailPlaces:
    """Which folders of mail there are, and of which kind."""

    def __init__(self, client: EwsClient) -> None:
        self._client = client
        self.folders = Folders(client, OF_MAILS)
        self._kinds: dict[str, str] = {}

    def of(self, folder_id: str) -> str:
        if folder_id and folder_id == self.folders.ours:
            return mails.OURS
        return self.kinds().get(folder_id, mails.ELSEWHERE)

    def kinds(self) -> dict[str, str]:
        """Returns the kind of each folder that every mailbox has, asked for once."""
        if not self._kinds:
            service = self._client.service(GetFolder)
            payload = service.get_payload([self._client.folder(name) for name in KINDS], None, "IdOnly")
            for name, message in zip(KINDS, self._client.call(service, payload, is_read=True, count=len(KINDS)), strict=True):
                if message.is_good:
                    found = next(iter(message.element.iter(models.tag("FolderId"))), None)
                    self._kinds |= {found.get("Id"): KINDS[name]} if found is not None else {}
                elif not isinstance(error := self._client.error_of(message, is_read=True), RecordGone):
                    raise error
        return self._kinds

    def searched(self) -> list[str]:
        """Returns the folders that mails are looked for in: all but the bin, as they are now."""
        return [folder.id for folder in self.folders.every(is_fresh=True) if self.kinds().get(folder.id) != mails.BIN]


class MailReader:
    """The reads of one mailbox."""

    def __init__(self, client: EwsClient, places: MailPlaces, settings: ExchangeSettings) -> None:
        self._client, self._places, self._settings = client, places, settings

    def read(self, ids: Sequence[str], *, shared: dict[str, str] | None = None) -> WholeMails:
        """Returns these mails without their texts; `shared` tells how each came in."""
        found = self.elements(ids, codec.PATHS, most=self._settings.items_a_call)
        whole = []
        for id_, element in found.rows.items():
            record = self._record(id_, element, found, (shared or {}).get(id_, mails.BY_NOTHING))
            whole += [WholeMail(record)] if record is not None else []
        return found.whole(whole)

    def whole(self, ids: Sequence[str], *, with_attachments: bool) -> WholeMails:
        found = self.elements(ids, [*codec.PATHS, *codec.WHOLE], most=TEXT_MAILS_A_CALL)
        whole = []
        for id_, element in found.rows.items():
            record = self._record(id_, element, found)
            if record is None:
                continue
            try:
                whole.append(codec.read_whole(element, record, with_attachments=with_attachments))
            except CannotBeRead as refusal:
                found.refuse_part(id_, refusal)
        return found.whole(whole)

    def _record(self, id_: str, element: Any, found: FoundMails, shared_by: str = mails.BY_NOTHING) -> Record | None:
        place = self._places.of(codec.folder_of(element))
        try:
            return codec.read_mail(element, folder=place, address=self._client.mailbox, shared_by=shared_by)
        except CannotBeRead as refusal:
            found.refuse_part(id_, refusal)
            return None

    def elements(self, ids: Iterable[str], paths: Sequence[Any], *, most: int) -> FoundMails:
        """Returns the messages with these ids as Exchange tells them; what is no message is gone."""
        found = FoundMails(SYSTEM)
        for some in self._client.in_calls(list(dict.fromkeys(ids)), most):
            service = self._client.service(GetItem)
            payload = codec.with_preview(service.get_payload(models.item_ids(some), paths, "IdOnly"))
            for id_, message in zip(some, self._client.call(service, payload, is_read=True, count=len(some)), strict=True):
                self._sort(id_, message, found)
        return found

    def _sort(self, id_: str, message: Message, found: FoundMails) -> None:
        if message.is_good:
            items = message.items()
            if len(items) == 1 and items[0].tag in codec.TAGS:
                found.rows[id_] = items[0]
            else:
                found.gone.append(id_)
            return
        error = self._client.error_of(message, is_read=True)
        if isinstance(error, RecordGone):
            found.gone.append(id_)
        elif isinstance(error, Rejected):
            found.refuse(id_, error.sentence)
        else:
            raise error

    def search(self, restriction: Any, folders: Sequence[str], *, newest: int = 0) -> list[Any]:
        """Returns what a search finds in these folders: what a list tells of each, no texts. `newest`: so many of each folder at most,
        those that were received last."""
        found: dict[str, Any] = {}
        for some in self._client.in_calls(folders, FOLDERS_A_CALL):
            for element in self._search(restriction, some, newest):
                found[models.id_of(element)[0]] = element
        return list(found.values())

    def _search(self, restriction: Any, folders: Sequence[str], newest: int) -> list[Any]:
        found: list[Any] = []
        size, left = newest or self._settings.found_a_page, list(folders)
        for page in range(MOST_PAGES):
            service = self._client.service(FindItem)
            ids = [self._client.folder(id_) for id_ in left]
            payload = service.get_payload(ids, codec.LISTED, None, None, None, "IdOnly", "Shallow", None, size, page * size)
            if restriction is not None:
                payload.insert(2, restriction)
            if newest:
                payload.insert(2, newest_first())
            following = []
            for id_, message in zip(left, self._client.call(service, payload, is_read=True, count=len(left)), strict=True):
                items, is_last = self._page(message)
                found += items
                following += [] if is_last or newest else [id_]
            left = following
            if not left:
                return found
        raise OutcomeUnknown("finds mails without end", system=SYSTEM)

    def _page(self, message: Message) -> tuple[list[Any], bool]:
        if not message.is_good:
            error = self._client.error_of(message, is_read=True)
            if isinstance(error, RecordGone):  # a folder that was deleted in this moment
                return [], True
            raise error
        root = message.element.find(f"{{{MNS}}}RootFolder")
        if root is None:
            raise self._client.unreadable(message, is_read=True)
        items = [item for item in message.items() if item.tag in codec.TAGS]
        if not all(models.id_of(item)[0] for item in items):
            raise self._client.unreadable(message, is_read=True)
        return items, root.get("IncludesLastItemInRange") in ("true", "1") or not message.items()


# --- conditions -----------------------------------------------------------------------------------------------------


def newest_first() -> Any:
    order = create_element("m:SortOrder")
    by = create_element("t:FieldOrder", attrs={"Order": "Descending"})
    by.append(create_element("t:FieldURI", attrs={"FieldURI": "item:DateTimeReceived"}))
    order.append(by)
    return order


def compared(kind: str, uri: str, value: str) -> Any:
    """Returns a condition that compares a field with a value."""
    element = create_element(f"t:{kind}")
    element.append(create_element("t:FieldURI", attrs={"FieldURI": uri}))
    constant = create_element("t:FieldURIOrConstant")
    constant.append(create_element("t:Constant", attrs={"Value": value}))
    element.append(constant)
    return element


def bears(category: str) -> Any:
    """Returns the condition that a mail bears a category, in any case of its letters."""
    element = create_element("t:Contains", attrs={"ContainmentMode": "FullString", "ContainmentComparison": "IgnoreCase"})
    element.append(create_element("t:FieldURI", attrs={"FieldURI": "item:Categories"}))
    element.append(create_element("t:Constant", attrs={"Value": category}))
    return element


def joined(kind: str, parts: Sequence[Any]) -> Any:
    """Returns conditions joined by And or Or; one alone stands for itself."""
    if len(parts) == 1:
        return parts[0]
    element = create_element(f"t:{kind}")
    element.extend(parts)
    return element


def restriction(condition: Any) -> Any:
    element = create_element("m:Restriction")
    element.append(condition)
    return element
