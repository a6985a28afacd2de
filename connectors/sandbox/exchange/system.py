"""Exchange on premises, played: mailboxes behind EWS, reached by a service account that acts for their users.

A further operation is a row in `_operations`.
"""

from __future__ import annotations

import base64
import binascii
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from hashlib import shake_256
from typing import Any
from urllib.parse import unquote_plus
from xml.etree.ElementTree import Element

from connectors.sandbox.exchange import addresses, soap, trouble
from connectors.sandbox.exchange.attachments import Attachments
from connectors.sandbox.exchange.by_hand import OBJECTS, ByHand
from connectors.sandbox.exchange.calls import Call
from connectors.sandbox.exchange.directory import Directory
from connectors.sandbox.exchange.events import Events, possible
from connectors.sandbox.exchange.find import Find
from connectors.sandbox.exchange.folders import Folders
from connectors.sandbox.exchange.items import Items
from connectors.sandbox.exchange.meetings import Meetings
from connectors.sandbox.exchange.refusal import Faulted, Refused, impersonation_denied, invalid, no_mailbox
from connectors.sandbox.exchange.store import Store
from connectors.sandbox.exchange.subscriptions import Subscriptions
from connectors.sandbox.exchange.switches import NAMES, Switches, changed
from connectors.sandbox.exchange.sync import Sync
from connectors.sandbox.microsoft.table import Row
from connectors.sandbox.microsoft.zones import read_zone
from connectors.sandbox.wire import MOST_MASKED, Request, Response

DOMAIN, SERVICE = "EXAMPLE", "svc-sync"
XML = "text/xml; charset=utf-8"
BUSY_WINDOW = 60.0  # seconds over which calls are counted
Operation = Callable[[Call], list[Element]]


