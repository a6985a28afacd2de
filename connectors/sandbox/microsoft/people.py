"""What people do in Outlook, and an administrator in the directory: the control port's records.

A row of a contact carries `mailbox` and `folder` beside Graph's properties; `emails` are its addresses as plain texts, and
`businessFax`, `otherPhone` and `assistantPhone` what Graph shows as extended properties only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.sandbox.microsoft import ids, schema
from connectors.sandbox.microsoft.categories import COLORS, Categories
from connectors.sandbox.microsoft.contacts import Contacts
from connectors.sandbox.microsoft.extended import FRIENDLY, read_property_id
from connectors.sandbox.microsoft.mail_and_tasks import ByHand
from connectors.sandbox.microsoft.query import View
from connectors.sandbox.microsoft.store import BIN, CONTACTS, OWN, ROOT, Store, contacts_of
from connectors.sandbox.microsoft.table import Row
from connectors.sandbox.microsoft.users import PROPERTIES, STATES, TEXTS
from connectors.sandbox.wire import read_id

OBJECTS = ("contact", "contactFolder", "user", "outlookCategory", "message", "task", "event")
_FOREIGN = ("id", "immutableId", "@odata.etag", "parentFolderId", *schema.READ_ONLY)  # of a row as it was read: not written


class People:
    """Reads and writes rows as people see them. Raises ValueError, with a sentence, and Refused for what Outlook refuses too."""

    def __init__(self, store: Store, contacts: Contacts, categories: Categories, others: Mapping[str, ByHand]) -> None:
        self._store, self._contacts, self._categories, self._others = store, contacts, categories, others

    def find(self, object_type: str, text: str) -> int | None:
        """Returns the number of what an id names: present or former, immutable, an address, or the number itself."""
        if object_type in self._others:
            return self._others[object_type].find(text)
        rows = self._store.tables[object_type].rows
        if object_type == "user" and (user := self._store.user(text)) is not None:
            return int(user["n"])
        if object_type == "outlookCategory":
            found = next((n for n, row in rows.items() if self._categories.id_of(row) == text.lower()), None)
            return found or read_id(text)
        named = ids.read(self._store.key, text)
        is_folder = object_type == "contactFolder"
        if named is not None:
            kinds = (ids.FOLDER,) if is_folder else (ids.ITEM, ids.IMMUTABLE)
            return named.number if named.kind in kinds and named.number in rows else None
        number = read_id(text)
        return number if number in rows else None

    def shown(self, object_type: str, row: Row) -> dict[str, Any]:
        """Returns a row as the control port tells it."""
        if object_type in self._others:
            return self._others[object_type].shown(row)
        if object_type == "user":
            told = {"id": row["id"], **{name: row.get(name) for name in TEXTS}}
            return {**told, "accountEnabled": row["accountEnabled"], "state": row["state"]}
        mailbox = self._address(row["mailbox"])
        if object_type == "outlookCategory":
            return {"mailbox": mailbox, **self._categories.shown(row, None)}
        if object_type == "contactFolder":
            parent = self._store.folders.get(row["parent"])
            own = {"id": self._store.folder_id(row), "mailbox": mailbox, "displayName": row["displayName"]}
            contacts = len(self._store.members.get(contacts_of(row["n"]), ()))
            return {**own, "parent": parent["displayName"] if parent else "", "contacts": contacts}
        return self._contact(row, mailbox)

    def _contact(self, row: Row, mailbox: str) -> dict[str, Any]:
        told = self._contacts.shown(row, View(), is_immutable=False)
        emails = [email.get("address") or "" for email in told["emailAddresses"]]
        own = {"id": told["id"], "immutableId": self._store.contact_id(row, is_immutable=True), "mailbox": mailbox,
               "folder": self._store.folders[row["folder"]]["displayName"], "emails": emails}  # fmt: skip
        friendly = {name: row["extended"].get(id_) for name, id_ in FRIENDLY.items()}
        return {**own, **told, **friendly, "extendedProperties": dict(row["extended"])}

    def _address(self, mailbox: int) -> str:
        user = self._store.users[mailbox]
        return str(user.get("mail") or user["userPrincipalName"])

    # --- contacts -------------------------------------------------------------------------------------------------------------
    def create(self, object_type: str, values: Mapping[str, Any]) -> Row:
        if object_type in self._others:
            return self._others[object_type].create(values)
        given = dict(values)
        if object_type == "user":
            return self._store.add_user(_user({"accountEnabled": True, "state": "ok", "userType": "Member"}, given))
        user = self._store.user(str(given.pop("mailbox", "")))
        if user is None:
            raise ValueError("mailbox must name a user by address or id")
        if object_type == "contact":
            folder = self._folder(user, given.pop("folder", "Contacts"))
            return self._contacts.create(folder, self._body(given))
        if object_type == "outlookCategory":
            if not isinstance(given.get("displayName"), str) or given.get("color", "none") not in COLORS:
                raise ValueError(f"a category needs a displayName and may have a color, one of {', '.join(COLORS)}")
            return self._categories.add(user, {name: given[name] for name in ("displayName", "color") if name in given})
        parent = self._folder(user, given.pop("parent", "Contacts"))
        return self._store.add_folder(parent, _folder_name(given), may_repeat=True)

    def update(self, object_type: str, row: Row, values: Mapping[str, Any]) -> Row:
        if object_type in self._others:
            return self._others[object_type].update(row, values)
        given = dict(values)
        if object_type == "user":
            return self._store.change_user(row, _user(row, given))
        if object_type == "contactFolder":
            if row["kind"] != OWN:
                raise ValueError(f"{row['displayName']} is there in every mailbox and keeps its name")
            return self._store.rename_folder(row, _folder_name(given), may_repeat=True)
        if object_type == "outlookCategory":
            if set(given) != {"color"} or given["color"] not in COLORS:
                raise ValueError("only the color of a category can be changed")
            return self._store.tables["outlookCategory"].put({**row, **given})
        user = self._store.users[row["mailbox"]]
        if self._store.user(str(given.pop("mailbox", user["id"]))) != user:
            raise ValueError("a contact stays in its mailbox")
        moved = {"folder": self._folder(user, given.pop("folder"))["n"]} if "folder" in given else {}
        return self._contacts.change(row, self._body(given), **moved)

    def delete(self, object_type: str, row: Row) -> None:
        if object_type in self._others:
            self._others[object_type].delete(row)
        elif object_type == "user":
            self._store.remove_user(row)
        elif object_type == "outlookCategory":
            self._store.tables["outlookCategory"].remove(row["n"])
        elif object_type == "contact":
            self._contacts.delete(row)
        elif row["kind"] != OWN:
            raise ValueError(f"{row['displayName']} cannot be deleted")
        else:
            self._store.delete_folder(row)

    def _folder(self, user: Row, name: object) -> Row:
        """Returns the folder of a mailbox by its name or id, the oldest of several that are not deleted."""
        folders = [each for each in self._store.own_folders(user["n"]) if each["kind"] != ROOT]
        fits = [each for each in folders if name in (each["displayName"], self._store.folder_id(each))]
        fits.sort(key=self._store.is_in_bin)
        if not fits:
            raise ValueError(f"the mailbox has no folder {str(name)[:80]!r}; it has {', '.join(each['displayName'] for each in folders)}")
        return fits[0]

    def _body(self, given: dict[str, Any]) -> schema.Body:
        """Returns what a row sets; what cannot be written is left out, so that a row that was read can be sent back."""
        extended = given.pop("extendedProperties", {})
        if not isinstance(extended, dict) or not all(isinstance(text, str | None) for text in extended.values()):
            raise ValueError("extendedProperties must be an object of texts by property id")
        properties = {read_property_id(name): text for name, text in extended.items()}
        for name, id_ in FRIENDLY.items():
            if name in given:
                properties[id_] = given.pop(name)
        if not all(isinstance(text, str | None) for text in properties.values()):
            raise ValueError(f"{', '.join(FRIENDLY)} are texts")
        emails = given.pop("emails", None)
        if emails is not None:
            if not isinstance(emails, list) or not all(isinstance(email, str) for email in emails):
                raise ValueError("emails must be a list of addresses")
            given["emailAddresses"] = [{"address": email} for email in emails]
        slots = schema.SLOTS if "emailAddresses" in given else ()
        kept = {name: value for name, value in given.items() if name not in (*_FOREIGN, *slots)}
        body = schema.read_body(kept, home_phones_most=self._store.switches.home_phones_most)
        body.extended.update(properties)
        return body

    def empty(self, mailbox: object, *, folders: bool) -> dict[str, int]:
        """Takes all contacts out of a mailbox for good, and its folders where that is asked for. Returns how many of each."""
        user = self._store.user(str(mailbox))
        if user is None:
            raise ValueError("mailbox must name a user by address or id")
        contacts = [row for row in self._store.contacts.values() if row["mailbox"] == user["n"]]
        for row in contacts:
            self._store.remove_contact(row)
        places = (CONTACTS, BIN) if folders else ()
        own = [row for kind in places for row in self._store.children(self._store.special(user["n"], kind))]
        for row in own:
            self._store.delete_folder(row, for_good=True)
        return {"contacts": len(contacts), "folders": len(own)}


def _folder_name(given: Mapping[str, Any]) -> str:
    name = given.get("displayName")
    if not isinstance(name, str) or not name.strip() or set(given) - {"displayName", "id", "mailbox", "parent", "contacts"}:
        raise ValueError("a folder has a displayName, and a mailbox and parent when it is made")
    return name.strip()


def _user(stored: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a user's values after a write. Raises ValueError."""
    if unknown := [name for name in given if name not in (*PROPERTIES, "state")]:
        raise ValueError(f"a user has no {unknown[0][:80]!r}; it has {', '.join((*TEXTS, 'accountEnabled', 'state'))}")
    values = {**stored, **{name: value for name, value in given.items() if name not in ("id", "businessPhones")}}
    if not all(isinstance(values.get(name), str | None) for name in TEXTS) or not isinstance(values["accountEnabled"], bool):
        raise ValueError("a user's values are texts, and accountEnabled true or false")
    if values["state"] not in STATES:
        raise ValueError(f"state must be one of {', '.join(STATES)}")
    address = values.get("userPrincipalName") or values.get("mail") or ""
    if "@" not in address:
        raise ValueError("a user needs a mail or userPrincipalName with an @")
    values["userPrincipalName"] = address
    if "mail" not in values:
        values["mail"] = address
    values["displayName"] = values.get("displayName") or address.partition("@")[0].replace(".", " ").title()
    return values
