"""The mailboxes of the played systems, as their rows lie in store: read directly, so that nothing of ours has a say in it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from connectors.microsoft.codec import FOREIGN_PROPERTY
from connectors.sandbox.microsoft.extended import read_property_id
from connectors.sandbox.microsoft.store import BIN, CONTACTS
from connectors.sandbox.world import World
from tests.boxes import FOLDER

CATEGORY, NOT_IN_VIEW = "Salesforce", "Salesforce: not in view"
INSIDE, OUTSIDE, IN_BIN = "inside", "outside", "bin"
PEER = {
    "FirstName": "givenName",
    "LastName": "surname",
    "Title": "jobTitle",
    "MobilePhone": "mobilePhone",
    "Email": "email1",
}
_MARKER = read_property_id(FOREIGN_PROPERTY)


@dataclass(frozen=True, slots=True)
class Item:
    """One contact of a mailbox. `texts` are what users type, by the CRM's names; `row` is all that the system keeps."""

    number: int
    id: str  # as our side knows it
    box: str
    place: str
    categories: frozenset[str]
    marker: str
    texts: dict[str, str]
    is_watched: bool  # lies where a category shares it
    row: dict[str, Any]

    @property
    def is_personal(self) -> bool:
        """Nobody shared it: it is its user's alone."""
        return self.place == OUTSIDE and not (self.is_watched and CATEGORY in self.categories)


class Rows(ABC):
    """Contacts of all mailboxes of one mail system. `ours` returns the folder that our side uses in a mailbox, "" for none."""

    def __init__(self, world: World, ours: Callable[[str], str]) -> None:
        self.world, self.ours = world, ours

    @abstractmethod
    def all(self, box: str) -> Iterator[Item]: ...

    @abstractmethod
    def item(self, box: str, row: dict[str, Any]) -> Item: ...

    # What users do.
    @abstractmethod
    def add(self, box: str, place: str, texts: dict[str, str], email: str, categories: tuple[str, ...] = ()) -> str: ...

    @abstractmethod
    def change(self, item: Item, texts: dict[str, str]) -> None: ...

    @abstractmethod
    def mark(self, item: Item, categories: frozenset[str]) -> None: ...

    @abstractmethod
    def move(self, item: Item, place: str) -> None: ...

    @abstractmethod
    def drop(self, item: Item) -> None: ...

    @abstractmethod
    def purge(self, item: Item) -> None: ...

    @abstractmethod
    def copy(self, item: Item) -> None: ...

    @abstractmethod
    def rename_folder(self, box: str, name: str) -> None: ...

    @abstractmethod
    def second_folder(self, box: str) -> None: ...

    @abstractmethod
    def drop_folder(self, box: str) -> None: ...


MICROSOFT = {"FirstName": "givenName", "LastName": "surname", "Title": "jobTitle", "MobilePhone": "mobilePhone"}
GOOGLE = {
    "FirstName": ("names", "givenName"),
    "LastName": ("names", "familyName"),
    "Title": ("organizations", "title"),
    "MobilePhone": ("phoneNumbers", "value"),
}


class Outlook(Rows):
    """Mailboxes of Microsoft 365."""

    @property
    def _store(self) -> Any:
        return self.world.microsoft.store

    def all(self, box: str) -> Iterator[Item]:
        user = self._store.user(box)["n"]
        return iter([self.item(box, row) for row in list(self._store.contacts.values()) if row["mailbox"] == user])

    def item(self, box: str, row: dict[str, Any]) -> Item:
        store, values = self._store, row["values"]
        folder = store.folders.get(row["folder"])
        if folder is None or folder["kind"] == BIN or store.is_in_bin(folder):
            place = IN_BIN
        else:
            place = INSIDE if store.folder_id(folder) == self.ours(box) else OUTSIDE
        texts = {name: str(values.get(other) or "") for name, other in MICROSOFT.items()}
        emails = values.get("emailAddresses") or []
        texts["Email"] = str(emails[0].get("address") or "") if emails else ""
        return Item(
            row["n"],
            store.contact_id(row, is_immutable=True),
            box,
            place,
            frozenset(values.get("categories") or ()),
            str(row["extended"].get(_MARKER) or ""),
            texts,
            folder is not None and folder["kind"] == CONTACTS,
            row,
        )

    def _folder(self, box: str, place: str) -> str:
        user = self._store.user(box)["n"]
        return self.ours(box) if place == INSIDE else self._store.folder_id(self._store.special(user, CONTACTS))

    def add(self, box: str, place: str, texts: dict[str, str], email: str, categories: tuple[str, ...] = ()) -> str:
        given: dict[str, Any] = {MICROSOFT[name]: value for name, value in texts.items()}
        given |= {"emails": [email] if email else [], "categories": list(categories)}
        made = self.world.microsoft.create_record("contact", {"mailbox": box, "folder": self._folder(box, place), **given})
        return str(made["immutableId"])

    def change(self, item: Item, texts: dict[str, str]) -> None:
        given: dict[str, Any] = {MICROSOFT[name]: value or None for name, value in texts.items() if name != "Email"}
        if "Email" in texts:
            given["emails"] = [texts["Email"]]
        self.world.microsoft.update_record("contact", item.number, given)

    def mark(self, item: Item, categories: frozenset[str]) -> None:
        self.world.microsoft.update_record("contact", item.number, {"categories": sorted(categories)})

    def move(self, item: Item, place: str) -> None:
        self.world.microsoft.update_record("contact", item.number, {"folder": self._folder(item.box, place)})

    def drop(self, item: Item) -> None:
        self.world.microsoft.delete_record("contact", item.number)

    def purge(self, item: Item) -> None:
        self._store.remove_contact(self._store.contacts[item.number])

    def copy(self, item: Item) -> None:
        row = self._store.contacts[item.number]
        self._store.add_contact(self._store.folders[row["folder"]], row["values"], row["extended"])

    def _our_row(self, box: str) -> Any:
        return self._store.folder_by_id(self.ours(box))

    def rename_folder(self, box: str, name: str) -> None:
        self._store.rename_folder(self._our_row(box), name, may_repeat=True)

    def second_folder(self, box: str) -> None:
        row = self._our_row(box)
        self._store.add_folder(self._store.folders[row["parent"]], FOLDER, may_repeat=True)

    def drop_folder(self, box: str) -> None:
        self._store.delete_folder(self._our_row(box))


