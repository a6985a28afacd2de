"""The folders of one mailbox that hold one kind of item: ours by its name, and where an item lies by the id of its folder."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from exchangelib.folders import Contacts, Messages, Tasks
from exchangelib.services import CreateFolder, FindFolder, GetFolder
from exchangelib.util import MNS, TNS

from connectors.errors import OutcomeUnknown, RecordGone, Rejected
from connectors.exchange import faults, models
from connectors.exchange.client import EwsClient, Message
from connectors.exchange.models import tag
from connectors.exchange.settings import SYSTEM
from connectors.mailboxes import BIN, INSIDE, OUTSIDE, Folder

ROOT, CONTACTS_FOLDER, TASKS_FOLDER, DELETED = "msgfolderroot", "contacts", "tasks", "deleteditems"
FOLDERS_A_PAGE = 500
MOST_PAGES = 100
DEEPEST = 50  # folders within folders; more are a circle


@dataclass(frozen=True, slots=True)
class _Found:
    """A folder as an answer tells it."""

    id: str
    parent_id: str
    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of folder: the class that its folders have, where a new one is made, and exchangelib's model of one."""

    prefix: str
    home: str
    model: Any


OF_CONTACTS = Kind("IPF.Contact", CONTACTS_FOLDER, Contacts)
OF_TASKS = Kind("IPF.Task", TASKS_FOLDER, Tasks)
OF_MAILS = Kind("IPF.Note", ROOT, Messages)


