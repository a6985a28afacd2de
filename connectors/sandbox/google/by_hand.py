"""What people do in Google Contacts and in the admin console: the records of the control port and of the browse pages.

A contact's row has the People fields, and in plain words what people fill in most; `labels` are names of contact groups.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from connectors.sandbox.google import checking, persons
from connectors.sandbox.google.refusal import Refused
from connectors.sandbox.google.schema import WRITABLE
from connectors.sandbox.google.store import MY_CONTACTS, SYSTEM_GROUPS, Store, etag_of, group_name, profile_name, resource_name
from connectors.sandbox.google.table import Row
from connectors.sandbox.wire import read_id

OBJECTS = ("contact", "contactGroup", "user")
# Plain words: the People field, and the part of its first value (or of all, for the lists).
WORDS = {
    "givenName": ("names", "givenName"), "familyName": ("names", "familyName"), "company": ("organizations", "name"),
    "jobTitle": ("organizations", "title"), "notes": ("biographies", "value"), "website": ("urls", "value"),
}  # fmt: skip
LISTS = {"emails": "emailAddresses", "phones": "phoneNumbers"}
SHOWN_ONLY = ("id", "resourceName", "etag", "updateTime", "memberCount", "displayName")
USER_FIELDS = ("email", "givenName", "familyName", "suspended")


class ByHand:
    """Rows of the three kinds as tools see them, and the same changes as people make them."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def find_id(self, object_type: str, text: str) -> int | None:
        """Returns the number of a row: by number, resource name, the id in it, or the address of a user."""
        store, word = self._store, text.rpartition("/")[2]
        number = read_id(word)
        if object_type == "contact":
            number = read_id(word.removeprefix("c"))
            number = number if number is None else store.row_of_name(number)
        elif object_type == "user" and "@" in word:
            user = store.user(word.lower())
            number = user["id"] if user else None
        elif object_type == "contactGroup" and len(word) == 16:
            number = next((g["id"] for g in store.groups.live() if g["gid"] == word.lower()), None)
        row = store.tables[object_type].rows.get(number or 0)
        return None if row is None or row["is_deleted"] else number

    def count(self, object_type: str) -> int:
        return sum(1 for _ in self._store.tables[object_type].live())

    def all(self, object_type: str) -> list[dict[str, Any]]:
        return [self._shown(object_type, row) for row in self._store.tables[object_type].live()]

    def get(self, object_type: str, id_: int) -> dict[str, Any] | None:
        row = self._store.tables[object_type].rows.get(id_)
        return None if row is None or row["is_deleted"] else self._shown(object_type, row)

    def create(self, object_type: str, values: Mapping[str, Any]) -> dict[str, Any]:
        made = {"contact": self._add_contact, "contactGroup": self._add_group, "user": self._add_user}[object_type]
        return self._shown(object_type, _in_plain_words(lambda: made(values)))

    def update(self, object_type: str, id_: int, values: Mapping[str, Any]) -> dict[str, Any]:
        row = self._existing(object_type, id_)
        changed = {"contact": self._edit_contact, "contactGroup": self._edit_group, "user": self._edit_user}[object_type]
        return self._shown(object_type, _in_plain_words(lambda: changed(row, values)))

    def delete(self, object_type: str, id_: int) -> None:
        row = self._existing(object_type, id_)
        if object_type == "user":
            self._store.drop_user(row)
        elif object_type == "contact":
            self._store.delete(self._store.contacts, row)
        elif row["gid"] in SYSTEM_GROUPS:
            raise ValueError("the groups of the system stay")
        else:
            self._store.drop_group(row, with_contacts=False)

    def empty(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Deletes all contacts of a `mailbox`; its labels stay. Returns how many they were. Raises ValueError."""
        return {"deleted": self._store.delete_contacts(self._mailbox(given))}

    def rename(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Gives a `contact` another resource name, as a link with a profile does. Returns it. Raises ValueError."""
        id_ = self.find_id("contact", str(given.get("contact", "")))
        if id_ is None:
            raise ValueError("contact must be the number or the resource name of a contact")
        return self._shown("contact", self._store.rename_contact(self._existing("contact", id_)))

    def _existing(self, object_type: str, id_: int) -> Row:
        row = self._store.tables[object_type].rows.get(id_)
        if row is None or row["is_deleted"]:
            raise ValueError(f"there is no {object_type} {id_}")
        return row

    def _mailbox(self, values: Mapping[str, Any]) -> str:
        mailbox = str(values.get("mailbox", "")).lower()
        if self._store.user(mailbox) is None:
            raise ValueError("mailbox must be the address of a user")
        return mailbox

    # --- contacts -------------------------------------------------------------------------------------------------------
    def _add_contact(self, values: Mapping[str, Any]) -> Row:
        mailbox = self._mailbox(values)
        fields = _fields({}, values)
        labels = self._labels(mailbox, values.get("labels", []))
        return self._store.add_contact(mailbox, {n: items for n, items in fields.items() if items}, [MY_CONTACTS, *labels])

    def _edit_contact(self, row: Row, values: Mapping[str, Any]) -> Row:
        """Changes what is given. Nothing given: the row gets another version and instant, as nightly refreshes give it."""
        if "mailbox" in values and str(values["mailbox"]).lower() != row["mailbox"]:
            raise ValueError("a contact stays in its mailbox")
        fields = _fields(row["fields"], values)
        groups = None
        if "labels" in values:
            groups = [g for g in row["groups"] if g in SYSTEM_GROUPS] + self._labels(row["mailbox"], values["labels"])
        return self._store.change_contact(row, fields, groups if groups != [] else [MY_CONTACTS])

    def _labels(self, mailbox: str, names: Any) -> list[str]:
        """Returns the ids of labels; one that is not there yet is made, as by typing its name. Raises ValueError."""
        if not isinstance(names, list) or not all(isinstance(name, str) and name.strip() for name in names):
            raise ValueError("labels must be a list of names")
        store = self._store
        return list(dict.fromkeys((store.group_named(mailbox, name) or store.add_group(mailbox, name))["gid"] for name in names))

    # --- labels ---------------------------------------------------------------------------------------------------------
    def _add_group(self, values: Mapping[str, Any]) -> Row:
        _check_names(values, ("mailbox", "name"))
        return self._store.add_group(self._mailbox(values), str(values.get("name", "")))

    def _edit_group(self, row: Row, values: Mapping[str, Any]) -> Row:
        _check_names(values, ("mailbox", "name"))
        if row["gid"] in SYSTEM_GROUPS:
            raise ValueError("the groups of the system stay as they are")
        name = str(values.get("name", row["title"]))
        self._store.check_group_name(row["mailbox"], name, row)
        return self._store.put(self._store.groups, {**row, "title": name})

    # --- users ----------------------------------------------------------------------------------------------------------
    def _add_user(self, values: Mapping[str, Any]) -> Row:
        return self._store.add_user(self._user_values(values))

    def _edit_user(self, row: Row, values: Mapping[str, Any]) -> Row:
        new = self._user_values({**{n: row[n] for n in ("email", "givenName", "familyName")}, "suspended": row["is_suspended"], **values})
        if new["email"] != row["email"]:
            raise ValueError("the address of a mailbox stays")
        return self._store.put(self._store.users, {**row, **new})

    def _user_values(self, values: Mapping[str, Any]) -> dict[str, Any]:
        _check_names(values, USER_FIELDS)
        email = str(values.get("email", "")).strip().lower()
        local, _, host = email.partition("@")
        if not local or "." not in host or any(c.isspace() or c == "@" or not c.isprintable() for c in local + host):
            raise ValueError("email must be an address")
        suspended = values.get("suspended", False)
        if not isinstance(suspended, bool):
            raise ValueError("suspended must be true or false")
        names = {name: str(values.get(name) or "") for name in ("givenName", "familyName")}
        return {"email": email, "is_suspended": suspended, **names}

    # --- showing --------------------------------------------------------------------------------------------------------
    def _shown(self, object_type: str, row: Row) -> dict[str, Any]:
        if object_type == "user":
            told = {"id": row["id"], "email": row["email"], "givenName": row["givenName"], "familyName": row["familyName"]}
            return {**told, "suspended": row["is_suspended"], "resourceName": profile_name(row)}
        if object_type == "contactGroup":
            count = len(self._store.members(row))
            told = {"id": row["id"], "resourceName": group_name(row), "mailbox": row["mailbox"], "name": row["title"]}
            return {**told, "memberCount": count, "clientData": row["clientData"], "updateTime": row["at"]}
        return self._shown_contact(row)

    def _shown_contact(self, row: Row) -> dict[str, Any]:
        store, fields = self._store, row["fields"]
        labels = [store.existing_group(row["mailbox"], gid)["title"] for gid in row["groups"] if gid not in SYSTEM_GROUPS]
        told: dict[str, Any] = {"id": row["id"], "resourceName": resource_name(row), "mailbox": row["mailbox"], "labels": labels}
        told |= {word: _first(fields, *place) for word, place in WORDS.items()}
        told |= {word: [item["value"] for item in fields.get(name, []) if "value" in item] for word, name in LISTS.items()}
        told |= {"etag": etag_of(row, head="%Eg"), "updateTime": row["at"]}
        person = persons.shown(store, row, WRITABLE)
        return {**told, **{name: person[name] for name in WRITABLE if name in person}}


def _first(fields: Mapping[str, list[dict[str, Any]]], name: str, part: str) -> str:
    return str(next((item.get(part, "") for item in fields.get(name, [])), ""))


def _fields(present: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the People fields that a change sets: given whole, or by plain words. Raises ValueError or Refused."""
    _check_names(values, ("mailbox", "labels", *WORDS, *LISTS, *SHOWN_ONLY, *(n for n in WRITABLE if n != "memberships")))
    names = [name for name in WRITABLE if name in values and name != "memberships"]
    person = checking.read({name: values[name] or [] for name in names}, "Person", "person")
    fields: dict[str, Any] = dict(persons.fields_of(person, names))
    for word, name in LISTS.items():
        if word in values:
            given = values[word] or []
            if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
                raise ValueError(f"{word} must be a list of texts")
            # A value that stays keeps its type.
            known = {item.get("value"): item for item in present.get(name, [])}
            fields[name] = [known.get(each, {"value": each}) for each in given if each]
    for word, (name, part) in WORDS.items():
        if word in values:
            if not isinstance(values[word] or "", str):
                raise ValueError(f"{word} must be a text")
            items = [dict(item) for item in fields.get(name, present.get(name, []))] or [{}]
            items[0] = {key: value for key, value in {**items[0], part: values[word]}.items() if value}
            fields[name] = [item for item in items if set(item) - {"contentType", "type"}]
    return fields


def _check_names(values: Mapping[str, Any], known: tuple[str, ...]) -> None:
    if unknown := [name for name in values if name not in known]:
        raise ValueError(f"there is no {unknown[0][:80]!r}; take {', '.join(known)}")


def _in_plain_words(act: Callable[[], Row]) -> Row:
    """Does what a person does. Raises ValueError in the system's words."""
    try:
        return act()
    except Refused as refused:
        raise ValueError(refused.message) from None
