"""The mail of the played mailboxes: folders, messages, attachments, and what is delivered from one mailbox to others.

Mail folders are rows of their own. The top and Deleted Items are those of the contacts' tree: they answer by the same ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from connectors.sandbox.microsoft import ids
from connectors.sandbox.microsoft.items import Items
from connectors.sandbox.microsoft.refusal import Refused, malformed_id, no_item
from connectors.sandbox.microsoft.store import BIN, OWN, ROOT, Store
from connectors.sandbox.microsoft.table import Row

TOP, INBOX, DRAFTS, SENT, DELETED = "msgfolderroot", "inbox", "drafts", "sentitems", "deleteditems"
WELL_KNOWN = {
    TOP: "Top of Information Store", INBOX: "Inbox", DRAFTS: "Drafts", SENT: "Sent Items", DELETED: "Deleted Items", "archive": "Archive",
    "junkemail": "Junk Email", "outbox": "Outbox",
}  # fmt: skip
_SHARED = {TOP: ROOT, DELETED: BIN}


class MailStore:
    """Rows of mail folders, messages and attachments."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.messages = Items(store, "message", place="folder", ordinary=ids.MESSAGE, immutable=ids.IMMUTABLE_MESSAGE)
        self._special: dict[tuple[int, str], int] = {}
        self._own: dict[int, list[int]] = {}  # folders of a mailbox
        self._attached: dict[int, list[int]] = {}  # attachments of a message
        store.furnish.append(self._furnish)
        store.reindex.append(self._reindex)

    # --- folders --------------------------------------------------------------------------------------------------------
    @property
    def folders(self) -> dict[int, Row]:
        return self._store.tables["mailFolder"].rows

    def special(self, mailbox: int, kind: str) -> Row:
        return self.folders[self._special[mailbox, kind]]

    def folder_id(self, row: Row) -> str:
        if row["kind"] in _SHARED:
            return self._store.folder_id(self._store.special(row["mailbox"], _SHARED[row["kind"]]))
        return ids.make(self._store.key, ids.MAIL_FOLDER, mailbox=row["mailbox"], number=row["n"])

    def find_folder(self, mailbox: Row, text: str) -> Row:
        """Returns the folder that an id or a well-known name says. Raises Refused."""
        if text.lower() in WELL_KNOWN:
            return self.special(mailbox["n"], text.lower())
        found = ids.read(self._store.key, text)
        if found is None:
            raise malformed_id()
        if found.kind == ids.FOLDER:
            shared = {self._store.special(mailbox["n"], theirs)["n"]: ours for ours, theirs in _SHARED.items()}
            if found.number in shared:
                return self.special(mailbox["n"], shared[found.number])
        row = self.folders.get(found.number) if found.kind == ids.MAIL_FOLDER else None
        if row is None or row["mailbox"] != mailbox["n"]:
            raise no_item()
        return row

    def own_folders(self, mailbox: int) -> list[Row]:
        """Returns all folders of a mailbox, in order of creation."""
        return [self.folders[number] for number in self._own.get(mailbox, ())]

    def children(self, parent: Row) -> list[Row]:
        return [each for each in self.own_folders(parent["mailbox"]) if each["parent"] == parent["n"]]

    def is_in_bin(self, folder: Row) -> bool:
        """Tells whether a folder was deleted, or lies in one that was; the bin itself was not."""
        while (parent := self.folders.get(folder["parent"])) is not None:
            if parent["kind"] == DELETED:
                return True
            folder = parent
        return False

    def add_folder(self, parent: Row, name: str, *, may_repeat: bool = False) -> Row:
        if not may_repeat:
            self._clash(parent, name)
        return self._put_folder(parent["mailbox"], parent["n"], OWN, name)

    def change_folder(self, row: Row, *, name: str | None = None, parent: Row | None = None) -> Row:
        """Renames a folder or lays it into another one. Raises Refused for a name that is taken there."""
        place = parent or self.folders[row["parent"]]
        new_name = row["displayName"] if name is None else name
        self._clash(place, new_name, but=row["n"])
        if self._lies_in(place, row):
            raise Refused(400, "ErrorMoveCopyFailed", "A folder cannot be moved into itself or into one of its own.")
        return self._store.tables["mailFolder"].put({**row, "displayName": new_name, "parent": place["n"]})

    def delete_folder(self, row: Row) -> None:
        """Puts a folder with all in it into the bin; one that lies there already goes altogether."""
        bin_ = self.special(row["mailbox"], DELETED)
        if not self.is_in_bin(row):
            if self._store.switches.equal_folder_in_bin_refuses:
                self._clash(bin_, row["displayName"])
            self._store.tables["mailFolder"].put({**row, "parent": bin_["n"]})
            return
        for child in self.children(row):
            self.delete_folder(child)
        for message in self.messages.within(row["n"]):
            self.remove(message)
        self._store.tables["mailFolder"].remove(row["n"])
        self._own[row["mailbox"]].remove(row["n"])

    def _lies_in(self, folder: Row | None, other: Row) -> bool:
        while folder is not None:
            if folder["n"] == other["n"]:
                return True
            folder = self.folders.get(folder["parent"])
        return False

    def _clash(self, parent: Row, name: str, but: int = 0) -> None:
        if any(each["n"] != but and each["displayName"].casefold() == name.casefold() for each in self.children(parent)):
            raise Refused(409, "ErrorFolderExists", "A folder with the specified name already exists.")

    def _put_folder(self, mailbox: int, parent: int, kind: str, name: str) -> Row:
        table = self._store.tables["mailFolder"]
        row = table.put({"n": table.next_number, "mailbox": mailbox, "parent": parent, "kind": kind, "displayName": name})
        self._index_folder(row)
        return row

    def _furnish(self, user: Row) -> None:
        if (user["n"], TOP) in self._special:
            return
        for kind, name in WELL_KNOWN.items():
            self._put_folder(user["n"], 0 if kind == TOP else self._special[user["n"], TOP], kind, name)

    # --- messages -------------------------------------------------------------------------------------------------------
    def all_messages(self, mailbox: int) -> list[Row]:
        """Returns the messages of all folders of a mailbox, Deleted Items too."""
        return [row for folder in self._own.get(mailbox, ()) for row in self.messages.within(folder)]

    def add(
        self,
        folder: Row,
        values: dict[str, Any],
        *,
        attachments: Iterable[Mapping[str, Any]] = (),
        extended: Mapping[str, str] | None = None,
    ) -> Row:
        """Stores a message with its attachments, each with name, contentType, content (base64), isInline, contentId."""
        row = self.messages.add(folder["mailbox"], folder["n"], values, extended=dict(extended or {}))
        for each in attachments:
            self._attach(row, each)
        return row

    def remove(self, row: Row) -> None:
        """Takes a message away for good, with its attachments."""
        for number in self._attached.pop(row["n"], ()):
            self._store.tables["attachment"].remove(number)
        self.messages.remove(row)

    def delete(self, row: Row) -> None:
        """Moves a message to Deleted Items; one that lies there already goes for good."""
        folder, bin_ = self.folders[row["folder"]], self.special(row["mailbox"], DELETED)
        if folder == bin_ or self.is_in_bin(folder):
            self.remove(row)
        else:
            self.messages.change(row, folder=bin_["n"])

    def copy(self, row: Row, folder: Row) -> Row:
        """Lays a copy of a message, with its attachments, into a folder."""
        return self.add(folder, dict(row["values"]), attachments=self.attachments(row), extended=row["extended"])

    # --- attachments ------------------------------------------------------------------------------------------------------
    def attachments(self, message: Row) -> list[Row]:
        rows = self._store.tables["attachment"].rows
        return [rows[number] for number in self._attached.get(message["n"], ())]

    def has_attachments(self, message: Row) -> bool:
        """Tells whether a message has attachments that are not shown within its text."""
        return message["n"] in self._attached and not all(each["isInline"] for each in self.attachments(message))

    def attach(self, message: Row, values: Mapping[str, Any]) -> Row:
        """Adds an attachment to a message that is there already; it is another version then."""
        added = self._attach(message, values)
        self.messages.change(message)
        return added

    def detach(self, message: Row, attachment: Row) -> None:
        self._attached[message["n"]].remove(attachment["n"])
        self._store.tables["attachment"].remove(attachment["n"])
        self.messages.change(message)

    def set_attachments(self, message: Row, attachments: Iterable[Mapping[str, Any]]) -> None:
        """Puts other attachments in the place of those that a message has."""
        for number in self._attached.pop(message["n"], ()):
            self._store.tables["attachment"].remove(number)
        for each in attachments:
            self._attach(message, each)

    def attachment_id(self, row: Row) -> str:
        return ids.make(self._store.key, ids.ATTACHMENT, mailbox=row["mailbox"], number=row["n"])

    def find_attachment(self, message: Row, text: str) -> Row:
        """Returns the attachment of a message that an id names. Raises Refused."""
        found = ids.read(self._store.key, text)
        if found is None:
            raise malformed_id()
        if found.kind != ids.ATTACHMENT or found.number not in self._attached.get(message["n"], ()):
            raise no_item()
        return self._store.tables["attachment"].rows[found.number]

    def _attach(self, message: Row, values: Mapping[str, Any]) -> Row:
        table = self._store.tables["attachment"]
        row = {"n": table.next_number, "mailbox": message["mailbox"], "message": message["n"], "name": values["name"],
               "contentType": values["contentType"], "content": values["content"], "isInline": values["isInline"],
               "contentId": values.get("contentId"), "modified": self._store.stamp()}  # fmt: skip
        table.put(row)
        self._attached.setdefault(message["n"], []).append(row["n"])
        return row

    # --- over a restart ---------------------------------------------------------------------------------------------------
    def _index_folder(self, row: Row) -> None:
        self._own.setdefault(row["mailbox"], []).append(row["n"])
        if row["kind"] != OWN:
            self._special[row["mailbox"], row["kind"]] = row["n"]

    def _reindex(self) -> None:
        self._special, self._own, self._attached = {}, {}, {}
        for number in sorted(self.folders):
            self._index_folder(self.folders[number])
        attachments = self._store.tables["attachment"].rows
        for number in sorted(attachments):
            self._attached.setdefault(attachments[number]["message"], []).append(number)
