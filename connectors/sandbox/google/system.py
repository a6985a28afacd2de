"""Google, played: sign-in, the People API, Calendar, Gmail and Tasks, and batches of their calls."""

from __future__ import annotations

import base64
import json
import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote, unquote_plus

from connectors.sandbox.google import addresses, batch, quotas, refusal, trouble
from connectors.sandbox.google.by_hand import OBJECTS, ByHand
from connectors.sandbox.google.calendar import Calendar
from connectors.sandbox.google.calls import Call
from connectors.sandbox.google.calls import refusal as refusal_response
from connectors.sandbox.google.gmail import ROOT as GMAIL_ROOT
from connectors.sandbox.google.gmail import Gmail
from connectors.sandbox.google.groups import ContactGroups
from connectors.sandbox.google.oauth import AUTHORIZE, REVOKE, TOKEN, TokenDesk, form_of
from connectors.sandbox.google.paging import Pager
from connectors.sandbox.google.people import SERVICE, Method, People
from connectors.sandbox.google.quotas import FULL_SYNCS, READS, WRITES, Quotas
from connectors.sandbox.google.refusal import Refused
from connectors.sandbox.google.store import Store
from connectors.sandbox.google.switches import NAMES, Switches, changed
from connectors.sandbox.google.tasks import Tasks
from connectors.sandbox.wire import MOST_MASKED, Request, Response, masked, read_json

LONGEST_URL = 16_384
BUSY = {409: ("The operation was aborted.", "ABORTED"), 503: ("The service is currently unavailable.", "UNAVAILABLE")}
NO_METHOD = Refused(404, "Method not found.", "NOT_FOUND")


class Hand(Protocol):
    """What people do with the records of some types."""

    def find_id(self, object_type: str, text: str) -> int | None: ...
    def count(self, object_type: str) -> int: ...
    def all(self, object_type: str) -> list[dict[str, Any]]: ...
    def get(self, object_type: str, id_: int) -> dict[str, Any] | None: ...
    def create(self, object_type: str, values: Mapping[str, Any]) -> dict[str, Any]: ...
    def update(self, object_type: str, id_: int, values: Mapping[str, Any]) -> dict[str, Any]: ...
    def delete(self, object_type: str, id_: int) -> None: ...


