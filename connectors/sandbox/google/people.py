"""The calls under `/v1/people`: connections with sync, reading, writing one and many, the directory."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from connectors.sandbox.google import persons
from connectors.sandbox.google.calls import Call, read_mask
from connectors.sandbox.google.paging import Order, Pager
from connectors.sandbox.google.refusal import Refused, invalid, not_found
from connectors.sandbox.google.schema import PERSON_FIELDS, READ_SOURCES, SCOPE, WRITABLE
from connectors.sandbox.google.store import DIRECTORY, MY_CONTACTS, Store, profile_name, resource_name
from connectors.sandbox.google.table import Row

SERVICE = "people.googleapis.com"
MOST_IN_BATCH, MOST_DELETED = 200, 500
MOST_A_PAGE, DEFAULT_PAGE = 1000, 100
ORDERS = ("LAST_MODIFIED_ASCENDING", "LAST_MODIFIED_DESCENDING", "FIRST_NAME_ASCENDING", "LAST_NAME_ASCENDING")
DIRECTORY_SOURCES = tuple(f"DIRECTORY_SOURCE_TYPE_{name}" for name in ("UNSPECIFIED", "DOMAIN_CONTACT", "DOMAIN_PROFILE"))
PROFILES = "DIRECTORY_SOURCE_TYPE_DOMAIN_PROFILE"
READS_CONTACTS = frozenset((f"{SCOPE}contacts", f"{SCOPE}contacts.readonly"))
WRITES_CONTACTS = frozenset((f"{SCOPE}contacts",))
READS_DIRECTORY = frozenset((f"{SCOPE}directory.readonly",))
READS_PEOPLE = READS_CONTACTS | READS_DIRECTORY | {f"{SCOPE}userinfo.email", f"{SCOPE}userinfo.profile", "email", "profile"}


@dataclass(frozen=True, slots=True)
class Method:
    """One method: who answers it, which scopes allow it (any of them), and whether it changes something."""

    answer: Callable[[Call], dict[str, Any]]
    scopes: frozenset[str]
    mutates: bool = False
    counts_as_read: bool = True  # critical reads: updates are counted among them as well


class People:
    """What the calls of one kind of resource answer."""

    def __init__(self, store: Store, pager: Pager) -> None:
        self._store, self._pager = store, pager

    def method(self, call: Call) -> Method | None:
        """Returns the method of a call below `/v1`; None where there is none."""
        parts, key = call.parts, (call.method, call.verb)
        if parts == ("people",):
            return {
                ("GET", "batchGet"): Method(self._batch_get, READS_PEOPLE),
                ("GET", "listDirectoryPeople"): Method(self._directory, READS_DIRECTORY),
                ("POST", "createContact"): Method(self._create, WRITES_CONTACTS, True, False),
                ("POST", "batchCreateContacts"): Method(self._batch_create, WRITES_CONTACTS, True, False),
                ("POST", "batchUpdateContacts"): Method(self._batch_update, WRITES_CONTACTS, True),
                ("POST", "batchDeleteContacts"): Method(self._batch_delete, WRITES_CONTACTS, True, False),
            }.get(key)
        if len(parts) == 3 and parts[0] == "people" and parts[2] == "connections":
            return Method(self._connections, READS_CONTACTS) if key == ("GET", "") else None
        if len(parts) == 2 and parts[0] == "people":
            return {
                ("GET", ""): Method(self._get, READS_PEOPLE),
                ("PATCH", "updateContact"): Method(self._update, WRITES_CONTACTS, True),
                ("DELETE", "deleteContact"): Method(self._delete, WRITES_CONTACTS, True, False),
            }.get(key)
        return None

    # --- lists ----------------------------------------------------------------------------------------------------------
    def _connections(self, call: Call) -> dict[str, Any]:
        call.allow("personFields", "pageSize", "pageToken", "requestSyncToken", "syncToken", "sortOrder", "sources")
        if call.parts[1] != "me":
            raise invalid("Resource name must be people/me.")
        mask, sources = call.mask("personFields", PERSON_FIELDS), call.listed("sources", READ_SOURCES)
        order = next(iter(call.listed("sortOrder", ORDERS)), "")
        is_sync = call.flag("requestSyncToken") or bool(call.text("syncToken"))
        if is_sync and order:
            raise invalid("Sort order cannot be specified when syncing.")
        store = self._store
        found = self._pager.page(
            store.contacts, call, mailbox=call.mailbox, size=call.number("pageSize", DEFAULT_PAGE, MOST_A_PAGE), gives_token=is_sync,
            present=store.sequence, now=store.now().timestamp(), days=store.switches.sync_token_days, sees_all=not is_sync,
            order=_order(order),
        )  # fmt: skip
        if sources and persons.READ_CONTACT not in sources:
            found.rows, found.total = [], 0
        connections = [persons.shown(store, row, mask, sources, since=found.since) for row in found.rows]
        total = {} if found.since else {"totalPeople": found.total, "totalItems": found.total}
        answer = {"connections": connections, **total, "nextPageToken": found.next_page, "nextSyncToken": found.next_sync}
        return _without_blanks(answer)

    def _directory(self, call: Call) -> dict[str, Any]:
        call.allow("readMask", "sources", "mergeSources", "pageSize", "pageToken", "requestSyncToken", "syncToken")
        mask, sources = call.mask("readMask", PERSON_FIELDS), call.listed("sources", DIRECTORY_SOURCES)
        if not sources:
            raise invalid("sources is required.")
        if call.text("mergeSources"):
            raise invalid("mergeSources is not played by the sandbox.")
        store = self._store
        if not store.switches.has_directory:
            raise Refused(400, "Must be a G Suite domain user.", "FAILED_PRECONDITION")
        is_sync = call.flag("requestSyncToken") or bool(call.text("syncToken"))
        found = self._pager.page(
            store.users, call, mailbox=DIRECTORY, size=call.number("pageSize", DEFAULT_PAGE, MOST_A_PAGE), gives_token=is_sync,
            present=store.sequence, now=store.now().timestamp(), days=store.switches.sync_token_days, sees_all=not is_sync,
        )  # fmt: skip
        people = []
        for user in found.rows if PROFILES in sources else []:
            is_gone = user["is_deleted"] or user["is_suspended"]
            if not is_gone or found.since:
                people.append(persons.profile({**user, "is_deleted": is_gone}, mask, "DOMAIN_PROFILE"))
        return _without_blanks({"people": people, "nextPageToken": found.next_page, "nextSyncToken": found.next_sync})

    # --- reading --------------------------------------------------------------------------------------------------------
    def _get(self, call: Call) -> dict[str, Any]:
        call.allow("personFields", "sources")
        mask, sources = call.mask("personFields", PERSON_FIELDS), call.listed("sources", READ_SOURCES)
        return self._person(call, "/".join(call.parts), mask, sources)

    def _batch_get(self, call: Call) -> dict[str, Any]:
        call.allow("personFields", "sources", "resourceNames")
        mask, sources = call.mask("personFields", PERSON_FIELDS), call.listed("sources", READ_SOURCES)
        names = call.parameters.get("resourceNames", [])
        _check_count(names, "resourceNames", MOST_IN_BATCH)
        return {"responses": [_response(name, lambda name=name: self._person(call, name, mask, sources)) for name in names]}  # type: ignore[misc]

    def _person(self, call: Call, name: str, mask: Collection[str], sources: Collection[str]) -> dict[str, Any]:
        """Returns who a resource name names: a contact, oneself, or somebody of the domain. Raises Refused."""
        store = self._store
        row = store.contact(call.mailbox, name) if call.scopes & READS_CONTACTS else None
        if row is not None:
            return persons.shown(store, row, mask, sources)
        users = [user for user in store.users.box(DIRECTORY) if not user["is_suspended"]]
        for user in users:
            is_self = user["email"] == call.mailbox
            if name == profile_name(user) or (name == "people/me" and is_self):
                return persons.profile(user, mask, "PROFILE" if is_self else "DOMAIN_PROFILE")
        raise not_found()

    # --- writing --------------------------------------------------------------------------------------------------------
    def _create(self, call: Call) -> dict[str, Any]:
        call.allow("personFields", "sources")
        mask = call.mask("personFields", PERSON_FIELDS, default=PERSON_FIELDS)
        sources = call.listed("sources", READ_SOURCES)
        return persons.shown(self._store, self._created(call, call.json("Person", "person")), mask, sources)

    def _created(self, call: Call, person: dict[str, Any]) -> Row:
        fields = persons.fields_of(person, WRITABLE)
        groups = persons.groups_of(self._store, call.mailbox, person)
        kept = {name: items for name, items in fields.items() if items}
        row = self._store.add_contact(call.mailbox, kept, groups or [MY_CONTACTS])
        call.touched.append(resource_name(row))
        return row

    def _update(self, call: Call) -> dict[str, Any]:
        call.allow("updatePersonFields", "personFields", "sources")
        update = call.mask("updatePersonFields", WRITABLE)
        mask = call.mask("personFields", PERSON_FIELDS, default=PERSON_FIELDS)
        sources = call.listed("sources", READ_SOURCES)
        row = self._updated(call, "/".join(call.parts), call.json("Person", "person"), update)
        return persons.shown(self._store, row, mask, sources)

    def _updated(self, call: Call, name: str, person: dict[str, Any], update: Collection[str]) -> Row:
        row = self._store.contact(call.mailbox, name)
        if row is None:
            raise not_found()
        persons.check_etag(row, person)
        groups = None
        if "memberships" in update:
            groups = persons.groups_of(self._store, call.mailbox, person)
            if not groups:
                raise invalid("Request must have at least one contact group membership.")
        return self._store.change_contact(row, persons.fields_of(person, update), groups)

    def _delete(self, call: Call) -> dict[str, Any]:
        call.allow()
        row = self._store.contact(call.mailbox, "/".join(call.parts))
        if row is None:
            raise not_found()
        self._store.delete(self._store.contacts, row)
        return {}

    def _batch_create(self, call: Call) -> dict[str, Any]:
        call.allow()
        body = call.json("BatchCreateContactsRequest", "")
        contacts = body.get("contacts", [])
        _check_count(contacts, "contacts", MOST_IN_BATCH)
        mask = read_mask(body.get("readMask", ""), "readMask", PERSON_FIELDS)
        made = [self._tried(lambda each=each: self._created(call, each.get("contactPerson", {})), "", mask, body) for each in contacts]  # type: ignore[misc]
        return {"createdPeople": made} if mask else {}

    def _batch_update(self, call: Call) -> dict[str, Any]:
        call.allow()
        body = call.json("BatchUpdateContactsRequest", "")
        contacts = body.get("contacts", {})
        _check_count(contacts, "contacts", MOST_IN_BATCH)
        update = read_mask(body.get("updateMask", ""), "updateMask", WRITABLE)
        if not update:
            raise invalid("updateMask is required.")
        mask = read_mask(body.get("readMask", ""), "readMask", PERSON_FIELDS)
        done = {
            name: self._tried(lambda name=name, person=person: self._updated(call, name, person, update), name, mask, body)  # type: ignore[misc]
            for name, person in contacts.items()
        }
        return {"updateResult": done} if mask else {}

    def _tried(self, act: Callable[[], Row], name: str, mask: Collection[str], body: dict[str, Any]) -> dict[str, Any]:
        """Returns how it went with one person of a batch: the others go on."""

        def person() -> dict[str, Any]:
            return persons.shown(self._store, act(), mask, body.get("sources", ()))

        return _response(name, person)

    def _batch_delete(self, call: Call) -> dict[str, Any]:
        call.allow()
        names = call.json("BatchDeleteContactsRequest", "").get("resourceNames", [])
        _check_count(names, "resourceNames", MOST_DELETED)
        rows = {name: self._store.contact(call.mailbox, name) for name in names}
        if None in rows.values() and self._store.switches.batch_delete_missing == "refuse":
            raise not_found()
        for row in {row["id"]: row for row in rows.values() if row is not None}.values():
            self._store.delete(self._store.contacts, row)
        return {}


def _response(name: str, act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Returns a PersonResponse: a person, or why there is none."""
    told = {"requestedResourceName": name} if name else {}
    try:
        person = act()
    except Refused as refused:
        return {**told, "httpStatusCode": refused.status, "status": refused.as_status()}
    named = told or {"requestedResourceName": person["resourceName"]}
    return {**named, "person": person, "httpStatusCode": 200, "status": {"code": 0, "message": ""}}


def _check_count(given: Collection[Any], name: str, most: int) -> None:
    if not given:
        raise invalid(f"{name} is required.")
    if len(given) > most:
        raise invalid(f"Request must not have more than {most} {name}.")


def _order(name: str) -> Order | None:
    """Returns what a list is sorted by; None for the order of changes, which is the usual one."""
    if name in ("", "LAST_MODIFIED_ASCENDING"):
        return None
    if name == "LAST_MODIFIED_DESCENDING":
        return lambda row: ("", -int(row["seq"]))
    part = "givenName" if name.startswith("FIRST") else "familyName"
    return lambda row: (next((str(n.get(part, "")) for n in row["fields"].get("names", [])), "").casefold(), int(row["id"]))


def _without_blanks(answer: dict[str, Any]) -> dict[str, Any]:
    """Returns an answer as Google writes it: an empty list, an empty text and 0 are left out."""
    return {name: value for name, value in answer.items() if value}
