"""Contacts: lists, single ones, creates, edits, deletes. Their delta rounds stand in delta.py."""

from __future__ import annotations

from typing import Any

from connectors.sandbox.microsoft import filters, ids, schema
from connectors.sandbox.microsoft.calls import Answer, Call
from connectors.sandbox.microsoft.extended import read_property_id
from connectors.sandbox.microsoft.query import View, ordered, page, read_view, shown_extended
from connectors.sandbox.microsoft.refusal import bad_request, malformed_id, no_item, no_segment, stale_key
from connectors.sandbox.microsoft.store import BIN, CONTACTS, Store, contacts_of
from connectors.sandbox.microsoft.table import Row

READ, WRITE = ("Contacts.Read", "Contacts.ReadWrite"), ("Contacts.ReadWrite",)
SORTABLE = (*schema.STRINGS, "createdDateTime", "lastModifiedDateTime", "birthday")
COMPARED = (*SORTABLE, "parentFolderId")
LISTED = schema.PROPERTIES


class Contacts:
    """What `…/contacts` answers below a mailbox or a folder."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def answer(self, call: Call, mailbox: Row, folder: Row | None, rest: list[str]) -> Answer:
        """Answers a call to a folder's contacts; `folder` None: to the mailbox's, whose list is that of the default folder."""
        if not rest:
            call.allow("GET", "POST")
            return self._list(call, mailbox, folder) if call.reads else self._create(call, mailbox, folder)
        row = self.find(mailbox, folder, rest[0])
        self.note(call, row)
        if len(rest) == 1:
            call.allow("GET", "PATCH", "DELETE")
            acts = {"PATCH": self._change, "DELETE": self._delete}
            return acts.get(call.method, self._show)(call, row)
        if rest[1:] == ["permanentDelete"]:
            call.allow("POST")
            call.need(*WRITE)
            self._check_key(call, row)
            self._store.remove_contact(row)
            return Answer(204)
        raise no_segment(rest[1])  # there is no move and no copy for contacts

    def find(self, mailbox: Row, folder: Row | None, text: str) -> Row:
        """Returns the contact that an id of either form names. An ordinary id of before a move names none. Raises Refused."""
        found = ids.read(self._store.key, text)
        if found is None or found.kind == ids.FOLDER:
            raise malformed_id()
        if found.kind not in (ids.ITEM, ids.IMMUTABLE):
            raise no_item()
        row = self._store.contacts.get(found.number)
        if row is None or found.mailbox != mailbox["n"] or (found.kind == ids.ITEM and found.moves != row["moves"]):
            raise no_item()
        if (folder is not None and row["folder"] != folder["n"]) or not self._store.is_seen(self._store.folders[row["folder"]]):
            raise no_item()
        return row

    def note(self, call: Call, row: Row) -> None:
        """Tells the call log which contact a call is about, by its immutable id."""
        folder = self._store.folders[row["folder"]]["displayName"]
        call.note.items.append({"id": self._store.contact_id(row, is_immutable=True), "folder": folder})

    # --- reading ----------------------------------------------------------------------------------------------------------
    def _list(self, call: Call, mailbox: Row, folder: Row | None) -> Answer:
        call.need(*READ)
        view = read_view(call, LISTED, "contact")
        call.note.fields = view.fields
        text = call.parameters.get("$filter")
        node = None if text is None else filters.parse(text)
        rows = self._searched(mailbox, folder, node)
        if node is not None:
            test = filters.compiled(node, self._compare, self._some)
            rows = [row for row in rows if test(row)]
        rows = ordered(rows, call.parameters.get("$orderby"), SORTABLE, self.value)
        where = "contacts" if folder is None else "contactFolders/contacts"
        return page(call, rows, lambda row: self._listed(call, row, view), context=where, size=self._store.switches.page_size)

    def _searched(self, mailbox: Row, folder: Row | None, node: filters.Node | None) -> list[Row]:
        """Returns the contacts that a list or search looks through."""
        store = self._store
        if folder is None and store.switches.property_filter_scope == "mailbox" and _is_by_property(node):
            folders = [each for each in store.own_folders(mailbox["n"]) if store.is_seen(each)]
        else:
            folders = [folder or store.special(mailbox["n"], CONTACTS)]
        return [store.contacts[n] for each in folders for n in store.members.get(contacts_of(each["n"]), ())]

    def _listed(self, call: Call, row: Row, view: View) -> dict[str, Any]:
        self.note(call, row)
        return self.shown(row, view, is_immutable=call.is_immutable)

    def _show(self, call: Call, row: Row) -> Answer:
        call.need(*READ)
        view = read_view(call, LISTED, "contact")
        call.note.fields = view.fields
        return self._one(call, 200, row, view)

    def _one(self, call: Call, status: int, row: Row, view: View) -> Answer:
        context = {"@odata.context": f"{call.root}/$metadata#contacts/$entity"}
        return Answer(status, {**context, **self.shown(row, view, is_immutable=call.is_immutable)})

    def shown(self, row: Row, view: View, *, is_immutable: bool) -> dict[str, Any]:
        """Returns a contact as an answer holds it: etag and id come with any choice of properties."""
        store = self._store
        change_key = store.change_key(row)
        own = {
            "id": store.contact_id(row, is_immutable=is_immutable),
            "changeKey": change_key,
            "createdDateTime": row["created"],
            "lastModifiedDateTime": row["modified"],
            "parentFolderId": store.folder_id(store.folders[row["folder"]]),
            **schema.shown(row["values"]),
        }
        if view.select is not None:
            own = {name: value for name, value in own.items() if name == "id" or name in view.select}
        extended = shown_extended(row["extended"], view.extended, is_lower=store.switches.lower_property_ids)
        if extended:
            own["singleValueExtendedProperties"] = extended
        return {"@odata.etag": f'W/"{change_key}"', **own}

    # --- searching --------------------------------------------------------------------------------------------------------
    def value(self, row: Row, name: str) -> Any:
        """Returns what a contact is compared or ordered by."""
        own = {"createdDateTime": row["created"], "lastModifiedDateTime": row["modified"]}
        if name == "parentFolderId":
            return self._store.folder_id(self._store.folders[row["folder"]])
        return own.get(name, row["values"].get(name))

    def _compare(self, node: filters.Compare) -> filters.Test:
        if node.path not in COMPARED or not (node.op in filters.OPERATORS or node.op in ("startswith", "contains")):
            raise filters.unsupported(f"{node.path} {node.op}")
        return lambda row: filters.holds(node.op, self.value(row, node.path), node.value)

    def _some(self, node: filters.Some) -> filters.Test:
        name = node.collection
        if name == "emailAddresses" and node.within is not None:
            test = filters.compiled(node.within, _email_test, no_lambda)
            return lambda row: any(test(each) for each in row["values"].get(name, ()))
        if name == "categories" and node.within is not None and self._store.switches.filters_categories:
            test = filters.compiled(node.within, category_test, no_lambda)
            return lambda row: any(test(each) for each in row["values"].get(name, ()))
        if name == "singleValueExtendedProperties" and node.within is not None:
            test = filters.compiled(node.within, property_test, no_lambda)
            return lambda row: any(test(each) for each in row["extended"].items())
        raise filters.unsupported(f"{name}/any")

    # --- writing ----------------------------------------------------------------------------------------------------------
    def _body(self, call: Call) -> schema.Body:
        body = schema.read_body(call.object(), home_phones_most=self._store.switches.home_phones_most)
        call.note.fields = body.names
        if body.parent is not None and self._store.switches.parent_folder_patch == "refuse":
            raise bad_request("The property 'parentFolderId' is read-only and can't be set.", "ErrorInvalidPropertySet")
        return body

    def _create(self, call: Call, mailbox: Row, folder: Row | None) -> Answer:
        call.need(*WRITE)
        body = self._body(call)
        row = self.create(folder or self._store.special(mailbox["n"], CONTACTS), body)
        self.note(call, row)
        return self._one(call, 201, row, View())

    def create(self, folder: Row, body: schema.Body) -> Row:
        values = self._merged(None, body, folder["mailbox"])
        return self._store.add_contact(folder, values, {name: text for name, text in body.extended.items() if text is not None})

    def _change(self, call: Call, row: Row) -> Answer:
        call.need(*WRITE)
        body = self._body(call)
        self._check_key(call, row)
        return self._one(call, 200, self.change(row, body), View())

    def change(self, row: Row, body: schema.Body, **moved: int) -> Row:
        """Stores what a body sets; a `folder` moves the contact besides."""
        extended = {**row["extended"], **body.extended}
        values = self._merged(row["values"], body, row["mailbox"])
        return self._store.change_contact(
            row, values=values, extended={name: text for name, text in extended.items() if text is not None}, **moved
        )

    def _merged(self, stored: dict[str, Any] | None, body: schema.Body, mailbox: int) -> dict[str, Any]:
        switches = self._store.switches
        values = schema.merged(stored, body, merges_addresses=switches.address_patch == "merge", renames=switches.regenerates_display_name)
        if "emailAddresses" in values:
            values["emailAddresses"] = [self._named(each) for each in values["emailAddresses"]]
        return values

    def _named(self, email: dict[str, Any]) -> dict[str, Any]:
        """Returns an e-mail address with the name that is shown for it: the directory's, where it knows the address."""
        address = email.get("address")
        user = self._store.user(address) if address and self._store.switches.directory_names else None
        return {"name": user["displayName"] if user else email.get("name") or address, "address": address}

    def _check_key(self, call: Call, row: Row) -> None:
        """Raises Refused where a write rests on another version than the present one."""
        wanted = call.headers.get("if-match", "*").strip()
        present = f'W/"{self._store.change_key(row)}"'
        if self._store.switches.honours_if_match and wanted not in ("*", present, present.removeprefix("W/")):
            raise stale_key()

    def _delete(self, call: Call, row: Row) -> Answer:
        call.need(*WRITE)
        self._check_key(call, row)
        self.delete(row)
        return Answer(204)

    def delete(self, row: Row) -> None:
        """Moves a contact to Deleted Items; one that lies there already goes for good."""
        bin_ = self._store.special(row["mailbox"], BIN)
        if row["folder"] == bin_["n"] or self._store.is_in_bin(self._store.folders[row["folder"]]):
            self._store.remove_contact(row)
        else:
            self._store.change_contact(row, folder=bin_["n"])