class GoogleSystem:
    """The state of one Google Workspace and what it answers."""

    name = "google"

    def __init__(self, *, now: Callable[[], datetime], seed: int) -> None:
        self.store = Store(now=now)
        self.quotas = Quotas(now=now)
        self.desk = TokenDesk(self.store, seed=seed)
        self.by_hand = ByHand(self.store)
        self.mails: list[dict[str, Any]] = []  # what the real service would have sent to people
        self.gmail = Gmail(self.store, self.quotas, self.mails.append)
        self._hands: dict[str, Hand] = {**dict.fromkeys(OBJECTS, self.by_hand), "message": self.gmail.by_hand}
        self.base_url: Callable[[], str] = lambda: ""  # where we are served; the world says it
        self._pager = Pager(secrets.token_hex(4))
        self.calendar = Calendar(self.store, self.quotas, self._pager, self.mails.append)
        self.tasks = Tasks(self.store, self.quotas, self._pager)
        self._services = (self.calendar, self.tasks)
        self._hands |= {"event": self.calendar.by_hand, "task": self.tasks.by_hand}
        self._resources = (People(self.store, self._pager), ContactGroups(self.store, self._pager))
        self._in_flight: Counter[str] = Counter()  # mutations by user, until their answer is on its way
        self._begun = ""
        self._touched: list[str] = []

    # --- what the world asks ------------------------------------------------------------------------------------------
    def credentials(self) -> dict[str, Any]:
        return self.desk.credentials(self.base_url())

    def objects(self) -> tuple[str, ...]:
        return tuple(self._hands)

    def find_id(self, object_type: str, text: str) -> int | None:
        return self._hands[object_type].find_id(object_type, text)

    def count(self, object_type: str) -> int:
        return self._hands[object_type].count(object_type)

    def list_records(self, object_type: str) -> list[dict[str, Any]]:
        return self._hands[object_type].all(object_type)

    def get_record(self, object_type: str, id_: int) -> dict[str, Any] | None:
        return self._hands[object_type].get(object_type, id_)

    def create_record(self, object_type: str, values: Mapping[str, Any]) -> dict[str, Any]:
        return self._hands[object_type].create(object_type, values)

    def update_record(self, object_type: str, id_: int, values: Mapping[str, Any]) -> dict[str, Any]:
        return self._hands[object_type].update(object_type, id_, values)

    def delete_record(self, object_type: str, id_: int) -> None:
        self._hands[object_type].delete(object_type, id_)

    def expire_tokens(self) -> None:
        self.desk.expire()

    def switches(self) -> dict[str, Any]:
        return self.store.switches.as_dict()

    def set_switches(self, given: Mapping[str, Any]) -> None:
        """Sets the switches that are named. Raises ValueError, and sets none, for a value that is not one of theirs."""
        self.store.switches = changed(self.store.switches, given)

    def take_begun(self) -> Callable[[], None] | None:
        """Returns what ends the mutation of the last call, to be called when its answer goes out; None when there is none."""
        user, self._begun = self._begun, ""
        if not user:
            return None

        def end() -> None:
            self._in_flight[user] -= 1

        return end

    # --- over a restart -----------------------------------------------------------------------------------------------
    def meta(self) -> dict[str, Any]:
        return {
            "desk": self.desk.meta(),
            "quotas": self.quotas.meta(),
            "switches": self.switches(),
            "sequence": self.store.sequence,
            "nonce": self._pager.nonce,
            "mails": self.mails,
            "next_ids": {name: table.next_number for name, table in self.store.tables.items()},
        }

    def dump(self) -> dict[str, Any]:
        tables = {name: {"rows": list(table.rows.values())} for name, table in self.store.tables.items()}
        return {"meta": self.meta(), "tables": {**tables, "token": {"rows": list(self.desk.tokens.values())}}}

    def restore(self, state: Mapping[str, Any]) -> None:
        meta, tables = state["meta"], state["tables"]
        self.store.switches = Switches(**{name: value for name, value in meta["switches"].items() if name in NAMES})
        for name, table in self.store.tables.items():
            self.store.restore(table, tables.get(name, {"rows": []})["rows"])
            table.next_number = meta["next_ids"].get(name, table.next_number)  # none was kept before its service was played
        self.store.sequence = meta["sequence"]
        self._pager.nonce = meta["nonce"]
        self.mails[:] = meta.get("mails", [])
        self.quotas.restore(meta["quotas"])
        self.desk.restore(meta["desk"], tables.get("token", {"rows": []})["rows"])

    def take_dirty(self) -> list[tuple[str, int, dict[str, Any] | None]]:
        dirty = [(name, id_, table.rows.get(id_)) for name, table in self.store.tables.items() for id_ in sorted(table.dirty)]
        for table in self.store.tables.values():
            table.dirty.clear()
        dirty += [("token", id_, token) for id_, token in self.desk.dirty.items()]
        self.desk.dirty.clear()
        return dirty

    # --- HTTP ---------------------------------------------------------------------------------------------------------
    def method_of(self, request: Request) -> str:
        return request.method

    def template(self, path: str) -> str:
        return addresses.form_of(path)

    def shown(self, request: Request) -> str:
        """Returns the query, decoded, and the beginning of the body."""
        query = unquote_plus(masked(request.query))
        body = request.body[:MOST_MASKED].decode("utf-8", "replace")
        if request.path in (TOKEN, REVOKE, AUTHORIZE):
            body = masked(body)
        return " ".join(part for part in (query, body) if part)

    def noted(self, request: Request) -> dict[str, Any]:
        """Returns for the call log whose call it was, which resources it named or made, and which fields it read and wrote."""
        touched, self._touched = self._touched, []
        if request.path in (TOKEN, REVOKE):
            return {"user": self._user_of_token_call(request)}
        query, body = parse_qs(request.query), _body_of(request)
        named = [*_named_in_path(request.path), *query.get("resourceNames", []), *_named_in_body(body), *touched]
        masks = [*query.get("personFields", []), *query.get("readMask", []), *query.get("groupFields", [])]
        masks += [str(body[name]) for name in ("readMask",) if body.get(name)]
        written = [*query.get("updatePersonFields", []), *(str(body[n]) for n in ("updateMask", "updateGroupFields") if body.get(n))]
        user = self.desk.owner(request.headers.get("authorization", "").partition(" ")[2].strip())
        fields = {"resource_names": list(dict.fromkeys(named)), "person_fields": ",".join(masks), "update_fields": ",".join(written)}
        return {"user": user, **fields}

    def _user_of_token_call(self, request: Request) -> str:
        given = form_of(request)
        for name in ("refresh_token", "code", "token"):
            if name in given:
                return self.desk.owner(given[name])
        return _subject_of(given.get("assertion", ""))

    def trouble(self, kind: str, options: Mapping[str, Any], request: Request) -> Response:
        return trouble.answer(options, request.path, self.template(request.path))

    def handle(self, request: Request) -> Response:
        template = self.template(request.path)
        self._touched = []
        if len(request.path) + len(request.query) > LONGEST_URL:
            return Response(414, b"<html><title>Error 414 (Request-URI Too Large)!!1</title>", "text/html", template="/{too long}")
        if request.path in (AUTHORIZE, TOKEN, REVOKE):
            return self.desk.handle(request)
        try:
            return batch.answer(request, self._of_batch) if batch.is_batch(request) else self._answer(request, template)
        except Refused as refused:
            return refusal_response(refused, template, is_older=self.calendar.is_at(request.path))

    def _of_batch(self, request: Request) -> Response:
        """Answers one call of a batch, whose own calls come one after another."""
        if batch.is_batch(request):
            raise Refused(400, "A batch cannot hold a batch.", old_reason="badRequest")
        touched = self._touched
        response = self.handle(request)
        self._touched = [*touched, *self._touched]
        if (end := self.take_begun()) is not None:
            end()
        return response

    def _answer(self, request: Request, template: str) -> Response:
        token = self.desk.bearer(request.headers.get("authorization", ""))
        if token is None:
            raise refusal.unauthorized()
        if request.path.startswith(f"{GMAIL_ROOT}/"):
            mail_call = self.gmail.call(request, token)
            self._touched = mail_call.touched
            return self.gmail.answer(mail_call, request.path, template)
        service = next((each for each in self._services if each.is_at(request.path)), None)
        if service is not None:
            call = service.call(request, token)
            self._touched = call.touched
            return service.answer(call, template)
        path, colon, verb = request.path.strip("/").rpartition(":")
        parts = tuple(unquote(part) for part in (path if colon else verb).split("/"))
        call = Call(
            request.method, parts[1:], verb if colon else "", request.query, request.body, token["user"], frozenset(token["scopes"].split())
        )
        self._touched = call.touched
        found = (resource.method(call) for resource in self._resources) if parts[0] == "v1" else iter(())
        method = next((each for each in found if each is not None), None)
        if method is None:
            raise NO_METHOD
        self._admit(call, method)
        return call.answer(method.answer(call), template)

    def _admit(self, call: Call, method: Method) -> None:
        """Lets a call pass that may, and counts it. Raises Refused."""
        switches = self.store.switches
        if "people" in switches.disabled_services:
            raise refusal.service_disabled(SERVICE)
        if not call.scopes & method.scopes:
            raise refusal.lacks_scope(SERVICE)
        self._count(call, method)
        if not method.mutates:
            return
        if switches.parallel_mutations is not None and self._in_flight[call.mailbox] > 0:
            message, rpc = BUSY[switches.parallel_mutations]
            raise Refused(switches.parallel_mutations, message, rpc)
        self._in_flight[call.mailbox] += 1
        self._begun = call.mailbox

    def _count(self, call: Call, method: Method) -> None:
        """Counts a call against its quotas. Raises Refused, and counts nothing, when one is used up."""
        kinds: dict[str, int | None] = {}
        if method.mutates:
            kinds[WRITES] = self.quotas.limits[WRITES]
        if method.counts_as_read:
            kinds[READS] = self.quotas.limits[READS]
        if _begins_full_sync(call):
            kinds[FULL_SYNCS] = self.store.switches.full_syncs_per_minute
        size = _size_of(call) if self.store.switches.batch_counts_each else 1
        for kind, limit in kinds.items():
            if not self.quotas.allows(kind, call.mailbox, cost=size, limit=limit):
                raise refusal.over_quota(SERVICE, *quotas.WORDS[kind], status=self.store.switches.quota_status)
        for kind in kinds:
            self.quotas.count(kind, call.mailbox, cost=size)