class Folders:
    """The folders of one mailbox, as far as they had to be asked for. Thread-safe: who asks twice learns the same twice."""

    def __init__(self, client: EwsClient, kind: Kind = OF_CONTACTS) -> None:
        self._client = client
        self._kind = kind
        self._known: dict[str, str] = {}  # folder -> where its items lie
        self._all: list[_Found] | None = None
        self._bin = self._home = ""
        self._is_verified = False
        self._lock = threading.Lock()
        self.ours = ""

    # --- by name ------------------------------------------------------------------------------------------------------

    def named(self, name: str) -> list[Folder]:
        """Returns the folders of this kind and of exactly this name, those in the bin aside."""
        return [folder for folder in self.every(is_fresh=True) if folder.name == name]

    def make(self, name: str) -> Folder:
        """Returns the folder, made where there is none. Exchange itself refuses a second one of a name beside it."""
        found = self.named(name)
        if found:
            return found[0]
        service = self._client.service(CreateFolder)
        payload = service.get_payload([self._kind.model(name=name)], self._client.folder(self._kind.home))
        message = self._client.call(service, payload, is_read=False, count=1)[0]
        if message.is_good:
            return Folder(self._id_of(message), name)
        error = self._client.error_of(message, is_read=False)
        if error.code != faults.FOLDER_EXISTS:
            raise error
        found = self.named(name)
        if not found:
            raise Rejected(
                f"says that a folder “{name[:80]}” exists already, but does not show it; look among the deleted folders, or choose "
                "another name",
                system=SYSTEM,
                code=error.code,
                exchange=error.exchange,
            ) from error
        return found[0]

    def _id_of(self, message: Message) -> str:
        found = next(iter(message.element.iter(tag("FolderId"))), None)
        if found is None or not found.get("Id"):
            raise self._client.unreadable(message, is_read=False)
        return str(found.get("Id"))

    def ids(self) -> list[str]:
        """Returns every folder of this kind, those in the bin aside; the one that each mailbox has is among them."""
        found = [folder.id for folder in self.every()]
        return list(dict.fromkeys([*found, *([self.ours] if self.ours else [])])) or [self._kind.home]

    def every(self, *, is_fresh: bool = False) -> list[Folder]:
        """Returns the same with their names; `is_fresh`: as they are now."""
        if self._all is None or is_fresh:
            self._all = self._list()
        parents = {each.id: each.parent_id for each in self._all}
        found = [each for each in self._all if each.kind == self._kind.prefix or each.kind.startswith(f"{self._kind.prefix}.")]
        return [Folder(each.id, each.name) for each in found if not _is_below(each.id, self._bin_id(), parents)] if found else []

    def home_id(self) -> str:
        """Returns the id of the folder of this kind that each mailbox has."""
        if not self._home:
            self._home = self._get(self._kind.home).id
        return self._home

    def _list(self) -> list[_Found]:
        found: dict[str, _Found] = {}
        for _ in range(MOST_PAGES):
            service = self._client.service(FindFolder)
            parents = [self._client.folder(ROOT)]
            payload = service.get_payload(parents, _paths(), None, "IdOnly", "Deep", page_size=FOLDERS_A_PAGE, offset=len(found))
            message = self._client.one(service, payload, is_read=True)
            root = message.element.find(f"{{{MNS}}}RootFolder")
            rows = root.find(f"{{{TNS}}}Folders") if root is not None else None
            if root is None or (rows is None and root.get("TotalItemsInView") != "0"):
                raise self._client.unreadable(message, is_read=True)
            page = [_folder_of(row) for row in rows] if rows is not None else []
            if None in page:
                raise self._client.unreadable(message, is_read=True)
            found |= {each.id: each for each in page if each is not None}
            if root.get("IncludesLastItemInRange") in ("true", "1") or not page:
                return list(found.values())
        raise OutcomeUnknown("lists folders without end", system=SYSTEM)

    # --- by id --------------------------------------------------------------------------------------------------------

    def place_of(self, folder_id: str) -> str:
        """Returns INSIDE, OUTSIDE or BIN."""
        if folder_id and folder_id == self.ours:
            return INSIDE
        if folder_id not in self._known:
            place = BIN if self._lies_in_bin(folder_id) else OUTSIDE
            with self._lock:
                self._known[folder_id] = place
        return self._known[folder_id]

    def verify(self) -> None:
        """Sees to it, once, that our folder is there, and not in the bin: it could be read and written there, and nobody would see
        it. Raises RecordGone with the code "folder"."""
        if not self.ours or self._is_verified:
            return
        try:
            is_gone = self._lies_in_bin(self.ours)
        except RecordGone as gone:
            raise faults.folder_gone(gone.detail, gone.exchange) from gone
        if is_gone:
            raise faults.folder_gone("it lies in the bin", None)
        self._is_verified = True

    def _bin_id(self) -> str:
        if not self._bin:
            self._bin = self._get(DELETED).id
        return self._bin

    def _lies_in_bin(self, folder_id: str) -> bool:
        """Goes up from a folder to see whether it comes by the bin. Raises RecordGone where the folder itself is not there."""
        at, bin_id = folder_id, self._bin_id()
        for _ in range(DEEPEST):
            if at == bin_id:
                return True
            parent = self._get(at).parent_id
            if not parent or parent == at or parent in self._known:  # above the root of all folders there is none to be read
                return self._known.get(parent) == BIN
            at = parent
        return False

    def _get(self, folder_id: str) -> _Found:
        service = self._client.service(GetFolder)
        message = self._client.one(service, service.get_payload([self._client.folder(folder_id)], _paths(), "IdOnly"), is_read=True)
        rows = message.element.find(f"{{{MNS}}}Folders")
        found = _folder_of(rows[0]) if rows is not None and len(rows) == 1 else None
        if found is None:
            raise self._client.unreadable(message, is_read=True)
        return found

    def look(self, folder_id: str = CONTACTS_FOLDER) -> None:
        """Asks for one of the folders that each mailbox has. Raises the error of a refusal."""
        self._get(folder_id)


def _paths() -> list[Any]:
    return [models.path(Contacts, name) for name in ("name", "folder_class", "parent_folder_id")]


def _folder_of(row: Any) -> _Found | None:
    own, parent = row.find(tag("FolderId")), row.find(tag("ParentFolderId"))
    id_ = own.get("Id") if own is not None else None
    if not id_:
        return None
    said = {name: models.text(row, name) or "" for name in ("DisplayName", "FolderClass")}
    return _Found(id_, (parent.get("Id") or "") if parent is not None else "", said["DisplayName"], said["FolderClass"])


def _is_below(id_: str, above: str, parents: dict[str, str]) -> bool:
    for _ in range(DEEPEST):
        id_ = parents.get(id_, "")
        if not id_ or id_ == above:
            return bool(id_)
    return False
