"""Mail folders: lists, single ones by id or well-known name, renames, moves, deletes, and the way to their messages."""

from __future__ import annotations

from typing import Any

from connectors.sandbox.microsoft import filters
from connectors.sandbox.microsoft.calls import Answer, Call
from connectors.sandbox.microsoft.mail_store import DELETED, TOP, MailStore
from connectors.sandbox.microsoft.messages import READ, WRITE, Messages
from connectors.sandbox.microsoft.query import ordered, page, read_select
from connectors.sandbox.microsoft.refusal import bad_request, no_item, no_segment
from connectors.sandbox.microsoft.store import BIN, OWN, Store, contacts_of
from connectors.sandbox.microsoft.table import Row
from connectors.sandbox.microsoft.values import without_annotations

PROPERTIES = ("id", "displayName", "parentFolderId", "childFolderCount", "unreadItemCount", "totalItemCount", "isHidden")


class MailFolders:
    """What `/users/{id}/mailFolders/…` answers."""

    def __init__(self, store: Store, mail: MailStore, messages: Messages) -> None:
        self._store, self._mail, self._messages = store, mail, messages

    # --- who answers --------------------------------------------------------------------------------------------------------
    def answer(self, call: Call, mailbox: Row, rest: list[str]) -> Answer:
        call.need(*(READ if call.reads else WRITE))
        if not rest:
            return self._collection(call, self._mail.special(mailbox["n"], TOP))
        return self._below(call, mailbox, self._mail.find_folder(mailbox, rest[0]), rest[1:])

    def messages(self, call: Call, mailbox: Row, rest: list[str]) -> Answer:
        """Answers `/messages/…` of a mailbox."""
        return self._messages.answer(call, mailbox, None, rest)

    def _below(self, call: Call, mailbox: Row, folder: Row, rest: list[str]) -> Answer:
        call.note.folder = folder["displayName"]
        if not rest:
            return self._single(call, folder)
        if rest[0] == "messages":
            return self._messages.answer(call, mailbox, folder, rest[1:])
        if rest == ["move"]:
            return self._move(call, mailbox, folder)
        if rest[0] != "childFolders":
            raise no_segment(rest[0])
        if len(rest) == 1:
            return self._collection(call, folder)
        child = self._mail.find_folder(mailbox, rest[1])
        if child["parent"] != folder["n"]:
            raise no_item()
        return self._below(call, mailbox, child, rest[2:])

    # --- folders themselves ---------------------------------------------------------------------------------------------------
    def _collection(self, call: Call, parent: Row) -> Answer:
        call.allow("GET", "POST")
        if not call.reads:
            row = self._mail.add_folder(parent, self._name(call))
            call.note.folder = row["displayName"]
            return self._one(call, 201, row)
        select = self._select(call)
        rows = self._mail.children(parent)
        if (text := call.parameters.get("$filter")) is not None:
            test = filters.compiled(filters.parse(text), _compare, _no_lambda)
            rows = [row for row in rows if test(row)]
        rows = ordered(rows, call.parameters.get("$orderby"), ("displayName",), lambda row, name: row[name])
        return page(call, rows, lambda row: self.shown(row, select), context="mailFolders", size=self._store.switches.page_size)

    def _name(self, call: Call) -> str:
        given = without_annotations(call.object())
        if unknown := [name for name in given if name not in ("displayName", "isHidden")]:
            raise bad_request(f"The property '{unknown[0][:80]}' cannot be set on type 'microsoft.graph.mailFolder'.")
        name = given.get("displayName")
        if not isinstance(name, str) or not name.strip():
            raise bad_request("The folder needs a displayName.", "ErrorInvalidRequest")
        return name.strip()

    def _single(self, call: Call, folder: Row) -> Answer:
        call.allow("GET", "PATCH", "DELETE")
        if call.reads:
            return self._one(call, 200, folder)
        self._check_own(folder)
        if call.method == "PATCH":
            return self._one(call, 200, self._mail.change_folder(folder, name=self._name(call)))
        self._mail.delete_folder(folder)
        return Answer(204)

    def _move(self, call: Call, mailbox: Row, folder: Row) -> Answer:
        call.allow("POST")
        self._check_own(folder)
        text = call.object().get("destinationId")
        if not isinstance(text, str) or not text:
            raise bad_request("The destinationId is missing.", "ErrorInvalidRequest")
        return self._one(call, 201, self._mail.change_folder(folder, parent=self._mail.find_folder(mailbox, text)))

    @staticmethod
    def _check_own(folder: Row) -> None:
        if folder["kind"] != OWN:
            raise bad_request("Distinguished folders cannot be renamed, moved or deleted.", "ErrorDeleteDistinguishedFolder")

    def _one(self, call: Call, status: int, row: Row) -> Answer:
        return Answer(status, {"@odata.context": f"{call.root}/$metadata#mailFolders/$entity", **self.shown(row, self._select(call))})

    def _select(self, call: Call) -> tuple[str, ...] | None:
        return read_select(call.parameters.get("$select"), PROPERTIES, "mailFolder")

    def shown(self, row: Row, select: tuple[str, ...] | None) -> dict[str, Any]:
        names = PROPERTIES if select is None else tuple(dict.fromkeys(("id", *select)))
        return {name: self._property(row, name) for name in names}

    def _property(self, row: Row, name: str) -> Any:
        if name == "id":
            return self._mail.folder_id(row)
        if name == "parentFolderId":
            # The top's own parent is the root of the mailbox, which nobody reaches; it is told as its own.
            return self._mail.folder_id(self._mail.folders.get(row["parent"], row))
        bin_ = self._store.special(row["mailbox"], BIN) if row["kind"] == DELETED else None  # contacts and their folders come there too
        if name == "childFolderCount":
            return len(self._mail.children(row)) + (len(self._store.children(bin_)) if bin_ else 0)
        if name == "totalItemCount":
            contacts = len(self._store.members.get(contacts_of(bin_["n"]), ())) if bin_ else 0
            return self._mail.messages.count(row["n"]) + contacts
        if name == "unreadItemCount":
            return sum(not message["values"].get("isRead", False) for message in self._mail.messages.within(row["n"]))
        return False if name == "isHidden" else row[name]


def _compare(node: filters.Compare) -> filters.Test:
    if node.path != "displayName" or node.op not in ("eq", "ne", "startswith", "contains"):
        raise filters.unsupported(f"{node.path} {node.op}")
    return lambda row: filters.holds(node.op, row["displayName"], node.value)


def _no_lambda(node: filters.Some) -> filters.Test:
    raise filters.unsupported(f"{node.collection}/any")
