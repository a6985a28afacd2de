"""An API of the older kind, as Calendar and Tasks are: its methods by path, who may call them, conditional reads."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from connectors.sandbox.google import refusal
from connectors.sandbox.google.calls import Call
from connectors.sandbox.google.quotas import Quotas
from connectors.sandbox.google.refusal import Refused
from connectors.sandbox.google.store import Store
from connectors.sandbox.wire import Request, Response

QUOTA = ("Queries", "Queries per minute per user")


@dataclass(frozen=True, slots=True)
class Method:
    """One method: who answers it, and which scopes allow it (any of them). An answer of None is an empty one: 204."""

    answer: Callable[[Call], dict[str, Any] | None]
    scopes: frozenset[str]


class Service:
    """What one API answers. `name` stands in the switches, `root` before its paths."""

    name = host = root = ""

    def __init__(self, store: Store, quotas: Quotas) -> None:
        self._store, self._quotas = store, quotas

    def method(self, call: Call) -> Method | None:
        """Returns the method of a call, None where there is none."""
        raise NotImplementedError

    def calls_per_minute(self) -> int | None:
        """Returns how many calls a user has in a minute; None: any number."""
        raise NotImplementedError

    def is_at(self, path: str) -> bool:
        return path.startswith(f"{self.root}/")

    def call(self, request: Request, token: Mapping[str, Any]) -> Call:
        """Returns a request as a call: its parts are those behind the root."""
        parts = tuple(unquote(part) for part in request.path.removeprefix(f"{self.root}/").strip("/").split("/"))
        scopes = frozenset(token["scopes"].split())
        return Call(request.method, parts, "", request.query, request.body, token["user"], scopes, headers=request.headers)

    def answer(self, call: Call, template: str) -> Response:
        """Answers a call. Raises Refused."""
        method = self.method(call)
        if method is None:
            raise Refused(404, "Not Found", old_reason="notFound")
        self._admit(call, method)
        body = method.answer(call)
        if body is None:
            return Response(204, b"", template=template)
        if call.method == "GET" and call.headers.get("if-none-match", "") == body.get("etag"):
            return Response(304, b"", template=template)
        return call.answer(body, template)

    def _admit(self, call: Call, method: Method) -> None:
        """Lets a call pass that may, and counts it. Raises Refused."""
        switches, kind = self._store.switches, f"{self.name}_calls_per_minute"
        if self.name in switches.disabled_services:
            raise refusal.service_disabled(self.host)
        if not call.scopes & method.scopes:
            raise refusal.lacks_scope(self.host)
        if not self._quotas.allows(kind, call.mailbox, cost=1, limit=self.calls_per_minute()):
            raise refusal.over_quota(self.host, *QUOTA, status=switches.quota_status)
        self._quotas.count(kind, call.mailbox, cost=1)


def form_of(path: str, known: Collection[str]) -> str:
    """Returns the form of a path among those that are known, the most literal one first; the path itself where none fits."""
    parts = path.strip("/").split("/")
    fitting = [form for form in known if _fits(form.strip("/").split("/"), parts)]
    return min(fitting, key=lambda form: form.count("{"), default="/" + "/".join(parts))


def _fits(form: list[str], parts: list[str]) -> bool:
    return len(form) == len(parts) and all(own == part or own.startswith("{") for own, part in zip(form, parts, strict=True))


REASONS = {
    400: "badRequest", 403: "forbidden", 404: "notFound", 409: "duplicate", 410: "fullSyncRequired", 412: "conditionNotMet",
    429: "rateLimitExceeded", 500: "backendError", 503: "backendError",
}  # fmt: skip


def told(refused: Refused) -> Refused:
    """Returns a refusal with the older reason of its status, where it has none of its own."""
    refused.old_reason = refused.old_reason or REASONS.get(refused.status, "invalid")
    return refused