def _is_by_property(node: filters.Node | None) -> bool:
    if isinstance(node, filters.Logic):
        return any(_is_by_property(part) for part in node.parts)
    return isinstance(node, filters.Some) and node.collection == "singleValueExtendedProperties"


def no_lambda(node: filters.Some) -> filters.Test:
    raise filters.unsupported(f"{node.collection}/any")


def _email_test(node: filters.Compare) -> filters.Test:
    if (node.path, node.op) != ("address", "eq"):
        raise filters.unsupported(f"emailAddresses {node.path} {node.op}")
    return lambda email: filters.holds("eq", email.get("address"), node.value)


def category_test(node: filters.Compare) -> filters.Test:
    if (node.path, node.op) != ("", "eq"):
        raise filters.unsupported(f"categories {node.path} {node.op}")
    return lambda name: filters.holds("eq", name, node.value)


def property_test(node: filters.Compare) -> filters.Test:
    if node.path == "id" and node.op == "eq":
        wanted = read_property_id(node.value)
        return lambda item: bool(item[0] == wanted)
    if node.path == "value" and node.op in ("eq", "ne", "startswith", "contains"):
        return lambda item: filters.holds(node.op, item[1], node.value)
    raise filters.unsupported(f"singleValueExtendedProperties {node.path} {node.op}")
