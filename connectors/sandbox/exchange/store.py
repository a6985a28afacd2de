"""The mailboxes of the played server: users, folders and items, and the journal of what came, changed and went where.

A row of an item holds `kind` (Contact, CalendarItem, Task, Message), `values` by property (see fields.py), `extended` by the
spelling of extended.py, `moves` (how often it changed its folder, and so its id), `version` (its change key), and three places in
the journal: `entered` its folder, `seq` last changed, `told` last changed in more than being read. Rows of events hold more, see
events.py. A row is never changed in place.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from typing import Any

from connectors.sandbox.exchange import ids
from connectors.sandbox.exchange.refusal import Refused, malformed_id, no_folder, no_item
from connectors.sandbox.exchange.switches import Switches
from connectors.sandbox.exchange.values import stamp
from connectors.sandbox.microsoft.table import Row, Table

ROOT, TOP, CALENDAR, CONTACTS, TASKS = "root", "msgfolderroot", "calendar", "contacts", "tasks"
INBOX, DRAFTS, SENT, BIN, DUMPSTER = "inbox", "drafts", "sentitems", "deleteditems", "recoverableitemsdeletions"
OWN = ""  # what a folder is that somebody made
# The folders of every mailbox: what each is, its name, its class, and the one it lies in.
STANDARD = (
    (ROOT, "", "", ""), (TOP, "Top of Information Store", "IPF.Note", ROOT), (DUMPSTER, "Deletions", "", ROOT),
    (CALENDAR, "Calendar", "IPF.Appointment", TOP), (CONTACTS, "Contacts", "IPF.Contact", TOP), (TASKS, "Tasks", "IPF.Task", TOP),
    (INBOX, "Inbox", "IPF.Note", TOP), (DRAFTS, "Drafts", "IPF.Note", TOP), (SENT, "Sent Items", "IPF.Note", TOP),
    (BIN, "Deleted Items", "IPF.Note", TOP), ("outbox", "Outbox", "IPF.Note", TOP), ("junkemail", "Junk E-Mail", "IPF.Note", TOP),
    ("notes", "Notes", "IPF.StickyNote", TOP), ("journal", "Journal", "IPF.Journal", TOP),
)  # fmt: skip
STATES = ("ok", "denied", "gone", "moving")  # of a mailbox; denied: nobody may impersonate its user
TABLES = ("user", "folder", "item", "attachment", "removal", "sentMail", "subscription", "notice")
_PLACES = ("entered", "seq", "told")

Watcher = Callable[[str, Row, Mapping[str, Any]], None]


def items_of(folder: int) -> str:
    """Returns the name of the stream of a folder's items."""
    return f"items:{folder}"


def folders_of(mailbox: int) -> str:
    return f"folders:{mailbox}"


