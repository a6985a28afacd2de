"""One call of the API, and what it is answered: also for the parts of a batch, which are no HTTP requests."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, unquote

from connectors.sandbox.microsoft.refusal import Refused, bad_request, no_method
from connectors.sandbox.wire import Response, read_id, read_json

JSON = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"
QUERY_OPTIONS = ("$count", "$expand", "$filter", "$orderby", "$select", "$skip", "$skiptoken", "$deltatoken", "$top")
MOST_ROWS = 1000
_KEYED = re.compile(r"(?P<name>[A-Za-z]+)\('(?P<key>(?:[^']|'')*)'\)")


@dataclass(slots=True)
class Note:
    """What the call log says about a call or a part: whose mailbox, and which items with how much of them."""

    method: str
    path: str
    query: str
    mailbox: str = ""
    folder: str = ""
    fields: list[str] | None = None  # read or written; None: all there are
    items: list[dict[str, str]] = field(default_factory=list)

    def as_dict(self, status: int) -> dict[str, Any]:
        own = {"mailbox": self.mailbox, "method": self.method, "path": self.path, "query": self.query, "status": status}
        return {**own, "folder": self.folder, "fields": self.fields, "items": self.items}


@dataclass
class Call:
    """One call. `parts` are those of the path behind /v1.0, keys in brackets split off, header names lower-case. `given` is
    the body where it came as JSON already, in a batch."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    base_url: str
    permissions: frozenset[str] = frozenset()
    user: int = 0  # who signed in; 0: nobody, the app itself
    given: Any = None
    is_inner: bool = False
    over: frozenset[int] = frozenset()  # mailboxes that are too busy for it

    def __post_init__(self) -> None:
        self.note = Note(self.method, self.path, self.query)

    @property
    def root(self) -> str:
        return f"{self.base_url}/v1.0"

    @property
    def reads(self) -> bool:
        return self.method in ("GET", "HEAD")

    @cached_property
    def parts(self) -> list[str]:
        return segments(self.path)

    @cached_property
    def parameters(self) -> dict[str, str]:
        """Returns the query. Raises Refused for an option that does not exist."""
        given = dict(parse_qsl(self.query, keep_blank_values=True))
        if unknown := [name for name in given if name.startswith("$") and name not in QUERY_OPTIONS]:
            raise bad_request(f"The query parameter '{unknown[0][:40]}' is not supported.")
        return given

    @cached_property
    def prefers(self) -> dict[str, str]:
        """Returns what the Prefer header asks for: names in lower case, values without quotes."""
        words = [word.strip() for word in self.headers.get("prefer", "").split(",")]
        return {n.strip().lower(): v.strip().strip('"') for n, _, v in (word.partition("=") for word in words) if n}

    @property
    def is_immutable(self) -> bool:
        return self.prefers.get("idtype", "").lower() == "immutableid"

    def number(self, name: str, default: int, low: int, high: int) -> int:
        """Returns a parameter that is a whole number between bounds. Raises Refused."""
        text = self.parameters.get(name)
        number = default if text is None else read_id(text)
        if number is None or not low <= number <= high:
            raise bad_request(f"Invalid value '{str(text)[:40]}' for {name}: it is a whole number from {low} to {high}.")
        return number

    def need(self, *permissions: str) -> None:
        """Raises Refused when the token has none of these permissions."""
        if not self.permissions & set(permissions):
            raise Refused(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")

    def allow(self, *methods: str) -> None:
        if self.method not in methods and not (self.method == "HEAD" and "GET" in methods):
            raise no_method(self.method)

    def object(self) -> dict[str, Any]:
        """Returns the JSON object of the body. Raises Refused for what is none, or is not said to be JSON."""
        data = self.given
        if not self.is_inner:
            if not self.headers.get("content-type", "").lower().startswith("application/json"):
                raise Refused(415, "BadRequest", "The Content-Type must be application/json.")
            data = read_payload(self.body)
        if not isinstance(data, dict):
            raise bad_request("Unable to read JSON request payload. A JSON object is expected.")
        return data


@dataclass(frozen=True, slots=True)
class Errand:
    """What others have to be asked before a call can be answered, outside the world's lock; `then` makes the answer of what they
    say, and may raise Refused."""

    ask: Callable[[], Any]
    then: Callable[[Any], Answer]


@dataclass(slots=True)
class Answer:
    """What a call is answered. `body` is JSON data, a text for a page, or the bytes of a file; None: no body."""

    status: int
    body: Any = None
    headers: list[tuple[str, str]] = field(default_factory=list)
    content_type: str = JSON
    errand: Errand | None = None  # stands in for all else until it is run

    def response(self, template: str) -> Response:
        if isinstance(self.body, bytes):
            return Response(self.status, self.body, self.content_type, list(self.headers), template)
        text = self.body if isinstance(self.body, str) and self.content_type != JSON else json.dumps(self.body)
        return Response(self.status, b"" if self.body is None else text.encode(), self.content_type, list(self.headers), template)


def read_payload(body: bytes) -> Any:
    try:
        return read_json(body)
    except ValueError:
        told = "Please ensure Content-Type header is set and payload is of valid JSON format."
        raise bad_request(f"Unable to read JSON request payload. {told}") from None


def segments(path: str) -> list[str]:
    """Returns the parts of a path behind the version: `contacts('x')` is two, functions lack namespace and brackets."""
    parts: list[str] = []
    for raw in (p for p in path.split("/") if p):
        part = unquote(raw)
        if match := _KEYED.fullmatch(part):
            parts += [match["name"], match["key"].replace("''", "'")]
        else:
            parts.append(part.removeprefix("microsoft.graph.").removesuffix("()"))
    return parts


def refusal(error: Refused) -> Answer:
    """Returns the answer to a call that is refused; who answers adds innerError."""
    return Answer(error.status, {"error": {"code": error.code, "message": error.message}}, list(error.headers))
