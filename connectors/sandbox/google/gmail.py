"""Gmail, played: what stands under `/gmail/v1/users/{me or own address}/`. Answers come as JSON, refusals in Gmail's own shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import unquote

from connectors.sandbox.google import refusal
from connectors.sandbox.google.calls import Call
from connectors.sandbox.google.gmail_by_hand import MailByHand
from connectors.sandbox.google.gmail_calls import MailMethod, forbidden
from connectors.sandbox.google.gmail_history import Changes
from connectors.sandbox.google.gmail_labels import Labels
from connectors.sandbox.google.gmail_messages import MailMessages
from connectors.sandbox.google.gmail_post import Post, Tell
from connectors.sandbox.google.gmail_reading import Reading
from connectors.sandbox.google.gmail_schema import SERVICE
from connectors.sandbox.google.gmail_store import MailStore
from connectors.sandbox.google.gmail_threads import Threads
from connectors.sandbox.google.quotas import Quotas
from connectors.sandbox.google.refusal import Refused
from connectors.sandbox.google.store import Store
from connectors.sandbox.wire import Request, Response

ROOT = "/gmail/v1/users"
UNITS = "gmail_units_per_minute"
_MESSAGE, _THREAD = "/messages/{id}", "/threads/{id}"
KNOWN = frozenset(
    ROOT + "/{user}" + end
    for end in (
        "/profile", "/watch", "/stop", "/history", "/labels", "/labels/{id}", "/messages", "/messages/send", "/messages/import",
        "/messages/batchModify", "/messages/batchDelete", _MESSAGE, f"{_MESSAGE}/modify", f"{_MESSAGE}/trash", f"{_MESSAGE}/untrash",
        f"{_MESSAGE}/attachments/{{id}}", "/threads", _THREAD, f"{_THREAD}/modify", f"{_THREAD}/trash", f"{_THREAD}/untrash",
    )
)  # fmt: skip
_VERBS = ("send", "import", "batchModify", "batchDelete")
REASONS = {
    "INVALID_ARGUMENT": "invalidArgument", "FAILED_PRECONDITION": "failedPrecondition", "NOT_FOUND": "notFound", "ABORTED": "aborted",
    "PERMISSION_DENIED": "forbidden", "UNAVAILABLE": "backendError", "INTERNAL": "backendError", "RESOURCE_EXHAUSTED": "rateLimitExceeded",
}  # fmt: skip
USED_UP = ("Queries", "Queries per minute per user")


def form_of(path: str) -> str:
    """Returns `/gmail/v1/users/{user}/messages/{id}` and its like, for the call log and the faults."""
    parts = path.strip("/").split("/")[3:]
    if parts:
        parts[0] = "{user}"
    for place in (2, 4):
        if len(parts) > place and not (place == 2 and parts[1] == "messages" and parts[2] in _VERBS):
            parts[place] = "{id}"
    return "/".join([ROOT, *parts])


def told(refused: Refused) -> Refused:
    """Returns a refusal with the older reason, which Gmail tells beside the newer shape."""
    refused.old_reason = refused.old_reason or REASONS.get(refused.rpc, "badRequest")
    return refused


class Resource(Protocol):
    """The calls of one kind of resource."""

    def method(self, call: Call) -> MailMethod | None: ...


class Gmail:
    """What Gmail answers for the mailboxes of one Workspace, and what people do with their mail."""

    def __init__(self, store: Store, quotas: Quotas, tell: Tell) -> None:
        self._store, self._quotas = store, quotas
        self.mail = MailStore(store)
        post, reading = Post(self.mail, tell), Reading(self.mail)
        self.by_hand = MailByHand(self.mail, post)
        self._changes = Changes(self.mail)
        self._resources: dict[str, Resource] = {
            "labels": Labels(self.mail),
            "messages": MailMessages(self.mail, reading, post),
            "threads": Threads(self.mail, reading),
        }

    def call(self, request: Request, token: Mapping[str, Any]) -> Call:
        """Returns a request under ROOT as a call: its parts are those behind the user."""
        parts = tuple(unquote(part) for part in request.path.strip("/").split("/"))[4:]
        return Call(request.method, parts, "", request.query, request.body, token["user"], frozenset(token["scopes"].split()))

    def answer(self, call: Call, path: str, template: str) -> Response:
        """Answers a call. Raises Refused with the older reason that Gmail always tells."""
        try:
            return self._answer(call, path, template)
        except Refused as refused:
            raise told(refused) from None

    def _answer(self, call: Call, path: str, template: str) -> Response:
        resource = self._resources.get(call.parts[0] if call.parts else "", self._changes)
        method = resource.method(call)
        if method is None:
            raise Refused(404, "Method not found.", "NOT_FOUND")
        self._admit(call, method, whose=unquote(path.strip("/").split("/")[3]).lower())
        body = method.answer(call)
        return Response(204, b"", template=template) if body is None else call.answer(body, template)

    def _admit(self, call: Call, method: MailMethod, *, whose: str) -> None:
        """Lets a call pass that may, and counts its units. Raises Refused."""
        switches = self._store.switches
        if "gmail" in switches.disabled_services:
            raise refusal.service_disabled(SERVICE)
        if not call.scopes & method.scopes:
            raise refusal.lacks_scope(SERVICE)
        if whose not in ("me", call.mailbox):
            raise forbidden(f"Delegation denied for {call.mailbox}")
        if not self._quotas.allows(UNITS, call.mailbox, cost=method.units, limit=switches.gmail_units_per_minute):
            raise refusal.over_quota(SERVICE, *USED_UP, status=switches.quota_status)
        self._quotas.count(UNITS, call.mailbox, cost=method.units)