class ExchangeSystem:
    """The state of one server and what it answers."""

    name = "exchange"

    def __init__(self, *, now: Callable[[], datetime], seed: int) -> None:
        self._now = now
        self.store = Store(now=now, seed=seed)
        self.password = shake_256(f"exchange password {seed}".encode()).hexdigest(12)
        self._attachments, self._events = Attachments(self.store), Events(self.store)
        self._meetings = Meetings(self.store, self._events)
        self._items = Items(self.store, self._attachments, self._events, self._meetings)
        self._folders = Folders(self.store)
        self.by_hand = ByHand(self.store, self._attachments, self._events, self._meetings, self._items, self._folders)
        self._calls: dict[int, deque[float]] = {}  # when a mailbox was called
        find, sync = Find(self.store, self._attachments), Sync(self.store, self._attachments, self._folders)
        subscriptions, directory = Subscriptions(self.store), Directory(self.store)
        self._operations: dict[str, Operation] = {
            "GetFolder": self._folders.get,
            "FindFolder": self._folders.find,
            "CreateFolder": self._folders.create,
            "UpdateFolder": self._folders.update,
            "MoveFolder": self._folders.move,
            "DeleteFolder": self._folders.delete,
            "EmptyFolder": self._folders.empty,
            "SyncFolderHierarchy": sync.folders,
            "SyncFolderItems": sync.items,
            "FindItem": find.items,
            "GetItem": self._items.get,
            "CreateItem": self._items.create,
            "UpdateItem": self._items.update,
            "DeleteItem": self._items.delete,
            "MoveItem": self._items.move,
            "CopyItem": self._items.copy,
            "GetAttachment": self._attachments.get,
            "CreateAttachment": self._attachments.create,
            "DeleteAttachment": self._attachments.delete,
            "Subscribe": subscriptions.subscribe,
            "GetEvents": subscriptions.events,
            "Unsubscribe": subscriptions.unsubscribe,
            "ResolveNames": directory.resolve,
            "ConvertId": directory.convert,
            "GetServerTimeZones": directory.time_zones,
            "GetUserConfiguration": directory.configuration,
        }

    # --- what the world asks ------------------------------------------------------------------------------------------------
    def credentials(self) -> dict[str, Any]:
        mailboxes = [row["mail"] for row in self.store.rows("user").values()]
        return {"username": f"{DOMAIN}\\{SERVICE}", "password": self.password, "ews_path": addresses.EWS, "mailboxes": mailboxes}

    def objects(self) -> tuple[str, ...]:
        return OBJECTS

    def find_id(self, object_type: str, text: str) -> int | None:
        return self.by_hand.find(object_type, text)

    def count(self, object_type: str) -> int:
        return len(self.by_hand.rows(object_type))

    def list_records(self, object_type: str) -> list[dict[str, Any]]:
        self.store.settle()
        return [self.by_hand.shown(object_type, row) for row in self.by_hand.rows(object_type)]

    def get_record(self, object_type: str, id_: int) -> dict[str, Any] | None:
        self.store.settle()
        row = self.by_hand.row(object_type, id_)
        return None if row is None else self.by_hand.shown(object_type, row)

    def create_record(self, object_type: str, values: Mapping[str, Any]) -> dict[str, Any]:
        return self._by_person(object_type, lambda: self.by_hand.create(object_type, values))

    def update_record(self, object_type: str, id_: int, values: Mapping[str, Any]) -> dict[str, Any]:
        return self._by_person(object_type, lambda: self.by_hand.update(object_type, self._existing(object_type, id_), values))

    def delete_record(self, object_type: str, id_: int) -> None:
        self.by_hand.delete(object_type, self._existing(object_type, id_))

    def _existing(self, object_type: str, id_: int) -> Row:
        self.store.settle()
        row = self.by_hand.row(object_type, id_)
        if row is None:
            raise ValueError(f"there is no {object_type} {id_}")
        return row

    def _by_person(self, object_type: str, act: Callable[[], Row]) -> dict[str, Any]:
        try:
            return self.by_hand.shown(object_type, act())
        except (Refused, Faulted) as error:
            raise ValueError(error.message) from None

    def expire_sync(self) -> dict[str, int]:
        """Makes all sync states and watermarks that are out dead."""
        self.store.epoch += 1
        return {"epoch": self.store.epoch}

    def expire_tokens(self) -> None:
        """There are none: every call signs in by itself."""

    @property
    def mails(self) -> list[dict[str, Any]]:
        """The mails that went out, the oldest first; they outlive a restart."""
        return [row["mail"] for row in self.store.rows("sentMail").values()]

    def switches(self) -> dict[str, Any]:
        return self.store.switches.as_dict()

    def set_switches(self, given: Mapping[str, Any]) -> None:
        """Sets the switches that are named. Raises ValueError, and sets none, for a value that is not one of theirs."""
        self.store.switches = changed(self.store.switches, given)

    # --- over a restart -------------------------------------------------------------------------------------------------------
    def meta(self) -> dict[str, Any]:
        return {"switches": self.switches(), "password": self.password, "store": self.store.meta()}

    def dump(self) -> dict[str, Any]:
        return {"meta": self.meta(), "tables": {n: {"rows": list(t.rows.values())} for n, t in self.store.tables.items()}}

    def restore(self, state: Mapping[str, Any]) -> None:
        meta = state["meta"]
        self.store.switches = Switches(**{name: value for name, value in meta["switches"].items() if name in NAMES})
        self.password = meta["password"]
        self.store.restore(state["tables"], meta["store"])
        self._attachments.reindex()
        self._events.reindex()

    def take_dirty(self) -> list[tuple[str, int, dict[str, Any] | None]]:
        tables = self.store.tables
        dirty = [(name, number, table.rows.get(number)) for name, table in tables.items() for number in sorted(table.dirty)]
        for table in tables.values():
            table.dirty.clear()
        return dirty

    # --- HTTP -----------------------------------------------------------------------------------------------------------------
    def addressed(self, request: Request) -> Request:
        """Returns a call of EWS with its operation in the path, under which it is logged and faults find it."""
        if not addresses.is_ews(request.path):
            return request
        return replace(request, path=f"{addresses.EWS}/{addresses.operation_of(request.body)}")

    def method_of(self, request: Request) -> str:
        return request.method

    def template(self, path: str) -> str:
        return addresses.form_of(path)

    def shown(self, request: Request) -> str:
        """Returns what a call asked, without the envelope around it; what signs in stands in a header that nobody logs."""
        body = request.body[:MOST_MASKED].decode("utf-8", "replace")
        return " ".join(part for part in (unquote_plus(request.query), body.partition("Body>")[2] or body) if part)

    def trouble(self, kind: str, options: Mapping[str, Any], request: Request) -> Response:
        response = trouble.of_status(options, request.body)
        response.template = self.template(request.path)
        return response

    def handle(self, request: Request) -> Response:
        self.store.settle()
        response = self._answer(request)
        response.template = self.template(request.path)
        return response

    def _answer(self, request: Request) -> Response:
        if not request.path.startswith(f"{addresses.EWS}/"):
            return Response(404, b"<html><body><h1>404 Not Found</h1></body></html>", "text/html")
        if request.method != "POST":
            return Response(405, b"", "text/html", [("Allow", "POST")])
        caller = self._caller(request.headers.get("authorization", ""))
        if caller is None:
            return trouble.unauthorised()
        noted: dict[str, Any] = {"mailbox": "", "operation": "", "things": 0}
        try:
            body = self._carried_out(request, caller, noted)
            response = Response(200, body, XML)
        except Faulted as fault:
            response = Response(500, soap.faulted(fault), XML)
            noted["fault"] = fault.code
        response.noted = [noted]
        return response

    def _carried_out(self, request: Request, caller: str, noted: dict[str, Any]) -> bytes:
        """Returns the envelope of an answer; `noted` is told of the call. Raises Faulted."""
        envelope = soap.read(request.body)
        noted["operation"] = envelope.name[:80]
        operation = self._operations.get(envelope.name)
        if operation is None or not envelope.operation.tag.startswith(f"{{{soap.MESSAGES}}}"):
            raise invalid(f"The element 'Body' has invalid child element '{envelope.name[:80]}'.")
        mailbox = self._acting(caller, envelope)
        noted["mailbox"] = mailbox["mail"] if mailbox else ""
        self._throttle(mailbox)
        try:
            zone = possible(lambda: read_zone(envelope.zone))
        except Refused as refused:
            raise Faulted(refused.code, refused.message) from None
        messages = operation(Call(self.store, envelope.operation, mailbox, zone, self._events.day_of))
        codes = [soap.text_of(soap.child(each, "ResponseCode")) for each in messages if each.get("ResponseClass") == "Error"]
        noted.update({"things": len(messages)} | ({"refused": codes} if codes else {}))
        return soap.answered(envelope.name, messages)

    # --- who asks -------------------------------------------------------------------------------------------------------------
    def _caller(self, header: str) -> str | None:
        """Returns who signs in: the service account or the address of a user. None for nobody we know."""
        if not self.store.switches.needs_sign_in and not header:
            return SERVICE
        scheme, _, token = header.partition(" ")
        try:
            name, _, password = base64.b64decode(token, validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            return None
        if scheme.lower() != "basic" or password != self.password:
            return None
        if name.casefold() in (f"{DOMAIN}\\{SERVICE}".casefold(), SERVICE, f"{SERVICE}@example.test"):
            return SERVICE
        user = self.store.user(name)
        return None if user is None else str(user["mail"])

    def _acting(self, caller: str, envelope: soap.Envelope) -> Row | None:
        """Returns the mailbox that a call acts in: that of whom it impersonates, or the caller's own. Raises Faulted."""
        if envelope.impersonated is None:
            return None if caller == SERVICE else self.store.user(caller)
        user = self.store.user(envelope.impersonated)
        if caller != SERVICE or not self.store.switches.impersonation or (user is not None and user["state"] == "denied"):
            raise impersonation_denied()
        if user is None or user["state"] == "gone":
            raise no_mailbox()
        if user["state"] == "moving":
            raise Faulted("ErrorMailboxMoveInProgress", trouble.MESSAGES["ErrorMailboxMoveInProgress"])
        return user

    def _throttle(self, mailbox: Row | None) -> None:
        """Counts a call to a mailbox. Raises Faulted for more than the policy allows in a minute."""
        most = self.store.switches.busy_after
        if most is None or mailbox is None:
            return
        now = self._now().timestamp()
        calls = self._calls.setdefault(mailbox["n"], deque())
        while calls and calls[0] <= now - BUSY_WINDOW:
            calls.popleft()
        if len(calls) >= most:
            raise Faulted(trouble.BUSY, trouble.MESSAGES[trouble.BUSY], back_off_ms=self.store.switches.back_off_ms)
        calls.append(now)