class Store:
    """All rows, and the indexes over them that are made anew after a restart."""

    def __init__(self, *, now: Callable[[], datetime], seed: int) -> None:
        self.now = now
        self.key = f"exchange {seed}"
        self.epoch = 0  # sync states and watermarks of another one are dead
        self.sequence = 0
        self.switches = Switches()
        self.tables = {name: Table() for name in TABLES}
        self.watchers: list[Watcher] = []  # are told what happened to an item
        self.folder_watchers: list[Watcher] = []  # and to a folder
        self.removing: list[Callable[[Row], None]] = []  # what goes with an item
        self._clear()

    def _clear(self) -> None:
        self._users: dict[str, int] = {}
        self._special: dict[tuple[int, str], int] = {}
        self._own: dict[int, list[int]] = {}  # folders of a mailbox
        self._members: dict[int, dict[int, None]] = {}  # items of a folder
        self._journals: dict[str, list[tuple[int, int]]] = {}  # of a stream: place, and number of the item, or -1 for a removal
        self._settling: list[tuple[float, int]] = []

    def rows(self, table: str) -> dict[int, Row]:
        return self.tables[table].rows

    @property
    def items(self) -> dict[int, Row]:
        return self.tables["item"].rows

    def stamp(self) -> str:
        return stamp(self.now())

    def next_sequence(self) -> int:
        self.sequence += 1
        return self.sequence

    # --- mail that goes out -----------------------------------------------------------------------------------------------
    def send(self, kind: str, *, mailbox: str, to: list[str], subject: str) -> None:
        """Notes a mail that the server sends for a mailbox: its kind, the addresses of who gets it, and when."""
        table = self.tables["sentMail"]
        mail = {"system": "exchange", "mailbox": mailbox, "kind": kind, "to": to, "subject": subject, "at": self.stamp()}
        table.put({"n": table.next_number, "mail": mail})

    # --- users ------------------------------------------------------------------------------------------------------------
    def user(self, address: str) -> Row | None:
        return self.rows("user").get(self._users.get(address.casefold(), 0))

    def address_of(self, mailbox: int) -> str:
        return str(self.rows("user")[mailbox]["mail"])

    def person(self, mailbox: int) -> dict[str, str]:
        user = self.rows("user")[mailbox]
        return {"name": str(user["displayName"]), "address": str(user["mail"])}

    def add_user(self, values: Mapping[str, Any]) -> Row:
        """Makes a user with an empty mailbox. Raises ValueError for an address that is taken."""
        if self.user(values["mail"]) is not None:
            raise ValueError(f"there is a user {values['mail'][:120]} already")
        table = self.tables["user"]
        row = table.put({**values, "n": table.next_number})
        self._users[row["mail"].casefold()] = row["n"]
        for kind, name, class_, parent in STANDARD:
            self._put_folder(row["n"], self._special.get((row["n"], parent), 0), kind=kind, name=name, class_=class_)
        return row

    def change_user(self, row: Row, values: Mapping[str, Any]) -> Row:
        new = {**row, **values}
        if (other := self.user(new["mail"])) is not None and other["n"] != row["n"]:
            raise ValueError(f"there is a user {new['mail'][:120]} already")
        self._users.pop(row["mail"].casefold(), None)
        self._users[new["mail"].casefold()] = row["n"]
        return self.tables["user"].put(new)

    def remove_user(self, row: Row) -> None:
        """Takes a user away and all that is in the mailbox."""
        self.tables["user"].remove(row["n"])
        for name in TABLES:
            table = self.tables[name]
            for number in [n for n, each in table.rows.items() if each.get("mailbox") == row["n"]]:
                table.remove(number)
        self._reindex()

    # --- folders ----------------------------------------------------------------------------------------------------------
    def special(self, mailbox: int, kind: str) -> Row:
        return self.rows("folder")[self._special[mailbox, kind]]

    def folder_id(self, row: Row) -> str:
        return ids.make(self.key, ids.Id(ids.FOLDER, row["mailbox"], row["n"]))

    def find_folder(self, mailbox: int, text: str) -> Row:
        """Returns the folder of a mailbox that an id names. Raises Refused."""
        found = ids.read(self.key, text)
        if found is None:
            raise malformed_id()
        if found.kind != ids.FOLDER:
            raise Refused("ErrorCannotUseItemIdForFolderId", "The id is of an item, not of a folder.")
        row = self.rows("folder").get(found.number)
        if row is None or row["mailbox"] != mailbox:
            raise no_folder()
        return row

    def own_folders(self, mailbox: int) -> Iterator[Row]:
        """Yields all folders of a mailbox, in order of creation."""
        yield from (self.rows("folder")[number] for number in self._own.get(mailbox, ()))

    def children(self, parent: Row) -> list[Row]:
        return [each for each in self.own_folders(parent["mailbox"]) if each["parent"] == parent["n"]]

    def below(self, parent: Row) -> list[Row]:
        """Returns all folders within one, at whatever depth."""
        return [deeper for each in self.children(parent) for deeper in (each, *self.below(each))]

    def _check_name(self, parent: Row, name: str, but: int = 0) -> None:
        if any(each["n"] != but and each["name"].casefold() == name.casefold() for each in self.children(parent)):
            raise Refused("ErrorFolderExists", "A folder with the specified name already exists.")

    def add_folder(self, parent: Row, name: str, class_: str) -> Row:
        self._check_name(parent, name)
        return self._put_folder(parent["mailbox"], parent["n"], kind=OWN, name=name, class_=class_)

    def _put_folder(self, mailbox: int, parent: int, *, kind: str, name: str, class_: str) -> Row:
        number, sequence = self.tables["folder"].next_number, self.next_sequence()
        row = {"n": number, "mailbox": mailbox, "parent": parent, "kind": kind, "name": name, "class": class_, "version": 1,
               "entered": sequence, "seq": sequence}  # fmt: skip
        self.tables["folder"].put(row)
        self._own.setdefault(mailbox, []).append(number)
        if kind != OWN:
            self._special[mailbox, kind] = number
        self._note(folders_of(mailbox), sequence, number)
        self._tell_folder("Created", row)
        return row

    def change_folder(self, row: Row, **changes: Any) -> Row:
        """Renames a folder, or moves it under another one. Raises Refused for a name that is taken there."""
        new = {**row, **changes, "version": row["version"] + 1, "seq": self.next_sequence()}
        self._check_name(self.rows("folder")[new["parent"]], new["name"], but=row["n"])
        self._note(folders_of(row["mailbox"]), new["seq"], row["n"])
        self.tables["folder"].put(new)
        is_moved = new["parent"] != row["parent"]
        self._tell_folder("Moved" if is_moved else "Modified", new, row if is_moved else None)
        return new

    def remove_folder(self, row: Row) -> None:
        """Takes a folder away with all in it."""
        for child in self.children(row):
            self.remove_folder(child)
        for item in self.members(row["n"]):
            self.remove(item)
        self.tables["folder"].remove(row["n"])
        self._own[row["mailbox"]].remove(row["n"])
        self._leave(folders_of(row["mailbox"]), row["mailbox"], self.folder_id(row), row["entered"])
        self._tell_folder("Deleted", row)

    # --- items ------------------------------------------------------------------------------------------------------------
    def members(self, folder: int) -> list[Row]:
        """Returns the items of a folder, in order of their creation."""
        return [self.items[number] for number in sorted(self._members.get(folder, ()))]

    def count(self, folder: int) -> int:
        """Returns how many items a folder holds."""
        return len(self._members.get(folder, ()))

    def item_id(self, row: Row, day: str | None = None) -> str:
        ordinal = date.fromisoformat(day).toordinal() if day else 0
        return ids.make(self.key, ids.Id(ids.ITEM, row["mailbox"], row["n"], row["moves"], ordinal))

    def change_key(self, row: Row) -> str:
        return ids.change_key(self.key, row["n"], row["version"])

    def find_item(self, mailbox: int, text: str) -> tuple[Row, str | None]:
        """Returns the item that an id names, and of an occurrence the day of its place in the series. Raises Refused."""
        found = ids.read(self.key, text)
        if found is None:
            raise malformed_id()
        if found.kind == ids.FOLDER:
            raise Refused("ErrorCannotUseFolderIdForItemId", "The id is of a folder, not of an item.")
        row = self.items.get(found.number) if found.kind == ids.ITEM else None
        if row is None or row["mailbox"] != mailbox or row["moves"] != found.moves:
            raise no_item()
        return row, date.fromordinal(found.day).isoformat() if found.day else None

    def add(self, folder: Row, kind: str, values: Mapping[str, Any], extended: Mapping[str, Any], **parts: Any) -> Row:
        at, number, sequence = self.stamp(), self.tables["item"].next_number, self.next_sequence()
        row = {"n": number, "mailbox": folder["mailbox"], "folder": folder["n"], "kind": kind, "moves": 0, "version": 1, "created": at,
               "modified": at, "values": dict(values), "extended": dict(extended), **dict.fromkeys(_PLACES, sequence), **parts}  # fmt: skip
        if self.switches.settle_seconds:
            row["settles_at"] = self.now().timestamp() + self.switches.settle_seconds
            heapq.heappush(self._settling, (row["settles_at"], number))
        self._enter(row)
        self._tell("Created", row)
        return row

    def change(self, row: Row, *, only_read: bool = False, **changes: Any) -> Row:
        """Stores what changed under a new change key. `only_read`: nothing but that it was read, or is not any more."""
        new = {**row, **changes, "version": row["version"] + 1, "modified": self.stamp(), "seq": self.next_sequence()}
        if not only_read:
            new["told"] = new["seq"]
        self.tables["item"].put(new)
        self._note(items_of(new["folder"]), new["seq"], new["n"])
        self._tell("Modified", new)
        return new

    def move(self, row: Row, folder: Row) -> Row:
        """Puts an item into another folder of its mailbox, where it has another id."""
        old = {"item": self.item_id(row), "key": self.change_key(row), "folder": row["folder"]}
        self._leave(items_of(row["folder"]), row["mailbox"], self.item_id(row), row["entered"])
        del self._members[row["folder"]][row["n"]]
        sequence = self.next_sequence()
        new = {**row, "folder": folder["n"], "moves": row["moves"] + 1, "version": row["version"] + 1, **dict.fromkeys(_PLACES, sequence)}
        self._enter(new)
        self._tell("Moved", new, old)
        return new

    def remove(self, row: Row) -> None:
        """Takes an item away for good, with its attachments."""
        self._leave(items_of(row["folder"]), row["mailbox"], self.item_id(row), row["entered"])
        del self._members[row["folder"]][row["n"]]
        self.tables["item"].remove(row["n"])
        for remove in self.removing:
            remove(row)
        self._tell("Deleted", row)

    def settle(self) -> None:
        """Gives items that were created a while ago the other change key that they get by themselves."""
        now = self.now().timestamp()
        while self._settling and self._settling[0][0] <= now:
            at, number = heapq.heappop(self._settling)
            row = self.items.get(number)
            if row is not None and row.get("settles_at") == at:
                self.change({name: value for name, value in row.items() if name != "settles_at"})

    def _enter(self, row: Row) -> None:
        self.tables["item"].put(row)
        self._members.setdefault(row["folder"], {})[row["n"]] = None
        self._note(items_of(row["folder"]), row["seq"], row["n"])

    def _tell(self, what: str, row: Row, old: Mapping[str, Any] | None = None) -> None:
        for watcher in self.watchers:
            watcher(what, row, old or {})

    def _tell_folder(self, what: str, row: Row, old: Row | None = None) -> None:
        for watcher in self.folder_watchers:
            watcher(what, row, old or {})

    # --- the journal --------------------------------------------------------------------------------------------------------
    def _note(self, stream: str, sequence: int, number: int) -> None:
        self._journals.setdefault(stream, []).append((sequence, number))

    def _leave(self, stream: str, mailbox: int, id_: str, entered: int) -> None:
        sequence = self.next_sequence()
        self.tables["removal"].put({"n": sequence, "mailbox": mailbox, "stream": stream, "id": id_, "entered": entered})
        self._note(stream, sequence, -1)

    def behind(self, stream: str, sequence: int) -> Iterator[tuple[int, Row, bool]]:
        """Yields place, row and whether it is a removal, of what lies in a stream's journal behind a place, in order. What changed
        again later stands at its last place only."""
        journal = self._journals.get(stream, [])
        rows = self.rows("folder" if stream.startswith("folders:") else "item")
        owner = int(stream.partition(":")[2])
        for place, number in journal[bisect_right(journal, (sequence, 1 << 62)) :]:
            if number == -1:
                yield place, self.rows("removal")[place], True
                continue
            row = rows.get(number)
            if row is not None and row["seq"] == place and row.get("folder", row["mailbox"]) == owner:
                yield place, row, False

    # --- over a restart -----------------------------------------------------------------------------------------------------
    def meta(self) -> dict[str, Any]:
        next_numbers = {name: table.next_number for name, table in self.tables.items()}
        return {"key": self.key, "sequence": self.sequence, "epoch": self.epoch, "next_numbers": next_numbers}

    def restore(self, tables: Mapping[str, Any], meta: Mapping[str, Any]) -> None:
        for name, table in self.tables.items():
            for row in tables.get(name, {"rows": ()})["rows"]:
                table.put(dict(row))
            table.dirty.clear()
            table.next_number = meta["next_numbers"].get(name, table.next_number)
        self.key, self.sequence, self.epoch = meta["key"], meta["sequence"], meta["epoch"]
        self._reindex()

    def _reindex(self) -> None:
        self._clear()
        self._users = {row["mail"].casefold(): row["n"] for row in self.rows("user").values()}
        entries: list[tuple[int, str, int]] = []
        for row in sorted(self.rows("folder").values(), key=lambda each: int(each["n"])):
            self._own.setdefault(row["mailbox"], []).append(row["n"])
            if row["kind"] != OWN:
                self._special[row["mailbox"], row["kind"]] = row["n"]
            entries.append((row["seq"], folders_of(row["mailbox"]), row["n"]))
        for row in self.items.values():
            self._members.setdefault(row["folder"], {})[row["n"]] = None
            entries.append((row["seq"], items_of(row["folder"]), row["n"]))
            if "settles_at" in row:
                heapq.heappush(self._settling, (row["settles_at"], row["n"]))
        entries += [(row["n"], row["stream"], -1) for row in self.rows("removal").values()]
        for sequence, stream, number in sorted(entries):
            self._note(stream, sequence, number)