def _begins_full_sync(call: Call) -> bool:
    is_list = call.parts[-1:] == ("connections",)
    return is_list and call.text("requestSyncToken") == "true" and not call.text("syncToken") and not call.text("pageToken")


def _size_of(call: Call) -> int:
    """Returns how many people a batch names, at least one."""
    names = call.parameters.get("resourceNames", [])
    try:
        body = read_json(call.body or b"{}")
    except ValueError:
        body = {}
    in_body = body.get("contacts", body.get("resourceNames", [])) if isinstance(body, dict) else []
    return max(1, len(names), len(in_body) if isinstance(in_body, list | dict) else 1)


def _body_of(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(request.body or b"{}")
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _named_in_path(path: str) -> list[str]:
    parts = [unquote(part) for part in path.strip("/").split("/")]
    return [f"{parts[1]}/{parts[2].partition(':')[0]}"] if parts[0] == "v1" and len(parts) > 2 else []


def _named_in_body(body: Mapping[str, Any]) -> list[str]:
    names: list[Any] = list(body["contacts"]) if isinstance(body.get("contacts"), dict) else []
    for key in ("resourceNames", "resourceNamesToAdd", "resourceNamesToRemove"):
        names += body[key] if isinstance(body.get(key), list) else []
    return [str(name) for name in names]


def _subject_of(assertion: str) -> str:
    """Returns for whom an assertion says it is, whoever signed it."""
    try:
        claims = read_json(base64.urlsafe_b64decode(assertion.split(".")[1] + "=="))
    except (ValueError, IndexError):
        return ""
    return str(claims.get("sub", "")) if isinstance(claims, dict) else ""
