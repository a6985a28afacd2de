"""Contact folders. The default one is in no list: it answers by its well-known name or its id only."""

from __future__ import annotations

from typing import Any

from connectors.sandbox.microsoft import filters
from connectors.sandbox.microsoft.calls import Answer, Call
from connectors.sandbox.microsoft.contacts import READ, WRITE, Contacts
from connectors.sandbox.microsoft.delta import Delta
from connectors.sandbox.microsoft.query import ordered, page, read_select, read_view
from connectors.sandbox.microsoft.refusal import bad_request, no_item, no_segment
from connectors.sandbox.microsoft.store import BIN, CONTACTS, OWN, ROOT, Store, contacts_of, folders_of
from connectors.sandbox.microsoft.table import Row

PROPERTIES = ("id", "displayName", "parentFolderId")


class Folders:
    """What `/users/{id}/contactFolders/…` and `/users/{id}/contacts/…` answer."""

    def __init__(self, store: Store, contacts: Contacts, delta: Delta) -> None:
        self._store, self._contacts, self._delta = store, contacts, delta

    # --- who answers --------------------------------------------------------------------------------------------------------
    def contacts(self, call: Call, mailbox: Row, rest: list[str]) -> Answer:
        """Answers `/contacts/…` of a mailbox."""
        call.note.folder = "Contacts" if not rest or rest == ["delta"] else ""
        if rest == ["delta"]:
            return self._contact_delta(call, self._store.special(mailbox["n"], CONTACTS))
        return self._contacts.answer(call, mailbox, None, rest)

    def answer(self, call: Call, mailbox: Row, rest: list[str]) -> Answer:
        """Answers `/contactFolders/…` of a mailbox."""
        parent = self._store.special(mailbox["n"], CONTACTS)
        if not rest:
            return self._collection(call, parent)
        if rest == ["delta"]:
            call.need(*READ)
            call.allow("GET")
            select = read_select(call.parameters.get("$select"), PROPERTIES, "contactFolder")
            return self._delta.answer(call, folders_of(mailbox["n"]), select, lambda row: self.shown(row, select), type_="contactFolder")
        folder = self._find(mailbox, rest[0])
        call.note.folder = folder["displayName"]
        return self._below(call, mailbox, folder, rest[1:])

    def _below(self, call: Call, mailbox: Row, folder: Row, rest: list[str]) -> Answer:
        if not rest:
            return self._single(call, folder)
        if rest == ["contacts", "delta"]:
            return self._contact_delta(call, folder)
        if rest[0] == "contacts":
            return self._contacts.answer(call, mailbox, folder, rest[1:])
        if rest == ["permanentDelete"]:
            call.allow("POST")
            return self._remove(call, folder, for_good=True)
        if rest[0] != "childFolders":
            raise no_segment(rest[0])
        if len(rest) == 1:
            return self._collection(call, folder)
        child = self._find(mailbox, rest[1])
        if child["parent"] != folder["n"]:
            raise no_item()
        call.note.folder = child["displayName"]
        return self._below(call, mailbox, child, rest[2:])

    def _find(self, mailbox: Row, text: str) -> Row:
        """Returns the folder that an id or well-known name says. Raises Refused."""
        kinds = {"contacts": CONTACTS, **({"deleteditems": BIN} if self._store.switches.bin_as_contact_folder else {})}
        if text.lower() in kinds:
            return self._store.special(mailbox["n"], kinds[text.lower()])
        if text.lower() == "deleteditems":
            raise no_item()
        row = self._store.folder_by_id(text)
        if row is None or row["mailbox"] != mailbox["n"] or row["kind"] == ROOT or not self._store.is_seen(row):
            raise no_item()
        if row["kind"] == BIN and not self._store.switches.bin_as_contact_folder:
            raise no_item()
        return row

    def _contact_delta(self, call: Call, folder: Row) -> Answer:
        call.need(*READ)
        call.allow("GET")
        return self._delta.contacts(call, contacts_of(folder["n"]), self._contacts)

    # --- folders themselves ---------------------------------------------------------------------------------------------------
    def _collection(self, call: Call, parent: Row) -> Answer:
        call.allow("GET", "POST")
        if not call.reads:
            call.need(*WRITE)
            row = self._store.add_folder(parent, self._name(call))
            call.note.folder = row["displayName"]
            return self._one(call, 201, row)
        call.need(*READ)
        select = read_view(call, PROPERTIES, "contactFolder").select
        rows = self._store.children(parent)
        if (text := call.parameters.get("$filter")) is not None:
            test = filters.compiled(filters.parse(text), self._compare, _no_lambda)
            rows = [row for row in rows if test(row)]
        rows = ordered(rows, call.parameters.get("$orderby"), ("displayName",), lambda row, name: row[name])
        return page(call, rows, lambda row: self.shown(row, select), context="contactFolders", size=self._store.switches.page_size)

    def _compare(self, node: filters.Compare) -> filters.Test:
        if node.path != "displayName" or node.op not in ("eq", "ne", "startswith"):
            raise filters.unsupported(f"{node.path} {node.op}")
        return lambda row: filters.holds(node.op, row["displayName"], node.value)

    def _name(self, call: Call) -> str:
        data = {name: value for name, value in call.object().items() if "@odata." not in name}
        if unknown := [name for name in data if name not in PROPERTIES]:
            raise bad_request(f"The property '{unknown[0][:80]}' does not exist on type 'microsoft.graph.contactFolder'.")
        name = data.get("displayName")
        if not isinstance(name, str) or not name.strip():
            raise bad_request("The folder needs a displayName.", "ErrorInvalidRequest")
        return name.strip()

    def _single(self, call: Call, folder: Row) -> Answer:
        call.allow("GET", "PATCH", "DELETE")
        if call.reads:
            call.need(*READ)
            return self._one(call, 200, folder)
        if call.method == "DELETE":
            return self._remove(call, folder)
        call.need(*WRITE)
        if folder["kind"] != OWN:
            raise bad_request("Distinguished folders cannot be renamed.", "ErrorInvalidRequest")
        if set(call.object()) == {"parentFolderId"}:  # reported: it moves nothing
            return self._one(call, 200, folder)
        return self._one(call, 200, self._store.rename_folder(folder, self._name(call)))

    def _remove(self, call: Call, folder: Row, *, for_good: bool = False) -> Answer:
        call.need(*WRITE)
        if folder["kind"] != OWN:
            raise bad_request("Distinguished folders cannot be deleted.", "ErrorDeleteDistinguishedFolder")
        self._store.delete_folder(folder, for_good=for_good)
        return Answer(204)

    def _one(self, call: Call, status: int, row: Row) -> Answer:
        select = read_select(call.parameters.get("$select"), PROPERTIES, "contactFolder")
        return Answer(status, {"@odata.context": f"{call.root}/$metadata#contactFolders/$entity", **self.shown(row, select)})

    def shown(self, row: Row, select: tuple[str, ...] | None) -> dict[str, Any]:
        parent = self._store.folders.get(row["parent"])
        own = {"id": self._store.folder_id(row), "displayName": row["displayName"]}
        own["parentFolderId"] = self._store.folder_id(parent) if parent else None
        return {name: value for name, value in own.items() if select is None or name == "id" or name in select}


def _no_lambda(node: filters.Some) -> filters.Test:
    raise filters.unsupported(f"{node.collection}/any")
