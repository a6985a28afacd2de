"""What one played Google Workspace holds: users, their contacts and contact groups; and how each change is stored."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from connectors.sandbox.google.refusal import Refused, not_found
from connectors.sandbox.google.switches import Switches
from connectors.sandbox.google.table import Row, Table
from connectors.sandbox.wire import read_id

MY_CONTACTS, STARRED = "myContacts", "starred"
SYSTEM_GROUPS = {MY_CONTACTS: "My Contacts", STARRED: "Starred"}
DIRECTORY = "directory"  # whose rows the users are
# Numbers that no float holds, as the real ones: who does arithmetic with ids finds out.
FIRST_CONTACT, FIRST_USER = 410_000_000_000_000_001, 101
GROUP_IDS, PROFILE_IDS = 0x5A00_0000_0000_0000, 10**20


class Store:
    """The rows, and one counter of changes over all of them."""

    def __init__(self, *, now: Callable[[], datetime]) -> None:
        self.now = now
        self.switches = Switches()
        self.users = Table("user", FIRST_USER)
        self.contacts = Table("contact", FIRST_CONTACT)
        self.groups = Table("contactGroup", 1)
        self.tables = {table.name: table for table in (self.users, self.contacts, self.groups)}
        self.sequence = 1
        self._names: dict[int, int] = {}  # number in a resource name -> row, of names that are none any more too
        self._group_ids: dict[tuple[str, str], int] = {}

    # --- users ----------------------------------------------------------------------------------------------------------
    def user(self, mailbox: str) -> Row | None:
        return next((row for row in self.users.box(DIRECTORY) if row["email"] == mailbox), None)

    def active(self, mailbox: str) -> bool:
        row = self.user(mailbox)
        return row is not None and not row["is_suspended"]

    def mailboxes(self) -> list[str]:
        return [row["email"] for row in self.users.box(DIRECTORY) if not row["is_suspended"]]

    def add_user(self, values: Mapping[str, Any]) -> Row:
        """Makes a mailbox with its system groups. Raises ValueError for an address that is taken."""
        if self.user(values["email"]):
            raise ValueError(f"there is a user {values['email']} already")
        row = self.put(self.users, {"id": self.users.new_number(), "mailbox": DIRECTORY, **values})
        for name in SYSTEM_GROUPS:
            self._add_group(row["email"], name, name)
        return row

    def drop_user(self, row: Row) -> None:
        """Takes an account away with all it holds; only the directory remembers that it was there."""
        for group in self.groups.box(row["email"]):
            self._group_ids.pop((row["email"], group["gid"]), None)
        for table in self.tables.values():
            table.drop_box(row["email"])
        self.delete(self.users, row)

    # --- contacts -------------------------------------------------------------------------------------------------------
    def contact(self, mailbox: str, resource_name: str) -> Row | None:
        """Returns the contact that a resource name names; None when there is none, or it is somebody else's."""
        head, _, word = resource_name.partition("/c")
        number = read_id(word) if head == "people" else None
        row = self.contacts.rows.get(self._names.get(number or 0, 0))
        if row is None or row["is_deleted"] or row["mailbox"] != mailbox:
            return None
        return row if row["name"] == number or self.switches.old_names_resolve else None

    def row_of_name(self, number: int) -> int | None:
        return self._names.get(number)

    def add_contact(self, mailbox: str, fields: Mapping[str, Any], groups: Iterable[str]) -> Row:
        number = self.contacts.new_number()
        row = {"id": number, "mailbox": mailbox, "name": number, "former": [], "fields": dict(fields), "groups": list(groups)}
        return self.put(self.contacts, row)

    def change_contact(self, row: Row, fields: Mapping[str, Any], groups: Iterable[str] | None = None) -> Row:
        """Stores fields of a contact anew; blank ones go. Its resource name changes where a switch asks for it."""
        kept = {name: value for name, value in {**row["fields"], **fields}.items() if value}
        new = {**row, "fields": kept, "groups": list(row["groups"] if groups is None else groups)}
        is_moved = row["fields"].get("emailAddresses") != kept.get("emailAddresses")
        if self.switches.rename_on_email_change and is_moved:
            new = self._renamed(new)
        return self.put(self.contacts, new)

    def rename_contact(self, row: Row) -> Row:
        """Gives a contact another resource name, as the link with a profile does."""
        return self.put(self.contacts, self._renamed(row))

    def _renamed(self, row: Row) -> Row:
        former = [*row["former"], [row["name"], self.sequence + 1]]
        return {**row, "former": former, "name": self.contacts.new_number()}

    def delete_contacts(self, mailbox: str) -> int:
        rows = self.contacts.box(mailbox)
        for row in rows:
            self.delete(self.contacts, row)
        return len(rows)

    # --- groups ---------------------------------------------------------------------------------------------------------
    def group(self, mailbox: str, gid: str) -> Row | None:
        row = self.groups.rows.get(self._group_ids.get((mailbox, gid), 0))
        return None if row is None or row["is_deleted"] else row

    def existing_group(self, mailbox: str, gid: str) -> Row:
        """Returns the group that a resource name names. Raises Refused for one that is not there."""
        row = self.group(mailbox, gid)
        if row is None:
            raise not_found()
        return row

    def group_named(self, mailbox: str, name: str) -> Row | None:
        return next((row for row in self.groups.box(mailbox) if name in (row["title"], SYSTEM_GROUPS.get(row["gid"]))), None)

    def add_group(self, mailbox: str, name: str, client_data: list[dict[str, str]] | None = None) -> Row:
        """Makes a label. Raises Refused for a name that is taken or blank."""
        self.check_group_name(mailbox, name)
        return self._add_group(mailbox, "", name, client_data)

    def _add_group(self, mailbox: str, gid: str, name: str, client_data: list[dict[str, str]] | None = None) -> Row:
        number = self.groups.new_number()
        values = {"mailbox": mailbox, "gid": gid or f"{GROUP_IDS + number:x}", "title": name, "clientData": client_data or []}
        return self.put(self.groups, {"id": number, **values})

    def check_group_name(self, mailbox: str, name: str, but: Row | None = None) -> None:
        """Raises Refused for a name that another group has, or that is blank."""
        if not name.strip():
            raise Refused(400, "Contact group name is required.")
        found = self.group_named(mailbox, name)
        if found is not None and (but is None or found["id"] != but["id"]):
            raise Refused(409, "Contact group name already exists.", "ALREADY_EXISTS")

    def members(self, group: Row) -> list[Row]:
        return [row for row in self.contacts.box(group["mailbox"]) if group["gid"] in row["groups"]]

    def drop_group(self, group: Row, *, with_contacts: bool) -> None:
        """Deletes a label. Its contacts go too, or lose it; who has no other label stays among all contacts."""
        for row in self.members(group):
            if with_contacts:
                self.delete(self.contacts, row)
            else:
                left = [gid for gid in row["groups"] if gid != group["gid"]]
                self.change_contact(row, {}, left or [MY_CONTACTS])
        self.delete(self.groups, group)

    # --- storing --------------------------------------------------------------------------------------------------------
    def put(self, table: Table, row: Mapping[str, Any]) -> Row:
        """Stores a row under the next change, with the present instant."""
        self.sequence += 1
        now = self.now()
        stored = {"version": 0, "is_deleted": False, **row, "seq": self.sequence, "at": show_instant(now)}
        stored["version"] += 1
        delay = self.switches.sync_delay_seconds
        self._index(table, stored)
        table.put(stored, seen_at=now.timestamp() + delay if delay else None)
        return stored

    def delete(self, table: Table, row: Row) -> None:
        self.put(table, {**row, "is_deleted": True})

    def restore(self, table: Table, rows: list[Row]) -> None:
        """Takes rows back as they were kept. What sync readers had not seen yet they see now."""
        for row in rows:
            self._index(table, dict(row))
        table.restore(rows)

    def _index(self, table: Table, row: Row) -> None:
        if table is self.contacts:
            self._names.update({row["name"]: row["id"]} | {number: row["id"] for number, _ in row["former"]})
        elif table is self.groups:
            self._group_ids[row["mailbox"], row["gid"]] = row["id"]


def show_instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def etag_of(row: Row, *, head: str) -> str:
    """Returns the tag of a row's present version; `head` tells a person's from a source's."""
    digest = hashlib.blake2b(f"{row['id']} {row['version']}".encode(), digest_size=9).digest()
    return head + base64.b64encode(digest).decode()


def resource_name(row: Row) -> str:
    return f"people/c{row['name']}"


def group_name(row: Row) -> str:
    return f"contactGroups/{row['gid']}"


def profile_name(user: Row) -> str:
    return f"people/{PROFILE_IDS + user['id']}"
