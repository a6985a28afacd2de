"""One call of the REST API, and what it is answered: also for the parts of composite calls, which are no HTTP requests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl

from connectors.sandbox.salesforce.records import Writer
from connectors.sandbox.salesforce.refusal import Refused, bad_json, bad_parameter
from connectors.sandbox.salesforce.table import Row
from connectors.sandbox.salesforce.values import read_instant
from connectors.sandbox.wire import Response, read_id, read_json

JSON = "application/json;charset=UTF-8"
CSV = "text/csv"
BYTES = "application/octetstream"
DUPLICATE_OPTIONS = ("allowSave", "includeRecordDetails", "runAsCurrentUser")


@dataclass
class Call:
    """One call. `parts` are the unquoted parts of the path behind `/services/data/v67.0`; header names are lower-case.
    `given` is the body where it came as JSON already, in a composite call."""

    method: str
    version: str
    parts: tuple[str, ...]
    query: str
    headers: Mapping[str, str]
    body: bytes
    writer: Writer
    given: Any = None
    is_inner: bool = False
    base_url: str = ""

    @property
    def root(self) -> str:
        return f"/services/data/v{self.version}"

    @property
    def reads(self) -> bool:
        return self.method in ("GET", "HEAD")

    @cached_property
    def parameters(self) -> dict[str, str]:
        return dict(parse_qsl(self.query, keep_blank_values=True))

    def json(self) -> Any:
        """Returns what the body says. Raises Refused for what is not JSON, or is not said to be."""
        if self.is_inner:
            return self.given
        if not self.headers.get("content-type", "").lower().startswith("application/json"):
            told = f"Content-Type '{self.headers.get('content-type', '')[:80]}' is not supported for this resource."
            raise Refused(415, "UNSUPPORTED_MEDIA_TYPE", told)
        try:
            return read_json(self.body)
        except ValueError as error:
            raise bad_json(f"The HTTP entity body is required, but this request has none or none that can be read: {error}") from None

    def object(self, known: tuple[str, ...] | None = None) -> dict[str, Any]:
        """Returns the JSON object of the body, which has no other keys than those that are known. Raises Refused."""
        data = self.json()
        if not isinstance(data, dict):
            raise bad_json("Cannot deserialize the body: an object is expected")
        if known is not None and (unknown := [name for name in data if name not in known]):
            raise bad_json(f'Unrecognized field "{unknown[0][:80]}"')
        return data

    def flag(self, name: str) -> bool:
        """Returns a parameter that is true or false, false when it is missing. Raises Refused."""
        text = self.parameters.get(name, "false").lower()
        if text not in ("true", "false"):
            raise bad_parameter(f"{name} must be true or false")
        return text == "true"

    def number(self, name: str, default: int, low: int, high: int) -> int:
        """Returns a parameter that is a whole number between bounds. Raises Refused."""
        text = self.parameters.get(name)
        number = default if text is None else read_id(text)
        if number is None or not low <= number <= high:
            raise bad_parameter(f"{name} must be a whole number from {low} to {high}")
        return number


@dataclass(slots=True)
class Answer:
    """What a call is answered. `body` is JSON data, a text for a CSV, or bytes; None: no body."""

    status: int
    body: Any = None
    headers: list[tuple[str, str]] = field(default_factory=list)
    content_type: str = JSON

    def response(self, template: str) -> Response:
        if isinstance(self.body, bytes):
            return Response(self.status, self.body, self.content_type, self.headers, template)
        text = self.body if isinstance(self.body, str) and self.content_type != JSON else json.dumps(self.body)
        return Response(self.status, b"" if self.body is None else text.encode(), self.content_type, self.headers, template)


def refusal(*refused: Refused) -> Answer:
    """Returns the answer to a call that is refused: an array."""
    return Answer(refused[0].status, [each.as_error() for each in refused])


def method_not_allowed(call: Call, *allowed: str) -> Refused:
    told = f"HTTP Method '{call.method}' not allowed. Allowed are {','.join(allowed)}"
    return Refused(405, "METHOD_NOT_ALLOWED", told)


def read_duplicate_options(header: str) -> set[str]:
    """Returns the options that `Sforce-Duplicate-Rule-Header` sets to true. Raises Refused for others, or other values."""
    chosen = set()
    for word in filter(None, (w.strip() for w in header.replace(",", ";").split(";"))):
        name, _, value = (part.strip() for part in word.partition("="))
        if name not in DUPLICATE_OPTIONS or value.lower() not in ("true", "false"):
            raise bad_parameter(f"Sforce-Duplicate-Rule-Header: {word[:80]}")
        if value.lower() == "true":
            chosen.add(name)
    return chosen


def read_auto_assign(header: str) -> bool:
    """Returns what `Sforce-Auto-Assign` says; the id of a rule counts as true. Raises Refused."""
    if not header or header.upper() == "TRUE" or header.startswith("01Q"):
        return True
    if header.upper() == "FALSE":
        return False
    raise bad_parameter(f"Sforce-Auto-Assign: {header[:80]}")


# --- conditional requests -----------------------------------------------------------------------------------------------
def last_modified(row: Row) -> datetime:
    """Returns the instant of a row's `Last-Modified`, a whole second."""
    at = read_instant(row["LastModifiedDate"])
    assert at is not None
    return at


def http_date(at: datetime) -> str:
    return format_datetime(at.astimezone(UTC).replace(microsecond=0), usegmt=True)


def read_http_date(text: str) -> datetime | None:
    """Returns the instant of an HTTP date, None for what is none."""
    try:
        at = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError):
        return None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def is_unchanged(call: Call, at: datetime) -> bool:
    """Tells whether a read is answered 304: what is asked for is not newer than `If-Modified-Since`."""
    since = read_http_date(call.headers.get("if-modified-since", ""))
    return since is not None and at <= since


def check_unmodified(call: Call, at: datetime) -> None:
    """Raises Refused where a write comes later than its `If-Unmodified-Since`, or that is no date."""
    text = call.headers.get("if-unmodified-since")
    if text is None:
        return
    since = read_http_date(text)
    if since is None:
        raise bad_parameter(f"If-Unmodified-Since: {text[:80]} is no date")
    if at > since:
        raise Refused(412, "PRECONDITION_FAILED", "The record was changed meanwhile.")
