"""Folders: read, found, made, renamed, moved and deleted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from xml.etree.ElementTree import Element

from connectors.sandbox.exchange.calls import Call
from connectors.sandbox.exchange.facts import read_path
from connectors.sandbox.exchange.fields import MESSAGE
from connectors.sandbox.exchange.items import DELETIONS
from connectors.sandbox.exchange.paging import paged, read_page
from connectors.sandbox.exchange.refusal import Refused, invalid
from connectors.sandbox.exchange.search import Restriction, read_restriction
from connectors.sandbox.exchange.soap import boolean, child, choice, m, name_of, needed, success, t, text_of
from connectors.sandbox.exchange.store import BIN, OWN, ROOT, Store
from connectors.sandbox.microsoft.table import Row

# By class: the element that a folder is told as.
ELEMENTS = {"IPF.Contact": "ContactsFolder", "IPF.Appointment": "CalendarFolder", "IPF.Task": "TasksFolder"}
_CLASSES = {name: class_ for class_, name in ELEMENTS.items()} | {"Folder": "IPF.Note"}
URIS = ("folder:FolderId", "folder:ParentFolderId", "folder:FolderClass", "folder:DisplayName", "folder:TotalCount",
        "folder:ChildFolderCount", "folder:UnreadCount", "folder:EffectiveRights", "folder:ManagedFolderInformation",
        "folder:PermissionSet", "folder:SharingEffectiveRights", "folder:DistinguishedFolderId", "folder:PolicyTag",
        "folder:ArchiveTag", "folder:ReplicaList")  # fmt: skip
_DEFAULT = ("folder:DisplayName", "folder:TotalCount", "folder:ChildFolderCount", "folder:UnreadCount")


class Folders:
    """The operations about folders."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # --- showing ------------------------------------------------------------------------------------------------------------
    def id_element(self, row: Row, name: str = "FolderId") -> Element:
        return t(name, Id=self._store.folder_id(row), ChangeKey=self._store.change_key(row))

    def shown(self, row: Row, uris: tuple[str, ...]) -> Element:
        element = ELEMENTS.get(next((class_ for class_ in ELEMENTS if str(row["class"]).startswith(class_)), ""), "Folder")
        return t(element, self.id_element(row), *(self._part(row, uri) for uri in URIS if uri in uris))

    def _part(self, row: Row, uri: str) -> Element | None:
        if uri == "folder:ParentFolderId":
            parent = self._store.rows("folder").get(row["parent"])
            return None if parent is None else self.id_element(parent, "ParentFolderId")
        made = self.value(row, uri)
        return None if made in (None, "") else t(uri.removeprefix("folder:"), text=made)

    def value(self, row: Row, uri: str) -> Any:
        """Returns the plain value of a property of a folder, None for what it has not."""
        make: dict[str, Callable[[], Any]] = {
            "folder:FolderClass": lambda: row["class"],
            "folder:DisplayName": lambda: row["name"],
            "folder:DistinguishedFolderId": lambda: row["kind"],
            "folder:TotalCount": lambda: self._store.count(row["n"]),
            "folder:ChildFolderCount": lambda: len(self._store.children(row)),
            "folder:UnreadCount": lambda: self._unread(row),
        }
        return make[uri]() if uri in make else None

    def _unread(self, row: Row) -> int:
        return sum(each["kind"] == MESSAGE and not each["values"].get("message:IsRead") for each in self._store.members(row["n"]))

    def read_shape(self, operation: Element) -> tuple[str, ...]:
        """Returns the URIs that a call wants of folders. Raises Faulted."""
        element = needed(operation, "FolderShape")
        base = text_of(needed(element, "BaseShape")).strip()
        if base not in ("IdOnly", "Default", "AllProperties"):
            raise invalid(f"The 'BaseShape' element is invalid - The value '{base[:40]}' is invalid according to its datatype.")
        more = child(element, "AdditionalProperties")
        uris = tuple(read_path(each) for each in more) if more is not None else ()
        if unknown := [uri for uri in uris if uri not in URIS and " " not in uri]:
            raise invalid(f"The 'FieldURI' attribute is invalid - The value '{unknown[0][:80]}' is invalid according to its datatype.")
        return (*uris, *({"IdOnly": (), "Default": _DEFAULT, "AllProperties": URIS}[base]))

    # --- reading ------------------------------------------------------------------------------------------------------------
    def get(self, call: Call) -> list[Element]:
        uris = self.read_shape(call.operation)
        return call.each(call.listed("FolderIds"), lambda e: success(call.name, m("Folders", self.shown(call.folder(e), uris))))

    def find(self, call: Call) -> list[Element]:
        uris = self.read_shape(call.operation)
        traversal = choice(call.operation, "Traversal", ("Shallow", "Deep", "SoftDeleted"))
        page = read_page(call.operation, "IndexedPageFolderView")
        restriction = read_restriction(call.operation, call.zone)

        def one(element: Element) -> Element:
            parent = call.folder(element)
            found = self._store.below(parent) if traversal == "Deep" else self._store.children(parent)
            fits = [row for row in found if traversal != "SoftDeleted" and self._fits(restriction, row)]
            part = paged(fits, page, most=None)
            return success(call.name, part.root("Folders", [self.shown(row, uris) for row in part.rows]))

        return call.each(call.listed("ParentFolderIds"), one)

    def _fits(self, restriction: Restriction | None, row: Row) -> bool:
        return restriction is None or restriction(lambda uri: self.value(row, uri))

    # --- writing ------------------------------------------------------------------------------------------------------------
    def create(self, call: Call) -> list[Element]:
        def one(element: Element) -> Element:
            if name_of(element) not in _CLASSES:
                raise invalid(f"The element 'Folders' has invalid child element '{name_of(element)[:80]}'.")
            name = text_of(child(element, "DisplayName"))
            class_ = text_of(child(element, "FolderClass")).strip() or _CLASSES[name_of(element)]
            row = self._store.add_folder(call.only_folder("ParentFolderId"), _checked(name), class_)
            return success(call.name, m("Folders", t(name_of(element), self.id_element(row))))

        return call.each(call.listed("Folders"), one)

    def update(self, call: Call) -> list[Element]:
        def one(element: Element) -> Element:
            row = call.folder(element[0]) if len(element) else None
            if row is None:
                raise invalid("The element 'FolderChange' has incomplete content.")
            for each in needed(element, "Updates"):
                if name_of(each) != "SetFolderField" or len(each) != 2 or read_path(each[0]) != "folder:DisplayName":
                    raise Refused("ErrorInvalidPropertySet", "Only the name of a folder can be set.")
                row = self._store.change_folder(self._own(row), name=_checked(text_of(child(each[1], "DisplayName"))))
            return success(call.name, m("Folders", t("Folder", self.id_element(row))))

        return call.each(call.listed("FolderChanges"), one)

    def move(self, call: Call) -> list[Element]:
        def one(element: Element) -> Element:
            row, target = self._own(call.folder(element)), call.only_folder("ToFolderId")
            if target["n"] == row["n"] or target in self._store.below(row):
                raise Refused("ErrorMoveCopyFailed", "A folder cannot be moved into itself.")
            return success(call.name, m("Folders", t("Folder", self.id_element(self._store.change_folder(row, parent=target["n"])))))

        return call.each(call.listed("FolderIds"), one)

    def delete(self, call: Call) -> list[Element]:
        how = choice(call.operation, "DeleteType", DELETIONS)

        def one(element: Element) -> Element:
            row = call.folder(element)
            if row["kind"] != OWN:
                raise Refused("ErrorDeleteDistinguishedFolder", "Distinguished folders cannot be deleted.")
            self.take_away(row, how)
            return success(call.name)

        return call.each(call.listed("FolderIds"), one)

    def take_away(self, row: Row, how: str) -> None:
        """Deletes a folder with all in it: for good, or into the Deleted Items."""
        if how == "MoveToDeletedItems":
            self._store.change_folder(row, parent=self._store.special(row["mailbox"], BIN)["n"])
        else:
            self._store.remove_folder(row)

    def empty(self, call: Call) -> list[Element]:
        choice(call.operation, "DeleteType", DELETIONS)
        with_folders = boolean(call.operation.get("DeleteSubFolders", "false"), "DeleteSubFolders")

        def one(element: Element) -> Element:
            row = call.folder(element)
            if row["kind"] == ROOT:
                raise Refused("ErrorCannotEmptyFolder", "The folder cannot be emptied.")
            for item in self._store.members(row["n"]):
                self._store.remove(item)
            for below in self._store.children(row) if with_folders else ():
                self._store.remove_folder(below)
            return success(call.name)

        return call.each(call.listed("FolderIds"), one)

    @staticmethod
    def _own(row: Row) -> Row:
        if row["kind"] != OWN:
            raise Refused("ErrorMoveCopyFailed", "Distinguished folders stay as and where they are.")
        return row


def _checked(name: str) -> str:
    if not name.strip() or len(name) > 255:
        raise Refused("ErrorFolderSavePropertyError", "The folder's name is blank or too long.", field="folder:DisplayName")
    return name
