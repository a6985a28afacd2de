"""The mailboxes of the played tenant: users, their folders, contacts and categories, and what left which folder when.

What delta rounds tell of them stands in streams.py.
"""

from __future__ import annotations

import heapq
from bisect import insort
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from connectors.sandbox.microsoft import ids
from connectors.sandbox.microsoft.refusal import Refused, bad_request
from connectors.sandbox.microsoft.streams import REMOVED, Streams
from connectors.sandbox.microsoft.table import Row

ROOT, CONTACTS, BIN, OWN = "root", "contacts", "bin", ""  # what a folder is
SPECIAL_NAMES = {ROOT: "Top of Information Store", CONTACTS: "Contacts", BIN: "Deleted Items"}
TABLES = ("user", "contactFolder", "contact", "outlookCategory", "removal", "event", "eventChange", "sentMail", "mailFolder", "message",
          "attachment", "taskList", "task", "subscription")  # fmt: skip


def contacts_of(folder: int) -> str:
    """Returns the name of the stream of a folder's contacts."""
    return f"contacts:{folder}"


def folders_of(mailbox: int) -> str:
    return f"folders:{mailbox}"


class Store(Streams):
    """All rows, and the indexes over them that are made anew after a restart."""

    def __init__(self, *, now: Callable[[], datetime], seed: int) -> None:
        super().__init__(TABLES)
        self._now = now
        self.key = f"graph {seed}"
        self.epoch = 0  # delta tokens of another one are dead
        self.furnish: list[Callable[[Row], None]] = []  # makes what is in every mailbox from the start, where it is not there yet
        self.settling: list[Callable[[], None]] = []  # what changes by itself when time goes by, elsewhere
        self.reindex: list[Callable[[], None]] = []  # the indexes of others that are made anew when ours are
        self._clear()

    def _clear(self) -> None:
        self._users: dict[str, int] = {}
        self._special: dict[tuple[int, str], int] = {}
        self._own: dict[int, list[int]] = {}  # folders of a mailbox
        self.forget_streams()
        self._settling: list[tuple[float, int]] = []

    @property
    def users(self) -> dict[int, Row]:
        return self.tables["user"].rows

    @property
    def folders(self) -> dict[int, Row]:
        return self.tables["contactFolder"].rows

    @property
    def contacts(self) -> dict[int, Row]:
        return self.tables["contact"].rows

    @property
    def categories(self) -> dict[int, Row]:
        return self.tables["outlookCategory"].rows

    def stamp(self) -> str:
        return f"{self._now():%Y-%m-%dT%H:%M:%SZ}"

    # --- mail that goes out -----------------------------------------------------------------------------------------------
    def send(self, kind: str, *, mailbox: str, to: list[str], subject: str) -> None:
        """Notes a mail that the server sends for a mailbox: its kind, the addresses of who gets it, and when."""
        table = self.tables["sentMail"]
        mail = {"system": "microsoft", "mailbox": mailbox, "kind": kind, "to": to, "subject": subject, "at": self.stamp()}
        table.put({"n": table.next_number, "mailbox": 0, "mail": mail})

    def mails(self) -> list[dict[str, Any]]:
        """Returns all mails that went out, the oldest first."""
        return [row["mail"] for row in self.tables["sentMail"].rows.values()]

    # --- users ----------------------------------------------------------------------------------------------------------
    def user(self, text: str) -> Row | None:
        """Returns the user whom an object id, a principal name or an address names."""
        return self.users.get(self._users.get(text.casefold(), 0))

    def add_user(self, values: Mapping[str, Any]) -> Row:
        """Makes a user with an empty mailbox. Raises ValueError for names that are taken."""
        table = self.tables["user"]
        number = table.next_number
        row = {**values, "n": number, "id": ids.guid(self.key, "user", number)}
        self._check_names(row)
        table.put(row)
        self._index_user(row)
        for kind in (ROOT, CONTACTS, BIN):
            parent = 0 if kind == ROOT else self._special[number, ROOT]
            self._put_folder({"n": self.tables["contactFolder"].next_number, "mailbox": number, "parent": parent, "kind": kind},
                             SPECIAL_NAMES[kind])  # fmt: skip
        for furnish in self.furnish:
            furnish(row)
        return row

    def change_user(self, row: Row, values: Mapping[str, Any]) -> Row:
        new = {**row, **values}
        self._check_names(new)
        self._unindex_user(row)
        self._index_user(new)
        return self.tables["user"].put(new)

    def remove_user(self, row: Row) -> None:
        """Takes a user away and all that is in the mailbox."""
        self._unindex_user(row)
        self.tables["user"].remove(row["n"])
        for name in TABLES[1:]:
            table = self.tables[name]
            for number in [n for n, each in table.rows.items() if each["mailbox"] == row["n"]]:
                table.remove(number)
        self._reindex()

    def _check_names(self, row: Row) -> None:
        for name in _names(row):
            if self._users.get(name, row["n"]) != row["n"]:
                raise ValueError(f"there is a user {name[:120]} already")

    def _index_user(self, row: Row) -> None:
        self._users.update(dict.fromkeys([row["id"], *_names(row)], row["n"]))

    def _unindex_user(self, row: Row) -> None:
        for name in {row["id"], *_names(row)}:
            self._users.pop(name, None)

    # --- folders --------------------------------------------------------------------------------------------------------
    def special(self, mailbox: int, kind: str) -> Row:
        return self.folders[self._special[mailbox, kind]]

    def folder_id(self, row: Row) -> str:
        return ids.make(self.key, ids.FOLDER, mailbox=row["mailbox"], number=row["n"])

    def folder_by_id(self, text: str) -> Row | None:
        """Returns the folder that an id names, in whatever mailbox. Raises Refused for what is no folder's id."""
        found = ids.read(self.key, text)
        if found is None or found.kind != ids.FOLDER:
            raise bad_request("Id is malformed.", "ErrorInvalidIdMalformed")
        return self.folders.get(found.number)

    def own_folders(self, mailbox: int) -> Iterator[Row]:
        """Yields all folders of a mailbox, in order of creation."""
        yield from (self.folders[number] for number in self._own.get(mailbox, ()))

    def children(self, parent: Row) -> list[Row]:
        return [each for each in self.own_folders(parent["mailbox"]) if each["parent"] == parent["n"]]

    def is_in_bin(self, folder: Row) -> bool:
        """Tells whether a folder was deleted, or lies in one that was; the bin itself was not."""
        while (parent := self.folders.get(folder["parent"])) is not None:
            if parent["kind"] == BIN:
                return True
            folder = parent
        return False

    def is_seen(self, folder: Row) -> bool:
        """Tells whether a folder answers by its id."""
        return self.switches.deleted_folder == "bin" or not self.is_in_bin(folder)

    def _clash(self, parent: Row, name: str, but: int = 0) -> None:
        if any(each["n"] != but and each["displayName"].casefold() == name.casefold() for each in self.children(parent)):
            raise Refused(409, "ErrorFolderExists", "A folder with the specified name already exists.")

    def add_folder(self, parent: Row, name: str, *, may_repeat: bool = False) -> Row:
        if not may_repeat:
            self._clash(parent, name)
        new = {"n": self.tables["contactFolder"].next_number, "mailbox": parent["mailbox"], "parent": parent["n"], "kind": OWN}
        return self._put_folder(new, name)

    def _put_folder(self, row: Row, name: str) -> Row:
        new = {**row, "displayName": name, "seq": self.next_sequence()}
        is_new = row["n"] not in self.folders
        self.tables["contactFolder"].put(new)
        if is_new:
            self._index_folder(new)
        if new["kind"] == OWN and not self.is_in_bin(new):
            self.tell(folders_of(new["mailbox"]), new["n"], new["seq"])
        return new

    def rename_folder(self, row: Row, name: str, *, may_repeat: bool = False) -> Row:
        if not may_repeat:
            self._clash(self.folders[row["parent"]], name, but=row["n"])
        return self._put_folder(row, name)

    def delete_folder(self, row: Row, *, for_good: bool = False) -> None:
        """Puts a folder with all in it into the bin; one that lies there already, or `for_good`, goes altogether."""
        within = self.is_in_bin(row)
        if for_good or within:
            for child in self.children(row):
                self.delete_folder(child, for_good=True)
            for number in list(self.members.get(contacts_of(row["n"]), ())):
                self.remove_contact(self.contacts[number])
            self.tables["contactFolder"].remove(row["n"])
            self._own[row["mailbox"]].remove(row["n"])
        else:
            bin_ = self.special(row["mailbox"], BIN)
            if self.switches.equal_folder_in_bin_refuses:
                self._clash(bin_, row["displayName"])
            self.tables["contactFolder"].put({**row, "parent": bin_["n"], "seq": self.next_sequence()})
        for gone in () if within else self._with_descendants(row):
            self.left(folders_of(gone["mailbox"]), gone["mailbox"], gone["n"], 0)

    def _with_descendants(self, row: Row) -> list[Row]:
        return [row, *(each for child in self.children(row) for each in self._with_descendants(child))]

    # --- contacts -------------------------------------------------------------------------------------------------------
    def contact_id(self, row: Row, *, is_immutable: bool) -> str:
        return self._id(row["mailbox"], row["n"], row["moves"], is_immutable=is_immutable)

    def removed_id(self, removal: Row, *, is_immutable: bool) -> str:
        if (kind := self.kinds.get(removal["stream"].partition(":")[0])) is not None:
            return kind.removed_id(removal, is_immutable)
        if removal["stream"].startswith("folders:"):
            return ids.make(self.key, ids.FOLDER, mailbox=removal["mailbox"], number=removal["item"])
        return self._id(removal["mailbox"], removal["item"], removal["moves"], is_immutable=is_immutable)

    def _id(self, mailbox: int, number: int, moves: int, *, is_immutable: bool) -> str:
        if is_immutable:
            return ids.make(self.key, ids.IMMUTABLE, mailbox=mailbox, number=number)
        return ids.make(self.key, ids.ITEM, mailbox=mailbox, number=number, moves=moves)

    def change_key(self, row: Row) -> str:
        return ids.change_key(self.key, row["n"], row["version"])

    def add_contact(self, folder: Row, values: Mapping[str, Any], extended: Mapping[str, str]) -> Row:
        at = self.stamp()
        number = self.tables["contact"].next_number
        row = {"n": number, "mailbox": folder["mailbox"], "folder": folder["n"], "moves": 0, "version": 1, "created": at,
               "modified": at, "values": dict(values), "extended": dict(extended), "seq": self.next_sequence()}  # fmt: skip
        if self.switches.settle_seconds:
            row["settles_at"] = self._now().timestamp() + self.switches.settle_seconds
            heapq.heappush(self._settling, (row["settles_at"], number))
        self.tables["contact"].put(row)
        self._enter(row)
        return row

    def change_contact(self, row: Row, **changes: Any) -> Row:
        """Stores what changed under a new change key. A `folder` moves the contact: its ordinary id is another one then."""
        new = {**row, **changes, "version": row["version"] + 1, "modified": self.stamp()}
        if new["folder"] != row["folder"]:
            new["moves"] = row["moves"] + 1
            self._leave(row)
        new["seq"] = self.next_sequence()
        self.tables["contact"].put(new)
        if new["folder"] != row["folder"]:
            self._enter(new)
        else:
            self.tell_only(contacts_of(new["folder"]), new["n"], new["seq"])
        return new

    def remove_contact(self, row: Row) -> None:
        """Takes a contact away for good."""
        self._leave(row, for_good=True)
        self.tables["contact"].remove(row["n"])

    def _enter(self, row: Row) -> None:
        self.tell(contacts_of(row["folder"]), row["n"], row["seq"])

    def _leave(self, row: Row, *, for_good: bool = False) -> None:
        self.left(contacts_of(row["folder"]), row["mailbox"], row["n"], row["moves"], for_good=for_good)

    def settle(self) -> None:
        """Gives contacts that were created a while ago the other change key that they get by themselves."""
        now = self._now().timestamp()
        while self._settling and self._settling[0][0] <= now:
            at, number = heapq.heappop(self._settling)
            row = self.contacts.get(number)
            if row is not None and row.get("settles_at") == at:
                self.change_contact({k: v for k, v in row.items() if k != "settles_at"})
        for settle in self.settling:
            settle()

    # --- over a restart ---------------------------------------------------------------------------------------------------
    def restore(self, tables: Mapping[str, Any], meta: Mapping[str, Any]) -> None:
        for name, table in self.tables.items():
            for row in tables.get(name, {"rows": ()})["rows"]:
                table.put(dict(row))
            table.dirty.clear()
            table.next_number = meta["next_numbers"].get(name, table.next_number)
        self.key, self.sequence, self.epoch = meta["key"], meta["sequence"], meta["epoch"]
        self._reindex()

    def meta(self) -> dict[str, Any]:
        next_numbers = {name: table.next_number for name, table in self.tables.items()}
        return {"key": self.key, "sequence": self.sequence, "epoch": self.epoch, "next_numbers": next_numbers}

    def _index_folder(self, row: Row) -> None:
        insort(self._own.setdefault(row["mailbox"], []), row["n"])
        if row["kind"] != OWN:
            self._special[row["mailbox"], row["kind"]] = row["n"]

    def _reindex(self) -> None:
        self._clear()
        for row in self.users.values():
            self._index_user(row)
        for row in self.folders.values():
            self._index_folder(row)
        entries = [(each["seq"], folders_of(each["mailbox"]), each["n"]) for each in self.folders.values()
                   if each["kind"] == OWN and not self.is_in_bin(each)]  # fmt: skip
        entries += [(each["seq"], contacts_of(each["folder"]), each["n"]) for each in self.contacts.values()]
        for kind in self.kinds.values():
            rows = self.tables[kind.table].rows.values()
            entries += [(row["seq"], stream, row["n"]) for row in rows if (stream := kind.stream_of(row)) is not None]
        for sequence, stream, number in sorted(entries):
            self.tell_only(stream, number, sequence)
            self.members.setdefault(stream, []).append(number)
        for removal in self.tables["removal"].rows.values():
            self.journals.setdefault(removal["stream"], []).append((removal["n"], REMOVED, removal["n"]))
        for stream in (*self.members, *self.journals):
            self.members.setdefault(stream, []).sort()
            self.journals.setdefault(stream, []).sort()
        self._settling = sorted((each["settles_at"], each["n"]) for each in self.contacts.values() if "settles_at" in each)
        for reindex in self.reindex:
            reindex()
        for user in self.users.values():
            for furnish in self.furnish:
                furnish(user)


def _names(row: Row) -> set[str]:
    return {row[name].casefold() for name in ("userPrincipalName", "mail") if row.get(name)}