class GoogleContacts(Rows):
    """Mailboxes of Google."""

    @property
    def _store(self) -> Any:
        return self.world.google.store

    def all(self, box: str) -> Iterator[Item]:
        return iter([self.item(box, row) for row in self._store.contacts.box(box)])

    def _gid(self, box: str) -> str:
        return self.ours(box).rpartition("/")[2]

    def _titles(self, box: str) -> dict[str, str]:
        return {group["gid"]: group["title"] for group in self._store.groups.box(box)}

    def item(self, box: str, row: dict[str, Any]) -> Item:
        fields, titles = row["fields"], self._titles(box)
        place = INSIDE if self._gid(box) in row["groups"] else OUTSIDE
        place = IN_BIN if row["is_deleted"] else place
        texts = {}
        for name, (list_, part) in GOOGLE.items():
            entries = fields.get(list_) or []
            if list_ == "phoneNumbers":
                entries = [entry for entry in entries if entry.get("type") == "mobile"]
            texts[name] = str(entries[0].get(part) or "") if entries else ""
        emails = fields.get("emailAddresses") or []
        texts["Email"] = str(emails[0].get("value") or "") if emails else ""
        data = fields.get("clientData") or []
        marker = next((str(entry.get("value") or "") for entry in data if entry.get("key") == "salesforce.contact"), "")
        categories = frozenset(titles[gid] for gid in row["groups"] if gid in titles and gid != self._gid(box))
        return Item(row["id"], f"people/c{row['name']}", box, place, categories, marker, texts, True, row)

    def _fields(self, now: dict[str, Any], texts: dict[str, str]) -> dict[str, Any]:
        changed: dict[str, Any] = {}
        for name, text in texts.items():
            list_, part = ("emailAddresses", "value") if name == "Email" else GOOGLE[name]
            entries = [dict(entry) for entry in changed.get(list_, now.get(list_) or [])]
            kind = {"type": "mobile"} if list_ == "phoneNumbers" else {}
            first = next((entry for entry in entries if all(entry.get(k) == v for k, v in kind.items())), None)
            if first is None:
                first = dict(kind)
                entries.append(first)
            first.pop(part, None)
            if text:
                first[part] = text
            changed[list_] = [entry for entry in entries if set(entry) - {"type"}]
        return changed

    def add(self, box: str, place: str, texts: dict[str, str], email: str, categories: tuple[str, ...] = ()) -> str:
        fields = {name: rows for name, rows in self._fields({}, {**texts, **({"Email": email} if email else {})}).items() if rows}
        groups = ["myContacts", *([self._gid(box)] if place == INSIDE else []), *self._labels(box, categories)]
        return f"people/c{self._store.add_contact(box, fields, groups)['name']}"

    def _labels(self, box: str, names: Any) -> list[str]:
        store = self._store
        return [(store.group_named(box, name) or store.add_group(box, name))["gid"] for name in sorted(names)]

    def change(self, item: Item, texts: dict[str, str]) -> None:
        row = self._store.contacts.rows[item.number]
        self._store.change_contact(row, self._fields(row["fields"], texts))

    def _set_groups(self, item: Item, *, is_inside: bool, categories: frozenset[str]) -> None:
        names = categories - {"My Contacts", "Starred", "myContacts", "starred"}
        groups = ["myContacts", *([self._gid(item.box)] if is_inside else []), *self._labels(item.box, names)]
        self._store.change_contact(self._store.contacts.rows[item.number], {}, groups)

    def mark(self, item: Item, categories: frozenset[str]) -> None:
        self._set_groups(item, is_inside=item.place == INSIDE, categories=categories)

    def move(self, item: Item, place: str) -> None:
        self._set_groups(item, is_inside=place == INSIDE, categories=item.categories)

    def drop(self, item: Item) -> None:
        self._store.delete(self._store.contacts, self._store.contacts.rows[item.number])

    purge = drop

    def copy(self, item: Item) -> None:
        row = self._store.contacts.rows[item.number]
        self._store.add_contact(item.box, row["fields"], row["groups"])

    def _group(self, box: str) -> Any:
        return self._store.group(box, self._gid(box))

    def rename_folder(self, box: str, name: str) -> None:
        self.world.google.update_record("contactGroup", self._group(box)["id"], {"name": name})

    def second_folder(self, box: str) -> None:
        """No two labels have one name: ours gets another, and a new one has the name."""
        if self._group(box)["title"] == FOLDER:
            self.rename_folder(box, f"My {FOLDER}")
        if self._store.group_named(box, FOLDER) is None:
            self._store.add_group(box, FOLDER)

    def drop_folder(self, box: str) -> None:
        self._store.drop_group(self._group(box), with_contacts=False)


ROWS: dict[str, type[Rows]] = {"microsoft": Outlook, "google": GoogleContacts}
