"""One call of an API: what it names and asks, checked; and what is answered, cut down to `fields`."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs

from connectors.sandbox.google import checking, partial
from connectors.sandbox.google.refusal import Refused, invalid
from connectors.sandbox.google.schema import TYPES
from connectors.sandbox.wire import Response, read_id, read_json

# Parameters that every API takes.
COMMON = (
    "$.xgafv", "access_token", "alt", "callback", "fields", "key", "oauth_token", "prettyPrint", "quotaUser", "uploadType",
    "upload_protocol",
)  # fmt: skip
DOCUMENTED = "Valid paths are documented at https://developers.google.com/people/api/rest/v1/people/get."


@dataclass
class Call:
    """One call. `parts` are the unquoted parts of the path; `verb` is what stands behind its colon; `mailbox` is whose token
    it carries. `touched` collects what it created, for the call log."""

    method: str
    parts: tuple[str, ...]
    verb: str
    query: str
    body: bytes
    mailbox: str
    scopes: frozenset[str]
    touched: list[str] = field(default_factory=list)
    headers: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def parameters(self) -> dict[str, list[str]]:
        return parse_qs(self.query, keep_blank_values=True)

    def allow(self, *names: str) -> None:
        """Raises Refused for a parameter that this method does not have."""
        for name in self.parameters:
            if name not in names and name not in COMMON:
                told = f"Cannot bind query parameter. Field '{name[:80]}' could not be found in request message."
                raise invalid(f'Invalid JSON payload received. Unknown name "{name[:80]}": {told}')

    def text(self, name: str) -> str:
        return self.parameters.get(name, [""])[-1]

    def flag(self, name: str) -> bool:
        """Returns a parameter that is true or false, false when it is missing. Raises Refused."""
        value = self.text(name).lower()
        if value not in ("", "true", "false"):
            raise invalid(f"Invalid value at '{name}' (TYPE_BOOL), \"{self.text(name)[:80]}\"")
        return value == "true"

    def number(self, name: str, default: int, most: int) -> int:
        """Returns a parameter between 1 and its most; missing and 0 mean the default. Raises Refused."""
        value = read_id(self.text(name) or "0")
        if value is None or value > most:
            raise invalid(f"{name} must be between 1 and {most}.")
        return value or default

    def listed(self, name: str, allowed: Collection[str]) -> list[str]:
        """Returns a repeated parameter with words of an enum. Raises Refused."""
        for value in self.parameters.get(name, []):
            if value not in allowed:
                raise invalid(f"Invalid value at '{name}' (TYPE_ENUM), \"{value[:80]}\"")
        return self.parameters.get(name, [])

    def mask(self, name: str, valid: Collection[str], *, default: Collection[str] | None = None) -> frozenset[str]:
        """Returns the fields that a parameter names, the default when it is missing. Raises Refused, also without either."""
        text = ",".join(self.parameters.get(name, []))
        if not text and default is None:
            raise invalid(f"{name} mask is required. Please specify one or more valid paths. {DOCUMENTED}")
        return read_mask(text, name, valid) or frozenset(default or ())

    def json(self, type_: str, where: str, types: checking.Types = TYPES) -> dict[str, Any]:
        """Returns the body, checked against a type of the API, People's unless `types` are given. Raises Refused."""
        try:
            data = read_json(self.body or b"{}")
        except ValueError as error:
            raise invalid(f"Invalid JSON payload received. {error}") from None
        return checking.read(data, type_, where, types)

    def answer(self, body: Mapping[str, Any], template: str) -> Response:
        """Returns a good answer, of which `fields` may ask for a part."""
        wanted = self.text("fields")
        shown = partial.cut(body, wanted) if wanted else body
        return Response(200, json.dumps(shown).encode(), "application/json; charset=UTF-8", template=template)


def read_mask(text: str, name: str, valid: Collection[str]) -> frozenset[str]:
    """Returns the fields of a mask. Raises Refused for one that does not exist."""
    words = [word for part in text.split(",") if (word := part.strip())]
    for word in words:
        if word not in valid:
            raise invalid(f'Invalid {name} mask path: "{word[:80]}". {DOCUMENTED}')
    return frozenset(words)


def refusal(refused: Refused, template: str, *, is_older: bool = False) -> Response:
    body = refused.older() if is_older else refused.newer()
    return Response(refused.status, json.dumps(body).encode(), "application/json; charset=UTF-8", template=template)
