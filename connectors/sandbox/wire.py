"""Request, Response and System: the small contract between the sandbox's HTTP server and the systems it plays."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import unquote_plus

LONGEST_ID = 18  # digits; what is longer names no record, and Python refuses to read numbers of thousands of digits


def read_id(text: str) -> int | None:
    """Returns the number that a text of plain digits spells, None for anything else."""
    return int(text) if len(text) <= LONGEST_ID and text.isascii() and text.isdigit() else None


def read_json(text: str | bytes) -> Any:
    """Returns what a JSON text says. Raises ValueError for what is not JSON, nests too deep or holds no finite number."""
    try:
        return json.loads(text, parse_float=_finite, parse_constant=_finite)
    except RecursionError:
        raise ValueError("the JSON nests too deep") from None


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a finite number")
    return number


SECRETS = {
    "api_key", "password", "session_id", "_authenticity_token", "client_secret", "refresh_token", "code", "code_verifier", "token",
    "assertion", "client_assertion", "access_token",
}  # fmt: skip
MOST_MASKED = 8000  # characters of a query or body that are looked through for the log


def masked(text: str, without: tuple[str, ...] = ()) -> str:
    """Returns the beginning of a query or form body for people: values of keys and tokens hidden, some names left out."""
    shown = []
    for pair in text[:MOST_MASKED].split("&"):
        name = pair.partition("=")[0]
        if "%" in name:
            name = unquote_plus(name)
        if name.removesuffix("[]") in SECRETS:
            shown.append(f"{name}=***")
        elif name not in without:
            shown.append(pair)
    return "&".join(shown)


def template_of(path: str) -> str:
    """Returns a path with its ids replaced, as the call log and the faults name it."""
    return "/".join("{id}" if part.isascii() and part.isdigit() else part for part in path.split("/"))


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. `query` is the raw query string; header names are lower-case; `base_url` is scheme, host
    and port as the caller addressed us (`http://127.0.0.1:8901`), for absolute links."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    base_url: str


@dataclass(frozen=True, slots=True)
class Errand:
    """What a system has to ask of others before it can answer: `ask` runs outside the world's lock, `answer` within it again."""

    ask: Callable[[], Any]
    answer: Callable[[Any], Response]


@dataclass(slots=True)
class Response:
    """One HTTP answer. `template` is the path with ids replaced (`/api/v2/accounts/{id}`), for the call log."""

    status: int
    body: bytes
    content_type: str = "application/json; charset=utf-8"
    headers: list[tuple[str, str]] = field(default_factory=list)
    template: str = ""
    noted: list[dict[str, Any]] = field(default_factory=list)  # of each part of a call, for the call log
    errand: Errand | None = None  # the answer is what it brings


class System(Protocol):
    """One played system. Its state is plain data (dicts, lists, numbers, texts), so that the world can keep it."""

    name: str

    def __init__(self, *, now: Callable[[], datetime], seed: int) -> None: ...

    def handle(self, request: Request) -> Response:
        """Answers one request as the real system would. Called under the world's lock; never blocks."""
        ...

    def trouble(self, kind: str, options: Mapping[str, Any], request: Request) -> Response:
        """Returns what the system answers when a fault of this kind strikes before anything is done."""
        ...

    def method_of(self, request: Request) -> str:
        """Returns the method that counts, whatever the request line says."""
        ...

    def template(self, path: str) -> str:
        """Returns a path with its ids replaced, as the call log and the faults name it."""
        ...

    def shown(self, request: Request) -> str:
        """Returns what a request asked, for people: without keys, tokens and passwords."""
        ...

    def credentials(self) -> dict[str, Any]:
        """What a client must present, for the control port's `GET /`."""
        ...

    def objects(self) -> tuple[str, ...]:
        """Names of the object types that `/records/<system>/<object>` serves."""
        ...

    def find_id(self, object_type: str, text: str) -> int | None:
        """Returns the number of the record that an id names, as people write it; None when it names none."""
        ...

    def count(self, object_type: str) -> int:
        """Returns how many records there are, without making them."""
        ...

    def list_records(self, object_type: str) -> list[dict[str, Any]]: ...

    def get_record(self, object_type: str, id_: int) -> dict[str, Any] | None: ...

    def create_record(self, object_type: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Creates a record as a user would. Raises ValueError with a sentence when the system would refuse it."""
        ...

    def update_record(self, object_type: str, id_: int, values: Mapping[str, Any]) -> dict[str, Any]: ...

    def delete_record(self, object_type: str, id_: int) -> None: ...

    def expire_tokens(self) -> None:
        """Makes the present access tokens or sessions invalid, as time would."""
        ...

    def dump(self) -> dict[str, Any]:
        """Returns the whole state as plain JSON data."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None: ...

    def take_dirty(self) -> list[tuple[str, int, dict[str, Any] | None]]:
        """Returns (object type, id, record or None if gone) changed since the last call, for incremental saving."""
        ...
