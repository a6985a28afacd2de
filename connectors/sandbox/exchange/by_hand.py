"""What people do in Outlook, and an administrator at the server: the control port's records.

Rows read as those of the played Microsoft 365 do: a contact has `mailbox` and `folder` beside its properties, `emails` are plain
texts. Writing `folder` drags a thing there; a user's `state` (ok, denied, gone, moving) refuses the mailbox.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from connectors.sandbox.exchange import ids
from connectors.sandbox.exchange.attachments import Attachments
from connectors.sandbox.exchange.contacts_by_hand import ContactsByHand
from connectors.sandbox.exchange.events import Events
from connectors.sandbox.exchange.events_by_hand import EventsByHand
from connectors.sandbox.exchange.fields import CONTACT, EVENT, MESSAGE, TASK
from connectors.sandbox.exchange.folders import Folders
from connectors.sandbox.exchange.items import Items
from connectors.sandbox.exchange.mail_by_hand import MailByHand
from connectors.sandbox.exchange.meetings import Meetings
from connectors.sandbox.exchange.store import OWN, STATES, Store
from connectors.sandbox.exchange.tasks_by_hand import TasksByHand
from connectors.sandbox.microsoft.occurrences import Item
from connectors.sandbox.microsoft.table import Row
from connectors.sandbox.wire import read_id

OBJECTS = ("contact", "folder", "event", "message", "task", "user")
KINDS = {"contact": CONTACT, "event": EVENT, "message": MESSAGE, "task": TASK}
_USER = ("mail", "displayName", "givenName", "surname", "state")


class Rows(Protocol):
    """The records of one kind of item as people see them."""

    def shown(self, row: Row) -> dict[str, Any]: ...

    def create(self, box: Row, given: Mapping[str, Any]) -> Row: ...

    def update(self, row: Row, given: Mapping[str, Any]) -> Row: ...


class ByHand:
    """Reads and writes rows as people see them. Raises ValueError, with a sentence, and Refused for what the store refuses."""

    def __init__(self, store: Store, attachments: Attachments, events: Events, meetings: Meetings, items: Items, folders: Folders) -> None:
        self._store, self._folders, self._meetings, self._items = store, folders, meetings, items
        self.messages = MailByHand(store, attachments, items)
        self._rows: dict[str, Rows] = {"contact": ContactsByHand(items), "event": EventsByHand(store, events, meetings, items),
                                       "message": self.messages, "task": TasksByHand(items)}  # fmt: skip

    # --- reading ------------------------------------------------------------------------------------------------------------
    def rows(self, object_type: str) -> list[Row]:
        if object_type in KINDS:
            return [row for row in self._store.items.values() if row["kind"] == KINDS[object_type]]
        return list(self._store.rows(object_type).values())

    def row(self, object_type: str, number: int) -> Row | None:
        row = self._store.rows("item" if object_type in KINDS else object_type).get(number)
        return None if row is None or (object_type in KINDS and row["kind"] != KINDS[object_type]) else row

    def find(self, object_type: str, text: str) -> int | None:
        """Returns the number of what an id names, present or former, an address, or the number itself."""
        if object_type == "user" and (user := self._store.user(text)) is not None:
            return int(user["n"])
        named = ids.read(self._store.key, text)
        if named is not None:
            wanted = ids.FOLDER if object_type == "folder" else ids.ITEM
            return named.number if named.kind == wanted and self.row(object_type, named.number) is not None else None
        number = read_id(text)
        return number if number is not None and self.row(object_type, number) is not None else None

    def shown(self, object_type: str, row: Row) -> dict[str, Any]:
        """Returns a row as the control port tells it."""
        if object_type == "user":
            return {"id": str(row["n"]), **{name: row.get(name) for name in _USER}}
        mailbox = self._store.address_of(row["mailbox"])
        if object_type == "folder":
            parent = self._store.rows("folder").get(row["parent"])
            own = {"id": self._store.folder_id(row), "mailbox": mailbox, "displayName": row["name"], "class": row["class"]}
            return {**own, "kind": row["kind"], "parent": parent["name"] if parent else "", "items": self._store.count(row["n"])}
        folder = self._store.rows("folder")[row["folder"]]["name"]
        own = {"id": self._store.item_id(row), "changeKey": self._store.change_key(row), "mailbox": mailbox, "folder": folder}
        stamps = {"createdDateTime": row["created"], "lastModifiedDateTime": row["modified"]}
        return {**own, **self._rows[object_type].shown(row), **stamps, "extendedProperties": dict(row["extended"])}

    # --- writing ------------------------------------------------------------------------------------------------------------
    def create(self, object_type: str, values: Mapping[str, Any]) -> Row:
        given = dict(values)
        if object_type == "user":
            return self._store.add_user(_user({"state": "ok"}, given))
        box = self._store.user(str(given.pop("mailbox", "")))
        if box is None:
            raise ValueError("mailbox must name a user by address")
        if object_type == "folder":
            parent = self._folder(box, given.get("parent") or "Top of Information Store")
            return self._store.add_folder(parent, str(given.get("displayName") or ""), str(given.get("class") or "IPF.Contact"))
        name = given.pop("folder", None)
        folder = self._folder(box, name) if name else None
        row = self._rows[object_type].create(box, given)
        return row if folder is None else self._dragged(row, folder)

    def update(self, object_type: str, row: Row, values: Mapping[str, Any]) -> Row:
        given = dict(values)
        if object_type == "user":
            return self._store.change_user(row, _user(row, given))
        if self._store.user(str(given.pop("mailbox", self._store.address_of(row["mailbox"])))) != self._store.rows("user")[row["mailbox"]]:
            raise ValueError(f"a {object_type} stays in its mailbox")
        if object_type == "folder":
            return self._renamed(row, given)
        name = given.pop("folder", None)
        folder = self._folder(self._store.rows("user")[row["mailbox"]], name) if name else None
        row = self._rows[object_type].update(row, given) if given else row
        return row if folder is None else self._dragged(row, folder)

    def _renamed(self, row: Row, given: Mapping[str, Any]) -> Row:
        if row["kind"] != OWN:
            raise ValueError("the folders that every mailbox has stay as they are")
        changes: dict[str, Any] = {"name": str(given["displayName"])} if given.get("displayName") else {}
        if given.get("parent"):
            box = self._store.rows("user")[row["mailbox"]]
            changes["parent"] = self._folder(box, given["parent"])["n"]
        return self._store.change_folder(row, **changes) if changes else row

    def _dragged(self, row: Row, folder: Row) -> Row:
        return row if folder["n"] == row["folder"] else self._store.move(row, folder)

    def delete(self, object_type: str, row: Row) -> None:
        """Deletes as a person does: a meeting of one's own is cancelled, and what is deleted lies in the Deleted Items."""
        if object_type == "user":
            self._store.remove_user(row)
        elif object_type == "folder":
            if row["kind"] != OWN:
                raise ValueError("the folders that every mailbox has cannot be deleted")
            self._folders.take_away(row, "HardDelete")
        else:
            if object_type == "event":
                self._cancel(row)
            self._items.take_away(self._store.items[row["n"]], "MoveToDeletedItems")

    def _cancel(self, row: Row) -> None:
        self._meetings.cancelled(Item(row), sends="all")

    def empty(self, given: Mapping[str, Any]) -> dict[str, int]:
        """Empties a mailbox of its contacts, with `folders` true of the folders of contacts too. Raises ValueError."""
        box, folders = self._store.user(str(given.get("mailbox", ""))), given.get("folders", False)
        if set(given) - {"mailbox", "folders"} or not isinstance(folders, bool) or box is None:
            raise ValueError("a mailbox is emptied by its mailbox, and folders true or false")
        contacts = [row for row in self.rows("contact") if row["mailbox"] == box["n"]]
        for row in contacts:
            self._store.remove(row)
        own = [row for row in self._store.own_folders(box["n"]) if row["kind"] == OWN and row["class"].startswith("IPF.Contact")]
        for row in own if folders else ():
            if row["n"] in self._store.rows("folder"):
                self._store.remove_folder(row)
        return {"contacts": len(contacts), "folders": len(own) if folders else 0}

    def create_messages(self, given: Mapping[str, Any]) -> dict[str, int]:
        """Puts many messages into mailboxes at once. Raises ValueError, and says at which, for one that cannot be."""
        messages = given.get("messages")
        if not isinstance(messages, list) or not all(isinstance(each, dict) for each in messages):
            raise ValueError("messages must be a list of objects")
        for place, each in enumerate(messages):
            try:
                self.create("message", each)
            except ValueError as error:
                raise ValueError(f"message {place}: {error}") from None
        return {"created": len(messages)}

    def _folder(self, box: Row, name: object) -> Row:
        """Returns the folder of a mailbox by its name, its kind or its id. Raises ValueError."""
        folders = list(self._store.own_folders(box["n"]))
        fits = [each for each in folders if name in (each["name"], self._store.folder_id(each)) or (each["kind"] and name == each["kind"])]
        if not fits:
            raise ValueError(f"the mailbox has no folder {str(name)[:80]!r}; it has {', '.join(each['name'] for each in folders)}")
        return fits[0]


def _user(present: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    if unknown := [name for name in given if name not in (*_USER, "id")]:
        raise ValueError(f"a user has no {unknown[0][:80]!r}; it has {', '.join(_USER)}")
    new = {**present, **{name: given[name] for name in _USER if name in given}}
    if "@" not in str(new.get("mail", "")) or new["state"] not in STATES:
        raise ValueError(f"a user has a mail, an address, and a state, one of {', '.join(STATES)}")
    new["displayName"] = new.get("displayName") or str(new["mail"]).partition("@")[0].replace(".", " ").title()
    return new
