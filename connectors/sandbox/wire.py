"""Request, Response and System: the small contract between the sandbox's HTTP server and the systems it plays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol


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


@dataclass(slots=True)
class Response:
    """One HTTP answer. `template` is the path with ids replaced (`/api/v2/accounts/{id}`), for the call log."""

    status: int
    body: bytes
    content_type: str = "application/json; charset=utf-8"
    headers: list[tuple[str, str]] = field(default_factory=list)
    template: str = ""


class System(Protocol):
    """One played system. Its state is plain data (dicts, lists, numbers, texts), so that the world can keep it."""

    name: str

    def __init__(self, *, now: Callable[[], datetime], seed: int) -> None: ...

    def handle(self, request: Request) -> Response:
        """Answers one request as the real system would. Called under the world's lock; never blocks."""
        ...

    def credentials(self) -> dict[str, Any]:
        """What a client must present, for the control port's `GET /`."""
        ...

    def objects(self) -> tuple[str, ...]:
        """Names of the object types that `/records/<system>/<object>` serves."""
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
