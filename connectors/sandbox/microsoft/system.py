"""Microsoft Graph, played: users, Outlook's contacts, folders and categories, calendars, mail, To Do, delta rounds, batches,
change notifications, throttling, tokens.

A further kind of item is a module of its own and a row in `_routes`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any
from urllib.parse import unquote, unquote_plus

from connectors.sandbox.microsoft import addresses, batch, calls, ids, jwt, translate, trouble
from connectors.sandbox.microsoft.calendar import Calendars
from connectors.sandbox.microsoft.calls import Answer, Call, refusal
from connectors.sandbox.microsoft.categories import Categories
from connectors.sandbox.microsoft.consent import Consent
from connectors.sandbox.microsoft.contacts import Contacts
from connectors.sandbox.microsoft.courier import Delivery
from connectors.sandbox.microsoft.delta import Delta
from connectors.sandbox.microsoft.folders import Folders
from connectors.sandbox.microsoft.limits import Limits, too_busy
from connectors.sandbox.microsoft.mail_and_tasks import MailAndTasks
from connectors.sandbox.microsoft.oauth import Token, TokenDesk, TokenRefused
from connectors.sandbox.microsoft.people import OBJECTS, People
from connectors.sandbox.microsoft.refusal import Refused, bad_request, no_segment, no_user
from connectors.sandbox.microsoft.store import Store
from connectors.sandbox.microsoft.switches import NAMES, Switches, changed
from connectors.sandbox.microsoft.table import Row
from connectors.sandbox.microsoft.users import Users
from connectors.sandbox.wire import MOST_MASKED, Errand, Request, Response, masked

VERSION = "v1.0"
LONGEST_ADDRESS = 16_384
_MAILBOXES = re.compile(r"/users(?:/|\(')([^/?'\"]+)")
PartFault = Callable[[str, str, str], tuple[str, Mapping[str, Any]] | None]


class MicrosoftSystem:
    """The state of one tenant and what it answers."""

    name = "microsoft"

    def __init__(self, *, now: Callable[[], datetime], seed: int) -> None:
        self._now, self._seed = now, seed
        self.store = Store(now=now, seed=seed)
        self.limits = Limits(now=now)
        self.desk = TokenDesk(self.store, now=now, seed=seed)
        self.part_fault: PartFault = lambda method, path, query: None  # the world sets it
        self._consent, self._users = Consent(self.desk), Users(self.store)
        self._contacts, self._categories = Contacts(self.store), Categories(self.store)
        self._delta = Delta(self.store, now=now)
        self._folders = Folders(self.store, self._contacts, self._delta)
        self._parts = MailAndTasks(
            self.store, self._users, self._delta, tenant=self.desk.tenant, app=self.desk.client_id, now=now, seed=seed
        )  # fmt: skip
        self._calendars = Calendars(self.store, self._delta, now=now)
        by_hand = {**self._parts.by_hand, "event": self._calendars.by_hand}
        self._people = People(self.store, self._contacts, self._categories, by_hand)
        self._lots = random.Random(seed)
        self._requests = 0
        self._routes: dict[str, Callable[[Call, Row, list[str]], Answer]] = {
            "contacts": self._folders.contacts,
            "contactFolders": self._folders.answer,
            "outlook": self._categories.answer,
            **self._parts.routes,
            **self._calendars.routes,
            "translateExchangeIds": lambda call, mailbox, rest: translate.answer(self._translated, call, mailbox, rest),
        }

    @property
    def _translated(self) -> tuple[translate.Family, ...]:
        parts = self._parts
        return (
            translate.Family(self.store.key, ids.ITEM, ids.IMMUTABLE, lambda box, text: self._contacts.find(box, None, text),
                             self.store.contact_id),
            translate.Family(self.store.key, ids.MESSAGE, ids.IMMUTABLE_MESSAGE, parts.mail.messages.find, parts.mail.messages.id_of),
            self._calendars.family,
        )  # fmt: skip

    # --- what the world asks ------------------------------------------------------------------------------------------
    def credentials(self) -> dict[str, Any]:
        mailboxes = [row["mail"] for row in self.store.users.values() if row.get("mail")]
        return {**self.desk.credentials(), "mailboxes": mailboxes}

    def objects(self) -> tuple[str, ...]:
        return OBJECTS

    def find_id(self, object_type: str, text: str) -> int | None:
        return self._people.find(object_type, text)

    def count(self, object_type: str) -> int:
        return len(self.store.tables[object_type].rows)

    def list_records(self, object_type: str) -> list[dict[str, Any]]:
        self.store.settle()
        return [self._people.shown(object_type, row) for row in self.store.tables[object_type].rows.values()]

    def get_record(self, object_type: str, id_: int) -> dict[str, Any] | None:
        self.store.settle()
        row = self.store.tables[object_type].rows.get(id_)
        return None if row is None else self._people.shown(object_type, row)

    def create_record(self, object_type: str, values: Mapping[str, Any]) -> dict[str, Any]:
        return self._by_person(object_type, lambda: self._people.create(object_type, values))

    def update_record(self, object_type: str, id_: int, values: Mapping[str, Any]) -> dict[str, Any]:
        return self._by_person(object_type, lambda: self._people.update(object_type, self._existing(object_type, id_), values))

    def delete_record(self, object_type: str, id_: int) -> None:
        self._people.delete(object_type, self._existing(object_type, id_))

    def _existing(self, object_type: str, id_: int) -> Row:
        self.store.settle()
        row = self.store.tables[object_type].rows.get(id_)
        if row is None:
            raise ValueError(f"there is no {object_type} {id_}")
        return row

    def _by_person(self, object_type: str, act: Callable[[], Row]) -> dict[str, Any]:
        try:
            return self._people.shown(object_type, act())
        except Refused as error:
            raise ValueError(error.message) from None

    def empty(self, given: Mapping[str, Any]) -> dict[str, int]:
        """Empties a mailbox of its contacts, with `folders` true of its folders too. Raises ValueError."""
        folders = given.get("folders", False)
        if set(given) - {"mailbox", "folders"} or not isinstance(folders, bool):
            raise ValueError("a mailbox is emptied by its mailbox, and folders true or false")
        return self._people.empty(given.get("mailbox"), folders=folders)

    def create_messages(self, given: Mapping[str, Any]) -> dict[str, int]:
        """Puts many messages into mailboxes at once. Raises ValueError."""
        try:
            return {"created": self._parts.messages_by_hand.create_many(given.get("messages"))}
        except Refused as error:
            raise ValueError(error.message) from None

    def lifecycle(self, given: Mapping[str, Any]) -> dict[str, int]:
        """Tells subscriptions of an event of their life. Raises ValueError."""
        return self._parts.subscriptions.lifecycle(given)

    def take_told(self) -> list[Delivery]:
        """Returns the change notifications that go out now."""
        return self._parts.notices.take()

    def expire_delta(self) -> dict[str, int]:
        """Makes all delta tokens that are out dead."""
        self.store.epoch += 1
        return {"epoch": self.store.epoch}

    def expire_tokens(self) -> None:
        self.desk.expire()

    @property
    def mails(self) -> list[dict[str, Any]]:
        """The mails that went out, noted by `Store.send`, which outlive a restart."""
        return self.store.mails()

    def switches(self) -> dict[str, Any]:
        return self.store.switches.as_dict()

    def set_switches(self, given: Mapping[str, Any]) -> None:
        """Sets the switches that are named. Raises ValueError, and sets none, for a value that is not one of theirs."""
        new = changed(self.store.switches, given)
        if new.certificate is not None:
            jwt.read_key(new.certificate)
        self.store.switches = new

    # --- over a restart -----------------------------------------------------------------------------------------------
    def meta(self) -> dict[str, Any]:
        own = {"desk": self.desk.meta(), "limits": self.limits.meta(), "switches": self.switches(), "requests": self._requests}
        return {**own, "store": self.store.meta(), "rounds": self._delta.rounds}

    def dump(self) -> dict[str, Any]:
        return {"meta": self.meta(), "tables": {n: {"rows": list(t.rows.values())} for n, t in self.store.tables.items()}}

    def restore(self, state: Mapping[str, Any]) -> None:
        meta = state["meta"]
        self.store.switches = Switches(**{name: value for name, value in meta["switches"].items() if name in NAMES})
        self.store.restore(state["tables"], meta["store"])
        self.desk.restore(meta["desk"])
        self.limits.restore(meta["limits"])
        self._requests, self._delta.rounds = meta["requests"], meta["rounds"]

    def take_dirty(self) -> list[tuple[str, int, dict[str, Any] | None]]:
        tables = self.store.tables
        dirty = [(name, number, table.rows.get(number)) for name, table in tables.items() for number in sorted(table.dirty)]
        for table in tables.values():
            table.dirty.clear()
        return dirty

    # --- HTTP ---------------------------------------------------------------------------------------------------------
    def method_of(self, request: Request) -> str:
        return request.method

    def template(self, path: str) -> str:
        return addresses.form_of(path)

    def shown(self, request: Request) -> str:
        """Returns the query, decoded, and the beginning of the body; the parts of a batch stand in the log by themselves."""
        query = unquote_plus(masked(request.query))
        body = request.body[:MOST_MASKED].decode("utf-8", "replace")
        if "/oauth2/" in request.path:
            body = masked(body)
        elif request.path.endswith("/$batch"):
            body = ""
        return " ".join(part for part in (query, body) if part)

    def running(self, request: Request) -> AbstractContextManager[None]:
        """Holds the places of a request at its mailboxes while it runs. Called outside the world's lock."""
        return self.limits.running(id(request), self._named(request), self.store.switches.concurrency_scope)

    def _named(self, request: Request) -> frozenset[int]:
        """Returns the mailboxes that a request, or the parts of a batch, name by their paths."""
        if not request.path.startswith(f"/{VERSION}/"):
            return frozenset()
        text = request.body.decode("utf-8", "replace") if request.path.endswith("/$batch") else f"{request.path}/"
        users = (self.store.user(unquote(name)) for name in set(_MAILBOXES.findall(text)))
        return frozenset(user["n"] for user in users if user is not None)

    def handle(self, request: Request) -> Response:
        self.store.settle()
        template = self.template(request.path)
        if len(request.path) + len(request.query) > LONGEST_ADDRESS:
            return Response(414, b"<html><body>414 URI Too Long</body></html>", "text/html", template="/{too long}")
        parts = [unquote(p) for p in request.path.split("/") if p]
        if parts[:1] == [VERSION]:
            return self._graph(request, template)
        found = self._consent.answer(request, parts) if len(parts) > 1 else None
        if found is None:
            call = self._call(request, Token("", 0.0))
            return self._sent(call, refusal(bad_request("Invalid version.")), template, [])
        found.template = template
        return found

    def _graph(self, request: Request, template: str) -> Response:
        """Answers a call of the API whose token is good."""
        token = self.desk.token(request.headers.get("authorization", ""))
        if isinstance(token, str):
            told = refusal(Refused(401, "InvalidAuthenticationToken", token, (("WWW-Authenticate", "Bearer"),)))
            return self._sent(self._call(request, Token("", 0.0)), told, template, [])
        call = self._call(request, token)
        if call.path == "/$batch":
            try:
                answer, log = batch.answer(call, self._part, self._lots if self.store.switches.shuffles_batches else None)
            except Refused as error:
                answer, log = refusal(error), []
        else:
            answer = self._inner(call)
            if (errand := answer.errand) is not None:
                return Response(0, b"", errand=Errand(errand.ask, lambda told: self._logged(call, self._then(errand, told), template)))
            return self._logged(call, answer, template)
        return self._sent(call, answer, template, log)

    def _logged(self, call: Call, answer: Answer, template: str) -> Response:
        return self._sent(call, answer, template, [call.note.as_dict(answer.status)])

    @staticmethod
    def _then(errand: calls.Errand, told: Any) -> Answer:
        try:
            return errand.then(told)
        except Refused as error:
            return refusal(error)

    def _call(self, request: Request, token: Token) -> Call:
        path = request.path.removeprefix(f"/{VERSION}")
        call = Call(request.method, path, request.query, request.headers, request.body, request.base_url)
        call.permissions, call.user = frozenset(token.permissions.split()), token.user
        call.over = self.limits.over(id(request))
        return call

    def _sent(self, call: Call, answer: Answer, template: str, log: list[dict[str, Any]]) -> Response:
        """Returns an answer with the ids that every one carries."""
        self._complete(call, answer)
        response = answer.response(template)
        response.noted = log
        return response

    def _complete(self, call: Call, answer: Answer) -> None:
        self._requests += 1
        own = ids.guid(self._seed, "request", self._requests)
        theirs = call.headers.get("client-request-id", own)
        answer.headers += [("request-id", own), ("client-request-id", theirs)]
        if isinstance(answer.body, dict) and "error" in answer.body:
            inner = {"date": f"{self._now():%Y-%m-%dT%H:%M:%S}", "request-id": own, "client-request-id": theirs}
            answer.body = {"error": {**answer.body["error"], "innerError": inner}}

    def trouble(self, kind: str, options: Mapping[str, Any], request: Request) -> Response:
        template = self.template(request.path)
        call = self._call(request, Token("", 0.0))
        if not request.path.startswith(f"/{VERSION}"):
            word, number, sentence = trouble.TOKEN_ERRORS.get(options["status"], trouble.NO_TOKEN_ERROR)
            error = TokenRefused(str(options.get("code") or word), number, str(options.get("message") or sentence), options["status"])
            response = self.desk.refusal(error)
            response.headers += trouble.wait(options)
            response.template = template
            return response
        answer = self._stricken(kind, options, call)
        log = [] if call.path == "/$batch" else [call.note.as_dict(answer.status)]
        return self._sent(call, answer, template, log)

    def _stricken(self, kind: str, options: Mapping[str, Any], call: Call) -> Answer:
        """Returns what a fault answers in a call's place."""
        user = self.store.user(call.parts[1]) if call.parts[:1] == ["users"] and len(call.parts) > 1 else None
        call.note.mailbox = (user.get("mail") or user["userPrincipalName"]) if user else ""
        if kind == "stale_delta":
            rounds = self._calendars.delta if "calendarView" in call.parts else self._delta
            return refusal(rounds.dead(call, str(options.get("form", "gone"))))
        return trouble.of_status(options)

    # --- one call, or a part of a batch -----------------------------------------------------------------------------------
    def _part(self, call: Call) -> Answer:
        fault = self.part_fault(call.method, f"/{VERSION}{call.path}", call.query)
        answer = self._stricken(*fault, call) if fault else self._inner(call)
        if answer.errand is not None:  # the others wait: a part is no call that could be put off
            answer = self._then(answer.errand, answer.errand.ask())
        self._complete(call, answer)
        return answer

    def _inner(self, call: Call) -> Answer:
        try:
            return self._routed(call)
        except Refused as error:
            return refusal(error)

    def _routed(self, call: Call) -> Answer:
        parts = call.parts
        if parts[:1] == ["subscriptions"]:
            return self._parts.subscriptions.answer(call, parts[1:])
        if parts[:1] not in (["users"], ["me"]):
            raise no_segment(parts[0] if parts else "")
        if parts == ["users"]:
            return self._users.collection(call)
        name, rest = ("me", parts[1:]) if parts[0] == "me" else (parts[1], parts[2:])
        if not rest:
            row = self._users.find(call, name)
            if row is None:
                raise no_user(name)
            return self._users.single(call, row)
        if rest[0] not in self._routes:
            raise no_segment(rest[0])
        self._throttle(call, name)
        mailbox = self._users.mailbox(call, name)
        return self._routes[rest[0]](call, mailbox, rest[1:])

    def _throttle(self, call: Call, name: str) -> None:
        """Counts a call to a mailbox. Raises Refused for more than it takes."""
        row = self._users.find(call, name)
        if row is None:
            return
        call.note.mailbox = row.get("mail") or row["userPrincipalName"]
        if call.over & {row["n"], 0}:
            raise too_busy()
        self.limits.count(row["n"])
